"""Where an entry of a view lies in what it is a view of, as text of an index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgrad.emit.values import VIEWS, Shape, Value
from symgrad.language import ints
from symgrad.language.ints import Int

Index = tuple[str, ...]


def places(shape: Shape, letters: Sequence[str] = "ijklpqrsuv") -> Index:
    """The index of the place that loops over a shape are at; an axis of length one needs no loop."""
    return tuple("0" if n == ints.ONE else letters[k] for k, n in enumerate(shape))


def aligned(index: Index, shape: Shape) -> Index:
    """The index of an array that broadcasts to the place `index`."""
    tail = index[len(index) - len(shape) :]
    return tuple("0" if n == ints.ONE else i for i, n in zip(tail, shape, strict=True))


def located(v: Value, index: Index, size: Callable[[Int], str] = str) -> tuple[Value, Index]:
    """The value that `v` is a view of, and the index there of the entry `index` of the view."""
    while v.op in VIEWS:
        v, index = v.args[0], _step(v, index, size)
    return v, index


def _step(v: Value, index: Index, size: Callable[[Int], str]) -> Index:
    base = v.args[0]
    if v.op == "transpose":
        found = [""] * len(index)
        for k, axis in enumerate(v.info):
            found[axis] = index[k]
        return tuple(found)
    if v.op == "expand":
        return tuple(i for i, present in zip(index, v.info, strict=True) if present)
    if v.op == "broadcast":
        return aligned(index, base.shape)
    if v.op == "diagonal":
        return (index[0], index[0])
    if v.op == "reshape":
        return _reshaped(index, v.shape, base.shape, size)
    if v.op == "window":
        axis, start, steps, _ = v.info
        own = index[axis : axis + len(steps)]
        inner = plus(size(start), *(scaled(i, step) for i, step in zip(own, steps, strict=True)))
        return (*index[:axis], inner, *index[axis + len(steps) :])
    assert v.op == "index"
    return indexed(v.info, index, size)


def indexed(items: Sequence[Any], index: Index, size: Callable[[Int], str]) -> Index:
    """The index of the entry `index` of a part that a basic index takes."""
    own = iter(index)
    found = []
    for item in items:
        if item[0] == "at":
            found.append(size(item[1]))
        elif item[0] == "all":
            found.append(next(own))
        else:
            _, start, step, length, backwards = item
            i = next(own)
            if backwards:
                i = f"({size(length - 1)} - {i})" if i != "0" else size(length - 1)
            found.append(plus(size(start), scaled(i, step)))
    return tuple(found)


def plus(*parts: str) -> str:
    """A sum as text, without its zeros."""
    return " + ".join(p for p in parts if p != "0") or "0"


def scaled(i: str, step: int) -> str:
    if i == "0" or step == 1:
        return i
    return f"{step}*{i}" if i.isidentifier() else f"{step}*({i})"


def _reshaped(index: Index, shape: Shape, base: Shape, size: Callable[[Int], str]) -> Index:
    """Groups of axes with the same number of entries are counted through in the same order."""
    found: list[str] = []
    left = [(n, i) for n, i in zip(shape, index, strict=True) if n != ints.ONE]
    right = [n for n in base if n != ints.ONE]
    while left and right:
        p, q = _equal([n for n, _ in left], right)
        found += _group(left[:p], right[:q], size)
        left, right = left[p:], right[q:]
    rest = iter(found)
    return tuple("0" if n == ints.ONE else next(rest) for n in base)


def _equal(left: Sequence[Int], right: Sequence[Int]) -> tuple[int, int]:
    """How many of the first sizes of each have the same product: the fewest, else all."""
    for total in range(2, len(left) + len(right)):
        for p in range(max(1, total - len(right)), min(len(left), total - 1) + 1):
            if ints.product(left[:p]) == ints.product(right[: total - p]):
                return p, total - p
    return len(left), len(right)


def _group(own: list[tuple[Int, str]], target: list[Int], size: Callable[[Int], str]) -> list[str]:
    if len(own) == len(target) == 1:
        return [own[0][1]]
    flat = own[0][1]
    for n, i in own[1:]:
        ahead = flat if flat.isidentifier() or flat.isdigit() else f"({flat})"
        flat = plus("0" if flat == "0" else f"{ahead}*{_factor(size(n))}", i)
    found: list[str] = []
    inside = flat if flat.isidentifier() else f"({flat})"
    for k in range(len(target)):
        behind = ints.product(target[k + 1 :])
        text = inside if behind == ints.ONE else f"{inside}//{_factor(size(behind))}"
        found.append(f"({text}) % {_factor(size(target[k]))}" if k and target[k] != ints.ONE else text)
    if len(target) == 1:
        return [flat]
    return found


def _factor(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"
