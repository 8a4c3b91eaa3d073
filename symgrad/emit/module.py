"""A training module: one file that needs NumPy and the standard library only."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from symgrad import library
from symgrad.emit import elementary, head, optimizers, starts, target
from symgrad.emit.compiled import Compiled
from symgrad.emit.estimator import Estimator
from symgrad.emit.estimator import estimator as estimator_of
from symgrad.emit.fast import Fast
from symgrad.emit.frames import fill
from symgrad.emit.layers import layers
from symgrad.emit.load import Source
from symgrad.emit.names import Names, identifier, words, wrapped
from symgrad.emit.nests import NoLoops
from symgrad.emit.plainly import python
from symgrad.emit.plan import Plan
from symgrad.emit.readable import Readable
from symgrad.emit.roles import Roles, roles
from symgrad.emit.text import number
from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language.ints import Int, Size
from symgrad.language.program import Program, Statement, Tensor, needed, size_letters
from symgrad.language.samples import small_sizes, work
from symgrad.language.trace import Derived
from symgrad.language.updates import Rule
from symgrad.passes.arrange import arranged
from symgrad.passes.derive import forward
from symgrad.passes.shares import Share, share
from symgrad.passes.wholes import whole

STYLES = ("readable", "fast")
_TAKEN = re.compile(r"^(\w+) = np\.empty\(")
_BYTES = re.compile(r"\d+(\.\d+)? ?([kKMG]i?)?B?")
TARGETS = ("numpy", "numba")
MOST_THREADS = 1024
_MAKES = {"training": "_training", "loss": "_evaluate", "forward": "_network"}
# what the methods that take arrays call their own variables
_METHODS = [
    "_compiled", "_compiles", "_Run", "_training", "arrays", "batch_size", "BATCHED", "BELOW",
    "checkpoint", "class_weight", "compiled", "count", "done", "epoch", "epochs", "every", "found",
    "given", "gradients", "history", "improvement", "int", "isinstance", "len", "losses", "made",
    "map", "math", "micro_batch", "order", "others", "patience", "Problem", "quiet", "resume",
    "rng", "rows", "s", "seed", "self", "start", "str", "TARGET", "threads", "tile", "told",
    "total", "validation", "weights",
]  # fmt: skip


def module_source(derived: Derived, **options: Any) -> Source:
    """The text of a training module; arguments and errors as for `prepared`."""
    return prepared(derived, **options).source()


def prepared(
    derived: Derived,
    *,
    name: str,
    optimizer: str | os.PathLike[str] = "adam",
    schedule: str | os.PathLike[str] | None = None,
    style: str | None = None,
    target: str = "numpy",
    predict: str | None = None,
    evaluation: Program | None = None,
    example_weight: str | None = None,
    labels: Mapping[tuple[int, str], str] | None = None,
    threads: int | str = 1,
    tile: int | str | None = "auto",
    micro_batch: int | str | None = None,
    estimator: bool = False,
    **options: Any,
) -> Module:
    """A training module, ready to be written.

    Args:
        name: the module's name.
        optimizer, schedule: as for `library.optimizer`.
        style: "readable" or "fast".
        target: "numpy", or "numba": the fast form with training compiled where Numba is installed.
        predict: the tensor that `forward` returns; found from the declaration if None.
        evaluation: the program read with `training` off, where that makes a difference; without weights of examples.
        example_weight: the data that has them, where the program was `symgrad.passes.weighted`.
        threads, tile, micro_batch: how a step of the module splits its batch if it is not told: see `Splitting`.
        estimator: whether the module has an estimator in the manners of scikit-learn, too.
        labels: for each step's number and tensor the number that comments cite; the step's if None.
        options: numbers as for `library.optimizer`: the defaults that the module has.

    Raises:
        Refusal: an unknown style, optimiser or option; nothing to train; a size that no array has.
    """
    if target not in TARGETS:
        raise Refusal(
            f"there is no target '{target}'{did_you_mean(target, TARGETS)} (there are {listing(TARGETS)})"
        )
    if target == "numba" and style == "readable":
        raise Refusal("the target numba compiles the fast style: leave out the style, or say fast")
    style = style or ("readable" if target == "numpy" else "fast")
    if style not in STYLES:
        raise Refusal(
            f"there is no style '{style}'{did_you_mean(style, STYLES)} (there are {listing(STYLES)})"
        )
    rule = optimizers.sourced(library.optimizer(optimizer, schedule, **options))
    source = derived.source
    weights = source.role("weight")
    if not weights:
        raise Refusal(
            "there is nothing to train: declare a weight (`w: weight[i]`) or use a layer that has one"
        )
    missing = [w.name for w in weights if w.name not in derived.gradients]
    if missing:
        raise Refusal(
            f"a module needs the gradient of every weight, and the derivation has none of {listing(missing)}"
        )
    evaluated = derived.program if evaluation is None else forward(evaluation)
    for w in evaluated.role("weight", "state"):
        if w.name not in source.tensors or source[w.name].shape != w.shape:
            raise Refusal(
                f"the weight {w.name} is another in evaluation than in training: a choice by `training` must not "
                "declare weights"
            )
    read = evaluation or source
    who = roles(read, evaluated, predict)
    splitting = Splitting(threads, tile, micro_batch)
    if style == "readable" and splitting != Splitting():
        raise Refusal('threads, tile and micro_batch are of the style "fast"')
    return Module(
        derived,
        evaluated,
        identifier(name),
        rule,
        (style, target),
        who,
        labels,
        splitting,
        read if estimator else None,
        example_weight,
    )


@dataclass(frozen=True)
class Splitting:
    """How a step splits its batch.

    Attributes:
        threads: how many threads share it, from 1 to 1024; "measure": as many as are quickest.
        tile: how many examples are computed at a time; None: all; "auto": by what the cache holds; "measure".
        micro_batch: how many examples at most are computed at a time, or how many bytes that may take, as "64MB".

    Raises:
        Refusal: a value that is none of these.
    """

    threads: int | str = 1
    tile: int | str | None = "auto"
    micro_batch: int | str | None = None

    def __post_init__(self) -> None:
        known: dict[str, tuple[str | None, ...]] = {
            "threads": ("measure",),
            "tile": (None, "auto", "measure"),
            "micro_batch": (None,),
        }
        for name, others in known.items():
            given = getattr(self, name)
            most = MOST_THREADS if name == "threads" else None
            if isinstance(given, int) and not isinstance(given, bool):
                if 1 <= given <= (most or given):
                    continue
            elif given in others or name == "micro_batch" and _BYTES.fullmatch(str(given)):
                continue
            told = [f"'{word}'" if word else "None" for word in others]
            told += ["bytes such as '64MB'"] if name == "micro_batch" else []
            upto = f" to {most}" if most else ""
            raise Refusal(f"{name} is a whole number from 1{upto} or {' or '.join(told)}, not {given!r}")


class Module:
    """One module; once its source is written, `plans` has the plan of each function of the fast style."""

    def __init__(
        self,
        derived: Derived,
        evaluated: Program,
        name: str,
        rule: Rule,
        form: tuple[str, str],
        who: Roles,
        labels: Mapping[tuple[int, str], str] | None,
        splitting: Splitting,
        estimated: Program | None,
        example_weight: str | None,
    ):
        self.splitting, self.estimated, self.example_weight = splitting, estimated, example_weight
        self.switched = derived.source.switched and evaluated is not derived.program
        self.plans: dict[str, Plan] = {}
        self.numbers = head.numbers(derived, labels)
        style, self.target = form
        if style == "fast":
            derived = arranged(derived)
            self.numbers |= head.numbers_again(self.numbers, derived.program)
        self.derived, self.evaluated = derived, evaluated
        self.name, self.rule, self.style, self.who = name, rule, style, who
        self.program, self.declared = derived.program, derived.source
        self.names = Names((*_METHODS, *rule.options))
        # what training takes, and of that what the user's own declaration has
        self.given = self.declared.role("data", "label", "constant")
        self.data = [t for t in self.given if t.name != example_weight]
        if example_weight is not None:
            self.who = replace(who, batched=(*who.batched, example_weight))
        self.weights = self.declared.role("weight")
        self.states, self.draws = self.declared.role("state"), self.declared.role("draw")
        self.following = {t.of: t.name for t in self.program.role("next")}
        # what a module is given, or keeps: draws tell no size
        self.told = [t for t in self.declared.inputs if t.role != "draw"]
        self.helpers: dict[str, None] = {}
        for letter in self.declared.sizes:
            self.names.of(letter)

    def _kernel_names(self) -> Names:
        """Names inside one of the functions that compute."""
        names = Names(("s", "weights", "gradients", "following", "run"))
        for t in self.declared.inputs:
            names.of(t.name)
        for letter in (*self.program.sizes, *((self.share.rows,) if self.share else ())):
            names.of(letter)
        return names

    def source(self) -> Source:
        who, names = self.who, self.names
        head.check_solvable(self.program, self.told, names)
        kept = (*self.weights, *self.states)
        letters = [s for s in self.declared.sizes if s in size_letters(w.shape for w in kept)]
        read = {r for s in who.statements for r in s.reads}
        forward = [t for t in self.data if t.name in read]
        features = [t.name for t in (forward or self.data) if t.role != "constant" and t.name != who.target]
        results = [self.program.target, *self.derived.gradients.values(), *self.following.values()]
        statements = needed(self.program.statements, results)
        kinds = {
            "training": (self.program, statements, self.given),
            "loss": (self.evaluated, needed(self.evaluated.statements, [self.program.target]), self.data),
            "forward": (who.program, who.statements, forward),
        }
        self.share: Share | None = None
        unsplit = ""
        if self.style == "fast":
            try:
                self.share = share(self.program, kinds["training"][1], results)
            except Refusal as problem:
                if self.splitting != Splitting():
                    raise
                unsplit = problem.reason
            else:
                kinds["training"] = self.share.program, self.share.statements, self.given
                self.numbers |= {
                    new: self.numbers.get(old, "")
                    for old, new in zip(statements, self.share.statements, strict=True)
                }
        write = self._readable if self.style == "readable" else self._fast
        parts = {kind: write(kind, *how) for kind, how in kinds.items() if how[1]}
        named = parts["loss"] if self.style == "readable" else self._readable("loss", *kinds["loss"])
        compiled = self._compiled(*kinds["training"][:2]) if self.target == "numba" else {}
        makes = [_MAKES[kind] for kind in parts] + (["_compiled"] if compiled.get("step") else [])
        update = self._update()
        return fill(
            "module.py.jinja",
            name=self.name,
            style=self.style,
            starred=any(number.endswith("*") for number in self.numbers.values()),
            declaration=wrapped(str(self.declared.text or self.declared), 96),
            parts=parts,
            layers=named,
            whole=whole(self.evaluated),
            network=hashlib.sha256(str(self.declared).encode()).hexdigest()[:16],
            makes=makes,
            target=self.target,
            training="self._form" if compiled.get("step") else "_training",
            compiled={"step": None, "epoch": None, **compiled},
            update=update,
            split=None if self.share is None else self.share,
            unsplit=_quoted(unsplit, 88),
            defaults=self.splitting,
            most_threads=MOST_THREADS,
            estimator=self._estimator(letters),
            helpers=[head.helper(h, names) for h in self.helpers],
            rule=self.rule,
            about=wrapped(self.rule.about, 100),
            options=[(n, _float(v)) for n, v in self.rule.options.items()],
            bounds=json.dumps(library.bounds(self.rule)),
            numbers=list(self.rule.numbers),
            schedule=optimizers.schedule(self.rule),
            data=[(t.name, names.of(t.name)) for t in self.data],
            forward=[(t.name, names.of(t.name)) for t in forward],
            weights=[w.name for w in self.weights],
            states=[w.name for w in self.states],
            drawn=[t.name for t in self.draws],
            switched=self.switched,
            weighting=self._weighting(),
            letters=[(letter, names.of(letter)) for letter in letters],
            window=self._window(),
            lengths=self._lengths(letters) if who.prediction else [],
            integer=[t.name for t in self.data if t.integer],
            constants=[t.name for t in self.data if t.role == "constant"],
            features=features,
            who=who,
            shapes=[(t.name, _keyed_shape(t.shape)) for t in self.declared.inputs],
            axes=[(t.name, f"[{', '.join(map(str, t.shape))}]") for t in self.declared.inputs],
            below=[(t.name, _keyed(t.below)) for t in self.data if t.below is not None],
            **self._raw(),
            solve=self._solve(),
            needs=[(_keyed(need), words(text)) for need, text in self.program.needs],
            facts=[f for t in self.given for f in _facts(t)],
            starts=[(w.name, starts.arguments(w)) for w in (*kept, *self.draws)],
            hows=starts.hows(kept),
            draws=[(t.name, _draw(t)) for t in self.given]
            + [(w.name, _draw(w)) for w in kept if w.facts != _PLAIN],
            symmetric=[w.name for w in self.weights if w.facts.symmetric],
            check_sizes=_check_sizes(self.declared),
            about_prediction=self._about_prediction(),
            columns=self._columns([*features, *(t.name for t in self.data if t.name not in features)]),
        )

    def _estimator(self, letters: Sequence[str]) -> Estimator | None:
        if self.estimated is None:
            return None
        return estimator_of(self.estimated, self.evaluated, self.who, letters, self.rule.options, self.names)

    # ---- the network itself

    def _head(self, program: Program, names: Names, statements: Iterable[Statement], text: str) -> list[str]:
        """Sizes and literals that the lines below use."""
        code = "\n".join(line for line in text.split("\n") if not line.startswith("#"))
        used = set(re.findall(r"[^\W\d]\w*", code))
        lines = [f'{names.of(s)} = s["{s}"]' for s in program.sizes if names.of(s) in used]
        reads = {r for s in statements for r in s.reads}
        return lines + head.literals(program, names, reads)

    def _readable(
        self, kind: str, program: Program, statements: Sequence[Statement], data: Iterable[Tensor]
    ) -> dict[str, Any]:
        names = self._kernel_names()
        reads = {r for s in statements for r in s.reads}
        writer = Readable(program, names, self.numbers)
        results = [self._result(kind)]
        if kind == "training":
            results += [*self.derived.gradients.values(), *self.following.values()]
        named = layers(program, statements) if kind == "loss" else []
        lines = writer.write(statements, [*results, *(name for name, _ in named)])
        self.helpers.update(writer.text.helpers)
        keys = [t.name for t in (*data, *self.draws, *self.weights, *self.states) if t.name in reads]
        arguments = [names.of(key) for key in keys]
        text = "\n".join(lines)
        typed = [a for key, a in zip(keys, arguments, strict=True) if not self.declared[key].integer]
        return {
            "dtype": (typed or ["np.float64(0)"])[0] if re.search(r"\bdtype\b", text) else "",
            "arguments": list(zip(keys, arguments, strict=True)),
            "lines": self._head(program, names, statements, text) + lines,
            "result": names.of(self._result(kind)),
            "named": [(name, names.of(name), made) for name, made in named],
            "gradients": [(w.name, names.of(self.derived.gradients[w.name])) for w in self.weights]
            if kind == "training"
            else [],
            "following": [(state, names.of(name)) for state, name in self.following.items()],
        }

    def _result(self, kind: str) -> str:
        if kind != "forward":
            return self.program.target
        assert self.who.prediction is not None
        return self.who.prediction

    def _fast(
        self, kind: str, program: Program, statements: Sequence[Statement], data: Iterable[Tensor]
    ) -> dict[str, Any]:
        names = self._kernel_names()
        literals = [t.name for t in program.role("literal")]
        into, places, copies = self._places(names) if kind == "training" else ({}, [], [])
        kept = (*self.weights, *self.states)
        given = [*literals, *(w.name for w in kept)]
        behind = self._behind(into)
        fast = Fast(program, names, self.numbers, given, into, [self._result(kind)], behind)
        plan = self.plans[kind] = fast.write(statements)
        plan.once = [line.replace("= np.empty(", "= _room(") for line in plan.once]
        helpers = [*fast.text.helpers, *(("_bits", "_mask") if plan.bits else ())]
        self.helpers.update(dict.fromkeys(helpers))
        reads = {r for s in statements for r in s.reads}
        inputs = [t for t in (*data, *self.draws) if t.name in reads]
        copied = [t for t in inputs if fast.takes(t.name)]
        text = "\n".join((*plan.once, *plan.steps))
        return {
            "head": self._head(program, names, statements, text),
            "weights": [(w.name, names.of(w.name)) for w in kept if w.name in reads],
            "places": places,
            "copies": copies,
            "ufuncs": plan.aliases,
            "plan": plan,
            "inputs": [(t.name, names.of(t.name)) for t in copied],
            "result": plan.results[self._result(kind)],
        }

    def _behind(self, into: Mapping[str, str]) -> set[tuple[str, str]]:
        """Matrices and rows of as many columns that lie one behind the other: weights, and gradients of `into`."""
        found: set[tuple[str, str]] = set()
        gradients = self.derived.gradients
        for a, b in itertools.pairwise(self.weights):
            if len(a.shape) == 2 and b.shape == a.shape[1:]:
                found.add((a.name, b.name))
                own = [gradients[w.name] for w in (a, b)]
                if all(g in into and list(gradients.values()).count(g) == 1 for g in own):
                    found.add((own[0], own[1]))
        return found

    def _places(
        self, names: Names
    ) -> tuple[dict[str, str], list[tuple[str, str, str]], list[tuple[str, str, str]]]:
        """Where the results of training go: the array of each, which weight's or state's that is, and copies."""
        into: dict[str, str] = {}
        places: list[tuple[str, str, str]] = []
        copies: list[tuple[str, str, str]] = []
        wanted = [("gradients", w.name, self.derived.gradients[w.name]) for w in self.weights]
        wanted += [("following", state, name) for state, name in self.following.items()]
        for where, key, result in wanted:
            if result in into:
                # two weights with one gradient: computed once, copied
                copies.append((where, key, into[result]))
            else:
                into[result] = names.of(result)
                places.append((where, key, into[result]))
        return into, places, copies

    def _compiled(self, program: Program, statements: Sequence[Statement]) -> dict[str, Any]:
        """What Numba compiles; without a step, and with the reason, if one of its values has no form as loops."""
        update, kernel = target.update(self.rule)
        functions = dict(kernel.functions)
        names, kept = self._kernel_names(), (*self.weights, *self.states)
        literals = [t.name for t in program.role("literal")]
        into, places, copies = self._places(names)
        given = [*literals, *(w.name for w in kept)]
        writer = Compiled(program, names, self.numbers, given, into, self._result("training"))
        step: dict[str, Any] | None = None
        why, epoch = "", None
        try:
            kernel = writer.write(statements)
        except NoLoops as problem:
            why = str(problem)
        else:
            functions.update(kernel.functions)
            step = target.step(writer, kernel, copies)
            inputs = [(t.name, names.of(t.name)) for t in (*self.given, *self.draws)]
            step["inputs"] = [(key, name) for key, name in inputs if name in kernel.takes]
            reads = [("weights", w.name, names.of(w.name)) for w in kept]
            step["places"] = [p for p in (*reads, *places) if p[2] in kernel.takes]
            text = "\n".join((*kernel.once, *step["passed"]))
            step["head"] = self._head(program, names, statements, text)
            if self.who.batch and not self.draws:
                data = [(key, name, self.declared[key]) for key, name in step["inputs"]]
                epoch = target.epoch(data, self.who.batched, self.following.items(), self.rule)
        return {
            "step": step,
            "why": why,
            "epoch": epoch,
            "update_step": update,
            "elementary": elementary.source(functions),
        }

    def _update(self) -> dict[str, Any]:
        if self.style == "readable":
            lines, helpers = optimizers.readable(self.rule)
            self.helpers.update(helpers)
            return {"lines": lines, "scales": [], "mathematics": False}
        (plan, helpers), folded = optimizers.fast(self.rule), optimizers.numbered(self.rule)
        self.plans["update"] = plan
        plan.once = [_TAKEN.sub(r'\1 = _shared(_rooms, "\1", ', line) for line in plan.once]
        self.helpers.update(helpers)
        return {
            "plan": plan,
            "ufuncs": plan.aliases,
            "factors": [] if folded.plain else list(folded.numbers),
            "steady": [] if folded.plain else list(folded.steady.items()),
            "moving": [] if folded.plain else list(folded.moving.items()),
            "parts": [(name, python(e)) for name, e in folded.parts.items()],
            "scales": [(state, python(e)) for state, e in folded.scales.items()],
            "mathematics": "math."
            in "".join((*map(python, folded.numbers.values()), *map(python, folded.scales.values()))),
        }

    # ---- tables

    def _solve(self) -> list[tuple[str, str, int, list[str], str]]:
        """For each letter and input that can tell it: letter, input, axis, letters needed, the rule."""
        found: list[tuple[str, str, int, list[str], str]] = []
        compound: list[tuple[str, str, int, list[str], str]] = []
        for t in self.told:
            for k, n in enumerate(t.shape):
                if isinstance(n.atom, Size):
                    found.append((n.atom.name, t.name, k, [], "d"))
                    continue
                for letter in dict.fromkeys(a.name for a in n.atoms() if isinstance(a, Size)):
                    others = list(
                        dict.fromkeys(a.name for a in n.atoms() if isinstance(a, Size) and a.name != letter)
                    )
                    compound.append(
                        (letter, t.name, k, others, head.solution(n, letter, _Keyed()).replace("{}", "d"))
                    )
        return found + compound

    def _weighting(self) -> dict[str, Any] | None:
        """Weights of examples: their name, what they are called as an argument, and the labels that tell classes."""
        if self.example_weight is None:
            return None
        target = self.who.target
        label = target is not None and self.declared[target].integer and len(self.declared[target].shape) == 1
        name = self.names.of(self.example_weight)
        return {"key": self.example_weight, "arg": name, "label": target if label else None}

    def _window(self) -> int | None:
        """For a network that reads characters and says the next, at each of a number of positions, that number."""
        data, who = self.data, self.who
        if len(data) != 2 or not who.classes or any(t.below is None or len(t.shape) != 2 for t in data):
            return None
        alike = data[0].shape == data[1].shape and data[0].below == data[1].below
        return data[0].shape[1].number if alike else None

    def _raw(self) -> dict[str, Any]:
        """What is made of raw data before the network computes: standardisation, and numbers for words."""
        raw = [t.name for t in self.data if t.standardized]
        for name in raw:
            if name not in self.who.batched:
                raise Refusal(
                    f"{name} is declared standardized, but its first axis is not that of the examples"
                )
        target = self.declared[self.who.target] if self.who.target else None
        label = target is not None and target.below is not None
        return {
            "standardized": raw,
            "worded": [
                (t.name, [json.dumps(word, ensure_ascii=False) for word in t.classes])
                for t in self.data
                if t.classes
            ],
            "words_of_target": target is not None and bool(target.classes),
            "learns": label and target is not None and not target.classes,
            "scaled": self.who.compared and self.who.target in raw,
        }

    def _lengths(self, letters: Sequence[str]) -> list[str]:
        """The letters that only data tell: the length of a sequence."""
        told = size_letters(t.shape for t in self.data)
        return [letter for letter in told if letter not in letters and letter != self.who.batch]

    def _columns(self, names: Sequence[str]) -> str:
        """What a row of a table holds, in words."""
        order = [n for n in names if n != self.who.target] + ([self.who.target] if self.who.target else [])
        each = [(n, self.declared[n].shape[1:]) for n in order]
        return words(
            ", ".join(n if not shape else f"{n} ({'*'.join(map(str, shape))} numbers)" for n, shape in each)
        )

    def _about_prediction(self) -> str:
        name = self.who.prediction
        if name is None:
            return ""
        shape = ", ".join(map(str, self.declared[name].shape))
        return words(f"{name}[{shape}]" if shape else name)


class _Keyed(Names):
    """Size letters as entries of a dictionary `s`."""

    def of(self, name: str) -> str:
        return f's["{identifier(name)}"]'


def _quoted(text: str, width: int) -> list[str]:
    """A sentence as literals that stand one under the other."""
    parts = textwrap.wrap(text, width, drop_whitespace=False, break_on_hyphens=False)
    return [json.dumps(part, ensure_ascii=False) for part in parts]


def _check_sizes(program: Program) -> dict[str, int]:
    """Sizes for the module's own check: as many examples as are cheap, so that they go every way through a network."""
    for start, most in ((13, 30_000), (5, 300_000)):
        with contextlib.suppress(Refusal):
            if work(program, sizes := small_sizes(program, start)) <= most:
                return sizes
    return small_sizes(program)


