"""Which axis the examples lie along, and whether each goes its own way to the loss."""

from __future__ import annotations

from symgrad.chain import Examples, partial
from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.ints import Int, Size
from symgrad.language.program import Program, Statement


def batch(program: Program) -> str | None:
    """The size letter of the examples: the first axis of the first data, that no weight and no inner axis has."""
    data = [t for t in program.role("data", "label") if t.shape]
    if not data:
        return None
    first = data[0].shape[0].atom
    if not isinstance(first, Size):
        return None
    fixed = [n for t in program.role("weight", "constant", "state") for n in t.shape]
    inside = [n for t in data for n in t.shape[1:]] + [t.shape[0] for t in data if t.shape[0].atom != first]
    if any(first in n.atoms() for n in (*fixed, *inside)):
        return None
    return first.name


def letter(program: Program) -> str:
    """The size letter of the examples.

    Raises:
        Refusal: no axis of examples is found.
    """
    found = batch(program)
    if found is None:
        raise Refusal(
            "no axis of examples is found: give the first axis of the first data a letter that no weight and no "
            "inner axis has, such as `X: data[n, i]`, and no number"
        )
    return found


def examples(program: Program, names: tuple[str, ...]) -> Examples:
    """What keeps the examples apart in the gradient by `names`.

    Only what depends on `names` has to keep them apart: statistics of the data alone are constants.

    Raises:
        Refusal: no axis of examples is found; the loss is no sum over them; examples meet on the way to it.
    """
    return _Apart(program, names, letter(program)).found()


class _Apart:
    """The judgement of one program: which tensors carry the axis of examples, and which are summed over it."""

    def __init__(self, program: Program, names: tuple[str, ...], letter: str):
        self.program, self.letter = program, letter
        self.count = Int((((Size(letter),), 1),))
        self.moved = _downstream(program, names)
        self.summed: dict[str, None] = {}
        for name in names:
            if self.places(name):
                raise Refusal(
                    f"{name} has the axis {letter} of the examples itself: its gradient, as `sg.derive` gives it, "
                    "already has a row for each example"
                )

    def places(self, name: str) -> list[int]:
        """Where a tensor has the axis of examples."""
        return [k for k, n in enumerate(self.program[name].shape) if n == self.count]

    def found(self) -> Examples:
        for s in self.program.statements:
            if s.out in self.moved:
                self.judge(s)
        if self.program.target not in self.summed:
            raise Refusal(
                f"{self.program.target} is no sum over the examples, the axis {self.letter}, so they have no shares "
                "of it; `sg.jacobian` gives the derivative of every entry"
            )
        carrying = [name for name in self.program.tensors if self.places(name)]
        return Examples(self.count, frozenset((*carrying, *self.summed)))

    def judge(self, s: Statement) -> None:
        """Refuse a statement in which examples meet; note what it sums over them."""
        own = [a for a, n in s.axes if n == self.count]
        if len(own) > 1:
            raise self.refusal(s, "compares examples with each other")
        for name, index in s.positions:
            at = [index[k].axis for k in self.places(name)]
            if at and (len(at) > 1 or at != own):
                raise self.refusal(s, "reads other examples")
        sums = [a for a in ex.accesses(s.body, stopped=False) if a.tensor in self.summed]
        if own and sums:
            raise self.refusal(
                s, f"reads {called(self.program, sums[0].tensor)}, which depends on all examples"
            )
        if own and any(i.axis == own[0] for i in s.left):
            if len(self.places(s.out)) != 1:
                raise self.refusal(s, "compares examples with each other")
        elif own:
            if s.op != "+=" or any(own[0] in i.axes for i in s.left):
                raise self.refusal(s, "lets examples compete")
            self.summed[s.out] = None
        elif sums:
            adds = s.op in ("=", "+=")
            if not adds or any(r in self.moved for a in sums for r in ex.tensors(partial(s.body, a))):
                raise self.refusal(
                    s,
                    f"is no sum of terms over the examples: {called(self.program, sums[0].tensor)} does not "
                    "enter it linearly",
                )
            self.summed[s.out] = None

    def refusal(self, s: Statement, does: str) -> Refusal:
        by = f" (of {s.label})" if s.label else ""
        return Refusal(
            f"{called(self.program, s.out)}{by} {does}, so no example has a share of its own in {self.program.target}; "
            f"per-example gradients need a loss that is one sum over the axis {self.letter}, each term of one example",
            s.line or None,
        )


def called(program: Program, name: str) -> str:
    """A name that the user knows: its own, or that of the named tensor or the state which it is a part of."""
    todo, seen = [name], {name}
    while todo:
        here = todo.pop(0)
        t = program[here]
        if t.role == "next":
            return f"the next value of {t.of}"
        if t.named and t.role != "adjoint":
            return here if here == name else f"a part of {here}"
        for s in program.statements:
            if here in s.reads and s.out not in seen:
                seen.add(s.out)
                todo.append(s.out)
    return name


def _downstream(program: Program, names: tuple[str, ...]) -> dict[str, None]:
    """What depends on these tensors, themselves included."""
    found = dict.fromkeys(names)
    for s in program.statements:
        if any(a.tensor in found for a in ex.accesses(s.body, stopped=False)):
            found[s.out] = None
    return found
