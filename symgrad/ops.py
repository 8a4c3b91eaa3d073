"""What operations there are, and one of them shown whole: definition, derived gradient, NumPy, check."""

from __future__ import annotations

import ast
import itertools
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.check import Verdict
from symgrad.derivation import Derivation, derive, read_program
from symgrad.errors import SymgradError, did_you_mean
from symgrad.language import reference, samples
from symgrad.language.definitions import Definition, Parameter
from symgrad.language.expr import decimal
from symgrad.language.implicit import IMPLICIT, spoken
from symgrad.language.program import Facts, Program
from symgrad.leaves import LEAVES, Leaf
from symgrad.library import DEFINITIONS, public


def listing() -> str:
    """Every operation with its equations, grouped as they are defined; parts of others, `_name`, are left out."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for leaf in LEAVES.values():
        told = "by sympy" if leaf.derivative is None else "; ".join(leaf.derivative)
        how = "NumPy's own" if leaf.ufunc else leaf.run
        row = (f"{leaf.name}({', '.join(leaf.params)})", f"{how}; derivative {told}", leaf.note)
        groups.setdefault("scalar functions, applied entry by entry", []).append(row)
    for op, one in IMPLICIT.items():
        told = "; ".join((*one.needs, *one.terms))
        row = (_call(op), f"{one.equation}; differential {told}", (one.run.__doc__ or "").split("\n")[0])
        groups.setdefault("defined by an equation, on whole matrices and stacks of them", []).append(row)
    for name in public():
        for d in (DEFINITIONS[name], *DEFINITIONS[name].others):
            lines = "; ".join(ast.unparse(line) for line in d.body)
            groups.setdefault(d.where.removesuffix(".sg"), []).append((d.signature, lines, d.doc))
    text = []
    for group, rows in groups.items():
        text.append(f"{group}\n")
        for signature, equation, about in rows:
            text.append(f"  {signature}")
            for part in filter(None, (equation, " ".join(about.split()))):
                text += textwrap.wrap(part, 100, initial_indent=" " * 6, subsequent_indent=" " * 8)
        text.append("")
    return "\n".join(text).rstrip()


def describe(name: str | None = None) -> str:
    """One operation: its definition, the gradient derived from it, NumPy code and the numeric check; or a list of all.

    Raises:
        SymgradError: no operation has the name.

    Example:
        >>> import symgrad as sg
        >>> print(sg.describe("dense").splitlines()[0])
        def dense(x: [..., i], m, bias=True):
        >>> "dense(x: [..., i], m, bias=True)" in sg.describe()
        True
    """
    if name is None:
        return listing()
    return "\n\n\n".join(_shown(about, declaration) for about, declaration in _examples(name))


def _examples(name: str) -> list[tuple[str, str]]:
    """For each definition of a name, what is said of it and a declaration that uses it."""
    found = [_leaf(LEAVES[name])] if name in LEAVES else []
    found += [_implicit(op) for op in IMPLICIT if spoken(op) == name]
    if name in DEFINITIONS:
        first = DEFINITIONS[name]
        found += [(d.source, example(d)) for d in (first, *first.others)]
    if not found:
        near = did_you_mean(name, [*LEAVES, *IMPLICIT, *DEFINITIONS])
        raise SymgradError(f"there is no operation '{name}'{near or '; `symgrad ops` lists them'}")
    return found


def _shown(definition: str, declaration: str) -> str:
    d: Derivation = derive(declaration)
    parts = [
        definition.strip(),
        "For example\n\n" + textwrap.indent(declaration, "    "),
        d.text(),
        d.numpy().strip(),
        str(d.check()),
    ]
    return "\n\n".join(parts)


def _leaf(leaf: Leaf) -> tuple[str, str]:
    low, high = (decimal(Fraction(str(x))) for x in leaf.domain)
    declared = "\n".join(f"{p}: {low} < weight[n] < {high}" for p in leaf.params)
    call = f"{leaf.name}({', '.join(leaf.params)})"
    about = f"{call}, a row of the table of scalar functions" + (f": {leaf.note}" if leaf.note else "")
    return about, f"{declared}\nR: data[n]\nloss = sum(R*{call})"


def _call(op: str) -> str:
    return f"{spoken(op)}({', '.join('AB'[: len(IMPLICIT[op].operands)])})"


def _implicit(op: str) -> tuple[str, str]:
    """An operation that an equation defines, and a declaration that uses it."""
    row = IMPLICIT[op]
    sizes = dict.fromkeys(row.letters, "n") if row.square else dict(zip(row.letters, "nm", strict=False))
    fact = " & symmetric" if row.symmetric else ""
    shapes = [f"[{', '.join(sizes[x] for x in letters)}]" for letters in row.operands]
    declared = [f"{name}: weight{shape}{fact}" for name, shape in zip("AB", shapes, strict=False)]
    result = f"[{', '.join(sizes[x] for x in row.result)}]" if row.result else ""
    about = f"{_call(op)}, defined by an equation: {row.equation}\n  {'; '.join((*row.needs, *row.terms))}"
    return about, "\n".join([*declared, f"R: data{result}", f"loss = sum(R*{_call(op)}**2)"])


def example(d: Definition) -> str:
    """A small declaration that uses a definition: the first choice of arguments that it accepts and that gives numbers.

    Raises:
        SymgradError: none of the choices fits.
    """
    needed = [p for p in d.params if p.default is None]
    problem: SymgradError | None = None
    accepted = ""
    for choice in itertools.product(*map(_choices, needed)):
        numbers = [c[0].isdigit() and "[" not in c for c in choice]
        declared = [
            f"{p.name}: {c}" for p, c, number in zip(needed, choice, numbers, strict=True) if not number
        ]
        arguments = [c if number else p.name for p, c, number in zip(needed, choice, numbers, strict=True)]
        call = f"{d.name}({', '.join(arguments)})"
        try:
            program = read_program("\n".join([*declared, f"value = {call}"]))
            shape = program[program.target].shape
            last = [f"loss = {call}"]
            if shape:
                last = [f"R: data[{', '.join(map(str, shape))}]", f"loss = sum(R*{call})"]
            text = "\n".join([*declared, *last])
            if accepted and not _gives_numbers(program):
                continue
            derive(text)
            accepted = accepted or text
            if _gives_numbers(program):
                return text
        except SymgradError as failed:
            problem = problem or failed
    if accepted:
        return accepted
    raise SymgradError(f"no example of {d.signature} could be made: {problem}")


def _gives_numbers(program: Program) -> bool:
    """Whether random arrays, as declared, give a result without nan and infinity."""
    sizes = samples.small_sizes(program)
    for k in range(3):
        given = samples.inputs(program, sizes, np.random.default_rng(k))
        with np.errstate(all="ignore"):
            if not np.isfinite(reference.run(program, sizes, given)[program.target]).all():
                return False
    return True


def _choices(p: Parameter) -> list[str]:
    """Declarations or numbers to try for a parameter, the likeliest first."""
    if p.parts:
        return ["2"]
    if p.axes is None:
        return [
            "weight[n, k]",
            "0 < weight[n, k] < 1",
            "weight[n]",
            "3",
            "0.5",
            "weight",
            "0 < weight[n] < 1",
        ]
    axes = [ast.unparse(a) for a in p.axes]
    axes = ["n" if a in ("...", "Ellipsis") else a for a in axes]
    shape = f"[{', '.join(axes)}]"
    if p.label:
        return [f"label{shape} < k", f"label{shape} < 3"]
    return [f"weight{shape}", f"data{shape} & distribution", f"0 < weight{shape} < 1"]


# ---------------------------------------------------------------------- the test of an operation

FAR = 1000.0
DRAWS = 30


@dataclass(frozen=True)
class Trial:
    """One thing that was tried of a definition: what, whether it went well, and what was found."""

    of: str
    what: str
    ok: bool
    found: str


@dataclass(frozen=True)
class OpVerdict:
    """What the test of an operation found.

    Attributes:
        name: the operation's name.
        trials: what was tried, for each of its definitions.
    """

    name: str
    trials: tuple[Trial, ...]

    @property
    def ok(self) -> bool:
        return all(t.ok for t in self.trials)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines: list[str] = []
        for k, t in enumerate(self.trials):
            if not k or t.of != self.trials[k - 1].of:
                lines.append(t.of)
            lines.append(f"  {'agrees' if t.ok else 'FAILS':8}{t.what}: {t.found}")
        return "\n".join([*lines, f"{self.name} {'agrees' if self.ok else 'DOES NOT AGREE'}"])


def check_op(name: str, *, seed: int = 0) -> OpVerdict:
    """Test an operation, shipped or one's own, on a small example of each of its definitions.

    The gradient is compared with complex steps and between the three realisations, for pairwise different sizes and for
    axes of one entry; far from zero nothing may become nan; a second derivation must say the same.

    Args:
        name: the operation's name.
        seed: for the random arrays.

    Returns:
        a verdict with `.ok` and `.trials` (`print` it).

    Raises:
        SymgradError: no operation has the name, or no example of it could be made.

    Example:
        >>> import symgrad as sg
        >>> _ = sg.define("def cubed(x): return x**3")
        >>> print(sg.check_op("cubed"))  # doctest: +ELLIPSIS
        def cubed(x): return x**3
          agrees  gradient: worst error ... for n = ..., k = ...
          agrees  axes of one entry: worst error ... for n = 1, k = 1
          agrees  entries of 1000: finite
          agrees  derived again: the same text and code
        cubed agrees
    """
    trials: list[Trial] = []
    for about, declaration in _examples(name):
        of = about.strip().splitlines()[0]
        d = derive(declaration)
        trials += [Trial(of, what, ok, found) for what, ok, found in _tried(d, declaration, seed)]
    return OpVerdict(name, tuple(trials))


def _tried(d: Derivation, declaration: str, seed: int) -> Iterator[tuple[str, bool, str]]:
    """The trials of one definition."""
    for what, sizes in (
        ("gradient", samples.small_sizes(d.program)),
        ("axes of one entry", _ones(d.program)),
    ):
        verdict = d.check(_inputs(d, sizes, seed), seed=seed)
        yield what, verdict.ok, _error(verdict)
    found = [_far(d, seed, sign) for sign in (FAR, -FAR)]
    yield "entries of 1000", "nan" not in found, max(found, key=("finite", "overflow", "nan").index)
    again = derive(declaration)
    same = again.latex() == d.latex() and again.numpy() == d.numpy()
    yield "derived again", same, "the same text and code" if same else "another text or code"


def _inputs(d: Derivation, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random arrays for which the result is a number: a mask that lets nothing through has none."""
    for k in range(DRAWS):
        given = samples.inputs(d.program, sizes, np.random.default_rng((seed, k)))
        with np.errstate(all="ignore"):
            loss, gradients = d.function()(**given)
        results: list[Any] = [loss, *gradients.values()]
        if all(np.isfinite(x).all() for x in results):
            break
    return given


