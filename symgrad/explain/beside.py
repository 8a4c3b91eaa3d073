"""Stories of one derivation in several forms as one story: each passage shows its equations in every form, with the
same numbers, and gives its reasons once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symgrad.explain.parts import Equation, Part, Passage, Remark, Story
from symgrad.explain.scripts import TEXT

Told = Sequence[tuple[str, Story]]


def together(told: Told) -> Story:
    """One story of several, which tell the same passages each in its own form.

    A passage that is missing in a form, or looks there as it does in an earlier one, does not show that form.
    """
    if len(told) == 1:
        return told[0][1]
    found: dict[tuple[object, int], list[tuple[str, Part]]] = {}
    for form, story in told:
        before: tuple[object, int] | None = None
        seen: dict[object, int] = {}
        for p in story.passages:
            name = _name(p)
            key = (name, seen.get(name, 0))
            seen[name] = key[1] + 1
            if key not in found:
                found = _inserted(found, before, key)
            found[key].append((form, p))
            before = key
    notation = tuple(dict.fromkeys(line for _, story in told for line in story.notation))
    return replace(told[0][1], notation=notation, passages=tuple(map(_joined, found.values())))


def _name(p: Part) -> object:
    """What tells passages apart: their headings, whichever form the formulas in these are in."""
    said = "".join(x if isinstance(x, str) else TEXT.line(x) for x in p.heading)
    return type(p).__name__, said


def _inserted(
    found: dict[tuple[object, int], list[tuple[str, Part]]],
    before: tuple[object, int] | None,
    key: tuple[object, int],
) -> dict[tuple[object, int], list[tuple[str, Part]]]:
    """With a new passage after the one that it follows in its own story."""
    keys = list(found)
    keys.insert(keys.index(before) + 1 if before is not None else 0, key)
    return {k: found.get(k, []) for k in keys}


def _joined(forms: Sequence[tuple[str, Part]]) -> Part:
    """One passage in all its forms; of other parts the first."""
    passages = [(form, p) for form, p in forms if isinstance(p, Passage)]
    if not passages:
        return forms[0][1]
    shown: list[tuple[str, tuple[Equation, ...]]] = []
    remarks: list[Remark] = []
    for form, p in passages:
        sides = [(e.left, e.right) for e in p.equations]
        if p.equations and all(sides != [(e.left, e.right) for e in other] for _, other in shown):
            shown.append((form, p.equations))
        reasons = {(r.numbers, r.rule) for r in remarks}
        remarks += [r for r in p.remarks if (r.numbers, r.rule) not in reasons]
    if not shown:
        return passages[0][1]
    (form, equations), *others = shown
    return replace(
        passages[0][1],
        equations=equations,
        remarks=tuple(remarks),
        beside=tuple(others),
        form=form if others else "",
    )


def shown(p: Passage) -> tuple[tuple[str, tuple[Equation, ...]], ...]:
    """The forms that a passage shows, each under its caption; no caption for the only one."""
    if not p.beside:
        return (("", p.equations),)
    return tuple((f"{form} form", equations) for form, equations in ((p.form, p.equations), *p.beside))
