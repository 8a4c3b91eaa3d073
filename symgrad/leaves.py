"""The one table of scalar functions: the only place where a derivative may be written down.

A leaf is a row. Its derivative is sympy's wherever sympy knows the function; for a leaf of our own (a kink, a stable
form) it is stated here once, as text of the language, and checked by the tests like every other. `run` is how a leaf is
computed: the name of a NumPy ufunc, or text over other leaves that is stable for every float, with names for its parts
(`a = abs(x); ...`) where it needs them. In such a text no bracket hides an infinity: a number under a bracket that does
not hold is computed and multiplied by 0. Every `run` also holds for complex arguments with a small imaginary part
(NumPy orders complex numbers by their real part first), so that complex steps can pass through any analytic leaf.

Adding a leaf is adding a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial


@dataclass(frozen=True)
class Leaf:
    """A scalar function.

    Attributes:
        name: its name in the language.
        params: the names of its arguments in the texts below.
        run: a NumPy ufunc's name, or text over other leaves.
        derivative: a text for each argument, or None where sympy differentiates the function of the same name.
        latex: LaTeX with `{x}`-like fields for the arguments.
        domain: a range inside which test points are drawn.
        kinks: texts whose zeros are kinks or jumps of the leaf or its derivative.
        finite: whether it is finite for all numbers of ordinary size, so that a value that nothing uses may be
            computed.
        rising: whether it never falls as its argument grows, is defined for every number, and has slope 0 wherever two
            numbers give the same.
        note: the convention at a kink, or the source of the formula.
    """

    name: str
    params: tuple[str, ...]
    run: str
    derivative: tuple[str, ...] | None = None
    latex: str = ""
    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[str, ...] = ()
    finite: bool = False
    rising: bool = False
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


def _polynomial(name: str, x: str, coefficients: Sequence[object]) -> str:
    """Lines that compute a polynomial by Horner's rule, a few coefficients in each; the constant comes first."""
    starts = range(0, len(coefficients), 3)
    lines, rest = [], ""
    for k in reversed(starts):
        *front, last = map(str, coefficients[k : k + 3])
        text = f"({last}){rest}"
        for c in reversed(front):
            text = f"{c} + {x}*({text})"
        lines.append(f"{name}{k or ''} = {text}; ")
        rest = f" + {x}*{name}{k}"
    return "".join(lines)


# -log(erfc(x))/x for 0 <= x <= 6 and exp(x**2)*erfc(x) for 0 <= x <= 28 as quotients of polynomials: weighted least
# squares in 70 digits (mpmath), iterated to level the error, which is 1.7e-18 and 5.0e-17. All coefficients are
# positive, so nothing cancels.
_TAIL = (
    (
        1.1283791670955126, 2.5244245609994262, 2.6722214709007064, 1.7163089639153872, 0.7213812105639531,
        0.20019368040222746, 0.035030958633054596, 0.0033739275157045703, 0.00011844743557416013,
    ),
    (
        1, 1.6730234336841927, 1.3332123757242447, 0.6334281055073718, 0.18905186180872854,
        0.034471157123895625, 0.0033714858922699376, 0.00011846844958155378,
    ),
)  # fmt: skip
_SCALED = (
    (
        1, 2.193806967320816, 2.3805709101464623, 1.6411571713778461, 0.7844249845887445, 0.2684840186094301,
        0.06579876421312347, 0.011172771093479378, 0.0012019196173751394, 6.332872097542884e-05,
    ),
    (
        1, 3.322186134416318, 5.129256533435981, 4.858970030031995, 3.1370527555467, 1.447604484100587,
        0.4857210228881778, 0.11769044642200045, 0.019859344770590797, 0.0021303470542506702,
        0.0001122472353661225,
    ),
)  # fmt: skip
# the derivative of sin(t)/t over t, as a series in t**2
_SLOPE = tuple(f"{-2 * k if k % 2 else 2 * k}/{factorial(2 * k + 1)}" for k in range(1, 11))

