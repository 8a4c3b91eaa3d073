"""How weights are updated, as a passage behind a derivation: `W ← W − η ∂L/∂W`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from symgrad.errors import Refusal
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Derivative, Formula, Symbol
from symgrad.explain.indices import Indices
from symgrad.explain.names import Names, escape, mathematical
from symgrad.explain.parts import Equation, Passage, Remark
from symgrad.language.updates import COUNT, NORM, RATE, TOTAL, Rule, Update

_GREEK = {
    RATE: ("η", r"\eta"), "eps": ("ε", r"\varepsilon"), "alpha": ("α", r"\alpha"), "beta": ("β", r"\beta"),
    "gamma": ("γ", r"\gamma"), "lam": ("λ", r"\lambda"), "mu": ("μ", r"\mu"), "rho": ("ρ", r"\rho"),
    "weight_decay": ("λ", r"\lambda"), "l1": ("λ1", r"\lambda_1"), "l2": ("λ2", r"\lambda_2"),
    "lr_min": ("η_min", r"\eta_{\min}"),
}  # fmt: skip
_START = Symbol(RATE, "η₀", r"\eta_0")  # the rate that a schedule starts from


def passage(cast: Cast, rule: Rule) -> Passage:
    """How a rule changes the weights that a derivation is by, entry by entry.

    One weight has its own name; several have one letter, unless the rule is a single equation: then each has its line.

    Raises:
        Refusal: the derivation is no gradient.
    """
    kind = cast.derived.kind
    if kind != "gradient":
        raise Refusal(
            f"an update takes the gradient of a loss, and this is a {kind}; leave the optimizer out"
        )
    names = cast.names
    weights = [names.symbols[name] for name in cast.derived.gradients if isinstance(name, str)]
    taken = {s.text for s in names.symbols.values()} | {*names.letters}
    letter = Symbol("w", "w", "w") if "w" not in taken else Symbol("theta", "θ", r"\theta")
    single = len(weights) == 1 or len(rule.equations) == 1
    letters = _Letters.of(rule, taken)
    equations = _rates(rule.schedule, letters) if rule.schedule else []
    for w in weights if single else [letter]:
        equations += _lines(rule, letters, w, names.symbols[cast.derived.program.target])
    heading: list[str | Formula] = [f"Update by {rule.name}"]
    if not single:
        heading += [", for each weight ", letter, " of ", *_listed(weights)]
    if any(cast.tensors[w.code].shape for w in weights):
        heading.append(", entry by entry")
    return Passage(tuple(heading), tuple(equations), tuple(_remarks(rule, letters)))


def _rates(schedule: Update, letters: _Letters) -> list[Equation]:
    """The learning rate of a step, after the parts of its formula."""
    forms = Indices(letters.but({RATE: _START}), {})
    return [Equation(letters.tensor(name), forms.expr(body, [])) for name, body in schedule.equations]


def _lines(rule: Rule, letters: _Letters, weight: Symbol, loss: Symbol) -> list[Equation]:
    gradient = Derivative(loss, weight)
    changed = any(name == "g" for name, _ in rule.equations)
    told = letters.but({"w": weight} if changed else {"w": weight, "g": gradient})
    forms, kept = Indices(told, {}), {"w", "g", *rule.state}
    lines = [Equation(told.tensor("g"), gradient)] if changed else []
    return lines + [
        Equation(told.tensor(name), forms.expr(body, []), sign="←" if name in kept else "=")
        for name, body in rule.equations
    ]


def _remarks(rule: Rule, letters: _Letters) -> list[Remark]:
    parts = [*rule.before, rule.optimizer, *([rule.schedule] if rule.schedule else [])]
    found = [Remark((), part.name, (f"{part.about}.",)) for part in parts if part.about]
    numbers: list[str | Formula] = []
    for k, (name, value) in enumerate(rule.options.items()):
        symbol = _START if rule.schedule and name == RATE else letters.tensor(name)
        numbers += [", " if k else "", symbol, f" = {_decimal(value)}"]
    if numbers:
        found.append(Remark((), "numbers", (*numbers, ".")))
    if rule.state:
        states = _listed([letters.tensor(s) for s in rule.state])
        verb = " start at 0 and are" if len(rule.state) > 1 else " starts at 0 and is"
        found.append(Remark((), "state", (*states, f"{verb} kept from step to step.")))
    named: list[str | Formula] = [letters.tensor(COUNT), " is the number of the step, from 1"]
    if rule.counts:
        named += [", ", letters.tensor(TOTAL), " that of all steps"]
    if rule.clips:
        named += [", ", letters.tensor(NORM), " the norm of the gradient by all weights together"]
    used = rule.clips or rule.schedule or any(part.reads(COUNT) for part in rule.parts)
    return [*found, Remark((), "notation", (*named, "."))] if used else found


def _decimal(value: float) -> str:
    """A number as a person writes it: `1e-8`.

    >>> _decimal(1e-8), _decimal(0.001), _decimal(30)
    ('1e-8', '0.001', '30')
    """
    digits, e, exponent = f"{value:g}".partition("e")
    return f"{digits}e{int(exponent)}" if e else digits


def _listed(symbols: Sequence[Formula]) -> list[str | Formula]:
    """`a, b and c`."""
    parts: list[str | Formula] = []
    for k, s in enumerate(symbols):
        parts += [" and " if k == len(symbols) - 1 else ", "] * bool(k) + [s]
    return parts


@dataclass(frozen=True)
class _Letters(Names):
    """The names in update equations."""

    known: Mapping[str, Formula] = field(default_factory=dict)

    @classmethod
    def of(cls, rule: Rule, taken: set[str]) -> _Letters:
        """Names that nothing in the derivation has."""
        own = {
            name for part in (*rule.parts, *([rule.schedule] if rule.schedule else [])) for name in part.own
        }
        found: dict[str, Formula] = {NORM: Symbol(NORM, "‖∇L‖", r"\lVert \nabla L \rVert")}
        for name in sorted(own | {"g", COUNT, TOTAL}):
            symbol = _symbol(name)
            clash = symbol.text in taken
            found[name] = Symbol(name, f"{symbol.text}′", f"{symbol.latex}'") if clash else symbol
        return cls({}, (), "", {}, (), known=found)

    def but(self, others: Mapping[str, Formula]) -> _Letters:
        return _Letters({}, (), "", {}, (), known={**self.known, **others})

    def tensor(self, name: str) -> Formula:
        return self.known[name]


def _symbol(name: str) -> Symbol:
    """The symbol of a number or a state: `lr` as η, `beta1` as β₁."""
    if name in _GREEK:
        return Symbol(name, *_GREEK[name])
    stem = name.rstrip("0123456789")
    number = name[len(stem) :]
    if stem in _GREEK:
        text, latex = _GREEK[stem]
        return Symbol(name, text + number, f"{latex}_{{{number}}}")
    return Symbol(name, name, rf"\mathrm{{{escape(name)}}}" if "_" in name else mathematical(name))
