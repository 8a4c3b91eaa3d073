"""Statements as a textbook writes them: nested expressions, each line under the equation that it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Set

from symgrad.emit.lower import Lowering
from symgrad.emit.names import Names, words
from symgrad.emit.text import Text
from symgrad.emit.values import CHANGED, FREE, VIEWS, Value
from symgrad.language.program import Program, Statement, show

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
    """

    def __init__(self, program: Program, names: Names, numbers: Mapping[Statement, int]):
        self.program, self.numbers = program, numbers
        self.text = Text(names)
        self.lowering = Lowering(program, calls=True, products=False)
        self.lines: list[str] = []

    def write(self, statements: Iterable[Statement], results: Iterable[str] = ()) -> list[str]:
        """The lines that compute all tensors that the statements write; `results` are asked for afterwards."""
        statements = tuple(statements)
        inline = self._inline(statements, {*results, self.program.target})
        waiting: list[Statement] = []
        for s in statements:
            value = self.lowering.statement(s)
            if s.out in inline and value.op not in CHANGED:
                waiting.append(s)
                continue
            parts = dict.fromkeys(s.reads)
            for w in reversed(waiting):
                if w.out in parts:
                    parts.update(dict.fromkeys(w.reads))
            used = [w for w in waiting if w.out in parts]
            waiting = [w for w in waiting if w.out not in parts]
            for origin in (*used, s):
                number = self.numbers.get(origin)
                self.lines += comment(
                    f"({number}) {show(origin, self.program)}" if number else show(origin, self.program)
                )
            self._assign(s.out, value)
            self.lowering.env[s.out] = self.lowering.input(s.out)
        return self.lines

    def _inline(self, statements: tuple[Statement, ...], results: Set[str]) -> set[str]:
        """Names made up for parts that one equation reads once: written where they are read."""
        reads: dict[str, int] = {}
        for s in statements:
            for name in s.reads:
                reads[name] = reads.get(name, 0) + 1
        written = [s.out for s in statements]
        return {
            s.out
            for s in statements
            if not self.program[s.out].named and reads.get(s.out) == 1 and written.count(s.out) == 1 and s.plain
            and s.out not in results
        }  # fmt: skip

    def _assign(self, out: str, v: Value) -> None:
        name = self.text.names.of(out)
        if v.op in ("put", "store"):
            self._change(name, v)
            return
        self._share(v)
        self._fit(f"{name} = ", v)
        line = f"{name} = {self.text(v)}"
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
                for a in x.args:
                    visit(a)
                order.append(x)

        for v in values:
            visit(v)
        for x in order:
            if uses[x] > 1 and x not in values and x not in self.text.bound and not _short(x):
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

    def _name(self, v: Value) -> None:
        text = self.text(v)
        name = self.text.names.counted("part")
        if len(text) + len(name) + 3 > WIDTH:
            self._fit(f"{name} = ", v)
            text = self.text(v)
        self.lines.append(f"{name} = {text}")
        self.text.bound[v] = name


def _short(v: Value) -> bool:
    """Whether naming it would save nothing: a tensor, a number, a view of a tensor."""
    return v.op in FREE or v.op in ("input", "arange") or v.op in VIEWS and _short(v.args[0])
