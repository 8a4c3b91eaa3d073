"""The writers of one adjoint as fewer ones, and each as an equation or a shorter sum."""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Cmp, Expr, Mul, Num, Val
from symgrad.language.ints import Axis, Int, Look
from symgrad.language.program import Statement, open_parts, within
from symgrad.passes.forms import (
    alike,
    depends,
    factors,
)
from symgrad.passes.tidy.sheet import Group, Sheet, as_axes, fresh_letter, is_sum, reads_of


def gather(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A scatter to positions such as i + p reads from there instead: i + p = j, so i = j - p.

    Only where every axis stands with factor one: with a stride most of the new reads would be out of range.
    """
    for k, s in enumerate(group):
        if s.scan is not None or sheet.tensors[s.out].early:
            continue  # what goes to an earlier step is read best where it is written
        for j, position in enumerate(s.left):
            steps = {a: position.coefficient(a) for a in position.axes}
            if position.axis is not None or any(isinstance(x, Look) for x in position.atoms()):
                continue
            if not steps or any(c is None or c.number not in (1, -1) for c in steps.values()):
                continue
            full = sheet.tensors[s.out].shape[j]
            a = max(steps, key=lambda a: (_shared(s.ranges[a], full), -position.axes.index(a)))
            elsewhere = any(a in i.axes for m, i in enumerate(s.left) if m != j)
            if elsewhere or any(a in n.axes for _, n in s.axes):
                continue
            c = steps[a]
            assert c is not None
            new = fresh_letter(a, [b for b, _ in s.axes])
            at = (ints.axis(new) - (position - ints.axis(a) * c)) * c
            axes = tuple((new, full) if b == a else (b, n) for b, n in s.axes)
            moved = {Axis(a): at}
            inside = [Cmp("<=", ex.ZERO, ex.val(at)), Cmp("<", ex.val(at), ex.val(s.ranges[a]))]
            old = None if s.guard is None else ex.substitute(s.guard, moved)
            left = tuple(ints.axis(new) if m == j else i for m, i in enumerate(s.left))
            # the range first: what the old guard reads may stand outside it
            guard = open_parts(ex.both(*inside, old), dict(axes))
            t = replace(s, left=left, body=ex.substitute(s.body, moved), guard=guard, axes=axes)
            reason = f"Adding to the place {position} is reading from {a} = {at}, where that is in range."
            return (*group[:k], t, *group[k + 1 :]), reason
    return None


def _shared(n: Int, full: Int) -> int:
    """How near a range is to the whole axis: letters in common, then the number."""
    letters = set(full.atoms())
    return len([x for x in n.atoms() if x in letters]) * 10**6 + (n.number or 0)


def merge(group: Group, _sheet: Sheet) -> tuple[Group, str] | None:
    """Writers that only differ in their terms are one writer of the sum."""
    if not group:
        return None
    first: dict[object, tuple[int, Statement]] = {}
    for k, s in enumerate(group):
        if not s.plain or s.op != "+=" or s.reduced:
            continue
        names = {i.axis: f"\0{j}" for j, i in enumerate(s.left)}
        common = s.rename(names)  # type: ignore[arg-type]
        key = (tuple(sorted(common.axes, key=str)), common.guard, common.scan)
        if key in first:
            j, t = first[key]
            onto = {i.axis: o.axis for i, o in zip(s.left, t.left, strict=True)}
            both = replace(t, body=t.body + s.rename(onto).body)  # type: ignore[arg-type]
            return (
                *group[:j],
                both,
                *group[j + 1 : k],
                *group[k + 1 :],
            ), f"The contributions to {s.out} are added."
        first[key] = (k, s)
    return _repeated(group)


def _repeated(group: Group) -> tuple[Group, str] | None:
    """Sums that are the same up to the names of their letters, as one."""
    sums = [(k, s) for k, s in enumerate(group) if is_sum(s)]
    for m, (k, s) in enumerate(sums):
        for j, t in sums[:m]:
            found = alike(t, s) if reads_of(s) == reads_of(t) else None
            if found is not None and tuple(i.substitute(as_axes(found[0])) for i in t.left) == s.left:
                one = replace(t, body=t.body * (1 + found[1]))
                return (
                    *group[:j],
                    one,
                    *group[j + 1 : k],
                    *group[k + 1 :],
                ), f"Equal contributions to {s.out} are counted."
    return None


def assign(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """One writer that reaches every entry once needs no sum."""
    if (
        len(group) == 1
        and group[0].op == "+="
        and not group[0].reduced
        and group[0].plain
        and group[0].guard is None
    ):
        s = group[0]
        if all(s.ranges[i.axis or ""] == n for i, n in zip(s.left, sheet.tensors[s.out].shape, strict=True)):
            return (replace(s, op="="),), ""
    return None


def hoist(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Factors that a sum does not depend on come out of it."""
    if len(group) != 1 or not group[0].reduced or not group[0].plain or group[0].op != "+=":
        return None
    s = group[0]
    if s.guard is not None:
        return None
    parts = factors(s.body)
    out = [
        ex.power(b, x) for b, x in parts.items() if not depends(b, s.reduced) and not depends(x, s.reduced)
    ]
    out = [f for f in out if not isinstance(f, (Bracket, Num)) and ex.accesses(f)]
    if any(isinstance(f, Bracket) for f in parts):
        # what a bracket excludes is never read: only what is finite wherever it stands may leave the bracket
        out = [f for f in out if _total(f, s, sheet)]
    inner = [ex.power(b, x) for b, x in parts.items()]
    inner = [f for f in inner if f not in out]
    if not out:
        return None
    name = sheet.fresh(f"{s.out}_sum")
    sheet.add(replace(sheet.tensors[s.out], name=name, named=False, early=()))
    summed = replace(s, out=name, body=ex.mul(*inner))
    sheet.extra.append(summed)
    kept = s.kept
    body = ex.mul(*out, Access(name, s.left))
    new = replace(s, op="=", body=body, axes=tuple(x for x in s.axes if x[0] in kept))
    return (
        new,
    ), f"{', '.join(map(str, out))} does not depend on {', '.join(s.reduced)} and comes out of the sum."


def _total(f: Expr, s: Statement, sheet: Sheet) -> bool:
    """Whether a factor has a finite value at every point of the axes, excluded or not."""
    if isinstance(f, Access):
        return all(
            within(i, n, s.ranges, sheet.tensors)
            for i, n in zip(f.index, sheet.tensors[f.tensor].shape, strict=True)
        )
    if isinstance(f, ex.Pow):
        exponent = ex.number(f.exponent)
        return (
            exponent is not None and exponent > 0 and exponent.denominator == 1 and _total(f.base, s, sheet)
        )
    return isinstance(f, (Add, Mul)) and all(isinstance(g, (Num, Val)) or _total(g, s, sheet) for g in f.args)
