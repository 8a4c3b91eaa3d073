"""A contraction of two arrays as one (batched) matrix product of reshaped arrays, with the cheapest copies.

The axes of the rows, of the columns and of what is summed may stand in any order, and either array may come first. What
decides is which array must be copied into that order, how long the runs are in which it is read, and whether the result
comes out as it is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from symgrad.emit.values import Value, Values, contiguous, strides
from symgrad.language import ints
from symgrad.language.ints import Int

Axes = tuple[str, ...]
_TURNED = 8  # and what reads a result with its axes in another order costs so much more, for each entry
_RUN = 30  # starting a run costs as much as copying so many entries


@dataclass(frozen=True)
class _Plan:
    """Which array comes first, and the order of the axes of each group."""

    swapped: bool
    rows: Axes
    over: Axes
    columns: Axes


class Contraction:
    """One contraction: `own_a`, `own_b` are the axes of the arrays, `axes` those of the result."""

    def __init__(
        self,
        values: Values,
        ranges: Mapping[str, Int],
        a: Value,
        own_a: Axes,
        b: Value,
        own_b: Axes,
        axes: Axes,
    ):
        self.values, self.ranges = values, ranges
        self.a, self.own_a, self.b, self.own_b, self.axes = a, own_a, b, own_b, axes
        self.batch = tuple(x for x in axes if x in own_a and x in own_b)

    def value(self) -> Value:
        plan = min(self._plans(), key=self._cost)  # of equals the first
        (first, own_first), (second, own_second) = self._operands(plan)
        left = self._matrix(first, own_first, plan.rows, plan.over)
        right = self._matrix(second, own_second, plan.over, plan.columns)
        shape = (*self._shape(self.batch), self._size(plan.rows), self._size(plan.columns))
        made = self.values.make("matmul", (left, right), None, shape)
        natural = (*self.batch, *plan.rows, *plan.columns)
        made = self.values.reshape(made, self._shape(natural))
        return self.values.transpose(made, tuple(natural.index(x) for x in self.axes))

    def _plans(self) -> Iterator[_Plan]:
        over = [x for x in self.own_a if x in self.own_b and x not in self.axes]
        rows = [x for x in self.own_a if x not in self.own_b]
        columns = [x for x in self.own_b if x not in self.own_a]
        wanted = self.axes
        orders = product(
            (False, True),
            _orders(rows, self.own_a, wanted),
            _orders(over, self.own_a, self.own_b),
            _orders(columns, self.own_b, wanted),
        )
        for swapped, r, o, c in orders:
            yield _Plan(swapped, c, o, r) if swapped else _Plan(swapped, r, o, c)

    def _operands(self, plan: _Plan) -> tuple[tuple[Value, Axes], tuple[Value, Axes]]:
        pair = (self.a, self.own_a), (self.b, self.own_b)
        return (pair[1], pair[0]) if plan.swapped else pair

    def _cost(self, plan: _Plan) -> int:
        (first, own_first), (second, own_second) = self._operands(plan)
        total = self._copying(first, own_first, plan.rows, plan.over)
        total += self._copying(second, own_second, plan.over, plan.columns)
        natural = (*self.batch, *plan.rows, *plan.columns)
        return total + (0 if natural == self.axes else _TURNED * self._number(natural))

    def _copying(self, v: Value, own: Axes, first: Axes, second: Axes) -> int:
        """What it costs to bring an array into the order (batch, first, second), or with those two groups swapped."""
        if self._seen(v, own, first, second):
            return 0
        entries = self._number(own)
        run = max(self._run(v, own, order) for order in ((*first, *second), (*second, *first)))
        return entries + _RUN * entries // run

    def _seen(self, v: Value, own: Axes, first: Axes, second: Axes) -> bool:
        """Whether it is a view of the array."""
        if len(first) <= 1 and len(second) <= 1:
            return True
        order, flipped = (*self.batch, *first, *second), (*self.batch, *second, *first)
        return contiguous(v) and own in (order, flipped)

    def _run(self, v: Value, own: Axes, order: Axes) -> int:
        """How many entries are read in equal steps, if the array is copied into an order."""
        known = strides(v)
        steps = dict(zip(own, known, strict=True)) if known is not None else {}
        run, step = 1, None
        for x in reversed(order):
            own_step = steps.get(x)
            if step is not None and own_step != step:
                break
            run *= self._number((x,))
            step = None if own_step is None else own_step * self.ranges[x]
            if step is None:
                break
        return run

    def _matrix(self, v: Value, own: Axes, first: Axes, second: Axes) -> Value:
        """An array with axes (batch, first, second), the groups `first` and `second` each as one axis."""
        shape = (*self._shape(self.batch), self._size(first), self._size(second))
        order, flipped = (*self.batch, *first, *second), (*self.batch, *second, *first)
        if own == flipped and contiguous(v) and own != order:
            return self._flipped(v, shape)
        turned = self.values.transpose(v, tuple(own.index(x) for x in order))
        if len(first) == len(second) == 1:
            return turned
        if contiguous(turned):
            return self.values.reshape(turned, shape)
        if first and second and self._run(v, own, (*second, *first)) > self._run(v, own, (*first, *second)):
            v = self.values.transpose(v, tuple(own.index(x) for x in flipped))
            return self._flipped(self.values.make("copy", (v,), None, v.shape), shape)
        return self.values.reshape(self.values.make("copy", (turned,), None, turned.shape), shape)

    def _flipped(self, v: Value, shape: tuple[Int, ...]) -> Value:
        """A view with the last two axes of this shape, of an array in which they stand the other way round."""
        v = self.values.reshape(v, (*shape[:-2], shape[-1], shape[-2]))
        lead = len(self.batch)
        return self.values.transpose(v, (*range(lead), lead + 1, lead))

    def _shape(self, axes: Iterable[str]) -> tuple[Int, ...]:
        return tuple(self.ranges[x] for x in axes)

    def _size(self, axes: Iterable[str]) -> Int:
        return ints.product(self._shape(axes))

    def _number(self, axes: Iterable[str]) -> int:
        return ints.about(self._shape(axes))


def _orders(axes: list[str], *likes: Axes) -> tuple[Axes, ...]:
    """The axes in the order of each of some others that have them, without repetitions."""
    return tuple(dict.fromkeys(tuple(x for x in like if x in axes) for like in likes))
