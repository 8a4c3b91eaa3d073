"""Entries of values as expressions of compiled code, and the arrays, numbers and lengths that they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from symgrad.emit.graph import Graph
from symgrad.emit.names import Names
from symgrad.emit.nests import NoLoops
from symgrad.emit.text import ATOM, COMPARE, INFIX, UNARY, Text
from symgrad.emit.values import Value, joint, python
from symgrad.emit.views import Index, aligned, located
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement

_DTYPES = {"real": "dtype", "int": "np.intp", "bool": "bool"}
# functions of our own, which the compiler can vectorise: see `symgrad.emit.elementary`
_OWN = frozenset({"exp", "log", "tanh", "expm1", "log1p", "maximum", "minimum"})
_NUMPY = frozenset(
    {"sqrt", "sin", "cos", "tan", "sinh", "cosh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "rint"}
)  # fmt: skip


@dataclass
class Kernel:
    """The text of one compiled function.

    Attributes:
        arguments: its parameters, each with what is passed, in terms of sizes and of `once`.
        once: lines that make what is passed.
        lines: its body.
        result: what it returns.
        functions: the functions of ours that it calls.
        takes: the arrays among the arguments.
    """

    arguments: list[tuple[str, str]] = field(default_factory=list)
    once: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    result: str = ""
    functions: dict[str, None] = field(default_factory=dict)
    takes: list[str] = field(default_factory=list)


class Entries:
    """The expressions of one compiled function; see `symgrad.emit.compiled`."""

    graph: Graph

    def __init__(
        self, program: Program, names: Names, numbers: Mapping[Statement, str],
        given: Iterable[str], into: Mapping[str, str], wanted: str = "", plain: bool = False,
    ):  # fmt: skip
        self.program, self.names, self.numbers = program, names, numbers
        self.given, self.into, self.wanted, self.plain = tuple(given), dict(into), wanted, plain
        self.letters = [names.fresh(x) for x in "ijklpqrsuv"]
        self.real = names.fresh("real")
        self.text = Text(names)
        self.kernel = Kernel()
        self.arrays: dict[Value, str] = {}
        self.scalars: dict[Value, str] = {}
        self.bounds: dict[Int, str] = {}
        self.constants: dict[str, str] = {}
        self.inline: dict[Value, tuple[str, int]] = {}  # what the pass being written has computed
        self.hoisted: dict[Value, str] | None = None
        self.before: list[str] = []  # lines before the pass being written
        self.named: set[str] = set()
        self.taken: list[tuple[str, str]] = []  # arrays that are passed, with their kind

    # ---- arrays and numbers

    def _take(self, name: str, kind: str) -> str:
        if all(name != taken for taken, _ in self.taken):
            self.taken.append((name, kind))
        return name

    def array(self, v: Value) -> str:
        """The name of the array that a value lies in."""
        root = v.root
        if root in self.arrays:
            return self.arrays[root]
        shape, kind = self.text.shape(root.shape), _DTYPES[root.kind]
        if root.op == "input":
            name = self.names.of(root.info)
            if root.info not in self.given:
                self.kernel.once.append(f"{name} = np.empty({shape}, {kind})")
        elif root.once:
            name = self.names.counted("const")
            self.kernel.once.append(f"{name} = np.array({self.text(root)}, {kind})")
        else:
            name = self._name(root)
            filled = root.op == "pad" and root.info[1] != 0
            if filled:
                made = f"np.full({shape}, {'-' if root.info[1] < 0 else ''}np.inf, {kind})"
            else:
                made = f"np.{'zeros' if root.op == 'pad' else 'empty'}({shape}, {kind})"
            self.kernel.once.append(f"{name} = {made}")
        self.arrays[root] = name
        return self._take(name, root.kind)

    def _name(self, v: Value) -> str:
        label = self.graph.labels.get(v)
        if label is None or label in self.named or label in self.into:
            return self.names.counted("part")
        self.named.add(label)
        return self.names.of(label)

    def size(self, n: Int) -> str:
        return self.names.size(n)

    def bound(self, n: Int) -> str:
        """The length of a loop: a parameter."""
        if n not in self.bounds:
            text = self.size(n)
            name = text if text.isidentifier() else f"d{text}" if text.isdigit() else "d"
            self.bounds[n] = (
                text
                if text.isidentifier()
                else self.names.fresh(name)
                if text.isdigit()
                else self.names.counted("d")
            )
        return self.bounds[n]

    def number(self, x: Fraction | float | int | Value) -> tuple[str, int]:
        """A number in the type of the arrays, made at the head."""
        v = x if isinstance(x, Value) else self.graph.table.number(x)
        text = self.text(v)
        if text not in self.constants:
            self.constants[text] = self.names.counted("c")
        return self.constants[text], ATOM

    # ---- entries

    def at(self, v: Value, index: Index, real: bool = False) -> tuple[str, int]:
        """An entry of a value, or of what it is a view of."""
        if python(v):
            if real and v.moving:
                return f"{self.real}({self.text(v)})", ATOM
            if real and not (self.plain and self.hoisted is None):
                return self.number(v)
            return self.text._show(v)
        base, index = located(v, index, self.size)
        if base.op == "number" or python(base):
            return self.at(base, (), real)
        text, level = self._base(base, index)
        return (f"{self.real}({text})", ATOM) if real and base.kind != "real" else (text, level)

    def _base(self, v: Value, index: Index) -> tuple[str, int]:
        if v in self.inline:
            return self.inline[v]
        if v in self.scalars:
            return (self._hoist(v, self.scalars[v]) if self.plain else self.scalars[v]), ATOM
        if v.once and v.op == "arange":
            return index[0], ATOM if index[0].isidentifier() else COMPARE
        if v.once and v.op == "ufunc" and v.kind != "real" and v.shape:
            return self.entry(v, index)
        if v.once and v.op in ("copy", "broadcast") and not v.args[0].shape:
            return self.at(v.args[0], (), v.kind == "real")
        if not v.shape:
            if v.op == "input" and self.plain:
                return self._hoist(v, self.names.of(v.info)), ATOM
            return self._hoist(v, f"{self.array(v)}[()]"), ATOM
        return f"{self.array(v)}[{', '.join(index)}]", ATOM

    def _hoist(self, v: Value, text: str) -> str:
        """A number that a pass reads at every place: read once, before it, in the type of arrays."""
        if self.hoisted is None:
            return text
        if v not in self.hoisted:
            self.hoisted[v] = self.names.counted("s")
            self.before.append(
                f"{self.hoisted[v]} = {self.real}({text})" if self.plain else f"{self.hoisted[v]} = {text}"
            )
        return self.hoisted[v]

    def _args(self, v: Value, index: Index, real: bool) -> list[tuple[str, int]]:
        return [self.at(a, aligned(index, a.shape), real) for a in v.args]

    def entry(self, v: Value, index: Index) -> tuple[str, int]:
        """What is computed for one entry of an entry-by-entry value."""
        if v.op == "ufunc":
            return self._ufunc(v, index)
        if v.op in ("hide", "where"):
            condition = self.at(v.args[0], aligned(index, v.args[0].shape))[0]
            a = self.at(v.args[1], aligned(index, v.args[1].shape), True)[0]
            b = (
                self.number(0)[0]
                if v.op == "hide"
                else self.at(v.args[2], aligned(index, v.args[2].shape), True)[0]
            )
            return f"({a} if {condition} else {b})", ATOM
        if v.op == "take":
            return self.at(v.args[0], self.gathered(v.args[1:], v.info, index))
        (own,) = v.args
        return self.at(own, aligned(index, own.shape), v.kind == "real")

    def _ufunc(self, v: Value, index: Index) -> tuple[str, int]:
        name = v.info
        if name.startswith("logical_"):
            known = [text for text, _ in self._args(v, index, False)]
            if name == "logical_not":
                return f"(not {known[0]})", ATOM
            return f"(({known[0]}) {'&' if name == 'logical_and' else '|'} ({known[1]}))", ATOM
        real = v.kind == "real" or (
            v.kind == "bool"
            and any(a.kind == "real" and not (a.op == "number" and _whole(a)) for a in v.args)
        )
        args = self._args(v, index, real)

        def shown(k: int, level: int) -> str:
            text, own = args[k]
            return f"({text})" if own < level else text

        if name in INFIX:
            sign, own, left, right = INFIX[name]
            return f"{shown(0, left)} {sign} {shown(1, right)}", own
        if name == "negative":
            return f"-{shown(0, UNARY)}", UNARY
        if name == "square":
            a = shown(0, UNARY)
            return (
                (f"{a} * {a}", INFIX["multiply"][1])
                if a.isidentifier()
                else (f"_square({a})", self._own("square"))
            )
        if name == "power":
            return f"{shown(0, ATOM)} ** {shown(1, ATOM)}", UNARY
        if name in _OWN:
            if not real and name in ("maximum", "minimum"):
                return f"{name[:3]}({args[0][0]}, {args[1][0]})", ATOM
            return f"_{name}({', '.join(text for text, _ in args)})", self._own(name)
        if name in _NUMPY:
            return f"np.{name}({args[0][0]})", ATOM
        raise NoLoops(name)

    def _own(self, name: str) -> int:
        self.kernel.functions[name] = None
        return ATOM

    def gathered(self, positions: tuple[Value, ...], pattern: tuple[int | None, ...], index: Index) -> Index:
        """The index in an array of the entry `index` of what positions take of it."""
        mixed = joint(*(p.shape for p in positions))
        where = [k for k, p in enumerate(pattern) if p is not None]
        front = where != list(range(where[0], where[0] + len(where)))
        start = 0 if front else where[0]
        shared = index[start : start + len(mixed)]
        own = iter((*index[:start], *index[start + len(mixed) :]))
        return tuple(
            next(own) if p is None else self.at(positions[p], aligned(shared, positions[p].shape))[0]
            for p in pattern
        )


def _whole(v: Value) -> bool:
    return isinstance(v.info, Fraction) and v.info.denominator == 1
