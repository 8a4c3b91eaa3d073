"""What every piece of emitted source begins with: sizes from shapes, literals, helper functions."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from symgrad.emit.lower import Lowering
from symgrad.emit.names import Names, words
from symgrad.emit.text import Text, number
from symgrad.errors import Refusal, listing
from symgrad.language import ints
from symgrad.language.implicit import FUNCTIONS
from symgrad.language.ints import Int, Size
from symgrad.language.program import Nested, Program, Statement, Tensor
from symgrad.language.scalar import leaf_lines
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES


def numbers(derived: Derived, labels: Mapping[tuple[int, str], str] | None = None) -> dict[Statement, str]:
    """For each statement of the program its number in the derivation: that of the last step that arrives at it, as
    `labels` call it."""
    found: dict[Statement, int] = {}
    last: dict[str, int] = {}
    for step in derived.steps:
        for s in step.equation:
            found[s] = last[s.out] = step.number
    steps = {s: found.get(s) or last.get(s.out, 0) for s in derived.program.statements}
    return {s: (labels or {}).get((k, s.out), str(k) if k else "") for s, k in steps.items()}


def numbers_again(known: Mapping[Statement, str], program: Program) -> dict[Statement, str]:
    """Numbers for a program that was rearranged: with a star where a tensor is computed in another way than is told."""
    by_name = {s.out: number for s, number in known.items() if number}
    starred = {s.out: f"{by_name[s.out]}*" for s in program.statements if s.out in by_name}
    return {s: known.get(s) or starred.get(s.out, "") for s in program.statements}


@dataclass(frozen=True)
class Solved:
    """How a size letter is found: from an axis of an input."""

    letter: str
    tensor: str
    axis: int
    text: str


def solve(tensors: Iterable[Tensor], names: Names, known: Iterable[str] = ()) -> list[Solved]:
    """Where each size letter comes from: bare letters first, then those inside expressions.

    `text` is the number as source, with `{}` for the length of the axis.
    """
    tensors, found, have = tuple(tensors), [], dict.fromkeys(known)
    for t in tensors:
        for k, n in enumerate(t.shape):
            if isinstance(n.atom, Size) and n.atom.name not in have:
                have[n.atom.name] = None
                found.append(Solved(n.atom.name, t.name, k, "{}"))
    for t in tensors:
        for k, n in enumerate(t.shape):
            open_letters = list(
                dict.fromkeys(a.name for a in n.atoms() if isinstance(a, Size) and a.name not in have)
            )
            if len(open_letters) == 1:
                (letter,) = open_letters
                have[letter] = None
                found.append(Solved(letter, t.name, k, solution(n, letter, names)))
    return found


def solution(n: Int, letter: str, names: Names) -> str:
    """The letter for which a size expression is `{}`: solved where it is linear, else searched for."""
    as_axis = n.replace(lambda a: ints.axis("?") if a == Size(letter) else None)
    step = as_axis.coefficient("?")
    if step is not None and step.number:
        rest = as_axis - step * ints.axis("?")
        c, minus = step.number, rest * -1
        top = (
            "{}"
            if minus == ints.ZERO
            else f"{{}} - {names.size(rest)}"
            if rest.atom or (rest.number or 0) > 0
            else f"{{}} + {names.size(minus)}"
        )
        if c == 1:
            return top
        return f"({top})//{c}" if c > 0 else f"({names.size(rest)} - {{}})//{-c}"
    searched = n.replace(lambda a: ints.size("searched_") if a == Size(letter) else None)
    text = names.size(searched).replace(names.of("searched_"), "k_")
    return f"next((k_ for k_ in range(1, 4*{{}} + 64) if {text} == {{}}), 0)"


def check_solvable(
    program: Program, tensors: Iterable[Tensor], names: Names, given: Iterable[str] = ()
) -> list[Solved]:
    """The solutions for all size letters that the program's tensors need.

    Raises:
        Refusal: a letter is in no input.
    """
    found = solve(tensors, names)
    known = {f.letter for f in found} | set(given)
    missing = [s for s in program.sizes if s not in known and _uses(program, s)]
    if missing:
        raise Refusal(f"the size {listing(missing)} cannot be told from the arrays; give it with `sizes=`")
    return found


def _uses(program: Program, letter: str) -> bool:
    shapes = [n for t in program.tensors.values() for n in t.shape]
    shapes += [n for s in program.statements for _, n in s.axes]
    return any(a == Size(letter) for n in shapes for a in n.atoms()) or any(
        a == Size(letter) for need, _ in program.needs for a in need.atoms()
    )


def literal(x: Nested) -> str:
    """Nested numbers as a Python list."""
    return f"[{', '.join(map(literal, x))}]" if isinstance(x, tuple) else number(x)[0]


def literals(program: Program, names: Names, used: Iterable[str], dtype: str = "dtype") -> list[str]:
    """Lines that make the tensors given as numbers in the text."""
    used = set(used)
    return [
        f"{names.of(t.name)} = np.array({literal(t.literal)}, {'np.intp' if t.integer else dtype})"
        for t in program.tensors.values()
        if t.literal is not None and t.name in used
    ]


HELPERS: Mapping[str, str] = {
    "windows": '''def windows(x, axis, start, steps, lengths):
    """x at start + steps[0]*i + steps[1]*p + ... of an axis, as axes i, p, ...: a view, nothing is copied."""
    x = x[(slice(None),) * axis + (slice(start, None),)]
    stride = x.strides[axis]
    return np.lib.stride_tricks.as_strided(
        x,
        x.shape[:axis] + tuple(lengths) + x.shape[axis + 1 :],
        x.strides[:axis] + tuple(stride * step for step in steps) + x.strides[axis + 1 :],
        writeable=False,
    )''',
    "_joined": '''def _joined(w, b):
    """A matrix and the row that lies behind it in memory, as one matrix."""
    return np.lib.stride_tricks.as_strided(w, (len(w) + 1, len(b)))''',
    "_bits": '''def _bits(a):
    """The entries as whole numbers of the same bits: times 0 or 1 is exact, also for inf and nan."""
    return a[..., None].view(np.int64) if a.itemsize == 16 else a.view(f"i{a.itemsize}")''',
    "_mask": '''def _mask(condition, dtype):
    """A condition that fits `_bits`."""
    return condition[..., None] if np.dtype(dtype).itemsize == 16 else condition''',
}


def _source(name: str, names: Names) -> str:
    """A function of `symgrad.language.implicit` as it stands there, without annotations, under free names."""
    tree = ast.parse(inspect.getsource(FUNCTIONS[name]))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.name, node.returns = names.of(node.name), None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.Name) and node.id in FUNCTIONS:
            node.id = names.of(node.id)
    return ast.unparse(tree)


def helper(name: str, names: Names) -> str:
    """The source of a small function that lines call: a fixed one, or a leaf that NumPy does not have."""
    if name in HELPERS:
        return HELPERS[name]
    if name in FUNCTIONS:
        return _source(name, names)
    leaf = LEAVES[name]
    lowering = Lowering(Program({}, (), ""), calls=False, products=False)
    own = Names()
    arguments = ", ".join(own.of(p) for p in leaf.params)
    several = len(leaf.params) > 1
    text = Text(own, "dtype" if several else f"{own.of(leaf.params[0])}.dtype")
    known = {p: lowering.values.make("input", (), p, (ints.size("?"),)) for p in leaf.params}
    about = leaf.note if ";" in leaf.run else f"{leaf.run}{f': {leaf.note}' if leaf.note else ''}"
    lines = [f'"""{words(about or f"{leaf.name}, stable for all numbers")}"""']
    for part, body in leaf_lines(leaf):
        value = lowering.expr(body, known.__getitem__)
        shown = (
            value.args[0] if part and value.op == "real" else value
        )  # a condition stays one until it is a number
        lines.append(f"{own.of(part)} = {text(shown)}" if part else f"return {text(value)}")
        if part:
            known[part] = value
            text.bound[shown] = own.of(part)
    if several and any("dtype" in line for line in lines):  # one of them may be a number
        cast = ", ".join(f"np.asarray({own.of(p)}, dtype)" for p in leaf.params)
        lines[1:1] = [f"dtype = np.result_type({arguments})", f"{arguments} = {cast}"]
    return "\n    ".join([f"def {names.of(name)}({arguments}):", *lines])
