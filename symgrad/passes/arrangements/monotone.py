"""What rises is taken of the maximum, not of every entry: `max(p, relu(y[2*i + p]))` is `relu(max(p, y[2*i + p]))`.

Bias, activation and their adjoints then run over the winners only, a quarter of the entries behind windows of 2×2.

The entry that wins among the `y` also wins among the `f(y)`, since `f` never falls. It need not be the first winner
there: where `f` is flat, an earlier entry may have the same `f(y)`. But there the leaves marked as rising have slope 0,
at both entries, so that neither passes anything on and the gradients agree. (Entries so close that only rounding makes
their `f(y)` equal are told apart here and not there; each is a winner as good as the other.)
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Atom, Axis, IntLike
from symgrad.language.program import Program, Statement, Tensor, needed
from symgrad.language.trace import Step
from symgrad.leaves import LEAVES

_SIDES = {"max=": "largest", "min=": "smallest"}


def monotone(program: Program) -> tuple[Program, list[Step]]:
    """Rising functions behind the maxima and minima that are taken of them."""
    told: list[Step] = []
    done = False
    while not done:
        done = True
        for s in program.statements:
            moved = _moved(s, program)
            if moved is not None:
                tensor, first, second = moved
                at = program.statements.index(s)
                statements = (*program.statements[:at], first, second, *program.statements[at + 1 :])
                tensors = {**program.tensors, tensor.name: tensor}
                program = replace(program, tensors=tensors, statements=statements)
                reason = f"what is computed of each entry never falls as it grows, so the {_SIDES[s.op]} entry gives it"
                told.append(Step(0, "behind", (first, second), before=(s,), reason=reason))
                done = False
                break
    return program, told


def _moved(s: Statement, program: Program) -> tuple[Tensor, Statement, Statement] | None:
    """The maximum of what a function is taken of, and the function of it; None where that is not the same, or not
    less work."""
    if s.op not in _SIDES or s.guard is not None or s.scan is not None or not s.plain:
        return None
    body, inner = s.body, s
    if isinstance(body, Access):
        found = _alone(body.tensor, s, program)
        if found is None:
            return None
        inner, index = found, body.index
        places: dict[Atom, IntLike] = {Axis(i.axis or ""): p for i, p in zip(inner.left, index, strict=True)}
        body = ex.substitute(inner.body, places)
    entries = [e for e in ex.walk(body) if isinstance(e, Access) and set(ex.axes(e)) & set(s.reduced)]
    if len(entries) != 1 or body == entries[0] or not _rises(body, entries[0], s.reduced):
        return None
    entry = entries[0]
    if any(len([a for a in i.axes if a in s.kept]) > 1 for i in entry.index):
        return None  # more winners than entries
    if any(isinstance(a, ints.Look) for i in entry.index for a in i.atoms()):
        return None
    tensor = Tensor(program.fresh(inner.out), program[s.out].shape, named=False, label=s.label)
    winner = replace(s, out=tensor.name, body=entry)
    seen = {a: n for a, n in s.axes if a in s.kept}
    rest = ex.rewrite(body, lambda e: Access(tensor.name, s.left) if e == entry else None)
    after = Statement(s.out, s.left, "=", rest, tuple(seen.items()), line=inner.line, label=inner.label)
    return tensor, winner, after


def _alone(name: str, reader: Statement, program: Program) -> Statement | None:
    """The statement that writes a tensor entry by entry for one reader alone."""
    writers = program.writers(name)
    if name == program.target or len(writers) != 1 or program[name].role != "value" or program[name].early:
        return None
    (s,) = writers
    states = [t.name for t in program.role("next")]
    live = needed(program.statements, [program.target, *states])
    readers = [r for r in live if name in r.reads]
    simple = s.op == "=" and s.plain and s.guard is None and s.scan is None
    whole = tuple(s.ranges[i.axis or ""] for i in s.left) == program[name].shape if simple else False
    return s if simple and whole and readers == [reader] else None


def _rises(e: Expr, entry: Access, reduced: tuple[str, ...]) -> bool:
    """Whether an expression never falls as an entry grows, has slope 0 where it stays, and depends on the reduced axes
    through that entry alone."""
    if e == entry:
        return True
    parts = ex.children(e)
    inside = [p for p in parts if any(x == entry for x in ex.walk(p))]
    if len(inside) != 1 or any(set(ex.axes(p)) & set(reduced) for p in parts if p is not inside[0]):
        return False
    if not isinstance(inside[0], ex.Node) or not _rises(inside[0], entry, reduced):  # type: ignore[arg-type]
        return False
    match e:
        case ex.Add():
            return True
        case ex.Mul(args):
            return all(f is inside[0] or isinstance(f, ex.Num) and f.value > 0 for f in args)
        case ex.Call(name, _):
            return LEAVES[name].rising
    return False
