"""What a step of a fast module costs, counted from the values that its lines were written for.

A call is a line of a step, once for each turn of the loop that it stands in. Of operations a product counts two for
each pair that meets, a reduction one for each entry that it reads, anything else one for each entry that it gives, and
what only moves numbers none. Bytes moved are those of all operands and results, whether or not a cache has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.emit.graph import Loop
from symgrad.emit.module import prepared
from symgrad.emit.plan import Work
from symgrad.emit.values import Value, python
from symgrad.errors import Refusal, listing
from symgrad.language.ints import Atom, Int, Size
from symgrad.language.trace import Derived

_BYTES = {"real": 4, "int": 8, "bool": 1}
_MOVES = frozenset({"copy", "clone", "fill", "take", "border", "pad", "real", "stack", "stop"})
_WIDTH = 100


@dataclass(frozen=True)
class Cost:
    """What a group of lines costs.

    Attributes:
        group: the equations that stand above the lines, with their numbers.
        calls: calls of NumPy.
        flops: operations on numbers; `products` are those of them in matrix products.
        moved: bytes of operands and results.
        buffers: bytes of the arrays that are made for these lines, once; others are used again.
    """

    group: str
    calls: int = 0
    flops: int = 0
    products: int = 0
    moved: int = 0
    buffers: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.group, self.calls + other.calls, self.flops + other.flops, self.products + other.products,
            self.moved + other.moved, self.buffers + other.buffers,
        )  # fmt: skip

    @property
    def share(self) -> float:
        """The part of the operations that is in matrix products."""
        return self.products / self.flops if self.flops else 0.0


@dataclass(frozen=True)
class Report:
    """The costs of one step of training: of each group of lines, in order; `total` of all.

    `print` shows a table. The peak of the buffers is the sum of all of them: they are made once and kept.
    """

    groups: tuple[Cost, ...]
    sizes: Mapping[str, int]

    @property
    def total(self) -> Cost:
        return sum(self.groups, Cost("all of a step"))

    def __str__(self) -> str:
        rows = [["calls", "flops", "in products", "bytes moved", "buffer bytes", ""]]
        for c in (*self.groups, self.total):
            counted = [str(c.calls), _short(c.flops), f"{100 * c.share:.0f} %"]
            rows.append(
                [*counted, _short(c.moved), _short(c.buffers), c.group or "the arrays that are given"]
            )
        wide = [max(len(r[k]) for r in rows) for k in range(5)]
        room = _WIDTH - sum(wide) - 2 * 5
        lines = []
        for *numbers, group in rows:
            cells = [x.rjust(w) for x, w in zip(numbers, wide, strict=True)]
            text = group if len(group) <= room else f"{group[: room - 3]}..."
            lines.append("  ".join([*cells, text]).rstrip())
        given = ", ".join(f"{name} = {n}" for name, n in self.sizes.items())
        head = f"One step of training{f' with {given}' if given else ''}, in float32"
        return "\n".join([head, "", lines[0], *lines[1:-1], "-" * len(lines[0]), lines[-1]])


def module_report(derived: Derived, sizes: Mapping[str, int], **options: Any) -> Report:
    """The costs of a step of the module that `module_source` writes with these options, for these sizes.

    Raises:
        Refusal: a size letter has no number; what `module_source` refuses, and the style "readable".
    """
    module = prepared(derived, **options)
    module.source()
    if "training" not in module.plans:
        raise Refusal('a report is of a module of the style "fast"')
    declared = module.declared
    for letter in sizes:
        if letter not in declared.sizes:
            raise Refusal(f"a number is given for {letter}, which is no size of the text")
    missing = [letter for letter in declared.sizes if letter not in sizes]
    if missing:
        given = ", ".join(f"{letter}=64" for letter in missing)
        raise Refusal(
            f"a report counts with numbers, and {listing(missing)} {'have' if len(missing) > 1 else 'has'} none: give "
            f"for example {given}"
        )
    known = {letter: sizes[letter] for letter in declared.sizes}
    inner = dict(known)
    if module.share is not None:  # the whole batch as one part
        inner[module.share.rows] = known[module.share.count]
    groups = _costs(module.plans["training"].work, inner)
    count = sum(_entries(w.shape, known) for w in module.weights)
    update = sum(_costs(module.plans["update"].work, {"count": count}), Cost(f"update by {module.rule.name}"))
    return Report((*groups, update), known)


def _costs(work: Sequence[Work], sizes: Mapping[str, int]) -> list[Cost]:
    found: dict[str, Cost] = {}
    for w in work:
        found[w.heading] = found.get(w.heading, Cost(w.heading)) + _cost(w, sizes)
    return list(found.values())


def _cost(w: Work, sizes: Mapping[str, int]) -> Cost:
    turns = _turns(w.loop, sizes)
    v = w.value
    made = sum(_entries(shape, sizes) * _BYTES[kind] for shape, kind in w.buffers)
    if not w.lines:
        return Cost(w.heading, buffers=made)
    operands = [a for a in v.args if not python(a)]
    moved = sum(_entries(x.shape, sizes) * _BYTES[x.kind] for x in (*operands, v))
    if v.op in ("put", "store"):  # of the target only what is written
        moved -= 2 * _entries(v.shape, sizes) * _BYTES[v.kind]
        moved += sum(_entries(x.shape, sizes) * _BYTES[x.kind] for x in operands[1:2])
    flops, product = _flops(v, sizes)
    return Cost(
        w.heading, turns * w.lines, turns * flops, turns * flops if product else 0, turns * moved, made
    )


def _flops(v: Value, sizes: Mapping[str, int]) -> tuple[int, bool]:
    """The operations of a value, and whether they are a matrix product."""
    op, args, info = v.op, v.args, v.info
    shape: Sequence[Int] = v.shape
    if op in ("put", "store"):
        if info[0] == "into":
            _, op, info, _ = info
            args = v.args[1:]
            shape = max((a.shape for a in args), key=lambda s: _entries(s, sizes))
        elif info[0] == "set":
            return 0, False
        else:
            shape = v.args[1].shape
    if op == "matmul":
        a, b = args
        inner = _entries(a.shape[-1:], sizes)
        kept = _entries(a.shape[:-1], sizes) * (_entries(b.shape[-1:], sizes) if len(b.shape) > 1 else 1)
        return 2 * inner * kept, True
    if op == "einsum":
        letters = dict(
            pair for text, a in zip(str(info).split("->")[0].split(","), args, strict=True)
            for pair in zip(text, a.shape, strict=True)
        )  # fmt: skip
        return 2 * _entries(list(letters.values()), sizes), True
    if op == "reduce":
        return _entries(args[0].shape, sizes), False
    if op == "implicit":  # an elimination, of each matrix of a stack
        return 2 * _entries(args[0].shape, sizes) * _entries(args[0].shape[-1:], sizes) // 3, False
    return (0 if op in _MOVES else _entries(shape, sizes)), False


def _turns(loop: Loop | None, sizes: Mapping[str, int]) -> int:
    return 1 if loop is None else max(0, _number(loop.run.last, sizes) - loop.run.first + 1)


def _entries(shape: Sequence[Int], sizes: Mapping[str, int]) -> int:
    return math.prod(_number(n, sizes) for n in shape)


def _number(n: Int, sizes: Mapping[str, int]) -> int:
    def value(atom: Atom) -> Any:
        assert isinstance(atom, Size)
        return 0 if atom.running else sizes[atom.name]  # at the first step

    return int(n.evaluate(value))


def _short(n: int) -> str:
    """A number with a thousand's letter: 1.2 M."""
    for letter, unit in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if n >= unit:
            return f"{n / unit:.{2 if n < 10 * unit else 1 if n < 100 * unit else 0}f} {letter}"
    return str(n)
