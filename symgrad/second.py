"""More than gradients: Jacobians, Hessians, Hessian-vector products and the gradients of single examples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from symgrad.derivation import Derivation, read_program, wanted
from symgrad.errors import Refusal, complete
from symgrad.language.program import Program
from symgrad.language.trace import Derived
from symgrad.objects.expressions import Expression, spelled
from symgrad.passes import second

Declaration = str | os.PathLike[str] | Program | Expression
Variables = str | Expression | Iterable[str | Expression] | None


def jacobian(
    declaration: Declaration,
    of: str | Expression | None = None,
    wrt: Variables = None,
    *,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Derivation:
    """Derive the derivative of every entry of a tensor by every entry of others, with every step.

    `function()` of the result gives `(F, {x: array})`, where the array has the axes of `F`, then those of `x`. It takes
    the inputs that `F` needs and leaves others that are given by name alone.

    Args:
        declaration: text of the language, the path of a `.sg` file, or an expression made of objects.
        of: a computed tensor of any shape, by its name or as an expression; the loss or the last statement if None.
        wrt: the names (or the expressions) to differentiate by: weights, data, or computed tensors; every weight that
            `of` depends on if None.
        sizes: numbers for size letters; letters without one stay symbolic.
        training: what `training` is in the declaration and in the layers that it uses.

    Raises:
        SymgradError: the text cannot be read, a name is unknown; one sentence.

    Example:
        >>> import symgrad as sg
        >>> d = sg.jacobian("x: weight[n]; softmax(x)", wrt="x")
        >>> value, by = d.function()(x=[0.0, 0.0])
        >>> value.tolist(), by["x"].tolist()
        ([0.5, 0.5], [[0.25, -0.25], [-0.25, 0.25]])
        >>> print(sg.jacobian("A: data[m, n]; x: weight[n]; y = A @ x").gradients["x"])
        A
    """
    text, aim, names = spelled(declaration, of, wrt, name="value")
    program = read_program(text, sizes, training)

    def derived() -> Derived:
        needed = second.aimed(program, aim or program.target)
        return second.jacobian(program, aim, wanted(needed, names))

    return _derivation(program, derived)


def hessian(
    declaration: Declaration,
    wrt: Variables = None,
    *,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Derivation:
    """Derive the second derivatives of a loss by each pair of variables, with every step.

    `function()` of the result gives `(loss, {(a, b): array})` for all pairs of `wrt`, where the array has the axes of
    `a`, then those of `b`: the gradient by `a`, differentiated by `b`.

    Args:
        declaration, wrt, sizes, training: as for `symgrad.derive`.

    Raises:
        SymgradError: the text cannot be read, the loss is no scalar, a name is unknown; one sentence.

    Example:
        >>> import symgrad as sg
        >>> d = sg.hessian("x: weight[n]; A: constant[n, n]; x @ A @ x")
        >>> print(d.gradients["x", "x"])
        A + A.T
        >>> loss, second = d.function()(x=[1.0, 1.0], A=[[1.0, 2.0], [0.0, 3.0]])
        >>> second["x", "x"].tolist()
        [[2.0, 2.0], [2.0, 6.0]]
    """
    program, wrt = _read(declaration, wrt, sizes, training)
    names = wanted(program, wrt)
    return _derivation(program, lambda: second.hessian(program, names))


def hvp(
    declaration: Declaration,
    wrt: Variables = None,
    *,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Derivation:
    """Derive the Hessian of a loss times vectors, without the Hessian: one more sweep, whatever the sizes are.

    The vectors are further inputs, each in the shape of its variable: `v` where there is one variable, else `v_` and
    the variable's name (`v_w`, `v_b`); where such a name is taken, `_` is added. `function()` of the result gives
    `(loss, {w: array})`, the array for `w` in the shape of `w`: the sum over all variables of the second derivatives
    times their vectors.

    Args:
        declaration, wrt, sizes, training: as for `symgrad.derive`.

    Raises:
        SymgradError: the text cannot be read, the loss is no scalar, a name is unknown; one sentence.

    Example:
        >>> import symgrad as sg
        >>> d = sg.hvp("x: weight[n]; loss = sum(x**3)")
        >>> loss, product = d.function()(x=[1.0, 2.0], v=[1.0, 10.0])
        >>> product["x"].tolist()
        [6.0, 120.0]
    """
    program, wrt = _read(declaration, wrt, sizes, training)
    names = wanted(program, wrt)
    return _derivation(program, lambda: second.hvp(program, names))


def per_example(
    declaration: Declaration,
    wrt: Variables = None,
    *,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Derivation:
    """Derive for each example the gradient of its share of the loss, with every step.

    The examples lie along the first axis of the first data. `function()` of the result gives `(loss, {w: array})`,
    where the array has the axis of the examples, then those of `w`; its sum over the examples is the gradient. A term
    that no example has a hand in, such as a penalty on the weights, is shared equally.

    Args:
        declaration, wrt, sizes, training: as for `symgrad.derive`; `wrt` names tensors that the examples share.

    Raises:
        SymgradError: no axis of examples is found, or examples meet on the way to the loss, as in batch normalisation;
            one sentence with the place.

    Example:
        >>> import symgrad as sg
        >>> d = sg.per_example("X: data[n, i]; y: data[n]; w: weight[i]; loss = sum((X @ w - y)**2)/2")
        >>> loss, each = d.function()(X=[[1.0, 0.0], [0.0, 2.0]], y=[0.0, 0.0], w=[3.0, 5.0])
        >>> each["w"].tolist()
        [[3.0, 0.0], [0.0, 20.0]]
    """
    program, wrt = _read(declaration, wrt, sizes, training)
    names = wanted(program, wrt)
    return _derivation(program, lambda: second.per_example(program, names))


def _read(
    declaration: Declaration, wrt: Variables, sizes: Mapping[str, int] | None, training: bool
) -> tuple[Program, Any]:
    """The program, and the names to differentiate by as they were asked for."""
    declaration, wrt = spelled(declaration, wrt)
    return read_program(declaration, sizes, training), wrt


def _derivation(program: Program, derived: Callable[[], Derived]) -> Derivation:
    try:
        return Derivation(derived(), program)
    except Refusal as problem:
        raise complete(problem, program.text) from None