def _error(v: Verdict) -> str:
    sizes = ", ".join(f"{k} = {n}" for k, n in v.sizes.items())
    return f"worst error {v.worst:.0e}" + (f" for {sizes}" if sizes else "")


def _ones(program: Program) -> dict[str, int]:
    """Size letters as 1, one after the other, as far as the program's needs allow."""
    sizes = samples.small_sizes(program)
    for letter in sizes:
        if not samples.unmet(program, {**sizes, letter: 1}):
            sizes[letter] = 1
    return sizes


def _far(d: Derivation, seed: int, value: float) -> str:
    """Whether loss and gradients stay numbers where the free entries of the weights are large, unless they are none
    at a hundredth of that already.
    """
    given = _inputs(d, samples.small_sizes(d.program), seed)
    free = [t.name for t in d.program.role("weight") if t.facts == Facts()]
    f = d.function()
    with np.errstate(all="ignore"):
        try:
            results = [
                f(**{k: np.full_like(a, v) if k in free else a for k, a in given.items()})
                for v in (value / 100, value)
            ]
        except SymgradError:  # a matrix of equal entries has no inverse
            results = [f(**{k: a * v if k in free else a for k, a in given.items()}) for v in (value / 100, value)]
    near, far = ([np.asarray(x, float) for x in (loss, *gradients.values())] for loss, gradients in results)
    if any(np.isnan(x).any() for x in far) and not any(np.isnan(x).any() for x in near):
        return "nan"
    return "finite" if all(np.isfinite(x).all() for x in far) else "overflow"
