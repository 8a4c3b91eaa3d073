"""What operations there are, and one of them shown whole: definition, derived gradient, NumPy, check."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.check import Verdict
from symgrad.derivation import Derivation, derive, read_program
from symgrad.emit import function_source, load
from symgrad.errors import Refusal, SymgradError, did_you_mean
from symgrad.language import reference, samples
from symgrad.language.definitions import Definition, Parameter
from symgrad.language.expr import Access, decimal
from symgrad.language.implicit import IMPLICIT, spoken
from symgrad.language.ints import axis
from symgrad.language.program import Facts, Program, Statement, Tensor
from symgrad.leaves import LEAVES, Leaf
from symgrad.library import DEFINITIONS, public

# Functions that are part of the language: what each is, and for the example declarations and a call. Those that are
# left out are other names, or make an array without differentiating anything.
FORMULAS = {
    "sum": ("of all entries, or along an axis", "x: weight[n, k]", "sum(x, axis=1)"),
    "mean": ("the sum over the number of entries", "x: weight[n, k]", "mean(x, axis=1)"),
    "max": ("the largest entry; a tie shares its slope", "x: weight[n, k]", "max(x, axis=1)"),
    "min": ("the smallest entry; a tie shares its slope", "x: weight[n, k]", "min(x, axis=1)"),
    "prod": ("the product, also where an entry is 0", "x: weight[n, k]", "prod(x, axis=1)"),
    "var": ("the mean squared distance from the mean", "x: weight[n, k]", "var(x, axis=1)"),
    "std": ("the root of var; slope 0 where all entries are equal", "x: weight[n, k]", "std(x, axis=1)"),
    "matmul": ("NumPy's A @ B", "A: weight[n, k]; B: weight[k, m]", "matmul(A, B)"),
    "outer": ("every product of an entry of each", "x: weight[n]; y: weight[k]", "outer(x, y)"),
    "kron": ("the Kronecker product", "A: weight[n, k]; B: weight[m, h]", "kron(A, B)"),
    "einsum": (
        "a sum of products by letters",
        "A: weight[n, k]; B: weight[k, n]",
        'einsum("ij,ji->i", A, B)',
    ),
    "trace": ("the sum of the diagonal", "A: weight[n, n]", "trace(A)"),
    "diag": ("the diagonal of a matrix, or a vector as one", "A: weight[n, n]", "diag(A)"),
    "tril": ("a matrix without what is above its diagonal", "A: weight[n, k]", "tril(A)"),
    "triu": ("a matrix without what is below its diagonal", "A: weight[n, k]", "triu(A)"),
    "transpose": ("A.T, all axes in reverse", "A: weight[n, k]", "transpose(A)"),
    "concatenate": (
        "arrays after one another",
        "x: weight[n, k]; y: weight[n, h]",
        "concatenate([x, y], axis=1)",
    ),
    "stack": ("arrays side by side on a new axis", "x: weight[n, k]; y: weight[n, k]", "stack([x, y])"),
    "flip": ("in reverse along an axis", "x: weight[n, k]", "flip(x, axis=1)"),
    "diff": ("the differences of neighbours", "x: weight[n, k]", "diff(x, axis=1)"),
    "where": ("one or the other, by a condition", "x: weight[n, k]; y: weight[n, k]", "where(x > y, x, y)"),
    "clip": ("kept between two numbers", "x: weight[n, k]", "clip(x, -1, 1)"),
    "power": ("x**y", "x: 0.2 < weight[n, k] < 3; y: -2 < weight[n, k] < 2", "power(x, y)"),
    "matrix_power": ("A @ A @ ... @ A", "A: weight[n, n]", "matrix_power(A, 3)"),
}


def listing() -> str:
    """Every operation with its equations, grouped as they are defined; parts of others, `_name`, are left out."""
    text = ["scalar functions, applied entry by entry", ""]
    for leaf in LEAVES.values():
        lines = [leaf.note]
        if not leaf.ufunc and ";" not in leaf.run:
            lines.insert(0, f"is {leaf.run}")
        if leaf.derivative is not None:
            lines.append(f"derivative {'; '.join(leaf.derivative)}")
        text += _entry(f"{leaf.name}({', '.join(leaf.params)})", lines)
    text += ["", "defined by an equation, on whole matrices and stacks of them", ""]
    for op, one in IMPLICIT.items():
        about = (one.run.__doc__ or "").split("\n")[0]
        text += _entry(
            _call(op), [about, one.equation, f"differential {'; '.join((*one.needs, *one.terms))}"]
        )
    text += ["", "functions of arrays", ""]
    for about, _, call in FORMULAS.values():
        text += _entry(call, [about])
    group = ""
    for first, others in named().items():
        if first.where != group:
            group = first.where
            text += ["", group.removesuffix(".sg"), ""]
        for d in (first, *first.others):
            also = f"also {', '.join(others)}" if others and d is first else ""
            text += _entry(d.signature, [" ".join(d.doc.split()), *_equations(d), also])
    return "\n".join(text)


def named() -> dict[Definition, list[str]]:
    """The definitions, file by file, each with its other names."""
    found: dict[Definition, list[str]] = {}
    for name in public():
        first = DEFINITIONS[name]
        others = found.setdefault(first, [])
        if name != first.name:
            others.append(name)
    files = list(dict.fromkeys(first.where for first in found))
    return dict(sorted(found.items(), key=lambda item: files.index(item[0].where)))


def _equations(d: Definition) -> list[str]:
    """The lines of a definition as they are written, without its docstring."""
    (tree,) = ast.parse(d.source).body
    assert isinstance(tree, ast.FunctionDef)
    lines = tree.body[1:] if d.doc else tree.body
    return [" ".join((ast.get_source_segment(d.source, line) or ast.unparse(line)).split()) for line in lines]


def _entry(head: str, lines: Iterable[str]) -> list[str]:
    """One operation of the list, folded."""
    text = textwrap.wrap(head, 100, initial_indent="  ", subsequent_indent=" " * 6)
    for line in filter(None, lines):
        text += textwrap.wrap(
            line, 100, initial_indent=" " * 6, subsequent_indent=" " * 10, break_long_words=False
        )
    return text


def describe(name: str | None = None) -> str:
    """One operation: its definition, the gradient derived from it, NumPy code and the numeric check; or a list of all.

    Raises:
        SymgradError: no operation has the name.

    Example:
        >>> import symgrad as sg
        >>> print(sg.describe("dense").splitlines()[0])
        def dense(x: [..., i], m, bias=True, start="glorot()"):
        >>> "dense(x: [..., i], m, bias=True" in sg.describe()
        True
    """
    if name is None:
        return listing()
    return "\n\n\n".join(_shown(e.definition, e.declaration) for e in examples(name))


@dataclass(frozen=True)
class Example:
    """One definition of an operation.

    Attributes:
        definition: what it is, in words, or as code of the language.
        code: whether it is code.
        declaration: a declaration that uses it.
    """

    definition: str
    declaration: str
    code: bool = False


def examples(name: str) -> list[Example]:
    """Each definition of a name, with a declaration that uses it.

    Raises:
        SymgradError: no operation has the name, or no example of it could be made.
    """
    if not isinstance(name, str):
        raise SymgradError(f'an operation is given by its name in quotes, such as "relu", not as {name!r}')
    found = [_leaf(LEAVES[name])] if name in LEAVES else []
    found += [_implicit(op) for op in IMPLICIT if spoken(op) == name]
    if name in FORMULAS:
        about, declared, call = FORMULAS[name]
        found.append(Example(f"{call}: {about}", _declaration(declared.split("; "), call)))
    if name in DEFINITIONS:
        first = DEFINITIONS[name]
        found += [Example(d.source, example(d), code=True) for d in (first, *first.others)]
    if not found:
        near = did_you_mean(name, [*LEAVES, *map(spoken, IMPLICIT), *FORMULAS, *DEFINITIONS])
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


def _leaf(leaf: Leaf) -> Example:
    low, high = (decimal(Fraction(str(x))) for x in leaf.domain)
    declared = "\n".join(f"{p}: {low} < weight[n] < {high}" for p in leaf.params)
    call = f"{leaf.name}({', '.join(leaf.params)})"
    about = f"{call}, a row of the table of scalar functions" + (f": {leaf.note}" if leaf.note else "")
    return Example(about, f"{declared}\nR: data[n]\nloss = sum(R*{call})")


def _call(op: str) -> str:
    return f"{spoken(op)}({', '.join('AB'[: len(IMPLICIT[op].operands)])})"


def _implicit(op: str) -> Example:
    """An operation that an equation defines, and a declaration that uses it."""
    row = IMPLICIT[op]
    sizes = dict.fromkeys(row.letters, "n") if row.square else dict(zip(row.letters, "nm", strict=False))
    fact = " & symmetric" if row.symmetric else ""
    shapes = [f"[{', '.join(sizes[x] for x in letters)}]" for letters in row.operands]
    declared = [f"{name}: weight{shape}{fact}" for name, shape in zip("AB", shapes, strict=False)]
    result = f"[{', '.join(sizes[x] for x in row.result)}]" if row.result else ""
    about = f"{_call(op)}, defined by an equation: {row.equation}\n  {'; '.join((*row.needs, *row.terms))}"
    text = "\n".join([*declared, f"R: data{result}", f"loss = sum(R*{_call(op)}**2)"])
    return Example(about, text)


def example(d: Definition, **options: str) -> str:
    """A small declaration that uses a definition: the first choice of arguments that it accepts and that gives numbers.

    Args:
        options: the text of further arguments, by name.

    Raises:
        SymgradError: none of the choices fits.
    """
    needed = [p for p in d.params if p.default is None]
    problem: SymgradError | None = None
    accepted = ""
    for choice, letters in itertools.product(itertools.product(*map(_choices, needed)), _numbered(needed)):
        numbers = [c[0].isdigit() and "[" not in c for c in choice]
        declared = [
            f"{p.name}: {_put_in(c, letters)}"
            for p, c, number in zip(needed, choice, numbers, strict=True)
            if not number
        ]
        arguments = [c if number else p.name for p, c, number in zip(needed, choice, numbers, strict=True)]
        call = f"{d.name}({', '.join([*arguments, *(f'{k}={v}' for k, v in options.items())])})"
        try:
            text = _declaration(declared, call)
            numeric = _gives_numbers(read_program(text))
            if accepted and not numeric:
                continue
            derive(text)
            accepted = accepted or text
            if numeric:
                return text
        except SymgradError as failed:
            problem = problem or failed
        except Refusal as failed:
            problem = problem or SymgradError(failed.reason)
    if accepted:
        return accepted
    raise SymgradError(f"no example of {d.signature} could be made: {problem}")


def _declaration(declared: Iterable[str], call: str) -> str:
    """A declaration whose loss is a call, or what it gives summed with random weights."""
    program = read_program("\n".join([*declared, f"value = {call}"]))
    shape = program[program.target].shape
    if not shape:
        return "\n".join([*declared, f"loss = {call}"])
    return "\n".join([*declared, f"R: data[{', '.join(map(str, shape))}]", f"loss = sum(R*{call})"])


def _numbered(params: Iterable[Parameter]) -> list[dict[str, str]]:
    """Letters of axes to be given a number: none, or one that may have to be split into parts, the last axes first."""
    axes = [[ast.unparse(a) for a in p.axes or ()] for p in params]
    letters = [own[-k] for k in (1, 2, 3) for own in axes if len(own) > k]
    return [{}, *({x: "6"} for x in dict.fromkeys(letters) if x.isidentifier())]


def _put_in(declaration: str, letters: Mapping[str, str]) -> str:
    """A declaration with letters of its axes replaced."""
    return re.sub(r"[a-z]+(?=[],])", lambda found: letters.get(found[0], found[0]), declaration)


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
    shape = f"[{', '.join(axes)}]" if axes else ""
    if p.label:
        return [f"label{shape} < k", f"label{shape} < 3"]
    return [f"weight{shape}", f"0 < weight{shape} < 1", f"data{shape} & distribution"]


# ---------------------------------------------------------------------- the test of an operation

FAR = 1000.0
FOUND = ("finite", "singular", "overflow", "nan")
DRAWS = 30
ENTRIES = 6  # of each tensor, stepped one by one beside directions


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

    The gradient and that of the gradient are compared with complex steps and between the three realisations, for
    pairwise different sizes and for axes of one entry; far from zero nothing may become nan, in double or in single
    precision; without entries a sum has no slope and what has no value is refused; a second derivation must say the
    same.

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
          agrees  second derivative: worst error ... for n = ..., k = ...
          agrees  entries of 1000: finite
          agrees  no entries: no slope
          agrees  derived again: the same text and code
        cubed agrees
    """
    trials: list[Trial] = []
    for e in examples(name):
        of = e.definition.strip().splitlines()[0]
        d = derive(e.declaration)
        trials += [Trial(of, what, ok, found) for what, ok, found in _tried(d, e.declaration, seed)]
    return OpVerdict(name, tuple(trials))