def _keyed(n: Int) -> str:
    return _Keyed().size(n)


def _keyed_shape(shape: Iterable[Int]) -> str:
    sizes = [_keyed(n) for n in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


_PLAIN = Tensor("").facts


def _facts(t: Tensor) -> list[tuple[str, str, str]]:
    """What is declared of an input: its name, the sentence, and a test of an array `a`."""
    f, found = t.facts, []
    if f.low is not None:
        sign = ">" if f.strict_low else ">="
        found.append((t.name, f"{sign} {number(f.low)[0]}", f"a {sign} {number(f.low)[0]}"))
    if f.high is not None:
        sign = "<" if f.strict_high else "<="
        found.append((t.name, f"{sign} {number(f.high)[0]}", f"a {sign} {number(f.high)[0]}"))
    if f.distribution:
        found.append(
            (t.name, "a distribution along the last axis", "(a.min(-1) >= 0) & (abs(a.sum(-1) - 1) < 1e-4)")
        )
    if f.symmetric:
        found.append((t.name, "symmetric", "abs(a - a.swapaxes(-1, -2)) <= 1e-6 * (1 + abs(a))"))
    return found


def _float(x: Any) -> str:
    return repr(float(x))


def _draw(t: Tensor) -> str:
    """Random entries as declared, in terms of `rng`, the shape `k` and the sizes `s`."""
    f = t.facts
    if t.below is not None:
        return f"rng.integers(0, {_keyed(t.below)}, k)"
    if f.distribution:
        return "rng.dirichlet(np.ones(k[-1]), k[:-1])"
    if f.low is not None and f.high is not None:
        return f"{_float(f.low)} + {_float(f.high - f.low)} * rng.uniform(0.05, 0.95, k)"
    if f.low is not None:
        return f"{_float(f.low)} + rng.uniform(0.2, 2.0, k)"
    if f.high is not None:
        return f"{_float(f.high)} - rng.uniform(0.2, 2.0, k)"
    return "_symmetric(rng.standard_normal(k))" if f.symmetric else "rng.standard_normal(k)"
