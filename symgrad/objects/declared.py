"""Declarations as objects: what is given, what is learned, and the sizes of both."""

from __future__ import annotations

import ast
import operator
from collections.abc import Iterable, Mapping, Sequence
from types import EllipsisType

from symgrad.errors import Refusal, SymgradError
from symgrad.language.declarations import scheme
from symgrad.language.syntax import is_name
from symgrad.objects.expressions import COMPARE, Expression, tree
from symgrad.objects.nodes import Declared, Size, checked, place


def size_tree(value: object) -> ast.expr:
    """A size in a shape: a letter, a whole number, or what is calculated from sizes."""
    if isinstance(value, str):
        return ast.Name(_letter(value), ast.Load())
    if isinstance(value, Expression):
        return place(value.node)
    try:
        whole = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise SymgradError(
            f'a size is a whole number, a letter such as "n", or made of sg.size("n"), not {value!r}'
        ) from None
    if isinstance(value, bool) or whole < 1:
        raise SymgradError(f"a size is a whole number of at least 1, not {value!r}")
    return ast.Constant(whole)


def _letter(value: str) -> str:
    if not is_name(value):
        raise SymgradError(f'a size is a letter or a word such as "n" or "hidden", not {value!r}; '
                           'sizes are calculated as sg.size("h") - 2')  # fmt: skip
    return value


def _declared(
    role: str,
    shape: Sequence[object],
    bounds: Mapping[str, object],
    facts: Iterable[str],
    start: object,
    stem: str,
    name: str | None,
    classes: Sequence[str] = (),
) -> Expression:
    for wrong in shape:
        if isinstance(wrong, (tuple, list)):
            raise SymgradError(f"sizes are given one by one: sg.{role}({', '.join(map(repr, wrong))})")
    dims = [ast.Constant(...) if n is ... and role == "draw" else size_tree(n) for n in shape]
    node: ast.expr = ast.Name(role, ast.Load())
    if dims:
        node = ast.Subscript(node, dims[0] if len(dims) == 1 else ast.Tuple(dims, ast.Load()), ast.Load())
    lower = [(op, bounds[op]) for op in (">", ">=") if bounds.get(op) is not None]
    upper = [(op, bounds[op]) for op in ("<", "<=") if bounds.get(op) is not None]
    if len(lower) > 1 or len(upper) > 1:
        raise SymgradError(f"{role} is given two bounds on one side")
    ends = [(op, size_tree(v) if role == "label" else tree(v)) for op, v in upper]
    if lower and ends:
        low, end = lower[0]
        ops = [COMPARE["<" if low == ">" else "<="](), COMPARE[ends[0][0]]()]
        node = ast.Compare(tree(end), ops, [node, ends[0][1]])
    elif lower or ends:
        ((op, bound),) = ends or [(op, tree(v)) for op, v in lower]
        node = ast.Compare(node, [COMPARE[op]()], [bound])
    if classes:
        words: list[ast.expr] = [ast.Constant(word) for word in classes]
        node = ast.Compare(node, [ast.In()], [ast.List(words, ast.Load())])
    for fact in facts:
        node = ast.BinOp(node, ast.BitAnd(), ast.Name(fact, ast.Load()))
    own = "" if name is None else checked(name)
    begins = start if start is None or isinstance(start, ast.expr) else _start(start)
    return Expression(Declared(role, node, begins, stem, own))


def _start(start: object) -> ast.expr:
    """A start value: a number, or a scheme such as `he()` or `normal(0.1)`."""
    if not isinstance(start, str):
        return tree(start)
    try:
        return scheme(start)
    except Refusal as problem:
        raise SymgradError(problem.reason) from None


def data(
    *shape: int | str | Expression,
    name: str | None = None,
    above: float | None = None,
    below: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    distribution: bool = False,
    symmetric: bool = False,
    standardized: bool = False,
) -> Expression:
    """An array that is given when the program runs: `x: data[n, 64]`.

    Args:
        shape: the sizes, each a letter or a whole number.
        name: what it is called in the text and when it is given; "x" if it has none.
        above, below, at_least, at_most: bounds of its entries.
        distribution: whether the last axis holds distributions; symmetric: whether it is a symmetric matrix.
        standardized: whether a module takes it raw and standardises it.

    Raises:
        SymgradError: a size or a name that the language does not take.

    Example:
        >>> import symgrad as sg
        >>> p = sg.data("n", 3, name="p", above=0, below=1)
        >>> print(-sg.mean(sg.log(p)))
        p: 0 < data[n, 3] < 1
        loss = -mean(log(p))
    """
    bounds = {">": above, "<": below, ">=": at_least, "<=": at_most}
    facts = ["distribution"] * distribution + ["symmetric"] * symmetric + ["standardized"] * standardized
    return _declared("data", shape, bounds, facts, None, "x", name)