def _tried(d: Derivation, declaration: str, seed: int) -> Iterator[tuple[str, bool, str]]:
    """The trials of one definition."""
    given = _inputs(d, samples.small_sizes(d.program), seed)
    for what, arrays in (("gradient", given), ("axes of one entry", _inputs(d, _ones(d.program), seed))):
        verdict = d.check(arrays, seed=seed, entries=ENTRIES)
        yield what, verdict.ok, _error(verdict)
    slope = _along(d)
    random = samples.inputs(slope.program, samples.small_sizes(d.program), np.random.default_rng(seed))
    verdict = slope.check({**random, **given}, seed=seed, entries=ENTRIES)
    yield "second derivative", verdict.ok, _error(verdict)
    found = [_far(d, given, sign, dtype) for sign in (FAR, -FAR) for dtype in (np.float64, np.float32)]
    yield "entries of 1000", "nan" not in found, max(found, key=FOUND.index)
    if d.program.sizes:
        yield "no entries", *_without_entries(d, given)
    again = derive(declaration)
    same = again.latex() == d.latex() and again.numpy() == d.numpy()
    yield "derived again", same, "the same text and code" if same else "another text or code"


def _along(d: Derivation) -> Derivation:
    """The gradient of the slope in a direction: that direction times the second derivative."""
    program = d.derived.program
    total = program.fresh("slope")
    tensors, statements = {**program.tensors, total: Tensor(total)}, [*program.statements]
    names = [name for name in d.derived.gradients if isinstance(name, str)]
    for name in names:
        direction = program.fresh(f"along_{name}", tensors)
        tensors[direction] = Tensor(direction, program[name].shape, "data")
        axes = tuple((f"i_{k}", n) for k, n in enumerate(program[name].shape))
        index = tuple(axis(a) for a, _ in axes)
        body = Access(direction, index) * Access(d.derived.gradients[name], index)
        statements.append(Statement(total, (), "+=", body, axes))
    slope = replace(program, tensors=tensors, statements=tuple(statements), target=total)
    return derive(slope, names)


