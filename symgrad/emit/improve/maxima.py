"""The larger of an array and a number, in place: its slope is asked of the result, and the number is an array.

`max(x, c) > c` where `x > c`: the argument is dead once the maximum is known, which may overwrite it. And NumPy
compares two arrays in a quarter of the time that it takes for an array and one number (1,000 entries and more a row).
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, filled, python
from symgrad.language import ints
from symgrad.language.ints import Int

_SIDES = {"greater": "maximum", "less": "minimum"}
_ROW = 1024  # entries of a row at which a call for each costs little


def maxima(graph: Graph) -> Graph:
    """Maxima and minima of an array and a number against arrays, their slopes from their results."""
    known = {
        (v.info, v.args, graph.loop(v)): v
        for v in graph.order
        if v.op == "ufunc" and v.info in ("maximum", "minimum")
    }

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op != "ufunc" or not v.args[0].shape or len(args) != 2 or v.args[0].kind != "real":
            return None
        if v.info in ("maximum", "minimum") and python(args[1]) and not v.once:
            return _against(table, v.info, *args)
        side = _SIDES.get(v.info, "")
        if python(args[1]) and (side, v.args, graph.loop(v)) in known and not v.once:
            return table.ufunc(v.info, _against(table, side, *args), args[1], kind="bool")
        return None

    return rebuild(graph, rule)


def _against(table: Values, name: str, a: Value, number: Value) -> Value:
    return table.ufunc(name, a, filled(table, number, _row(a.shape)), kind="real")


def _row(shape: tuple[Int, ...]) -> tuple[Int, ...]:
    """The last axes of a shape, enough of them."""
    for k in range(len(shape) - 1, 0, -1):
        size = ints.product(shape[k:]).number
        if size is None or size >= _ROW:
            return shape[k:] if size else shape
    return shape
