"""What an estimator in scikit-learn's manners is: of which kind, and what its parameters, columns and classes are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.emit.names import Names
from symgrad.emit.roles import Roles
from symgrad.errors import Refusal, listing
from symgrad.language import expr as ex
from symgrad.language.ints import Size
from symgrad.language.program import Program, Statement, Tensor, size_letters
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes

# parameters of every estimator, and what its methods call their own
_OWN = (
    *("epochs", "batch_size", "validation", "patience", "improvement", "class_weight"),
    *("random_state", "dtype", "verbose", "self"),
)


@dataclass(frozen=True)
class Estimator:
    """Attributes:
    kind: "Classifier" or "Regressor".
    features, target: the array of features and what is predicted.
    axes: their declared shapes, as text.
    row: the declared shape of a row of features where its numbers are fixed, else None: a letter, any number.
    columns: how many entries that is.
    classes: for a classifier the fixed number of classes, or the argument of `Model` that it is, or None: a letter
        that the features tell.
    outputs: for a regressor how many numbers an example has: "" (one, without an axis), a number, or a letter.
    letters: the arguments of `Model` for sizes that neither features nor target tell, which are parameters.
    probabilities: "given" (the prediction is a distribution), "log" (its logarithm), "softmax" (of the prediction: the
        loss normalises its exponentials), or "" (no such reading); where two classes have one score, "chance" (it is
        the probability of the second) or "sigmoid" (of it).
    """

    kind: str
    features: str
    target: str
    axes: tuple[str, str]
    row: tuple[int, ...] | None
    columns: int
    classes: int | str | None
    outputs: int | str
    letters: tuple[str, ...]
    probabilities: str

    @property
    def binary(self) -> bool:
        """Whether two classes have one score."""
        return self.probabilities in ("chance", "sigmoid")


def estimator(
    declared: Program,
    evaluated: Program,
    who: Roles,
    letters: Sequence[str],
    options: Iterable[str],
    names: Names,
) -> Estimator:
    """The estimator of a declaration.

    Args:
        declared: the program as declared, read with `training` off where that makes a difference.
        evaluated: the same, as the loss is computed.
        letters: the sizes that weights have.
        options: the numbers of the optimiser, which are parameters too.
        names: what a module calls its letters.

    Raises:
        Refusal: no array of examples with one target and one prediction for it; names that clash.
    """
    features, target, prediction = _parts(declared, who)
    told = {who.batch, *size_letters([features.shape])}
    row = [n.number for n in features.shape[1:]]
    fixed = tuple(n for n in row if n is not None)
    if len(fixed) < len(row) and not (len(row) == 1 and isinstance(features.shape[1].atom, Size)):
        raise Refusal(
            f"an estimator takes rows of numbers, and {features.name} is {_axes(features)}: declare rows of one "
            f"letter, `{features.name}: data[n, i]`, or of a fixed shape"
        )
    classes: int | str | None = None
    outputs: int | str = ""
    if target.below is not None:
        kind = "Classifier"
        classes = target.below.number
        if classes is None:
            if not isinstance(target.below.atom, Size):
                raise Refusal(
                    f"an estimator has a number or a letter of classes, and {target.name} is < {target.below}"
                )
            letter = target.below.atom.name
            classes = names.of(letter) if letter not in told and letter in letters else None
            told.add(letter)
    else:
        kind = "Regressor"
        told.update(size_letters([target.shape]))
        for n in target.shape[1:]:
            outputs = n.number if n.number is not None else str(n)
    own = tuple(names.of(letter) for letter in letters if letter not in told)
    clash = [name for name in (*own, *options) if name in _OWN]
    if clash:
        raise Refusal(f"an estimator has a parameter {clash[0]} of its own: choose another name for this one")
    return Estimator(
        kind, features.name, target.name, (_axes(features), _axes(target)),
        fixed if len(fixed) == len(row) else None, int(np.prod(fixed)), classes, outputs, own,
        _probabilities(evaluated, who, prediction) if kind == "Classifier" else "",
    )  # fmt: skip


def _parts(declared: Program, who: Roles) -> tuple[Tensor, Tensor, Tensor]:
    """Features, target and prediction, where there is one of each."""
    if who.target is None or who.prediction is None:
        raise Refusal(
            "an estimator predicts a target: declare one that only the loss reads, such as `t: label[n] < 3` "
            "or `y: data[n]`"
        )
    given = declared.role("data", "label", "constant")
    target, prediction = declared[who.target], who.program[who.prediction]
    others = [t for t in given if t.name != who.target]
    rows = [t for t in others if t.role == "data" and t.name in who.batched]
    if who.batch is None or who.target not in who.batched or len(rows) != 1 or len(others) != 1:
        raise Refusal(
            "an estimator is fitted with X and y, one array of features and one target, each with a row for an "
            f"example; beside the target {who.target} this declaration is given {listing([t.name for t in others])}"
        )
    binary = target.below is not None and target.below.number == 2 and prediction.shape == target.shape
    if target.integer and not ((who.classes or binary) and len(target.shape) == 1):
        raise Refusal(
            f"a classifier has a score for each class, a prediction [n, {target.below}] for a label[n] < "
            f"{target.below}, or one, [n], for a label[n] < 2; {prediction.name} is {_axes(prediction)} and "
            f"{target.name} is {_axes(target)}"
        )
    if not target.integer and (prediction.shape != target.shape or len(target.shape) > 2):
        raise Refusal(
            f"a regressor's prediction has the shape of its target, [n] or [n, m], but {prediction.name} is "
            f"{_axes(prediction)} and {target.name} is {_axes(target)}"
        )
    return rows[0], target, prediction


def _axes(t: Tensor) -> str:
    return f"[{', '.join(map(str, t.shape))}]"


def _probabilities(program: Program, who: Roles, prediction: Tensor) -> str:
    """How a prediction says probabilities: is one, tried with random numbers, or by what the loss makes of it.

    Raises:
        Refusal: one score for two classes, and nothing says which score parts them.
    """
    reached, after = {prediction.name}, []
    for s in program.statements:
        if reached & set(s.reads):
            reached.add(s.out)
            after.append(s)
    if not who.classes:
        if all(np.all((p >= 0) & (p <= 1)) for p in _samples(who, prediction, 20)):
            return "chance"
        names = {e.name for s in after for e in ex.walk(s.body) if isinstance(e, ex.Call)}
        if names & {"softplus", "logsigmoid"}:
            return "sigmoid"
        raise Refusal(
            f"a classifier of two classes with one score has a probability, such as a sigmoid, or a loss that takes "
            f"the sigmoid of it, such as binary_cross_entropy_with_logits; {prediction.name} is neither"
        )
    for p in _samples(who, prediction, 1):
        for way, q in (("given", p), ("log", np.exp(p))):
            if np.all(q >= 0) and np.allclose(q.sum(-1), 1, rtol=0, atol=1e-9):
                return way
    return "softmax" if any(_sums_exponentials(s, prediction) for s in after) else ""


def _samples(who: Roles, prediction: Tensor, count: int) -> Iterator[np.ndarray]:
    """What a network with random weights predicts of random data."""
    rng, sizes = np.random.default_rng(0), small_sizes(who.program)
    for _ in range(count):
        with np.errstate(all="ignore"):
            yield run(who.program, sizes, inputs(who.program, sizes, rng))[prediction.name]


def _sums_exponentials(s: Statement, prediction: Tensor) -> bool:
    """Whether a statement is a sum over classes of exponentials."""
    over = any(s.ranges[a] == prediction.shape[-1] for a in s.reduced)
    return s.op == "+=" and over and isinstance(s.body, ex.Call) and s.body.name == "exp"
