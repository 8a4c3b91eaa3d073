"""Recurrences for random programs: several tensors in one loop, with starts of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, Expr
from symgrad.language.ints import Int
from symgrad.language.program import Scan, Statement

Scope = dict[str, Int]


class Loop:
    """One loop: tensors that are carried from step to step, and parts that are read in their own step only.

    The starts of what is carried are rows before the first ("early"), the first rows themselves, which the steps leave
    out ("rows"), or nothing, where brackets keep the first steps from reading ("bracket").
    """

    def __init__(self, builder: Any):
        self.b, self.pick, self.chance = builder, builder.pick, builder.chance
        self.lag = 2 if self.chance(4) else 1
        length = builder.size()
        if length == ints.ONE or str(length) == "u":
            self.lag = 1
        scope = builder.letters([length, *(builder.size() for _ in range(self.pick([0, 1, 1, 2])))])
        self.axis, *others = scope
        self.scope: Scope = scope
        self.others: Scope = {a: scope[a] for a in others}
        self.starts = self.pick(["early", "early", "rows", "bracket"])
        self.step = ints.axis(self.axis)
        self.carried: list[str] = []
        self.done: list[str] = []  # what the same step has written already
        self.inside: list[Statement] = []
        self.orders: dict[str, list[str]] = {}  # the letters of the axes of each
        self.name = ""

    def write(self) -> None:
        first = len(self.b.statements)
        for _ in range(self.pick([1, 1, 2, 3])):
            order = list(self.scope) if self.chance(2) else [*self.others, self.axis]
            shape = tuple(self.scope[a] for a in order)
            name = self.b.tensor("h", shape, (-1.0, 1.0), named=self.chance(2))
            self.b.private.append(name)
            self.carried.append(name)
            self.orders[name] = order
            if self.starts == "early":
                early = tuple(self.lag if a == self.axis else 0 for a in order)
                self.b.tensors[name] = replace(self.b.tensors[name], early=early)
            if self.starts != "bracket":
                for k in range(self.lag):
                    row = ints.of(k) if self.starts == "rows" else ints.of(-1 - k)
                    left = tuple(row if a == self.axis else ints.axis(a) for a in order)
                    self.b.write(name, left, "=", self.outer(self.others), self.others)
        self.name = self.carried[0]
        for name in self.carried:
            for _ in range(self.pick([0, 0, 1, 1, 2])):
                self.part()
            # one circle: each reads an earlier row of the next, and all parts that nothing reads yet
            following = self.carried[(self.carried.index(name) + 1) % len(self.carried)]
            terms = [self.whole(self.scope), self.before(following, self.scope)]
            read = {r for s in self.inside for r in s.reads}
            terms += [self.now(self.scope, part) for part in self.done if part not in (*read, *self.carried)]
            body = ex.call(self.pick(["tanh", "sin"]), ex.add(*terms))
            self.into(name, self.orders[name], "=", body, self.scope)
            self.done.append(name)
        assert all(s.scan is None for s in self.b.statements[first:])
        self.b.statements += self.inside
        for name in self.done:
            # rows of a part that no step writes are no numbers to go on with: a maximum of nothing
            if name in self.b.private and (name in self.carried or self.starts != "rows"):
                self.b.private.remove(name)

    def into(self, name: str, order: list[str], op: str, body: Expr, scope: Scope, **more: Any) -> None:
        guard = Cmp(">=", ex.val(self.step), ex.val(self.lag)) if self.starts == "rows" else None
        left = tuple(map(ints.axis, order))
        axes, scan = tuple(scope.items()), Scan(self.axis, self.name)
        self.inside.append(Statement(name, left, op, body, axes, guard, scan=scan, **more))

    def outer(self, scope: Scope) -> Expr:
        """Something from outside the loop, between -1 and 1."""
        body, (low, high) = self.b.body(scope, self.pick([0, 1]))
        return body if low >= -1 and high <= 1 else ex.call("tanh", body)

    def past(self, scope: Scope) -> Expr:
        """An entry of an earlier step; the rest of its place is anywhere."""
        return self.before(self.pick(self.carried), scope)

    def before(self, name: str, scope: Scope) -> Expr:
        back = self.pick(range(1, self.lag + 1))
        index, conditions = [], []
        for n, a in zip(self.b.tensors[name].shape, self.orders[name], strict=True):
            if a == self.axis:
                index.append(self.step - back)
            else:
                at, more = self.b.position(n, {x: m for x, m in scope.items() if x != self.axis})
                index.append(at)
                conditions += more
        if self.starts == "bracket":
            conditions.append(Cmp(">=", ex.val(self.step), ex.val(back)))
        return ex.mul(*map(Bracket, conditions), Access(name, tuple(index)))

    def now(self, scope: Scope, name: str = "") -> Expr:
        """An entry that this step has written already."""
        name = name or self.pick(self.done)
        order = self.orders[name]
        index, conditions = [], []
        for n, a in zip(self.b.tensors[name].shape, order, strict=True):
            at, more = (
                (self.step, ())
                if a == self.axis
                else self.b.position(n, {x: m for x, m in scope.items() if x != self.axis})
            )
            index.append(at)
            conditions += more
        return ex.mul(*map(Bracket, conditions), Access(name, tuple(index)))

    def term(self, scope: Scope) -> Expr:
        kinds = ["past", "past", "outer", *(["now"] * 2 if self.done else [])]
        return getattr(self, self.pick(kinds))(scope)

    def whole(self, scope: Scope) -> Expr:
        """What a step computes, between -1 and 1 whatever the earlier steps were."""
        kind = self.pick(["sum", "gate", "product", "leaf", "plain"])
        a = self.term(scope)
        if kind == "plain":
            return a
        if kind == "leaf":
            return ex.call(self.pick(["sin", "tanh", "erf"]), a * self.pick([1, 2, -1]))
        if kind == "gate":
            z = ex.call("sigmoid", self.term(scope))
            return z * a + (ex.ONE - z) * self.term(scope)
        if kind == "product":
            return a * self.term(scope)
        return ex.call("tanh", ex.add(a, self.term(scope), self.past(scope)))

    def part(self) -> None:
        """A tensor of the loop that only its own step reads: a sum, a maximum, a product, or an equation."""
        kind = self.pick(["sum", "sum", "extremum", "equation"])
        kept = [self.axis, *(a for a in self.others if self.chance(2) or kind == "equation")]
        free = next(x for x in "rsvz" if x not in self.scope)
        scope: Scope = {a: self.scope[a] for a in kept}
        more: dict[str, Any] = {}
        if kind == "equation":
            op, body = "=", self.whole(scope)
        else:
            scope[free] = self.pick([*self.others.values(), self.b.size()])
            op = "+=" if kind == "sum" else self.pick(["max=", "min="])
            body = self.term(scope) * (self.term(scope) if self.chance(2) else 1)
            if op == "+=":
                body = body / ex.val(scope[free])
            else:
                more["ties"] = self.pick(["shared", "first"])
        name = self.b.tensor("z", tuple(self.scope[a] for a in kept), (-1.0, 1.0), named=self.chance(2))
        self.b.private.append(name)
        self.orders[name] = kept
        self.into(name, kept, op, body, scope, **more)
        self.done.append(name)


def recurrence(builder: Any) -> None:
    Loop(builder).write()
