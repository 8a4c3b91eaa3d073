"""Arguments of functions by name: how many, which options, which axis."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language.syntax import words
from symgrad.language.values import Array

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas


Args = list[ast.expr]
Keywords = dict[str, ast.expr]


def no_more(name: str, keywords: Mapping[str, ast.expr]) -> None:
    """Refuse options that a function does not have."""
    if keywords:
        raise Refusal(f"{name} has no option {next(iter(keywords))}")


def takes(name: str, args: Sequence[ast.expr], *counts: int) -> None:
    """Refuse another number of arguments."""
    if len(args) not in counts:
        wanted = " or ".join(map(str, counts))
        raise Refusal(f"{name} takes {wanted} argument{'s' * (counts != (1,))}, not {len(args)}")


def letters_of(a: Array) -> tuple[str, ...]:
    return a.letters or ("",) * a.rank


def axis_number(f: Formulas, node: ast.expr, rank: int, of_what: ast.expr) -> int:
    """The axis that a number names, counted from the end if it is negative."""
    number = f.whole(node, "an axis").number
    if number is None or not -rank <= number < rank:
        raise Refusal(f"{words(of_what)} has no axis {words(node)} here")
    return number % rank
