"""A number in front of large arrays goes to the smallest array that they are made of.

`c*(A @ B)` is `A @ (c*B)`, at no cost where B is copied anyway. Further back too: where all that a product leads to is
linear in it and in the end multiplied by the same number, that number goes into the product's smaller factor: of
`c*(s*(A @ B)) @ D` and `c*(s*(A @ B)).T @ E` both.
"""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import VIEWS, Value, Values, count, python

_BACK = 40  # how many values before a number are looked at
_GROUP = 40  # and how many may lie between the product and its numbers


@dataclass(eq=False)
class _Group:
    """A product, what it leads to, and where that is multiplied by a number.

    Attributes:
        factor: which factor of the product gets the number.
        inside: all that becomes a multiple.
        ends: the multiplications that fall away.
    """

    product: Value
    factor: int
    number: Value
    name: str
    inside: set[Value]
    ends: set[Value]
    gain: int


def scales(graph: Graph) -> Graph:
    """Numbers moved, as long as there are some to move."""
    while True:
        groups = _groups(graph)
        if not groups:
            return graph
        graph = _moved(graph, groups)


def _number(v: Value) -> tuple[Value, Value] | None:
    """An array and the number that it is multiplied or divided by."""
    if v.op != "ufunc" or v.info not in ("multiply", "divide") or v.kind != "real" or not v.shape:
        return None
    a, b = v.args
    if python(b) and a.shape == v.shape:
        return a, b
    return (b, a) if v.info == "multiply" and python(a) and b.shape == v.shape else None


def _groups(graph: Graph) -> list[_Group]:
    uses, results = graph.uses(), set(graph.results.values())
    found: list[_Group] = []
    taken: set[Value] = set()
    for end in graph.order:
        split = _number(end)
        if split is None or end in taken:
            continue
        groups = (_group(graph, p, end.info, split[1], uses, results) for p in _products(split[0]))
        best = max((g for g in groups if g and end in g.ends), key=lambda g: g.gain, default=None)
        if best and best.gain > 0 and not taken & (best.inside | best.ends):
            found.append(best)
            taken |= best.inside | best.ends
    return found


def _products(v: Value) -> list[Value]:
    """The products that a value is made of, the nearest first, through what is linear in them."""
    queue, seen, found = [v], {v}, []
    while queue and len(seen) < _BACK:
        x = queue.pop(0)
        if x.op == "matmul":
            found.append(x)
        if x.op in VIEWS or x.op in ("matmul", "reduce") or x.op == "ufunc" and x.info in _LINEAR:
            new = [a for a in x.args if a not in seen and a.shape and not a.once]
            seen.update(new)
            queue += new
    return found


_LINEAR = ("add", "subtract", "multiply", "divide", "negative")


def _group(
    graph: Graph,
    product: Value,
    name: str,
    number: Value,
    uses: dict[Value, list[Value]],
    results: set[Value],
) -> _Group | None:
    """All that a product leads to, if it ends in multiplications by one number and nowhere else."""
    inside, ends, queue = {product}, set[Value](), [product]
    while queue:
        v = queue.pop()
        if v in results or v.moving or graph.loop(v) or len(inside) > _GROUP:
            return None
        for user in uses.get(v, ()):
            split = _number(user)
            if split and split[0] is v and split[1] is number and user.info == name:
                ends.add(user)
            elif user not in inside:
                inside.add(user)
                queue.append(user)
    if any(v is not product and not _linear(v, inside) for v in inside) or any(graph.loop(e) for e in ends):
        return None
    costs = [_cost(a) for a in product.args]
    factor = costs.index(min(costs))
    if not product.args[factor].shape or product.args[factor].once:
        return None
    gain = sum(count(e.shape) for e in ends) - min(costs)
    return _Group(product, factor, number, name, inside, ends, gain)


def _cost(v: Value) -> int:
    """What a number in front of a factor costs: nothing where the factor is copied for the product alone."""
    return 0 if v.op == "copy" and not v.once else count(v.shape)


def _linear(v: Value, inside: set[Value]) -> bool:
    """Whether a value is multiplied by a number if all its arguments in the group are."""
    own = [a in inside for a in v.args]
    if v.op in VIEWS or v.op == "reduce" and v.info[0] == "add":
        return True
    if v.op == "matmul":
        return sum(own) == 1
    if v.op != "ufunc" or v.kind != "real":
        return False
    if v.info in ("add", "subtract", "negative"):
        return all(own)
    return v.info == "multiply" and sum(own) == 1 or v.info == "divide" and own == [True, False]


def _moved(graph: Graph, groups: list[_Group]) -> Graph:
    products = {g.product: g for g in groups}
    ends = {e: g for g in groups for e in g.ends}

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v in ends:
            split = _number(v)
            assert split is not None
            return args[v.args.index(split[0])]
        if v not in products:
            return None
        g = products[v]
        number = _again(table, g.number)
        factors = list(args)
        a = args[g.factor]
        base = a.args[0] if a.op == "copy" and not a.once else a
        turned = base.op == "transpose" and a is base
        base = base.args[0] if turned else base
        scaled = table.ufunc(g.name, *((base, number) if g.name == "divide" else (number, base)), kind="real")
        factors[g.factor] = table.transpose(scaled, a.info) if turned else scaled
        return table.make("matmul", tuple(factors), v.info, v.shape)

    return rebuild(graph, rule)


def _again(table: Values, v: Value) -> Value:
    """A Python number in another table."""
    return table.make(v.op, tuple(_again(table, a) for a in v.args), v.info, v.shape, v.kind)