def _inputs(d: Derivation, sizes: dict[str, int], seed: int) -> dict[str, np.ndarray]:
    """Random arrays for which the result is a number: a mask that lets nothing through has none.

    Half the entries of the weights after the first are 1 or -1, as the targets of some losses are.
    """
    after = [t.name for t in d.program.role("weight") if t.facts == Facts()][1:]
    for k in range(DRAWS):
        rng = np.random.default_rng((seed, k))
        given = samples.inputs(d.program, sizes, rng)
        for name in after:
            given[name] = np.where(rng.random(given[name].shape) < 0.5, np.sign(given[name]), given[name])
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


def _far(d: Derivation, given: dict[str, np.ndarray], value: float, dtype: type) -> str:
    """Whether loss and gradients stay numbers where the free entries of the weights are large, all of them equal or
    each as many times what it was, unless they are none at a hundredth of that already.
    """
    free = [t.name for t in d.program.role("weight") if t.facts == Facts()]
    f = load(function_source(d.derived, real=f"np.{dtype.__name__}"), "symgrad_far")["loss_and_grad"]

    def found(v: float, equal: bool) -> str:
        moved = {name: np.full_like(given[name], v) if equal else v * given[name] for name in free}
        arrays = {**given, **moved}.values()
        try:
            with np.errstate(all="ignore"):
                loss, gradients = f(*(a if a.dtype.kind == "i" else a.astype(dtype) for a in arrays))
        except np.linalg.LinAlgError:
            return "singular"
        results: list[Any] = [loss, *gradients.values()]
        if any(np.isnan(x).any() for x in results):
            return "nan"
        return "finite" if all(np.isfinite(x).all() for x in results) else "overflow"

    worst = "finite"
    for equal in (True, False):
        far = found(value, equal)
        if far == "nan" and found(value / 100, equal) == "nan":
            continue
        worst = max(worst, far, key=FOUND.index)
    return worst


def _without_entries(d: Derivation, given: dict[str, np.ndarray]) -> tuple[bool, str]:
    """Whether the first axis may be empty: then the gradients must agree, else a sentence says what needs entries."""
    sizes = {**samples.small_sizes(d.program), d.program.sizes[0]: 0}
    short = samples.unmet(d.program, sizes)
    if short:
        return True, short[0]
    empty = {
        name: a[tuple(slice(n) for n in samples.numbers(d.program[name], sizes))] for name, a in given.items()
    }
    verdict = d.check(empty, entries=ENTRIES)
    _, gradients = d.function()(**empty)
    return verdict.ok, "a slope" if any(np.any(g) for g in gradients.values()) else "no slope"
