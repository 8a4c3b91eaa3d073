"""Derivatives by the output, written so that they keep their relative accuracy where a function is flat.

`1 - sigmoid(x)` and `1 - tanh(x)**2` are 0 in floating point for large x, where the exact numbers are 1e-18 or less.
Inside a network that is what one wants: the output is at hand, and 1 - a costs nothing. Where x is an input itself, the
slope is the result that somebody asked for, so it is computed from x: as `sigmoid(-x)` and
`4*sigmoid(2*x)*sigmoid(-2*x)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Call, Expr, Mul, Num, Pow
from symgrad.language.program import Program, Statement
from symgrad.passes.forms import match_index, placed
from symgrad.passes.stable import pure

TWO = Num(Fraction(2))


def precise(program: Program) -> Program:
    """The program with slopes of `sigmoid` and `tanh` at inputs computed from the inputs.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n]\\ny = tanh(x)\\nslope = 1 - y**2")
        >>> print(precise(p).statements[-1])
        slope[n] = 4*sigmoid(2*x[n])*sigmoid(-2*x[n])
    """
    sources = {s.out: s for s in program.statements if pure(s, program) and _of_input(s.body, program)}
    statements = tuple(
        replace(s, body=ex.rewrite(s.body, lambda e: _slope(e, program, sources))) for s in program.statements
    )
    return replace(program, statements=statements)


def _of_input(e: Expr, program: Program) -> bool:
    """Whether it is sigmoid or tanh of an entry of an input."""
    match e:
        case Call("sigmoid" | "tanh", (Access(name, _),)):
            return program[name].role in ("data", "weight", "constant")
    return False


def _slope(e: object, program: Program, sources: Mapping[str, Statement]) -> Expr | None:
    match e:
        case Add((Num(one), Mul((Num(minus), Pow(a, two))))) if one == 1 == -minus and two == TWO:
            f = _opened(a, program, sources)
            if f is not None and f.name == "tanh":
                twice = ex.mul(2, *f.args)  # that is 1/cosh(x)**2, in which nothing overflows
                return ex.mul(4, ex.call("sigmoid", twice), ex.call("sigmoid", -twice))
        case Add((Num(one), Mul((Num(minus), a)))) if one == 1 == -minus:
            f = _opened(a, program, sources)
            if f is not None and f.name == "sigmoid":
                return ex.call("sigmoid", -f.args[0])
    return None


def _opened(a: Expr, program: Program, sources: Mapping[str, Statement]) -> Call | None:
    """The call that an entry stands for."""
    if isinstance(a, Access) and a.tensor in sources:
        s = sources[a.tensor]
        bound = match_index(s.left, a.index, {})
        a = placed(s.body, bound) if bound is not None else a
    return a if isinstance(a, Call) and _of_input(a, program) else None
