"""Sums as matrix products with ones, and small terms of a sum added up first.

Over the last of 1024x128 entries a sum takes 40 microseconds, a product with ones 7; over the first 23, the product 6.
A number in front goes into the ones.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, constant, contiguous, count, filled, python
from symgrad.language import ints
from symgrad.language.ints import Int


def sums(graph: Graph) -> Graph:
    """Reductions by products, then numbers into their ones, then sums in the cheaper order."""
    return _small_first(_weighted(_by_products(graph)))


def _by_products(graph: Graph) -> Graph:
    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op != "reduce" or v.info[0] != "add" or v.once or v.moving or args[0].kind != "real":
            return None
        a, over = args[0], v.info[1]
        n, k = len(a.shape), len(over)
        if not contiguous(a):
            return None
        if k == n:
            return _whole(table, a)
        if over == tuple(range(k)):
            rows, columns = ints.product(a.shape[:k]), ints.product(a.shape[k:])
            flat = table.reshape(a, (rows, columns))
            return table.reshape(table.make("matmul", (_ones(table, rows), flat), None, (columns,)), v.shape)
        if over == tuple(range(n - k, n)):
            rows, columns = ints.product(a.shape[: n - k]), ints.product(a.shape[n - k :])
            flat = table.reshape(a, (rows, columns))
            return table.reshape(table.make("matmul", (flat, _ones(table, columns)), None, (rows,)), v.shape)
        return None

    return rebuild(graph, rule)


def _whole(table: Values, a: Value) -> Value | None:
    """The sum of all entries of a product of two arrays, or of a vector, as a product of two vectors."""
    if a.op == "ufunc" and a.info in ("square", "multiply"):
        factors = a.args * 2 if a.info == "square" else a.args
    elif len(a.shape) == 1:
        factors = (a, _ones(table, a.shape[0]))
    else:
        return None
    if any(f.shape != a.shape or f.kind != "real" or not contiguous(f) for f in factors):
        return None
    flat = (ints.product(a.shape),)
    return table.make("matmul", tuple(table.reshape(f, flat) for f in factors))


def _ones(table: Values, n: Int) -> Value:
    return filled(table, 1, (n,))


def _weighted(graph: Graph) -> Graph:
    uses, results = graph.uses(), set(graph.results.values())

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op != "ufunc" or v.info != "multiply" or not v.shape or not python(v.args[0]):
            return None
        old, product = v.args[1], args[1]
        chain = (old, old.args[0]) if old.op == "reshape" else (old,)
        if any(x in results or len(uses[x]) > 1 for x in chain):
            return None
        product = product.args[0] if product.op == "reshape" else product
        if product.op != "matmul":
            return None
        for k, ones in enumerate(product.args):
            number = constant(ones)
            if number is not None and python(number):
                both = args[0] if number is table.number(1) else table.ufunc("multiply", args[0], number)
                factors = list(product.args)
                factors[k] = filled(table, both, ones.shape)
                return table.reshape(table.make("matmul", tuple(factors), None, product.shape), v.shape)
        return None

    return rebuild(graph, rule)


def _small_first(graph: Graph) -> Graph:
    """`(A + b) + c` as `A + (b + c)` where b and c are smaller than A."""
    uses, results = graph.uses(), set(graph.results.values())

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op != "ufunc" or v.info != "add" or v.kind != "real" or v.moving:
            return None
        for k in (0, 1):
            inner, small = v.args[k], args[1 - k]
            if inner.op != "ufunc" or inner.info != "add" or inner in results or len(uses[inner]) > 1:
                continue
            if count(small.shape) == count(v.shape) or inner.shape != v.shape:
                continue
            parts = sorted(args[k].args, key=lambda a: count(a.shape))
            if args[k].op == "ufunc" and args[k].info == "add" and count(parts[0].shape) < count(v.shape):
                together = table.ufunc("add", parts[0], small, kind="real")
                if count(together.shape) < count(v.shape):
                    return table.ufunc("add", parts[1], together, kind="real")
        return None

    return rebuild(graph, rule)