def label(
    *shape: int | str | Expression,
    below: int | str | Expression | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
) -> Expression:
    """Whole numbers from 0 that name a class or a position: `t: label[n] < 10`.

    Args:
        shape: the sizes, each a letter or a whole number.
        below: how many values it may have; it must be given, or
        classes: words for its values, `t: label[n] in ["cat", "dog"]`.
        name: what it is called; "t" if it has none.

    Raises:
        SymgradError: a size or a name that the language does not take.

    Example:
        >>> import symgrad as sg
        >>> z, t = sg.weight("n", 10, name="z"), sg.label("n", below=10)
        >>> print(sg.softmax_cross_entropy(z, t))
        z: weight[n, 10]
        t: label[n] < 10
        loss = softmax_cross_entropy(z, t)
    """
    if classes is not None and below is None:
        if isinstance(classes, str) or not classes or not all(isinstance(word, str) for word in classes):
            raise SymgradError(f"classes are a list of words, not {classes!r}")
        return _declared("label", shape, {}, (), None, "t", name, list(classes))
    if below is None or classes is not None:
        sizes = "".join(f"{n!r}, " for n in shape)
        told = f'sg.label({sizes}below=10), or which, classes=["cat", "dog"]'
        raise SymgradError(f"a label says how many values it may have: {told}")
    return _declared("label", shape, {"<": below}, (), None, "t", name)


def constant(
    *shape: int | str | Expression,
    name: str | None = None,
    above: float | None = None,
    below: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    symmetric: bool = False,
) -> Expression:
    """A number or an array that is given when the program runs and never has a gradient: `lam: constant > 0`.

    Args:
        shape: the sizes, none for a number.
        name: what it is called; "c" if it has none.
        above, below, at_least, at_most: bounds of its entries.
        symmetric: whether it is a symmetric matrix.

    Raises:
        SymgradError: a size or a name that the language does not take.

    Example:
        >>> import symgrad as sg
        >>> w, lam = sg.weight("i", name="w"), sg.constant(name="lam", above=0)
        >>> print(sg.derive(lam*sg.sum(w**2)).gradients["w"])
        2*lam*w
    """
    bounds = {">": above, "<": below, ">=": at_least, "<=": at_most}
    return _declared("constant", shape, bounds, ["symmetric"] * symmetric, None, "c", name)


def weight(
    *shape: int | str | Expression,
    name: str | None = None,
    start: float | str | None = None,
    above: float | None = None,
    below: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    symmetric: bool = False,
) -> Expression:
    """What is learned: `W: weight[i, 3] = glorot()`. Inside a function under `@sg.op`, a weight of each call's own.

    Args:
        shape: the sizes, none for a number.
        name: what it is called; "W", or "w" with fewer than two axes, if it has none.
        start: a number, or "he()", "glorot()", "lecun()", "orthogonal()" (with a gain: "he(0.5)"), "normal(0.1)",
            "uniform(-1, 1)", "zeros()", "ones()".
        above, below, at_least, at_most: bounds of its entries.
        symmetric: whether it is a symmetric matrix.

    Raises:
        SymgradError: a size, a name or a start that the language does not take.

    Example:
        >>> import symgrad as sg
        >>> x, y = sg.data("n", "i", name="X"), sg.data("n", name="y")
        >>> w = sg.weight("i", name="w", start="normal(0.1)")
        >>> print(sg.derive(sg.mean((x @ w - y)**2)).gradients["w"])
        2/n * X.T @ (X @ w - y)
    """
    bounds = {">": above, "<": below, ">=": at_least, "<=": at_most}
    stem = "W" if len(shape) > 1 else "w"
    return _declared("weight", shape, bounds, ["symmetric"] * symmetric, start, stem, name)


def draw(
    *shape: int | str | Expression | EllipsisType,
    name: str | None = None,
    bernoulli: float | Expression | None = None,
    normal: float | Expression | None = None,
    uniform: tuple[float | Expression, float | Expression] | None = None,
) -> Expression:
    """Random numbers, drawn anew at each step of training: `eps: draw[n, k] = normal(1)`.

    Args:
        shape: the sizes; in a function under `@sg.op`, `...` for the leading axes of its parameters.
        name: what they are called; "eps" if they have no name.
        bernoulli: 1 with this probability, else 0; or
        normal: normal numbers of this deviation around 0; or
        uniform: numbers between two.

    Raises:
        SymgradError: not one of the three is given; a size or a name that the language does not take.

    Example:
        >>> import symgrad as sg
        >>> w = sg.weight("n", 3, name="w")
        >>> print(sg.sum((w + sg.draw("n", 3, normal=0.1))**2))
        w: weight[n, 3]
        eps: draw[n, 3] = normal(0.1)
        loss = sum((w + eps) ** 2)
    """
    given = {"bernoulli": (bernoulli,), "normal": (normal,), "uniform": uniform or (None,)}
    told = [(how, numbers) for how, numbers in given.items() if all(n is not None for n in numbers)]
    if len(told) != 1 or (uniform is not None and len(uniform) != 2):
        raise SymgradError(
            "a draw has one distribution: bernoulli=0.8, normal=0.1 or uniform=(-1, 1), the last with both ends"
        )
    ((how, numbers),) = told
    start = ast.Call(ast.Name(how, ast.Load()), list(map(tree, numbers)), [])
    return _declared("draw", shape, {}, (), start, "eps", name)


def size(letter: str) -> Expression:
    """The size of an axis as a number to calculate with: `2/n`, or a shape `h - 2`.

    Args:
        letter: its name in the declarations.

    Raises:
        SymgradError: it is no letter or word.

    Example:
        >>> import symgrad as sg
        >>> h = sg.size("h")
        >>> x, t = sg.weight("h", name="x"), sg.data(h - 1, name="t")
        >>> print(sg.sum((x[1:] - x[:h - 1] - t)**2)/h)
        x: weight[h]
        t: data[h - 1]
        loss = sum((x[1:] - x[:h - 1] - t) ** 2) / h
    """
    return Expression(Size(ast.Name(_letter(letter), ast.Load())))
