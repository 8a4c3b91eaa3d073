"""The one table of scalar functions: the only place where a derivative may be written down.

A leaf is a row. Its derivative is sympy's wherever sympy knows the function; for a leaf of our own (a kink, a stable
form) it is stated here once, as text of the language, and checked by the tests like every other. `run` is how a leaf is
computed: the name of a NumPy ufunc, or text over such leaves that is stable for every float. Every `run` also holds for
complex arguments with a small imaginary part (NumPy orders complex numbers by their real part first), so that complex
steps can pass through any analytic leaf.

Adding a leaf is adding a row.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leaf:
    """A scalar function.

    Attributes:
        name: its name in the language.
        params: the names of its arguments in the texts below.
        run: a NumPy ufunc's name, or text over leaves that have one.
        derivative: a text for each argument, or None where sympy differentiates the function of the same name.
        latex: LaTeX with `{x}`-like fields for the arguments.
        domain: a range inside which test points are drawn.
        kinks: texts whose zeros are kinks or jumps of the leaf or its derivative.
        note: the convention at a kink, or the source of the formula.
    """

    name: str
    params: tuple[str, ...]
    run: str
    derivative: tuple[str, ...] | None = None
    latex: str = ""
    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[str, ...] = ()
    note: str = ""

    @property
    def ufunc(self) -> bool:
        """Whether NumPy has it as one call."""
        return self.run.isidentifier()


def _row(
    name: str,
    run: str | None = None,
    derivative: str | tuple[str, ...] | None = None,
    params: str = "x",
    latex: str = "",
    **more: object,
) -> Leaf:
    told = (derivative,) if isinstance(derivative, str) else derivative
    shown = latex or rf"\operatorname{{{{{name}}}}}({', '.join('{' + p + '}' for p in params.split())})"
    return Leaf(name, tuple(params.split()), run or name, told, shown, **more)  # type: ignore[arg-type]


LEAVES: dict[str, Leaf] = {
    leaf.name: leaf
    for leaf in (
        # sympy knows these
        _row("exp", latex=r"e^{{{x}}}"),
        _row("log", latex=r"\log({x})", domain=(0.2, 3.0)),
        _row("sqrt", latex=r"\sqrt{{{x}}}", domain=(0.2, 3.0)),
        _row("sin", latex=r"\sin({x})"),
        _row("cos", latex=r"\cos({x})"),
        _row("tan", latex=r"\tan({x})", domain=(-1.2, 1.2)),
        _row("sinh", latex=r"\sinh({x})"),
        _row("cosh", latex=r"\cosh({x})"),
        _row("tanh", latex=r"\tanh({x})"),
        _row("asin", "arcsin", latex=r"\arcsin({x})", domain=(-0.9, 0.9)),
        _row("acos", "arccos", latex=r"\arccos({x})", domain=(-0.9, 0.9)),
        _row("atan", "arctan", latex=r"\arctan({x})"),
        # stable forms of NumPy
        _row("expm1", derivative="exp(x)", latex=r"(e^{{{x}}} - 1)"),
        _row("log1p", derivative="1/(1 + x)", latex=r"\log(1 + {x})", domain=(-0.8, 3.0)),
        # kinks: the convention is named in the note
        _row(
            "abs", "maximum(x, -x)", "sign(x)", latex=r"\lvert {x} \rvert", kinks=("x",), note="slope 0 at 0"
        ),
        _row("sign", "[x > 0] - [x < 0]", "0", kinks=("x",), note="derivative zero wherever it has one"),
        _row(
            "relu", "maximum(x, 0)", "[x > 0]", kinks=("x",), note="slope 0 at 0, as in the common frameworks"
        ),
        _row(
            "maximum",
            derivative=("[x > y] + [x == y]/2", "[x < y] + [x == y]/2"),
            params="x y",
            latex=r"\max({x}, {y})",
            kinks=("x - y",),
            note="a tie is shared equally",
        ),
        _row(
            "minimum",
            derivative=("[x < y] + [x == y]/2", "[x > y] + [x == y]/2"),
            params="x y",
            latex=r"\min({x}, {y})",
            kinks=("x - y",),
            note="a tie is shared equally",
        ),
        # stable forms of our own; exp is only taken of numbers that are not positive
        _row(
            "sigmoid",
            "exp(minimum(x, 0))/(1 + exp(minimum(x, -x)))",
            "sigmoid(x)*(1 - sigmoid(x))",
            latex=r"\sigma({x})",
        ),
        _row("softplus", "maximum(x, 0) + log1p(exp(minimum(x, -x)))", "sigmoid(x)"),
        _row(
            "logsigmoid",
            "minimum(x, 0) - log1p(exp(minimum(x, -x)))",
            "sigmoid(-x)",
            latex=r"\log \sigma({x})",
        ),
        _row(
            "logaddexp",
            "maximum(x, y) + log1p(exp(minimum(x - y, y - x)))",
            ("sigmoid(x - y)", "sigmoid(y - x)"),
            params="x y",
            latex=r"\log(e^{{{x}}} + e^{{{y}}})",
        ),
        _row(
            "log1mexp",
            "log(-expm1(-x))",
            "-exp(-x)/expm1(-x)",
            latex=r"\log(1 - e^{{-{x}}})",
            domain=(0.2, 3.0),
            note="log(1 - exp(-x)) for x > 0",
        ),
        _row(
            "logcosh",
            "maximum(x, -x) + log1p(expm1(2*minimum(x, -x))/2)",
            "tanh(x)",
            latex=r"\log\cosh({x})",
        ),
    )
}
