"""What is said beside the equations: headings, which rule was used and why, and the notation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from typing import Union

from symgrad.errors import listing
from symgrad.explain import implicit
from symgrad.explain.cast import Cast
from symgrad.explain.formula import (
    IDENTITY,
    ONES,
    Apply,
    Derivative,
    Formula,
    Iverson,
    Position,
    Power,
    Product,
    Quotient,
    Relation,
    Symbol,
    Transpose,
    entry,
    walk,
)  # fmt: skip
from symgrad.explain.latex import LATEX
from symgrad.explain.matrices import NoForm
from symgrad.explain.parts import Sentence
from symgrad.explain.scripts import TEXT
from symgrad.explain.sides import Sides
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Look, Size
from symgrad.language.program import Statement
from symgrad.language.trace import Step
from symgrad.leaves import LEAVES

RULES = {
    "definition": "definition", "chain": "chain rule", "stable": "stable form", "fact": "declared fact",
    "substitute": "substitution", "merge": "sum of contributions", "look-up": "look-up",
    "gather": "change of letters", "output": "forward value", "share": "softmax", "cancel": "common factors",
    "hoist": "constant factor", "equal": "same value", "seed": "start", "drop": "not needed",
    "rename": "renaming", "factor": "factoring", "inverse": "inverse", "symmetry": "order of derivatives",
    "direction": "direction", "length": "length", "split": "change of letters", "signal": "used again",
}  # fmt: skip

POSITIONS = "Positions{} count from 1 here, in code from 0."
BRACKETS: Sentence = ("A condition in brackets is 1 where it holds, and 0 elsewhere.",)
STANDARDIZED = " standardised: each entry is (raw − mean)/deviation over the training examples."
ENTRYWISE: Sentence = (
    "Functions, ", Symbol("*", "⊙", r"\odot"), ", ", Symbol("/", "⊘", r"\oslash"), " and powers with ",
    Symbol("*", "⊙", r"\odot"), " act entry by entry.",
)  # fmt: skip
HELD = " is held: the result does not depend on it, so nothing flows back through it."

# words of sentences that are not meant as a tensor or a letter of that name, unless an index follows
_WORDS = frozenset(
    (
        "a", "an", "the", "of", "to", "in", "on", "is", "are", "as", "at", "by", "be", "it", "one", "all",
        "no", "so", "and", "or", "not", "only", "sum", "over", "for", "from", "with", "where", "what", "was",
        "were", "that", "this", "here", "there", "every", "each", "its", "their", "than", "then", "once", "more",
        "again", "used", "name", "called",
    )
)  # fmt: skip
_MENTION = re.compile(r"(?<![\w`.])([^\W\dᵀ][^\Wᵀ]*)(\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|ᵀ)?(?![\w(])")


class Sentences:
    """Sentences about the steps of a derivation, in which what is mathematics stands as formulas.

    Args:
        numbers: for each step's number and each tensor that it writes the number of the equation.
        unshown: error signals that have no equation, of which no sentence speaks.
    """

    def __init__(
        self,
        cast: Cast,
        sides: Sides,
        numbers: Mapping[tuple[int, str], str],
        unshown: Collection[str] = (),
    ):
        self.numpy, self.unshown = sides.numpy, unshown
        self.cast, self.names, self.indices, self.numbers = cast, cast.names, sides.indices(), numbers
        self.arrays = sides.arrays()

    def heading(self, bar: str) -> Sentence:
        """Over the passage of an adjoint."""
        t, adjoint = self.cast.tensors[bar], self.names.tensor(bar)
        symbol = self.names.tensor(t.of)
        if isinstance(adjoint, Derivative):
            if isinstance(adjoint.top, Derivative):
                return ("Second derivative by ", adjoint.top.bottom, " and ", symbol)
            if self.cast.derived.kind == "per example":
                return ("Gradient by ", symbol, ", example by example")
            if t.seed == self.names.target and not adjoint.ahead:
                return ("Gradient by ", symbol)
            return ("Derivative of ", adjoint.top, " by ", symbol)
        if self.cast.tensors[t.of].role == "adjoint":
            return ("Error signal of ", symbol, ": ", adjoint)
        return (
            "Error signal of ",
            symbol,
            ": ",
            adjoint,
            " = ",
            Derivative(self.names.tensor(t.seed), symbol),
        )

    def steps(self, statements: Iterable[Statement]) -> Sentence:
        """The steps of a loop in the order in which they are computed: t = 9, ..., 0."""
        found = {
            (s.scan.axis, s.ranges[s.scan.axis], s.scan.backward): None
            for s in statements
            if s.scan is not None
        }
        axis, count, backward = next(iter(found))
        if self.numpy and Size(axis) in count.atoms():  # a size is no capital there
            order = "last to the first" if backward else "first to the last"
            return (self.names.letter(axis), f" from the {order}")
        last = self.indices.integer(count - 1)
        ends = [Symbol("0", "0", "0"), Symbol("", TEXT.line(last), LATEX.line(last))]
        first, end = reversed(ends) if backward else ends
        run = Symbol("", f"{first.text}, ..., {end.text}", rf"{first.latex}, \ldots, {end.latex}")
        return (Relation((self.names.letter(axis), run), ("=",)),)

    def signals(self, bars: Sequence[str]) -> Sentence:
        """Whose error signals are found."""
        symbols: list[Sentence] = [(self.names.tensor(self.cast.tensors[b].of),) for b in bars]
        return ("error signal" + "s" * (len(bars) > 1) + " of ", *conjoined(symbols))

    def heading_of(self, signals: Sequence[str], gradients: Sequence[str]) -> Sentence:
        """Over the passage of a layer: its error signals and the gradients that they give."""
        layer = next((b for b in signals if self.cast.tensors[b].of in self.names.signals), None)
        symbols = {b: self.names.tensor(self.cast.tensors[b].of) for b in (*signals, *gradients)}
        if layer is not None and self.cast.tensors[layer].of in self.cast.layers:
            number = self.cast.layers[self.cast.tensors[layer].of]
            slope = Derivative(self.names.tensor(self.names.target), symbols[layer])
            return (f"Layer {number}: ", self.names.tensor(layer), " = ", slope)
        said: list[Union[str, Formula]] = []
        if len(signals) == 1:
            said += self.heading(signals[0])
        elif signals:
            said += ["Error signals of ", *conjoined([(symbols[b],) for b in signals])]
        if gradients:
            many = "s" if len(gradients) > 1 else ""
            said += [
                "; gradient" if signals else "Gradient",
                f"{many} by ",
                *conjoined([(symbols[b],) for b in gradients]),
            ]
        return tuple(said)

    def readers(self, steps: Sequence[Step]) -> tuple[tuple[str, str], ...]:
        """The tensors whose equations read the one that the chain rule was applied to, each with the rules by which
        its equation is differentiated."""
        found: dict[str, dict[str, None]] = {}
        for step in steps:
            if step.source is not None and step.access is not None:
                rules = found.setdefault(self.cast.consumer(step.source).out, {})
                rules.update(dict.fromkeys(_rules(step.source.body, step.access)))
        return tuple((name, listing(rules) if rules else "") for name, rules in found.items())

    def read(self, names: Sequence[str], readers: Sequence[tuple[str, str]]) -> Sentence:
        """By which equations tensors are read."""
        verb = " is read by " if len(names) == 1 else " are read by "
        said: list[Union[str, Formula]] = [*conjoined([(self.names.tensor(n),) for n in names]), verb]
        places: list[Sentence] = []
        for name, rules in readers:
            where = self.place(name)
            by = f" by the {rules} rule" + "s" * (" and " in rules) if rules else ""
            places.append((self.names.tensor(name), (f" in ({where})" if where else "") + by))
        return (*said, *conjoined(places))

    def place(self, name: str) -> str:
        """The number of the equation that a forward tensor is shown in."""
        return self.numbers.get((self.cast.places.get(name, 0), name), "")

    def lacking(self, names: Sequence[str], letters: Sequence[str], *, full: bool) -> Sentence:
        """Why a gradient sums over letters: what it is the gradient of does not have them."""
        one = len(names) == 1
        who = conjoined([(self.names.tensor(n),) for n in names])
        over = conjoined([(self.names.letter(x),) for x in letters])
        if not full:
            return ("over ", *over, ", which ", *who, " lack" + ("s" if one else ""))
        verb, told = ("has", "it is used") if one else ("have", "they are used")
        whose = "its gradient sums" if one else "their gradients sum"
        return (
            *who,
            f" {verb} no ",
            *over,
            f": {told} for every ",
            *over,
            f" on the way forward, so {whose} over ",
            *over,
        )

    def changes(self, step: Step) -> Sentence:
        """How a source that an equation defines is differentiated."""
        source = step.source
        if source is None:
            return ()
        seen = (source.out, *source.reads)
        if source.op not in IMPLICIT or any(len(self.cast.tensors[r].shape) > 2 for r in seen):
            return ()
        symbols = {r: self.indices.whole(r) for r in seen}
        found = implicit.equations(source, symbols)
        if len(found) == 2:
            return ("Its equation ", found[0], " gives ", found[1], ".")
        return ("For small changes, ", found[0], ".") if found else ()

    def slope(self, step: Step) -> tuple[object, Sentence] | None:
        """The derivative of a function of one entry, and how it was found; with what tells the function apart."""
        source, access, slope = step.source, step.access, step.partial
        if source is None or access is None or slope is None or source.op in IMPLICIT:
            return None
        body = source.body
        if any(a != access for a in ex.accesses(body)) or not any(a == access for a in ex.accesses(slope)):
            return None
        key = str(body).replace(str(access), "_")
        shown, symbol = self._whole(slope, access), self.names.tensor(access.tensor)
        if isinstance(body, ex.Call) and body.args == (access,):
            leaf = LEAVES[body.name]
            note = f" ({leaf.note})" if leaf.kinks and leaf.note else ""
            function = Derivative(Apply(leaf.name, (symbol,)), symbol)
            return key, (function, " = ", shown, f" from the table of functions{note}")
        out = self.names.tensor(self.cast.consumer(source).out)
        looks = any(isinstance(a, Look) for i in ex.ints(body) for a in i.atoms())
        if self.cast.consumer(source).out != source.out or isinstance(out, Derivative) or looks:
            return None  # not a function of one number that could be told without its indices
        told = Derivative(out, symbol)
        by = f", from the definition of {source.label}" if source.label else ""
        return key, (told, " = ", shown, by)

    def _whole(self, e: ex.Expr, entry: ex.Access) -> Formula:
        """A function of one entry, written with its tensor alone."""
        bare = ex.Access(entry.tensor, ())
        return self.indices.expr(ex.rewrite(e, lambda x: bare if x == entry else None), [])

    def reason(self, step: Step) -> Sentence:
        """Why a tidy step may be taken; for rules whose effect shows in the statements, said from them."""
        if step.rule == "hoist" and not step.before[0].reduced:
            return ()
        if step.rule == "hoist":
            over = ", ".join(step.before[0].reduced)
            return self.sentence(f"What does not depend on {over} comes out of the sum.")
        if step.rule == "substitute":
            kept = {r for t in step.equation for r in t.reads}
            gone = dict.fromkeys(r for s in step.before for r in s.reads if r not in kept)
            told = [r for r in gone if not self.cast.unseen(r) and r not in self.unshown]
            signals = [r for r in told if self.cast.tensors[r].role == "adjoint"]
            found = _listed([self.names.tensor(r) for r in signals], " and ")
            return ("What was found for ", *found, " is put in.") if found else ()
        return self.sentence(step.reason)

    @cached_property
    def _letters(self) -> frozenset[str]:
        return frozenset(a for s in self.cast.statements for a, _ in s.axes)

    def sentence(self, text: str) -> Sentence:
        """A sentence of the trace with the names in it as formulas."""
        out: list[Union[str, Formula]] = []
        end = 0
        for m in _MENTION.finditer(text):
            name, index = m[1], m[2] or ""
            known = name in self.cast.tensors or name in self._letters and not index
            if known and (index or name not in _WORDS):
                out += [text[end : m.start()], self._mention(name, index)]
                end = m.end()
        return tuple(p for p in (*out, text[end:]) if p != "")

    def _mention(self, name: str, index: str) -> Formula:
        symbol: Formula = self.names.letter(name)
        if name in self.cast.tensors:
            symbol = self.names.tensor(name)
        if name in self.cast.hidden and (not index or index == "ᵀ"):
            # nobody has seen its name: what it stands for is mentioned
            with suppress(NoForm):
                symbol = self.arrays.reference(name)
        if index == "ᵀ":
            return Transpose(symbol)
        parts = re.findall(r"[^,\[\]]+(?:\[[^\[\]]*\])?", index[1:-1])
        return entry(symbol, tuple(self._position(p.strip()) for p in parts))

    def _position(self, part: str) -> Formula:
        look = re.fullmatch(r"(\w+)\[(.*)\]", part)
        if look and look[1] in self.cast.tensors:
            return self._mention(look[1], f"[{look[2]}]")
        if part.isidentifier():
            return self.names.letter(part)
        return Symbol(part, part, re.sub(r"[^A-Za-z0-9+\-*/() ]", "", part).replace("*", r" \cdot "))

    def notation(self, formulas: Iterable[Formula], *, numpy: bool) -> tuple[Sentence, ...]:
        """What the signs mean, as far as they are used."""
        met = [x for f in formulas for x in walk(f)]
        symbols = {x.code: x for x in met if isinstance(x, Symbol)}
        lines: list[Sentence] = []
        lines += self._signals_told(symbols)
        if self.cast.derived.kind == "per example":
            lines.append((self.names.symbols[self.names.target], " under ∂ is the share of each example."))
        nicknames = _called([(symbols[n], n) for n in self.names.nicknames if n in symbols])
        if nicknames:
            lines.append((*_joined(nicknames), " in the generated code."))
        if not numpy:
            capitals = [n for n, x in self.names.sizes.items() if x in met and x != self.names.letter(n)]
            shown = [
                (self.names.sizes[n], " is the number of values of ", self.names.letter(n)) for n in capitals
            ]
            lines += [(*_joined(shown), ".")] if shown else []
            lines += [("Vectors are columns, and ", ONES, " is one of ones.")] if ONES in met else []
            lines += [(IDENTITY, " is the identity matrix.")] if IDENTITY in met else []
            lines += [ENTRYWISE] if any(map(_entrywise, met)) else []
        raw = [n for n in symbols if n in self.cast.tensors and self.cast.tensors[n].standardized]
        if raw:
            lines.append(
                (*conjoined([(symbols[n],) for n in raw]), " is" if len(raw) == 1 else " are", STANDARDIZED)
            )
        if any(isinstance(x, Position) for x in met):
            labels = any(self.cast.tensors[n].integer for n in symbols if n in self.cast.tensors)
            lines.append((POSITIONS.format(" and the values of labels" if labels else ""),))
        if any(isinstance(x, Iverson) for x in met):
            lines.append(BRACKETS)
        return tuple(lines)

    def _signals_told(self, symbols: Mapping[str, Symbol]) -> list[Sentence]:
        """What δ stands for: the error signals of layers by their numbers, others by their letters."""
        found = {n: self.names.tensor(n) for n in symbols if self._signal(n)}
        told = {n: self.cast.tensors[n].of for n in found}
        slopes = {
            n: Derivative(self.names.tensor(self.cast.tensors[n].seed), self.names.symbols[of])
            for n, of in told.items()
        }
        layers = sorted(
            (n for n in found if told[n] in self.cast.layers and told[n] in self.names.signals),
            key=lambda n: int(self.cast.layers[told[n]]),
        )
        others = [n for n in found if n not in layers]
        lines: list[Sentence] = []
        if layers:
            shown = layers if len(layers) < 4 else [layers[0], layers[-1]]
            each = [(found[n], " = ", slopes[n]) for n in shown]
            listed = conjoined(each) if shown == layers else (*each[0], ", ..., ", *each[1])
            what = (
                "is the error signal of its layer"
                if len(layers) == 1
                else "are the error signals of the layers"
            )
            lines.append((*listed, f" {what}."))
        if others:
            n = others[0]
            more = "; and likewise for every letter" if len(others) > 1 else ""
            lines.append(
                (
                    found[n],
                    " = ",
                    slopes[n],
                    " is the error signal of ",
                    self.names.symbols[told[n]],
                    f"{more}.",
                )
            )
        return lines

    def _signal(self, name: str) -> bool:
        t = self.cast.tensors.get(name)
        return t is not None and t.role == "adjoint" and self.cast.tensors[t.of].role == "value"


def _rules(body: ex.Expr, entry: ex.Access) -> list[str]:
    """The rules of calculus by which a body is differentiated by an entry, besides the chain rule."""

    def inside(e: ex.Expr) -> bool:
        return any(a == entry for a in ex.accesses(e))

    match body:
        case ex.Add(args):
            return [r for a in args if inside(a) for r in _rules(a, entry)]
        case ex.Mul(args):
            below = [
                a for a in args if isinstance(a, ex.Pow) and (ex.number(a.exponent) or 0) < 0 and inside(a)
            ]
            above = [a for a in args if a not in below and inside(a)]
            own = ["quotient"] * bool(below) if below else ["product"] * (len(above) > 1)
            return own + [r for a in above for r in _rules(a, entry)]
        case ex.Pow(base, exponent):
            if (ex.number(exponent) or 0) == -1:
                return ["quotient", *_rules(base, entry)]
            return ["power", *_rules(base, entry)] if inside(base) else _rules(exponent, entry)
        case ex.Call(_, args):
            return [r for a in args if inside(a) for r in _rules(a, entry)]
    return []


def _entrywise(f: Formula) -> bool:
    return (
        isinstance(f, Power) and f.elementwise or isinstance(f, (Product, Quotient)) and f.kind == "hadamard"
    )


def _called(names: Sequence[tuple[Symbol, str]]) -> list[Sentence]:
    """What symbols are in code; of more than three that differ by numbers in steps the first and the last."""
    alike: dict[object, list[tuple[tuple[int, ...], Symbol, str]]] = {}
    for x, n in names:
        stem, *numbers = re.split(r"(\d+)", f"{x.text} {n}")
        key = (stem, *numbers[1:2], *numbers[3:]) if len(numbers) > 3 else (stem, *numbers)
        alike.setdefault(key, []).append((tuple(map(int, numbers[:3:2])), x, n))
    told: list[Sentence] = []
    for group in alike.values():
        steps = {tuple(b - a for a, b in zip(m, n, strict=True)) for (m, *_), (n, *_) in pairwise(group)}
        if len(group) > 3 and len(steps) == 1:
            (_, first, name), *_, (_, last, other) = group
            told.append((first, ", ..., ", last, f" are `{name}`, ..., `{other}`"))
        else:
            told += [(x, f" is `{n}`") for _, x, n in group]
    return told


def conjoined(sentences: Sequence[Sentence]) -> Sentence:
    """`a, b and c`."""
    if len(sentences) < 2:
        return sentences[0] if sentences else ()
    return (*_joined(sentences[:-1]), " and ", *sentences[-1])


def _listed(formulas: Sequence[Formula], between: str) -> Sentence:
    return _joined([(f,) for f in formulas], between)


def _joined(sentences: Sequence[Sentence], between: str = ", ") -> Sentence:
    out: list[Union[str, Formula]] = []
    for s in sentences:
        out += [between, *s] if out else s
    return tuple(out)
