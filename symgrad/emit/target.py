"""The parts of a module that Numba compiles: a step without its update, the update, an epoch of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from symgrad.emit import elementary
from symgrad.emit.compiled import Compiled, Kernel
from symgrad.emit.names import Names
from symgrad.emit.optimizers import numbered, program
from symgrad.emit.plainly import python
from symgrad.language.program import Tensor
from symgrad.language.updates import COUNT, NORM, RATE, Rule

_OWN = tuple(f"_{name}" for name in elementary.NAMES)


def step(compiled: Compiled, kernel: Kernel, copies: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The fields of a template for a step: its parameters and what is passed for them."""
    others = [(compiled.names.fresh(f"{name}_again"), where, key, name) for where, key, name in copies]
    parameters = [name for name, _ in kernel.arguments]
    return {
        "parameters": [*parameters, *(other for other, *_ in others)],
        "passed": [text for _, text in kernel.arguments]
        + [f'{where}["{key}"]' for _, where, key, _ in others],
        "lines": kernel.lines,
        "once": kernel.once,
        "result": kernel.result,
        "copies": [(other, name) for other, _, _, name in others],
        "gradients": [place for place in compiled.into.values() if place in parameters],
    }


def update(rule: Rule) -> tuple[dict[str, Any], Kernel]:
    """The fields of a template for an update in one pass."""
    folded, kept = numbered(rule), ("w", *rule.state)
    whole = program(rule, folded.equations, folded.numbers)
    names = Names((*rule.numbers, COUNT, NORM, *_OWN))
    for name in (*kept, "g"):
        names.of(name)
    for name in () if folded.plain else (*folded.numbers, *folded.parts):
        names.of(name)
    if folded.plain:
        names = _Same((*_OWN,))
    writer = Compiled(whole, names, {}, (*kept, "g"), {name: name for name in kept}, plain=True)
    kernel = writer.write(whole.statements)
    numbers = []
    if not folded.plain:
        numbers = [f"{name} = {python(e)}" for name, e in folded.parts.items()]
        numbers += [f"{name} = {text}" for name, text in {**folded.steady, **folded.moving}.items()]
    sizes = [name for name, _ in kernel.arguments if name not in kernel.takes]
    head = [f"{name} = w.size" for name in sizes]
    arrays = ["w", "g", *rule.state]
    return {"lines": [*head, *numbers, *kernel.lines], "arrays": arrays}, kernel


class _Same(Names):
    """Names that stay as they are."""

    def of(self, name: str) -> str:
        return self._own.setdefault(name, name)


def epoch(
    data: Iterable[tuple[str, str, Tensor]], batched: Iterable[str], states: Iterable[tuple[str, str]],
    rule: Rule,
) -> dict[str, Any]:  # fmt: skip
    """The fields of a template for an epoch: `data` are the keys, names and tensors of what a step is given."""
    own = ("order", "size", "start", "total", "loss", "done", "arguments", "rates", COUNT, NORM, "w", "g")
    names = Names((*own, *rule.numbers, *rule.state, *_OWN))
    batched = set(batched)
    gathered, parameters, passed = [], ["order", "size", "total"], []
    for key, _, t in data:
        if key not in batched:
            continue
        name = names.fresh(f"batch_{key}")
        source = names.fresh(f"all_{key}")
        letters = [names.fresh(letter) for letter in "jklpqrsuv"[: len(t.shape) - 1]]
        loops = []
        for k, letter in enumerate(letters):
            loops.append(f"{'    ' * k}for {letter} in range({name}.shape[{k + 1}]):")
        index, taken = ", ".join(["_i", *letters]), ", ".join(["_row", *letters])
        loops.append(f"{'    ' * len(letters)}{name}[{index}] = {source}[{taken}]")
        gathered.append(loops)
        parameters += [source, name]
        passed.append(key)
    kept = [(names.fresh(f"state_{key}"), names.fresh(f"next_{key}"), key) for key, _ in states]
    parameters += ["arguments", *(x for a, b, _ in kept for x in (a, b))]
    arrays = ["w", "g", *rule.state]
    parameters += [*arrays, COUNT, *(["rates"] if rule.schedule else []), *rule.numbers]
    moving = [f"{RATE} = rates[start // size]"] if rule.schedule else []
    moving += [f"{NORM} = math.sqrt(np.dot(g, g))"] if rule.clips else []
    return {
        "parameters": parameters,
        "passed": passed,
        "gathered": gathered,
        "moving": moving,
        "advance": [*arrays, COUNT, *([NORM] if rule.clips else []), *rule.numbers],
        "states": [(a, b) for a, b, _ in kept],
        "kept": [key for *_, key in kept],
    }
