"""Hints before an answer: the rule, then the rule in symbols, then the first line; each from the trace."""

from __future__ import annotations

from symgrad.errors import Refusal
from symgrad.explain.document import Document
from symgrad.explain.parts import Equation, Part, Passage, Prose, Remark, Sentence, Story
from symgrad.explain.story import Teller
from symgrad.language.trace import Derived, Key

LEVELS = (1, 2, 3)


def hint(derived: Derived, key: Key, level: int = 1) -> Document:
    """Help with a derivative that does not give it away at once.

    Args:
        level: 1 says where the variable is used and which rule that calls for, 2 shows the rule in symbols, 3 the first
            line of the derivation.

    Raises:
        Refusal: there is no such level.
    """
    if level not in LEVELS or isinstance(level, bool):
        raise Refusal(
            f"a hint has the level 1 (the rule), 2 (that in symbols) or 3 (the first line), not {level!r}"
        )

    def tell(numpy: bool) -> Story:
        teller = Teller(derived, "matrix" if numpy else "index", numpy=numpy)
        return Story((), tuple(_parts(teller, derived.gradients[key], level)))

    return Document(tell)


def _parts(teller: Teller, bar: str, level: int) -> list[Part]:
    story = teller.tell()
    passages = [p for p in story.passages if isinstance(p, Passage)]
    own = next((p for p in passages if any(_writes(e, bar) for e in p.equations)), None)
    if own is None:
        return [Prose((), (("Write the loss down and differentiate it term by term.",),))]
    t = teller.cast.tensors[bar]
    steps = [s for s in teller.derived.steps if s.rule == "chain" and s.equation[0].out == bar and s.source]
    read = {teller.cast.consumer(s.source).out for s in steps if s.source is not None}
    equations = [
        e for p in passages if p.forward for e in p.equations if any(s.out in read for s in e.statements)
    ]
    name: Sentence = (teller.cast.names.symbols[t.of],) if t.of in teller.cast.names.symbols else (t.of,)
    product = "the derivative of the loss by what is computed there, times the derivative of that by "
    if len(steps) > 1:
        lead, end = f" is read in {len(steps)} places, and each adds a term: {product}", "."
        rule: Sentence = (*name, lead, *name, end)
    else:
        lead, end = f" is read in one place: take {product}", " does not have."
        rule = (*name, lead, *name, ", and sum over the indices that ", *name, end)
    in_symbols = teller.in_symbols(bar) if level > 1 else None
    symbols = [] if in_symbols is None else [in_symbols]
    first = [e for e in own.equations if _writes(e, bar)][:1] if level > 2 else []
    shown = [Equation(e.left or teller.cast.names.tensor(bar), e.right) for e in (*symbols, *first)]
    return [Passage(teller.sentences.heading(bar), (*equations, *shown), (Remark((), "chain rule", rule),))]


def _writes(e: Equation, bar: str) -> bool:
    return any(s.out == bar for s in e.statements)
