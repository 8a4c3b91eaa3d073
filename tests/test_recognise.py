"""Statements of every shape against the reference realisation, and the forms that a reader expects."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad import emit
from symgrad.emit.lower import Lowering
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, Logic, Num, Stop, Val, call
from symgrad.language.ints import Look
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reference import run
from symgrad.language.samples import draw
from symgrad.language.trace import Derived
from symgrad.passes import arrays as ar
from symgrad.passes.recognise import recognise

SIZES = {"a": 2, "b": 3, "c": 4, "d": 5}


class Maker:
    """A random statement, built from the form itself: windows, guards, look-ups, every reduction, several writers."""

    def __init__(self, random: Random):
        self.random = random
        self.tensors: dict[str, Tensor] = {}
        letters = random.sample("ijkl", random.randint(1, 4))
        self.ranges = {
            a: ints.size(n) if random.random() < 0.6 else ints.of(SIZES[n] if random.random() < 0.8 else 1)
            for a, n in zip(letters, random.sample(list(SIZES), len(letters)), strict=True)
        }

    def tensor(self, stem: str, shape: tuple[ints.Int, ...], below: ints.Int | None = None) -> str:
        name = f"{stem}{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, "data" if below is None else "label", below=below)
        return name

    def position(self) -> tuple[ints.Int, ints.Int]:
        """A position in the axes, and the size of an axis in which it always lies."""
        random = self.random
        a = random.choice(list(self.ranges))
        i, n = ints.axis(a), self.ranges[a]
        others = [b for b in self.ranges if b != a]
        kind = random.choice(["bare"] * 6 + ["shift", "step", "back", "window", "look", "constant"])
        if kind == "shift":
            return i + 1, n + 1
        if kind == "step":
            return 2 * i + 1, 2 * n
        if kind == "back":
            return n - 1 - i, n
        if kind == "window" and others:
            b = random.choice(others)
            return i * random.choice([1, 2]) + ints.axis(b), 2 * n + self.ranges[b]
        if kind == "look":
            m = random.choice([ints.of(3), ints.size("d"), n])
            t = self.tensor("t", (n,), m)
            return ints.of(Look(t, (i,))), m
        if kind == "constant":
            return random.choice([(ints.ZERO, ints.ONE), (ints.of(random.randint(0, 1)), ints.of(2))])
        return i, n

    def access(self) -> ex.Expr:
        places = [self.position() for _ in range(self.random.choice([0, 1, 1, 2, 2, 2, 3]))]
        if self.random.random() < 0.15 and places:
            places[-1] = places[0]
        return Access(self.tensor("x", tuple(n for _, n in places)), tuple(i for i, _ in places))

    def condition(self) -> ex.Condition:
        random = self.random
        a = ex.val(ints.axis(random.choice(list(self.ranges))))
        kind = random.randint(0, 3)
        if kind == 0:
            return Cmp(
                random.choice(["<", "<=", "==", "!=", ">"]),
                a,
                ex.val(ints.axis(random.choice(list(self.ranges)))),
            )
        if kind == 1:
            return Cmp(random.choice([">", "<"]), self.access(), ex.ZERO)
        if kind == 2:
            return Logic(
                random.choice(["and", "or"]), (Cmp("<", ex.lift(0), a), Cmp("<", self.access(), ex.ONE))
            )
        i, _ = self.position()
        return Cmp("==", a, ex.val(i)) if i.number is None else Cmp(">=", a, ex.ONE)

    def factor(self, depth: int) -> ex.Expr:
        random = self.random
        kind = random.randint(0, 11) if depth else 0
        if kind <= 4:
            return self.access()
        if kind == 5:
            return ex.add(self.body(depth - 1), self.body(depth - 1))
        if kind == 6:
            name = random.choice(["tanh", "relu", "sigmoid", "softplus", "exp", "abs", "sin"])
            return call(name, call("sin", self.factor(depth - 1)))
        if kind == 7:
            return ex.power(self.factor(depth - 1), random.choice([2, 3]))
        if kind == 8:
            return Stop(ex.val(ints.axis(random.choice(list(self.ranges)))), random.choice(["held", "stop"]))
        if kind == 9:
            return Bracket(self.condition())
        if kind == 10:
            return ex.power(
                ex.add(2, call("sin", self.factor(depth - 1))), random.choice([-1, -2, Fraction(-1, 2)])
            )
        # what is hidden may be anything at all
        x = self.access()
        return ex.mul(
            Bracket(Cmp(">", x, ex.ZERO)), random.choice([call("log", x), ex.power(x, -1), call("sqrt", x)])
        )

    def body(self, depth: int = 2) -> ex.Expr:
        random = self.random
        terms = []
        for _ in range(random.choice([1, 1, 2])):
            factors = [self.factor(depth) for _ in range(random.choice([1, 2, 2, 3]))]
            if random.random() < 0.3:
                factors.append(Num(Fraction(random.choice([2, -1, Fraction(1, 3)]))))
            if random.random() < 0.2:
                factors.append(ex.power(Val(ints.size("b")), -1))
            terms.append(ex.mul(*factors))
        return ex.add(*terms)

    def guarded_read(self) -> tuple[ex.Expr, ex.Condition]:
        """A window that leaves the tensor, and the guard that keeps it inside: padding."""
        a, b = self.random.sample(list(self.ranges), 2)
        n = self.ranges[a]
        i = ints.axis(a) + ints.axis(b) - 1
        inside = Logic("and", (Cmp("<=", ex.ZERO, ex.val(i)), Cmp("<", ex.val(i), ex.val(n))))
        return Access(self.tensor("x", (n,)), (i,)), inside

    def statement(self) -> tuple[Program, dict[str, int]]:
        random = self.random
        guard = self.condition() if random.random() < 0.3 else None
        op = random.choice(["=", "+=", "+=", "+=", "+=", "max=", "min=", "prod="])
        body = self.body()
        if len(self.ranges) > 1 and random.random() < 0.25:
            read, inside = self.guarded_read()
            body, guard = ex.mul(body, read), ex.both(guard, inside)
        kept = list(self.ranges) if op == "=" else [a for a in self.ranges if random.random() < 0.6]
        random.shuffle(kept)
        left = [(ints.axis(a), self.ranges[a]) for a in kept]
        if random.random() < 0.35:
            left = self.scattered(left, op)
        shape = tuple(n for _, n in left)
        s = Statement("out", tuple(i for i, _ in left), op, body, tuple(self.ranges.items()), guard)
        statements = [s]
        if op == "+=" and random.random() < 0.3:
            statements.append(
                Statement(
                    "out",
                    s.left,
                    "+=",
                    self.body(1),
                    s.axes,
                    self.condition() if random.random() < 0.3 else None,
                )
            )
        tensors = {**self.tensors, "out": Tensor("out", shape)}
        return Program(tensors, tuple(statements), "out", tuple(SIZES)), SIZES

    def scattered(self, left: list[tuple[ints.Int, ints.Int]], op: str) -> list[tuple[ints.Int, ints.Int]]:
        """Other places to write than the axes themselves; for "=" still one place for each entry."""
        random = self.random
        new = []
        for i, n in left:
            kind = random.choice(["bare", "shift", "step", "back", "window", "look"])
            if kind == "shift":
                new.append((i + 1, n + 2))
            elif kind == "step":
                new.append((2 * i, 2 * n))
            elif kind == "back":
                new.append((n - 1 - i, n))
            elif kind == "window" and op == "+=":
                b = random.choice(list(self.ranges))
                new.append((i + ints.axis(b), n + self.ranges[b]))
            elif kind == "look" and op != "=":
                new.append((ints.of(Look(self.tensor("t", (n,), ints.of(3)), (i,))), ints.of(3)))
            else:
                new.append((i, n))
        if random.random() < 0.3:
            new.append(random.choice([(ints.ONE, ints.of(2)), (ints.ZERO, ints.ONE)]))
        return new


def check(program: Program, sizes: dict[str, int], given: dict[str, np.ndarray]) -> None:
    """Both styles give what the reference gives."""
    with np.errstate(all="ignore"):  # the reference computes scalars also where a bracket hides them
        wanted = run(program, sizes, given)[program.target]
    derived = Derived(program, program, {}, {}, ())
    scale = 1 + np.abs(wanted[np.isfinite(wanted)]).max(initial=0)
    for style in ("readable", "fast"):
        source = emit.function_source(derived, style=style, sizes=sizes)
        f = emit.load(source, "statement")["loss_and_grad"]
        for _ in range(2):  # the second run finds the buffers as the first one left them
            out, _ = f(**given)
            np.testing.assert_allclose(
                np.asarray(out), wanted, rtol=1e-9, atol=1e-9 * scale, err_msg=f"{program}\n{source}"
            )


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 2**16))
def test_any_statement(random: Random, seed: int) -> None:
    program, sizes = Maker(random).statement()
    rng = np.random.default_rng(seed)
    given = {t.name: draw(t, sizes, rng) for t in program.inputs}
    check(program, sizes, given)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_axes_are_those_of_the_left_side(random: Random) -> None:
    program, _ = Maker(random).statement()
    for s in program.statements:
        assert recognise(s, program).axes == s.kept


# ---------------------------------------------------------------------- the forms that a reader expects

N, M, J, K = (ints.size(a) for a in "nijk")
n, i, j, k = (ints.axis(a) for a in "nijk")
RANGES = {"n": N, "i": M, "j": J, "k": K}
X = Tensor("X", (N, M), "data")
W = Tensor("W", (M, J), "data")
D = Tensor("D", (N, J), "data")
A = Tensor("A", (M, M), "data")
v, u = Tensor("v", (M,), "data"), Tensor("u", (J,), "data")


def node(left: tuple[ints.Int, ...], body: ex.Expr, op: str = "+=") -> ar.Array:
    axes = dict.fromkeys([*ex.axes(body), *(i.axis for i in left)])
    s = Statement("out", left, op, body, tuple((a, RANGES[a]) for a in axes))
    tensors = {t.name: t for t in (X, W, D, A, v, u)}
    return recognise(
        s, Program({**tensors, "out": Tensor("out", tuple(RANGES[i.axis] for i in left))}, (s,), "out")
    )


def text(left: tuple[ints.Int, ...], body: ex.Expr, op: str = "+=") -> str:
    from symgrad.emit.names import Names
    from symgrad.emit.text import Text

    axes = dict.fromkeys([*ex.axes(body), *(i.axis for i in left)])
    s = Statement("out", left, op, body, tuple((a, RANGES[a]) for a in axes))
    tensors = {t.name: t for t in (X, W, D, A, v, u)}
    program = Program({**tensors, "out": Tensor("out", tuple(RANGES[i.axis] for i in left))}, (s,), "out")
    return Text(Names())(Lowering(program, calls=True, products=False).statement(s))


@pytest.mark.parametrize(
    ("left", "body", "wanted"),
    [
        ((n, j), X_ * W_, "X @ W")
        for X_, W_ in [(Access("X", (n, i)), Access("W", (i, j))), (Access("W", (i, j)), Access("X", (n, i)))]
    ]
    + [
        ((i, j), Access("D", (n, j)) * Access("X", (n, i)), "X.T @ D"),
        ((n, i), Access("D", (n, j)) * Access("W", (i, j)), "D @ W.T"),
        ((i,), Access("X", (n, i)) * Access("X", (n, i)), "np.sum(X**2, axis=0)"),
        ((j,), Access("D", (n, j)), "np.sum(D, axis=0)"),
        ((), Access("v", (i,)) * Access("A", (i, i)), "np.sum(v * np.diagonal(A))"),
        ((), Access("v", (i,)) * Access("u", (j,)) * Access("W", (i, j)), "W.T @ v @ u"),
        ((i, j), Access("v", (i,)) * Access("u", (j,)), "v[:, None] * u"),
        ((n, i), Access("X", (n, i)) - Access("v", (i,)), "X - v"),
        ((i, n), Access("X", (n, i)) * Access("v", (i,)), "v[:, None] * X.T"),
        ((n,), Access("X", (n, i)) * Access("v", (i,)) / ex.val(N), "(X @ v) / n"),
        ((n,), Access("X", (n, i)) * Access("v", (i,)) * 2 / ex.val(N), "2 / n * (X @ v)"),
        ((i,), Access("v", (i,)) * ex.Bracket(Cmp(">", Access("v", (i,)), ex.ZERO)), "np.where(v > 0, v, 0)"),
    ],
)
def test_forms(left: tuple[ints.Int, ...], body: ex.Expr, wanted: str) -> None:
    assert text(left, body) == wanted


def test_transpose_says_why() -> None:
    product = node((i, j), Access("X", (n, i)) * Access("D", (n, j)))
    assert isinstance(product, ar.MatMul)
    assert isinstance(product.a, ar.Transpose)
    assert product.a.reason == "n is summed; in X it is the first axis, hence Xᵀ"
    product = node((n, i), Access("D", (n, j)) * Access("W", (i, j)))
    assert isinstance(product, ar.MatMul)
    assert isinstance(product.b, ar.Transpose)
    assert product.b.reason == "j is summed; in W it is the last axis, hence Wᵀ"


def test_absent_axis_is_its_size() -> None:
    s = Statement("out", (), "+=", Access("v", (i,)), (("i", M), ("n", N)))
    program = Program({"v": v, "out": Tensor("out")}, (s,), "out")
    product = recognise(s, program)
    assert isinstance(product, ar.Elementwise)
    assert product.args[0] == ar.Scalar(ex.val(N))
    assert "n is summed" in product.reason


def test_chain_is_ordered_by_cost() -> None:
    sizes = {"i": 100, "j": 2, "k": 100, "l": 3}
    shapes = {"A": "ij", "B": "jk", "C": "kl"}
    tensors = {t: Tensor(t, tuple(ints.of(sizes[a]) for a in s), "data") for t, s in shapes.items()}
    body = ex.mul(*(Access(t, tuple(map(ints.axis, s))) for t, s in shapes.items()))
    s = Statement(
        "out", (ints.axis("i"), ints.axis("l")), "+=", body, tuple((a, ints.of(m)) for a, m in sizes.items())
    )
    product = recognise(
        s, Program({**tensors, "out": Tensor("out", (ints.of(100), ints.of(3)))}, (s,), "out")
    )
    # A (B C): 600 + 600 products; (A B) C: 20000 + 30000
    assert isinstance(product, ar.MatMul)
    assert product.a == ar.Ref("A", ("i", "j"))
    assert isinstance(product.b, ar.MatMul)
