"""Who is what in a training module: the batch axis, the target, the prediction."""

from __future__ import annotations

from dataclasses import dataclass

from symgrad.errors import Refusal, did_you_mean
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Look, Size
from symgrad.language.program import Program, Statement, downstream, needed
from symgrad.passes import examples


@dataclass(frozen=True)
class Roles:
    """Attributes:
    batch: the size letter along which examples lie, or None: the whole data is one example.
    batched: inputs that have that axis, in order.
    target: the data or label that only the loss reads, or None; of several a label, else the last.
    prediction: the tensor that `forward` returns, or None where no tensor is free of the target.
    classes: whether the target is a label of the prediction's last axis.
    compared: whether the loss takes the difference of prediction and target, so that it says how far off one is.
    program, statements: what computes the prediction.
    """

    batch: str | None
    batched: tuple[str, ...]
    target: str | None
    prediction: str | None
    classes: bool
    compared: bool
    program: Program
    statements: tuple[Statement, ...]


def roles(program: Program, stable: Program, predict: str | None = None) -> Roles:
    """The roles in a program; `predict` names the tensor to predict with, `stable` has the stable forms.

    Raises:
        Refusal: `predict` is no computed tensor, or depends on the target.
    """
    batch = examples.batch(program)
    batched = tuple(
        t.name
        for t in program.role("data", "label")
        if t.shape and batch is not None and t.shape[0].atom == Size(batch)
    )
    learned = downstream(program.statements, [t.name for t in program.role("weight")])
    targets = [t.name for t in program.role("data", "label") if _is_target(program, t.name, learned)]
    tainted = downstream(program.statements, targets)
    fed = downstream(
        program.statements, [t.name for t in program.role("data", "label") if t.name not in targets]
    )
    computed = [s.out for s in program.statements]
    free = [
        n
        for n in dict.fromkeys(computed)
        if n in learned and n in fed and n not in tainted and n != program.target
    ]
    if predict is not None:
        if predict not in computed:
            raise Refusal(
                f"predict names '{predict}', which is no computed tensor{did_you_mean(predict, computed)}"
            )
        if predict in tainted:
            raise Refusal(
                f"'{predict}' depends on the target {targets[0]}, so it cannot be predicted without it"
            )
        chosen: str | None = predict
    else:
        chosen = _prediction(program, free, tainted, targets)
    if not targets and chosen is not None:
        # a target that is made ready before it meets a prediction: the one input that a prediction does without
        read = {r for s in needed(program.statements, [chosen]) for r in s.reads}
        spare = [t.name for t in program.role("data", "label") if t.name not in read]
        targets = spare if len(spare) == 1 else []
    labels = [n for n in targets if program[n].integer]
    target = [*targets, *labels][-1] if targets else None
    classes = compared = False
    if target is not None and chosen is not None:
        below, shape = program[target].below, program[chosen].shape
        rows = program[target].shape
        compared = below is None and shape == rows and _compared(program, chosen, target)
        classes = (
            below is not None and len(shape) == len(rows) + 1 and shape[-1] == below and shape[:-1] == rows
        )
    forward: tuple[Statement, ...] = ()
    if chosen is not None:
        # the stable forms where they have the tensor, else the declaration itself
        program = stable if stable.writers(chosen) else program
        forward = needed(program.statements, [chosen])
    return Roles(batch, batched, target, chosen, classes, compared, program, forward)


def _is_target(program: Program, name: str, learned: set[str]) -> bool:
    """Whether an input meets nothing but what was learned, and no layer comes after it, as one does after a mask
    inside attention. A weight that a part of the loss, a scalar, reads is no layer.
    """
    readers = [s for s in program.statements if name in s.reads]
    after = downstream(program.statements, [name])
    weights = {w.name for w in program.role("weight")}
    later = any(s.out in after and s.kept and weights & set(s.reads) for s in program.statements)
    return bool(readers) and not later and all(any(r in learned for r in s.reads) for s in readers)


def _compared(program: Program, prediction: str, target: str) -> bool:
    """Whether some statement subtracts one from the other, entry by entry."""

    def side(e: Expr) -> tuple[str, int]:
        match e:
            case Access(name):
                return name, 1
            case ex.Mul((ex.Num(minus), Access(name))) if minus == -1:
                return name, -1
        return "", 0

    for s in program.statements:
        for e in ex.walk(s.body):
            if isinstance(e, ex.Add):
                signs = dict(map(side, e.args))
                if signs.get(prediction, 0) * signs.get(target, 0) < 0:
                    return True
    return False


def _prediction(program: Program, free: list[str], tainted: set[str], targets: list[str]) -> str | None:
    """Of the tensors that meet the target: what it looks up, else the last that the user named, else the last."""
    meeting = [s for s in program.statements if s.out in tainted and any(r in targets for r in s.reads)]
    met = [s for s in program.statements if s.out in tainted]
    if not targets:
        meeting = met = [s for s in program.statements if s.out == program.target]
    looked_up = [
        a.tensor
        for s in meeting
        for a in ex.accesses(s.body)
        if a.tensor in free
        and any(isinstance(x, Look) and x.tensor in targets for i in a.index for x in i.atoms())
    ]
    if looked_up:
        return _named_source(program, looked_up[-1], free)
    front = [n for n in free if any(n in s.reads for s in (meeting or met))]
    named = [n for n in front if program[n].named]
    return named[-1] if named else front[-1] if front else None


def _named_source(program: Program, name: str, free: list[str]) -> str:
    """The user's own name for a lifted copy: where an unnamed tensor is an entry-by-entry copy of a named one."""
    writers = program.writers(name)
    if (
        not program[name].named
        and len(writers) == 1
        and isinstance(writers[0].body, Access)
        and writers[0].plain
    ):
        copied = writers[0].body
        if copied.index == writers[0].left and copied.tensor in free:
            return copied.tensor
    return name
