"""Lowered code as a graph that passes rewrite, before it gets names and memory.

A pass takes a graph and gives one: most are a rule for single values, applied by `rebuild`, after a look at the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.emit.lower import Lowering
from symgrad.emit.values import Value, Values
from symgrad.language.program import Statement
from symgrad.passes.loops import Run


@dataclass(eq=False)
class Loop:
    """A loop: its values have the numbers from `start` to before `end`."""

    run: Run
    start: int
    end: int = 0


@dataclass
class Graph:
    """Values in the order in which they are computed, and what they are for.

    Attributes:
        table: the table of all values made.
        order: those that the results need; their numbers rise, and are not consecutive.
        results: for each tensor that is asked for, its value.
        heads: by number, the statements whose values begin there.
        loops: in order.
        labels: the tensor that a value is.
        behind: pairs of tensors of which the second lies right behind the first in memory.
    """

    table: Values
    order: list[Value]
    results: dict[str, Value]
    heads: dict[int, list[Statement]]
    loops: list[Loop]
    labels: dict[Value, str] = field(default_factory=dict)
    behind: frozenset[tuple[str, str]] = frozenset()

    def uses(self) -> dict[Value, list[Value]]:
        """For each value those that have it as an argument, in order; the same value twice if twice."""
        found: dict[Value, list[Value]] = {}
        for v in self.order:
            for a in v.args:
                found.setdefault(a, []).append(v)
        return found

    def placed(self) -> list[Value]:
        """The values that need a place of their own: a constant is written as one expression, without its parts."""
        return _needed(self.table, self.results.values(), self.loops, parts=False)

    def loop(self, v: Value) -> Loop | None:
        """The loop that a value is computed in."""
        return next((p for p in self.loops if p.start <= v.number < p.end), None)


Pass = Callable[[Graph], Graph]
Rule = Callable[[Values, Value, tuple[Value, ...]], Value | None]


def lowered(lowering: Lowering, statements: Iterable[Statement], kept: Sequence[str]) -> Graph:
    """Lower all statements, in order; `kept` are the tensors that are asked for afterwards."""
    heads: dict[int, list[Statement]] = {}
    loops: list[Loop] = []
    labels: dict[Value, str] = {}
    table = lowering.values
    early = {name: lowering.program[name].early for name in kept}  # before they are counted with the others
    for run in lowering.prepare(statements, kept):
        if run.letter:
            lowering.enter(run)
            loops.append(Loop(run, len(table.all)))
        for origin, s in zip(run.origin, run.steps, strict=True):
            heads.setdefault(len(table.all), []).append(origin)
            labels.setdefault(lowering.statement(s, origin), s.out)
        if run.letter:
            loops[-1].end = len(table.all)
            lowering.leave()
    results = {name: lowering.trimmed(name, early[name]) for name in kept}
    return Graph(table, _needed(table, results.values(), loops), results, heads, loops, labels)


def rebuild(graph: Graph, rule: Rule, before: Mapping[Loop, Sequence[Value]] | None = None) -> Graph:
    """The graph with each value made anew by `rule`, from its new arguments; where that gives None, as it was.

    What the rule makes on the way stands where the value stood. A rule may give a value made before.

    Args:
        before: for each loop, those of its values that are to stand before it, in order.
    """
    table = Values()
    new: dict[Value, Value] = {}
    heads: dict[int, list[Statement]] = {}
    loops: list[Loop] = []
    starts, coming = sorted(graph.heads), list(graph.loops)
    end: int | None = None  # of the loop being made, as a number of the old graph

    def leave() -> None:
        loops[-1].end = len(table.all)
        table.forget(loops[-1].start)

    def add(v: Value) -> None:
        args = tuple(new[a] for a in v.args)
        made = rule(table, v, args)
        new[v] = table.make(v.op, args, v.info, v.shape, v.kind) if made is None else made

    for v in graph.order:
        if end is not None and end <= v.number:
            leave()
            end = None
        while end is None and coming and coming[0].start <= v.number:
            loop = coming.pop(0)
            if v.number < loop.end:
                for x in (before or {}).get(loop, ()):
                    add(x)
                loops.append(Loop(loop.run, len(table.all)))
                end = loop.end
        if v in new:
            continue
        while starts and starts[0] <= v.number:
            heads.setdefault(len(table.all), []).extend(graph.heads[starts.pop(0)])
        add(v)
    if end is not None:
        leave()
    results = {name: new[v] for name, v in graph.results.items()}
    labels: dict[Value, str] = {}
    for v, name in graph.labels.items():
        if v in new:
            labels.setdefault(new[v], name)
    return Graph(table, _needed(table, results.values(), loops), results, heads, loops, labels, graph.behind)


def improved(graph: Graph, passes: Iterable[Pass]) -> Graph:
    """The graph after all passes, in order."""
    for change in passes:
        graph = change(graph)
    return graph


def _needed(
    table: Values, results: Iterable[Value], loops: Iterable[Loop], parts: bool = True
) -> list[Value]:
    """What the results are made of; the parts of constants too, or not."""
    found: set[int] = set()
    stack = list(results)
    written: dict[
        Value, list[Value]
    ] = {}  # by memory, what is written into it in a loop: the next step reads it
    for loop in loops:
        for v in table.all[loop.start : loop.end]:
            if v.op in ("put", "store"):
                written.setdefault(v.root, []).append(v)
    while stack:
        v = stack.pop()
        if v.number not in found:
            found.add(v.number)
            stack.extend(v.args if parts or not v.once else ())
            stack.extend(written.get(v, ()))
    return [v for v in table.all if v.number in found]
