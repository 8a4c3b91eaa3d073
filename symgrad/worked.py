"""A derivation with the reader's own numbers in every step."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from symgrad import explain
from symgrad.errors import Refusal, SymgradError, did_you_mean, listing
from symgrad.explain.cast import Cast
from symgrad.explain.document import Document
from symgrad.explain.numbered import Numbering, Rounding
from symgrad.explain.parts import Story
from symgrad.explain.picture import Drawing, drawing
from symgrad.explain.values import Values, read_array, read_number
from symgrad.files import json_of, read_text
from symgrad.language.samples import drawn
from symgrad.language.trace import Derived, Key

OPTIONS = ("rate", "update", "digits", "decimals", "full", "seed", "form", "detail", "picture")


class Worked(Document):
    """A derivation with numbers: forward, backward and, with a rate, the update of the weights.

    It is a document: `print`, `text(width)`, `latex(fragment)`, `markdown()`, `html()`, `pdf(path)`, `save(path)`. Each
    printed step was evaluated by itself and gives the value of its tensor. Made by `Derivation.worked`.

    Attributes:
        loss: the value of what is differentiated: a number; of a Jacobian the array.
        gradients: the results by name, each in the shape of its variable (a Jacobian or a Hessian has more axes).
        values: every tensor of the derivation by name, those of the backward sweep too (`dW` for the gradient by `W`).
            Arrays of float64; of `Fraction` where every number is exact; labels of integers.
        updated: with a rate, the new weights by name, all from the old ones: `w - rate*gradient`. Else empty.
        sizes: the number of each size letter.

    Example:
        >>> import symgrad as sg
        >>> d = sg.derive("x: data[n]; w: weight; y: data[n]; loss = sum((w*x - y)**2)/2")
        >>> print(d.worked(x=[1, 2], y=[1, 1], w="1/2", rate="1/10").updated["w"])
        11/20
    """

    def __init__(self, values: Values, updated: Mapping[str, np.ndarray], tell: Callable[[bool], Story]):
        super().__init__(tell)
        self._values, self.updated = values, dict(updated)
        self.sizes = values.sizes
        self.values: dict[str, np.ndarray] = {name: values.final[name] for name in values.final.arrays}

    @property
    def loss(self) -> Any:
        value = self.values[self._values.derived.source.target]
        return value.item() if not value.ndim else value

    @property
    def gradients(self) -> dict[Key, np.ndarray]:
        return {key: self.values[name] for key, name in self._values.derived.gradients.items()}

    def picture(self, direction: str = "both", *, form: str = "matrix", detail: str = "steps") -> Drawing:
        """The computational graph with the numbers in its boxes: few as they are, many by their norm.

        Args:
            direction, form, detail: as for `Derivation.picture`.
        """
        return drawing(self._values.derived, direction, form, detail, self.values, self.sizes)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n} = {k}" for n, k in self.sizes.items())
        return f"<worked {self._values.derived.kind}{' with ' if sizes else ''}{sizes}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text(), "text/latex": self.latex(), "text/markdown": self.markdown()}


def work(
    derived: Derived,
    given: Mapping[str, Any],
    *,
    rate: Any,
    update: str | Iterable[str] | None,
    digits: int,
    decimals: int | None,
    full: int,
    seed: int | None,
    form: Any,
    detail: str,
    picture: str | None,
) -> Worked:
    """What `Derivation.worked` gives; raises `Refusal`."""
    for t in derived.source.inputs:
        if t.name in OPTIONS and t.name not in given and seed is None:
            raise Refusal(
                f"{t.name} is an option of `worked`; give the array of that name in a mapping, "
                f'worked({{"{t.name}": ...}})'
            )
    rounding = Rounding(
        _whole("digits", digits, 1, 17),
        None if decimals is None else _whole("decimals", decimals, 0, 17),
        full,
    )
    _whole("full", full, 0, 10_000)
    chosen = _chosen(derived, rate, update)
    if np.ndim(rate):
        raise Refusal(f'rate is one number, such as 0.5 or "1/2", not {rate!r}')
    step = None if rate is None else read_number("rate", rate)
    given = {name: read_array(name, a) for name, a in given.items()}
    if seed is not None:
        given = {**given, **drawn(derived.source, given, _whole("seed", seed, 0, 2**32))}
    values = Values(derived, given)
    values.verify()
    plain = explain.document(derived, form, detail, values.sizes, fold=False)

    updated = {
        name: _moved(values.final[name], step, values.final[derived.gradients[name]]) for name in chosen
    }

    def tell(numpy: bool) -> Story:
        cast = Cast(derived, named=detail == "everything")
        numbering = Numbering(values, cast, rounding, every=detail == "everything", numpy=numpy)
        story = numbering.story(plain.plain if numpy else plain.story, step, updated)
        front = () if picture is None else (found.picture(picture).part,)
        return replace(story, passages=(*front, *story.passages))

    found = Worked(values, updated, tell)
    return found


def _moved(old: np.ndarray, step: Any, slope: np.ndarray) -> np.ndarray:
    """`old - step*slope`; exact where all of it is."""
    if old.dtype == slope.dtype == object and isinstance(step, (int, Fraction)):
        return np.asarray(old - step * slope, dtype=object)
    return np.asarray(old.astype(float) - float(step) * slope.astype(float))


def _chosen(derived: Derived, rate: Any, update: str | Iterable[str] | None) -> list[str]:
    """What is updated: what was named, or every weight."""
    if rate is None:
        if update is not None:
            raise Refusal(
                "update= says what is changed by gradient descent; it takes a rate too, such as rate=0.5"
            )
        return []
    if derived.kind != "gradient":
        raise Refusal(f"an update takes the gradient of a loss, and this is a {derived.kind}; leave rate out")
    known = [name for name in derived.gradients if isinstance(name, str)]
    if update is None:
        weights = [name for name in known if derived.source[name].role == "weight"]
        if not weights:
            raise Refusal(f"no weight is differentiated by here; name what is updated, update={known!r}")
        return weights
    names = [update] if isinstance(update, str) else list(update)
    for name in names:
        if name not in known:
            near = did_you_mean(name, known) if isinstance(name, str) else ""
            raise Refusal(
                f"update= names {name!r}, and there is no gradient by it{near}; this derivation has {listing(known)}"
            )
        if derived.source[name].role not in ("weight", "data", "constant"):
            raise Refusal(f"{name} is computed from others and cannot be updated; name weights or data")
    return names


def _whole(what: str, given: Any, low: int, high: int) -> int:
    try:
        number = operator.index(given)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise Refusal(f"{what} is a whole number from {low} to {high}, not {given!r}")
    return number


def collected(given: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays given as a mapping and by name, together."""
    if given is None:
        return dict(named)
    if not isinstance(given, Mapping):
        raise SymgradError(
            f"arrays are given by name, or as one mapping of names to arrays, not as {given!r}"
        )
    twice = [name for name in given if name in named]
    if twice:
        raise SymgradError(f"{twice[0]} was given twice, in the mapping and by name")
    return {**given, **named}


