"""Statements as a textbook writes them: nested expressions, each line under the equation that it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Set

from symgrad.emit.lower import Lowering
from symgrad.emit.names import Names, words
from symgrad.emit.text import Text
from symgrad.emit.values import CHANGED, FREE, VIEWS, Value, python
from symgrad.language.program import Program, Statement, show
from symgrad.passes.loops import Run

WIDTH = 96  # of a line without its indentation


def comment(text: str, width: int = WIDTH) -> list[str]:
    """A comment of one or more lines."""
    return textwrap.wrap(
        words(text), width, initial_indent="# ", subsequent_indent="#     ", break_on_hyphens=False
    )


class Readable:
    """Lines for statements, one after the other.

    Args:
        numbers: the number in the derivation of each statement.
        typed: whether the lines stand where `dtype` is known, or all numbers with a name may be Python's.
    """

    def __init__(self, program: Program, names: Names, numbers: Mapping[Statement, str], typed: bool = True):
        self.program, self.numbers, self.typed = program, numbers, typed
        self.text = Text(names)
        self.lowering = Lowering(program, calls=True, products=False)
        self.lines: list[str] = []
        self.waiting: list[Statement] = []  # statements whose value is written where it is read

    def write(self, statements: Iterable[Statement], results: Iterable[str] = ()) -> list[str]:
        """The lines that compute all tensors that the statements write; `results` are asked for afterwards."""
        statements, results = tuple(statements), tuple(results)
        inline = self._inline(statements, {*results, self.program.target})
        for run in self.lowering.prepare(statements, results):
            if run.letter:
                self._loop(run, inline)
            else:
                self._statement(run.origin[0], run.steps[0], inline)
        for name in dict.fromkeys(results):
            if self.program[name].early:
                own = self.text.names.of(name)
                self.lines.append(
                    f"{own} = {self.text(self.lowering.trimmed(name, self.program[name].early))}"
                )
        return self.lines

    def _loop(self, run: Run, inline: set[str]) -> None:
        """A loop: room for what it writes, then its steps."""
        for name, v in self.lowering.enter(run):
            own = self.text.names.of(name)
            self.lines.append(f"{own} = {self.text(v)}")
            self.lowering.env[name] = self.lowering.input(name)
        outer, self.lines = self.lines, []
        named = dict(self.text.bound)
        for origin, step in zip(run.origin, run.steps, strict=True):
            self._statement(origin, step, inline)
        self.text.bound = named  # a loop without steps gives no names
        header = f"for {self.text.names.of(run.letter)} in {self._range(run)}:"
        self.lines = [*outer, header, *("    " + line for line in self.lines)]
        self.lowering.leave()

    def _range(self, run: Run) -> str:
        return self.text.steps(run.first, run.last + 1, run.backward)

    def _statement(self, origin: Statement, s: Statement, inline: set[str]) -> None:
        """The lines of one statement, as it runs; the comment says it as it was."""
        value = self.lowering.statement(s)
        if s.out in inline and value.seen.op not in CHANGED:
            self.waiting.append(origin)
            return
        parts = dict.fromkeys(origin.reads)
        for w in reversed(self.waiting):
            if w.out in parts:
                parts.update(dict.fromkeys(w.reads))
        used = [w for w in self.waiting if w.out in parts]
        self.waiting = [w for w in self.waiting if w.out not in parts]
        for o in (*used, origin):
            number = self.numbers.get(o)
            self.lines += comment(f"({number}) {show(o, self.program)}" if number else show(o, self.program))
        self._assign(s.out, value)
        self.lowering.env[s.out] = self.lowering.input(s.out)

    def _inline(self, statements: tuple[Statement, ...], results: Set[str]) -> set[str]:
        """Names made up for parts that one equation reads once: written where they are read."""
        reads: dict[str, int] = {}
        loops: dict[str, object] = {}
        for s in statements:
            for name in s.reads:
                reads[name] = reads.get(name, 0) + 1
                loops[name] = s.scan and s.scan.loop
        written = [s.out for s in statements]
        return {
            s.out
            for s in statements
            if not self.program[s.out].named and reads.get(s.out) == 1 and written.count(s.out) == 1 and s.plain
            and s.out not in results and (s.scan and s.scan.loop) == loops[s.out]
        }  # fmt: skip

    def _assign(self, out: str, v: Value) -> None:
        name = self.text.names.of(out)
        if v.op in ("put", "store"):
            self._change(name, v)
            return
        self._share(v)
        self._fit(f"{name} = ", v)
        text = self.text(v)
        if self.typed and python(v):
            # functions of NumPy would make float64 of a Python number
            text = f"{self.text.dtype}.type({text})"
        line = f"{name} = {text}"
        if line != f"{name} = {name}":
            self.lines.append(line)

    def _change(self, name: str, v: Value) -> None:
        """Writing into an array: its beginning first."""
        target, value, *positions = v.args
        if (
            target.op == "store"
            and v.op == "store"
            and value.op in VIEWS
            and value.root is target.args[1].root
        ):
            self._share(value, target.args[1])
        if target.op in ("put", "store"):
            self._change(name, target)
        elif target.op != "input":
            self.lines.append(f"{name} = {self.text(target)}")
        for part in (value, *positions):
            self._share(part)
        self._fit(f"np.add.at({name}, ", value, *positions)
        ufunc, where = v.info
        if v.op == "store":
            place = name + self.text.subscript(where, target.shape)
            text = self.text(value)
            self.lines.append(
                f"{place} = {text}" if ufunc == "set" else f"{place} += {text}" if ufunc == "add"
                else f"{place} = np.{ufunc}({place}, {text})"
            )  # fmt: skip
        elif ufunc == "set":
            self.lines.append(f"{name}[{self.text.positions(where, tuple(positions))}] = {self.text(value)}")
        else:
            place = self.text.positions(where, tuple(positions), "slice(None)")
            many = ", " in place and len([p for p in where if p is not None]) + place.count("slice(None)") > 1
            self.lines.append(f"np.{ufunc}.at({name}, {f'({place})' if many else place}, {self.text(value)})")

    def _share(self, *values: Value) -> None:
        """Names for parts that occur more than once."""
        uses: dict[Value, int] = {}
        order: list[Value] = []

        def visit(x: Value) -> None:
            uses[x] = uses.get(x, 0) + 1
            if uses[x] == 1 and x not in self.text.bound:
                for a in x.args if x in values or x.op not in ("put", "store") else ():
                    visit(a)
                order.append(x)

        for v in values:
            visit(v)
        for x in order:
            if x in values or x in self.text.bound:
                continue
            if x.op in ("put", "store"):
                self.text.bound[x] = self.text.names.counted("padded")
                self._change(self.text.bound[x], x)
            elif x.op == "pad":
                self._name(x, "padded")
            elif uses[x] > 1 and not _short(x):
                self._name(x)

    def _fit(self, start: str, *parts: Value) -> None:
        """Names for parts until the line is no longer than it may be."""
        for _ in range(100):
            length = len(start) + sum(len(self.text(p)) + 2 for p in parts)
            if length <= WIDTH:
                return
            inner: dict[Value, int] = {}
            open_parts = list(parts)
            while open_parts:
                for a in open_parts.pop().args:
                    if a not in inner and a not in self.text.bound:
                        inner[a] = len(self.text(a))
                        open_parts.append(a)
            fitting = [
                x for x, n in inner.items() if 12 <= n <= max(WIDTH - 8, length // 2) and not _short(x)
            ]
            if not fitting:
                return
            self._name(max(fitting, key=lambda x: (inner[x], -x.number)))

    def _name(self, v: Value, stem: str = "part") -> None:
        text = self.text(v)
        name = self.text.names.counted(stem)
        if len(text) + len(name) + 3 > WIDTH:
            self._fit(f"{name} = ", v)
            text = self.text(v)
        self.lines.append(f"{name} = {text}")
        self.text.bound[v] = name


def _short(v: Value) -> bool:
    """Whether naming it would save nothing: a tensor, a number, a view of a tensor."""
    return v.op in FREE or v.op in ("input", "arange") or v.op in VIEWS and _short(v.args[0])
