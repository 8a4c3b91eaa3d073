"""What a tidy pass looks at: the writers of one adjoint, and all that is known around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr, Mul, Num, Stop, Val
from symgrad.language.ints import Axis
from symgrad.language.program import Program, Statement, Tensor
from symgrad.passes.forms import (
    factors,
    size,
)

Group = tuple[Statement, ...]


@dataclass
class Sheet:
    """What a pass may look at: the tensors, the forward statements, and what is known of adjoints done so far."""

    program: Program
    wanted: frozenset[str]
    tensors: dict[str, Tensor]
    reads: dict[str, list[Statement]]
    known: dict[str, Statement] = field(default_factory=dict)  # adjoints to be put in place of their reads
    maybe: dict[str, Statement] = field(
        default_factory=dict
    )  # adjoints to be put in place only where that shortens
    products: dict[str, list[Statement]] = field(
        default_factory=dict
    )  # forward products, by a tensor that they read
    bodies: dict[Expr, Statement] = field(default_factory=dict)  # forward statements by canonical body
    signals: dict[tuple[str, ...], list[Statement]] = field(
        default_factory=dict
    )  # adjoints that are there whole, by what they read
    # statements that an equation defines, forward and for adjoints
    implicit: dict[str, Statement] = field(default_factory=dict)
    totals: dict[tuple[str, ...], list[Statement]] = field(
        default_factory=dict
    )  # forward sums, by what they read
    extra: list[Statement] = field(
        default_factory=list
    )  # to stand before the current group, itself to be tidied
    ready: list[Statement] = field(default_factory=list)  # to stand before the current group as it is

    def fresh(self, stem: str) -> str:
        return self.program.fresh(stem, self.tensors)

    def add(self, t: Tensor) -> None:
        self.tensors[t.name] = t

    def learn_total(self, s: Statement) -> None:
        """Make a forward sum available where the same one is met again."""
        self.totals.setdefault(reads_of(s), []).append(s)

    def learn_signal(self, group: Group) -> None:
        """Make an adjoint available where another one is made of the same terms."""
        s = everywhere(group, self)
        if s is not None and s.scan is None and len(ex.accesses(s.body)) > 0 and size(s.body) > 1:
            self.signals.setdefault(reads_of(s), []).append(s)

    def learn(self, s: Statement) -> None:
        """Make a forward statement's value available to later bodies."""
        if isinstance(s.body, (Access, Num, Val, Stop)) or not s.axes and not ex.accesses(s.body):
            return
        self.bodies.setdefault(canonical(s.body)[0], s)
        if isinstance(s.body, Mul):
            for base in factors(s.body):
                if isinstance(base, Access):
                    self.products.setdefault(base.tensor, []).append(s)
                    break


Pass = Callable[[Group, Sheet], tuple[Group, str] | None]


def is_sum(s: Statement) -> bool:
    """Whether a statement adds up something over letters, everywhere."""
    return s.op == "+=" and bool(s.reduced) and s.guard is None and s.scan is None


def reads_of(s: Statement) -> tuple[str, ...]:
    """What a body reads, each as often as it stands there."""
    return tuple(sorted(a.tensor for a in ex.walk(s.body) if isinstance(a, Access)))


def everywhere(group: Group, sheet: Sheet) -> Statement | None:
    """The one statement that gives every entry; entries that a statement does not write are zero."""
    if len(group) != 1 or group[0].op != "=" or not group[0].plain or group[0].guard is not None:
        return None
    s = group[0]
    whole = all(s.ranges[i.axis or ""] == n for i, n in zip(s.left, sheet.tensors[s.out].shape, strict=True))
    return s if whole else None


def canonical(e: Expr) -> tuple[Expr, tuple[str, ...]]:
    """A body with its axes named by order of appearance, and those axes."""
    axes = ex.axes(e)
    return ex.substitute(e, {Axis(a): Axis(f"\0{k}") for k, a in enumerate(axes)}), axes


def fresh_letter(stem: str, taken: list[str]) -> str:
    if stem not in taken:
        return stem
    k = 1
    while f"{stem}_{k}" in taken:
        k += 1
    return f"{stem}_{k}"


def as_axes(onto: Mapping[str, str]) -> dict[ints.Atom, ints.IntLike]:
    return {Axis(a): Axis(b) for a, b in onto.items()}