def read_values(given: Sequence[str], file: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Arrays by name from texts such as `X=[[1, 1/2], [0, 3]]`, and from a .json or .npz file.

    Raises:
        SymgradError: a text is no `name=numbers`, a name is given twice, a file cannot be read.

    Example:
        >>> read_values(["w=1/2", "X=[[1, 0.5]]"])
        {'w': '1/2', 'X': [[1, 0.5]]}
    """
    found = {} if file is None else _file(Path(file))
    for text in given:
        name, sign, numbers = (part.strip() for part in text.partition("="))
        if not sign or not name.isidentifier():
            raise SymgradError(
                f"a value is given as a name and numbers, such as w=0.5 or X=[[1, 2]], not '{text}'"
            )
        if name in found:
            raise SymgradError(f"{name} was given twice")
        # fractions are text in JSON
        quoted = re.sub(r'(?<![\w."/])(-?\d+/\d+)(?![\w."/])', r'"\1"', numbers)
        quoted = re.sub(r"(?<![\w.])\.(?=\d)", "0.", quoted)  # and a number starts with a digit
        try:
            found[name] = json_of(quoted)
        except ValueError:
            raise SymgradError(
                f"'{numbers}' cannot be read as numbers for {name}; write 0.5, 1/3 or lists such as [[1, 2], [3, 4]]"
            ) from None
    return found


def _file(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".npz":
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {name: np.asarray(arrays[name]) for name in arrays.files}
        if path.suffix == ".json":
            held = json_of(read_text(path))
            if isinstance(held, dict):
                return held
            raise SymgradError(f'{path} must hold an object of arrays by name, such as {{"w": [1, 2]}}')
    except FileNotFoundError:
        raise SymgradError(f"there is no file {path}") from None
    except SymgradError:
        raise
    except Exception as problem:  # noqa: BLE001 - NumPy raises anything for a damaged file
        told = "it is damaged, or holds more than arrays of numbers, or more than fits the memory"
        if isinstance(problem, OSError) or path.suffix == ".json":
            told = getattr(problem, "strerror", None) or str(problem)
        raise SymgradError(f"{path} cannot be read: {told}") from None
    raise SymgradError(f"numbers come from a .json or an .npz file, not from {path}")