LEAVES: dict[str, Leaf] = {
    leaf.name: leaf
    for leaf in (
        # sympy knows these
        _row("exp", latex=r"e^{{{x}}}", rising=True),
        _row("log", latex=r"\log({x})", domain=(0.2, 3.0)),
        _row("sqrt", latex=r"\sqrt{{{x}}}", domain=(0.2, 3.0)),
        _row("sin", latex=r"\sin({x})", finite=True),
        _row("cos", latex=r"\cos({x})", finite=True),
        _row("tan", latex=r"\tan({x})", domain=(-1.2, 1.2)),
        _row("sinh", latex=r"\sinh({x})", rising=True),
        _row("cosh", latex=r"\cosh({x})"),
        _row("tanh", latex=r"\tanh({x})", finite=True, rising=True),
        _row("asin", "arcsin", latex=r"\arcsin({x})", domain=(-0.9, 0.9)),
        _row("acos", "arccos", latex=r"\arccos({x})", domain=(-0.9, 0.9)),
        _row("atan", "arctan", latex=r"\arctan({x})", finite=True, rising=True),
        _row("asinh", "arcsinh", finite=True, rising=True),
        _row("acosh", "arccosh", domain=(1.2, 4.0)),
        _row("atanh", "arctanh", domain=(-0.9, 0.9)),
        _row(
            "erf",
            f"a = minimum(abs(x), 6); {_polynomial('p', 'a', _TAIL[0])}{_polynomial('q', 'a', _TAIL[1])}"
            "([x < 0] - [x > 0])*expm1(-a*p/q)",
            finite=True,
            rising=True,
            note="1 - exp(log(erfc(x))) for x > 0, the logarithm from a quotient of polynomials",
        ),
        _row(
            "erfc",
            f"a = minimum(abs(x), 28); {_polynomial('p', 'a', _SCALED[0])}{_polynomial('q', 'a', _SCALED[1])}"
            "b = round(16*a)/16; e = exp(-b**2)*exp((b - a)*(b + a))*p/q; "
            "2*[x < 0] + ([x >= 0] - [x < 0])*e",
            "-2*exp(-x**2)/sqrt(pi)",
            finite=True,
            note="exp(-x**2) times a quotient of polynomials for x > 0; the square is split to keep its error small",
        ),
        # stable forms of NumPy
        _row("expm1", derivative="exp(x)", latex=r"(e^{{{x}}} - 1)", rising=True),
        _row("log1p", derivative="1/(1 + x)", latex=r"\log(1 + {x})", domain=(-0.8, 3.0)),
        # kinks: the convention is named in the note
        _row(
            "abs",
            "maximum(x, -x)",
            "sign(x)",
            latex=r"\lvert {x} \rvert",
            kinks=("x",),
            finite=True,
            note="slope 0 at 0",
        ),
        _row(
            "sign",
            "[x > 0] - [x < 0]",
            "0",
            kinks=("x",),
            finite=True,
            rising=True,
            note="derivative zero wherever it has one",
        ),
        _row(
            "relu",
            "maximum(x, 0)",
            "[x > 0]",
            kinks=("x",),
            finite=True,
            rising=True,
            note="slope 0 at 0, as in the common frameworks",
        ),
        _row(
            "maximum",
            derivative=("[x > y] + [x == y]/2", "[x < y] + [x == y]/2"),
            params="x y",
            latex=r"\max({x}, {y})",
            kinks=("x - y",),
            finite=True,
            note="a tie is shared equally",
        ),
        _row(
            "minimum",
            derivative=("[x < y] + [x == y]/2", "[x > y] + [x == y]/2"),
            params="x y",
            latex=r"\min({x}, {y})",
            kinks=("x - y",),
            finite=True,
            note="a tie is shared equally",
        ),
        _row(
            "round",
            "rint",
            "0",
            kinks=("cos(pi*x)",),
            finite=True,
            rising=True,
            note="to the nearest whole number, halves to the even one; derivative zero wherever it has one",
        ),
        _row(
            "floor",
            "round(x) - [round(x) > x]",
            "0",
            latex=r"\lfloor {x} \rfloor",
            kinks=("sin(pi*x)",),
            finite=True,
            rising=True,
            note="derivative zero wherever it has one",
        ),
        _row(
            "ceil",
            "round(x) + [round(x) < x]",
            "0",
            latex=r"\lceil {x} \rceil",
            kinks=("sin(pi*x)",),
            finite=True,
            rising=True,
            note="derivative zero wherever it has one",
        ),
        # stable forms of our own; exp is only taken of numbers that are not positive
        _row(
            "sigmoid",
            "exp(minimum(x, 0))/(1 + exp(minimum(x, -x)))",
            "sigmoid(x)*(1 - sigmoid(x))",
            latex=r"\sigma({x})",
            finite=True,
            rising=True,
        ),
        _row(
            "softplus", "maximum(x, 0) + log1p(exp(minimum(x, -x)))", "sigmoid(x)", finite=True, rising=True
        ),
        _row(
            "logsigmoid",
            "minimum(x, 0) - log1p(exp(minimum(x, -x)))",
            "sigmoid(-x)",
            latex=r"\log \sigma({x})",
            finite=True,
            rising=True,
        ),
        _row(
            "logaddexp",
            "maximum(x, y) + log1p(exp(minimum(x - y, y - x)))",
            ("sigmoid(x - y)", "sigmoid(y - x)"),
            params="x y",
            latex=r"\log(e^{{{x}}} + e^{{{y}}})",
            finite=True,
        ),
        _row(
            "log1mexp",
            "a = maximum(x, 0.7); b = minimum(x, 0.7); "
            "[x > 0.7]*log1p(-exp(-a)) + [x <= 0.7]*log(-expm1(-b))",
            "-exp(-x)/expm1(-x)",
            latex=r"\log(1 - e^{{-{x}}})",
            domain=(0.2, 3.0),
            note="log(1 - exp(-x)) for x > 0",
        ),
        _row(
            "logcosh",
            "a = abs(x); s = sinh(minimum(a, 1)/2); "
            "[a < 1]*log1p(2*s**2) + [a >= 1]*(a + log1p(expm1(-2*a)/2))",
            "tanh(x)",
            latex=r"\log\cosh({x})",
            finite=True,
        ),
        _row(
            "xlogy",
            "x*log([x != 0]*y + [x == 0])",
            ("log(y)", "[x != 0]*x/y"),
            params="x y",
            latex=r"{x} \log({y})",
            domain=(0.2, 3.0),
            note="0 at x = 0, whatever y is",
        ),
        _row(
            "xlogx",
            "xlogy(x, x)",
            "log(x) + 1",
            latex=r"{x} \log({x})",
            domain=(0.2, 3.0),
            note="x*log(x), and 0 at x = 0",
        ),
        # of two arguments, scaled
        _row(
            "hypot",
            "a = abs(x); b = abs(y); m = maximum(a, b); r = minimum(a, b)/(m + [m == 0]); m*sqrt(1 + r**2)",
            ("[x != 0]*x/hypot(x, y)", "[y != 0]*y/hypot(x, y)"),
            params="x y",
            kinks=("hypot(x, y)",),
            finite=True,
            note="sqrt(x**2 + y**2), and no square overflows; slope 0 at the origin",
        ),
        _row(
            "atan2",
            "a = abs(x); b = abs(y); flat = [b <= a]; steep = [b > a]; s = [y >= 0] - [y < 0]; "
            "flat*(atan(y/(flat*x + steep + [x == 0])) + [x < 0]*pi*s) "
            "+ steep*(pi/2*s - atan(x/(steep*y + flat)))",
            ("[x != 0]*x/(x**2 + y**2)", "-[y != 0]*y/(x**2 + y**2)"),
            params="y x",
            kinks=("hypot(x, y)",),
            finite=True,
            note="the angle of (x, y), above -pi and up to pi; slope 0 at the origin, a jump where y = 0 and x < 0",
        ),
        # sin(pi*x)/(pi*x), as NumPy has it
        _row(
            "sinc",
            "t = pi*x; (sin(t) + [x == 0])/(t + [x == 0])",
            "dsinc(x)",
            finite=True,
            note="NumPy's: sin(pi*x)/(pi*x), and 1 at 0",
        ),
        _row(
            "dsinc",
            "t = pi*x; s = t**2; near = [s < 1]; far = [s >= 1]; u = minimum(s, 1); "
            f"{_polynomial('p', 'u', _SLOPE)}d = far*t + near; pi*(near*t*p + far*(cos(t) - sin(t)/d)/d)",
            "2*([x == 0]*pi**2/3 - [x != 0]*dsinc(x)/x) - pi**2*sinc(x)",
            latex=r"\operatorname{{sinc}}'({x})",
            finite=True,
            note="the derivative of sinc, near 0 as a series",
        ),
    )
}
