"""A network on data that stay, as functions of one vector of all its weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from symgrad import emit, shipped
from symgrad.collecting import put_off
from symgrad.errors import Refusal, SymgradError
from symgrad.language.bind import bind
from symgrad.language.samples import drawn
from symgrad.language.trace import Derived
from symgrad.model import Model
from symgrad.second import hvp as derive_hvp

Data = str | os.PathLike[str] | Mapping[str, Any] | None


Evaluated = Callable[[Mapping[str, np.ndarray]], tuple[Any, dict[str, np.ndarray]]]


class Setting:
    """A network with data: its loss, gradient and Hessian products at any weights, in float64.

    All weights together are one vector, in the order of `weights`, each flattened; what the declaration draws at random
    (dropout) is drawn once and stays, states have their starts.

    Args:
        declaration: as for `Model`, or the name of a shipped network, such as "digits".
        data: a file that the network's module can train on, arrays by name, or None: the shipped data of a shipped
            network, else inputs drawn at random.
        sizes: numbers for size letters, where neither data nor weights tell them.
        values: single inputs by name: constants, weights to start from.
        seed: of the start and of what is drawn.
        optimizer: of `train`, with its options.
        examples: how many examples at most are used, the first of a seeded order; all if None.

    Raises:
        SymgradError: the declaration or the data cannot be used; one sentence.

    Example:
        >>> line = "x: data[n, 2]; y: data[n]; w: weight[2]; loss = mean((x @ w - y)**2)/2"
        >>> s = Setting(line, {"x": np.eye(2), "y": [1, 2]})
        >>> s.loss(np.zeros(2)), s.gradient(np.zeros(2)).tolist(), s.product(np.zeros(2), np.array([1.0, 0.0])).tolist()
        (1.25, [-0.5, -1.0], [0.5, 0.0])
    """

    @put_off()
    def __init__(
        self,
        declaration: Any,
        data: Data = None,
        *,
        sizes: Mapping[str, int] | None = None,
        values: Mapping[str, Any] | None = None,
        seed: int = 0,
        optimizer: str = "sgd",
        examples: int | None = None,
        target: str | None = None,
        **options: Any,
    ):
        name = shipped.shipped(declaration)
        if name:
            declaration, data = shipped.network(name), shipped.table(name) if data is None else data
        self.model = Model(declaration, sizes=sizes)
        self.program = self.model.program
        self.name = self.model.name
        self.seed = seed
        source = self.model.source("studied", optimizer=optimizer, style="fast", **options)
        self.module = emit.load(source, "symgrad_studied")
        self._data(data, dict(values or {}), examples, target)
        self._derived = self.model.derive().derived
        self._bind()

    # ---- inputs

    def _data(self, data: Data, values: dict[str, Any], examples: int | None, target: str | None) -> None:
        """`self.data`: every input that is no weight, as the derivation takes it; `self.start`: the weights' vector."""
        weights = [w.name for w in self.program.role("weight")]
        problem = self.module["Problem"]
        try:
            learner = self.module["Model"](dtype=np.float64)
            learner.init(self.seed)
            if isinstance(data, (str, os.PathLike)):
                arrays = self.module["_data"](learner, os.fspath(shipped.data(os.fspath(data))), target)
            else:
                arrays = dict(data or {})
            given = {name: np.asarray(a) for name, a in self._some({**arrays, **values}, examples).items()}
            names = self.module["DATA"]
            given |= self._entered(learner, {name: given[name] for name in names if name in given})
            inputs = {**given, **drawn(self.program, given, self.seed)}
            learner._make({name: np.shape(inputs[name]) for name in names})
            learner.set_weights({w: np.asarray(values[w], float) for w in weights if w in values})
        except problem as told:
            raise SymgradError(str(told)) from None
        except Refusal as told:
            raise SymgradError(told.reason) from None
        found = learner.get_weights()
        self.weights: dict[str, tuple[int, ...]] = {w: found[w].shape for w in weights}
        self.start = self.flat(found)
        self.data = {name: found.get(name, a) for name, a in inputs.items() if name not in self.weights}
        self.batched = [name for name in self.module["BATCHED"] if name in self.data]
        self.count = len(self.data[self.batched[0]]) if self.batched else 1

    def _entered(self, learner: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raw data as the derivation takes them: standardised where that is declared, words of labels as numbers."""
        standardized = self.module.get("STANDARDIZED", ())
        raw = [name for name, a in given.items() if name in standardized or a.dtype.kind in "OSTU"]
        if raw and hasattr(learner, "_learn"):
            learner._learn(given)
        return {name: learner._enter(name, given[name]) for name in raw}

    def _bind(self) -> None:
        """Look at shapes and declared facts once, not at every weights."""
        inputs = {**self.data, **self.named(self.start)}
        try:
            _, bound = bind(self.program, {t.name: inputs[t.name] for t in self.program.inputs})
        except Refusal as told:
            raise SymgradError(told.reason) from None
        self.data = {name: bound[name] for name in self.data if name in bound}
        if self.batched:  # what is drawn for each example goes with it
            axes = {t.name: t.shape[:1] for t in self.program.inputs}
            own = {t.name for t in self.program.role("draw") if axes[t.name] == axes[self.batched[0]]}
            self.batched += [name for name in self.data if name in own]

    def _some(self, inputs: dict[str, Any], examples: int | None) -> dict[str, Any]:
        """So many examples at most, drawn with the seed, in their order."""
        batched = [name for name in self.module["BATCHED"] if name in inputs]
        if examples is None or not batched or len(inputs[batched[0]]) <= examples:
            return inputs
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(inputs[batched[0]]))[:examples])
        return {name: np.asarray(a)[rows] if name in batched else a for name, a in inputs.items()}

    # ---- one vector of all weights

    def flat(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """Arrays by the names of weights as one vector."""
        return np.concatenate([np.asarray(arrays[w], float).ravel() for w in self.weights])

    def named(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of a vector, as views in the shapes of the weights."""
        parts, start = {}, 0
        for name, shape in self.weights.items():
            size = int(np.prod(shape))
            parts[name] = vector[start : start + size].reshape(shape)
            start += size
        return parts

    def entry(self, k: int) -> str:
        """The name of an entry of the vector, such as `W1[3, 0]`."""
        for name, shape in self.weights.items():
            size = int(np.prod(shape))
            if k < size:
                place = ", ".join(str(int(i)) for i in np.unravel_index(k, shape))
                return f"{name}[{place}]" if shape else name
            k -= size
        raise IndexError(k)

    @cached_property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """Names of weights by layer: those that one call declared; a weight that is declared by itself stands alone.

        >>> Setting("x: data[4, 3]; u: weight[2]; loss = sum((dense(tanh(dense(x, 5)), 2) @ u)**2)").layers
        {'u': ('u',), 'dense 1': ('W1', 'b1'), 'dense 2': ('W2', 'b2')}
        """
        found: dict[str, tuple[str, ...]] = {}
        for t in self.program.role("weight"):
            number = re.search(r"\d*$", t.name)
            call = t.name.rpartition("_")[0] or f"{t.label} {number[0] if number else ''}".strip()
            name = call if t.label else t.name
            found[name] = (*found.get(name, ()), t.name)
        return found

    # ---- functions of it

    def loss_and_gradient(self, w: np.ndarray, rows: Any = None) -> tuple[float, np.ndarray]:
        """The loss and its gradient at weights `w`, on all examples, or on those of `rows`."""
        loss, gradients = self._gradient({**self.on(rows), **self.named(w)})
        return float(loss), self.flat(gradients)

    def loss(self, w: np.ndarray) -> float:
        """The loss at weights `w`, on all examples."""
        return float(self._value({**self.data, **self.named(w)})[0])

    def gradient(self, w: np.ndarray, rows: Any = None) -> np.ndarray:
        """The gradient at weights `w`."""
        return self.loss_and_gradient(w, rows)[1]

    def product(self, w: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Hessian at weights `w` times a vector `v`, from the derived Hessian-vector product."""
        function, vectors = self._hvp
        parts = {vectors[name]: a for name, a in self.named(v).items()}
        _, product = function({**self.data, **self.named(w), **parts})
        return self.flat(product)

    @cached_property
    def _gradient(self) -> Evaluated:
        return _function(self._derived)

    @cached_property
    def _value(self) -> Evaluated:
        return _function(replace(self._derived, gradients={}))

    @cached_property
    def _hvp(self) -> tuple[Evaluated, dict[str, str]]:
        derived = derive_hvp(self.program).derived
        known = {t.name for t in self.program.inputs}
        vectors = [t.name for t in derived.source.inputs if t.name not in known]
        return _function(derived), dict(zip(self.weights, vectors, strict=True))

    def on(self, rows: Any) -> dict[str, np.ndarray]:
        """The data of some examples, what is drawn for each of them too; of all if `rows` is None."""
        if rows is None:
            return self.data
        return {name: a[rows] if name in self.batched else a for name, a in self.data.items()}

    # ---- training

    def steps(self, epochs: int, batch_size: int | None = None) -> int:
        """How many steps a training takes."""
        return epochs * -(-self.count // (batch_size or self.count))

    def train(
        self, *, epochs: int, batch_size: int | None = None, start: np.ndarray | None = None, **numbers: float
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Train with the module's own optimiser from a start: before each step and at the end, its number and a copy
        of the weights. `numbers` are the optimiser's (`lr`, ...); batches are all examples if no size is given.

        Raises:
            SymgradError: the optimiser cannot take a step with these numbers.
        """
        rng, size, step = np.random.default_rng(self.seed), batch_size or self.count, 0
        try:
            learner = self._learner(self.steps(epochs, batch_size), numbers)
            learner.init(self.seed)
            learner._make({name: np.shape(self.data[name]) for name in self.module["DATA"]})
            learner.set_weights(self.named(self.start if start is None else start))
            for _ in range(epochs):
                order = rng.permutation(self.count) if batch_size else np.arange(self.count)
                for first in range(0, self.count, size):
                    yield step, self.flat(learner.get_weights())
                    batch = self.on(order[first : first + size])
                    with np.errstate(all="ignore"):
                        learner._train({name: batch[name] for name in self.module["DATA"]})
                        learner._advance()
                    step += 1
            yield step, self.flat(learner.get_weights())
        except self.module["Problem"] as told:
            raise SymgradError(str(told)) from None

    def rates(self, steps: Iterable[int], total: int, **numbers: float) -> np.ndarray:
        """The learning rate after so many steps of so many, as it is scheduled."""
        try:
            learner, found = self._learner(total, numbers), []
            for learner.steps in steps:
                found.append(learner._numbers().get("lr"))
        except self.module["Problem"] as told:
            raise SymgradError(str(told)) from None
        if None in found:
            raise SymgradError(
                "this optimiser has no lr, which the study takes as the length of a step; call it so"
            )
        return np.array(found)

    def _learner(self, total: int, numbers: Mapping[str, float]) -> Any:
        learner = self.module["Model"](dtype=np.float64, **numbers)
        learner.total_steps = total
        return learner

    @property
    def described(self) -> str:
        """The setting in a sentence."""
        examples = f" on {self.count} examples" if self.batched else ""
        arrays = f"{self.start.size} weights in {', '.join(self.weights)}"
        return f"{self.name}: {arrays}{examples}, start with seed {self.seed}."


def _function(derived: Derived) -> Evaluated:
    """What is derived, compiled in the fast style, as a function of inputs that were looked at before; what is not
    finite is a value that a study tells of."""
    source = emit.function_source(derived, style="fast")
    function = emit.load(source, "symgrad_studied")[emit.function_name(derived)]
    order = [t.name for t in derived.source.inputs]

    def evaluated(inputs: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
        try:
            with np.errstate(all="ignore"):
                value, arrays = function(*(inputs[name] for name in order))
        except np.linalg.LinAlgError as problem:
            raise SymgradError(f"these numbers have no result: {str(problem).lower()}") from None
        return value, arrays

    return evaluated
