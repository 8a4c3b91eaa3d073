"""A bare formula: which declarations would make it a program, found by trying.

Names that look like inputs become data, the others weights; shapes are tried in an order that starts with
what the formula suggests, and the first that can be read is offered.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence

from symgrad.errors import Refusal, listing

TRIES = 400
_NODES = 20_000  # of the tree, in all tries: each reads the whole formula
_DATA = ("x", "X", "y", "Y", "t", "T", "data", "labels", "targets", "inputs")
_VECTORS = (("n",), ("i",), ("j",))
_MATRICES = (("n", "i"), ("n", "n"), ("i", "j"), ("i", "n"), ("n", "j"))


def declarations(tree: ast.Module, unknown: Sequence[str], reads: Callable[[str], bool]) -> str:
    """Lines that declare the unknown names, `;` between them; `reads` says whether the text can be read with
    them.
    """
    choices = [_shapes(name, tree) for name in unknown]
    tries = min(TRIES, _NODES // sum(1 for _ in ast.walk(tree)))
    for shapes in itertools.islice(_by_distance(choices), tries):
        text = _written(unknown, shapes)
        if reads(text):
            return text
    return _written(unknown, [c[0] for c in choices])


def unknown_names(tree: ast.Module, known: Callable[[str], bool]) -> list[str]:
    """Names that are read as values and that nothing gives a meaning, in order; index letters are none."""
    letters = _letters(tree)
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    modules = {
        id(n.value)
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and n.attr not in ("T", "shape", "size")
    }
    stored = [n for n in ast.walk(tree) if isinstance(getattr(n, "ctx", None), ast.Store)]
    bases = [n.value if isinstance(n, ast.Subscript) else n for n in stored]
    written = {n.id for n in bases if isinstance(n, ast.Name)}
    found: dict[str, None] = {}
    names = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    for n in sorted(names, key=lambda n: (n.lineno, n.col_offset)):
        other = id(n) in called or id(n) in modules or n.id in written or n.id in letters
        if not other and not known(n.id):
            found[n.id] = None
    return list(found)


def _letters(tree: ast.Module) -> set[str]:
    """Names that stand as an index somewhere, and never before a bracket."""
    inside: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            inside.update(n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name))
        if isinstance(node, ast.Call) and len(node.args) > 1:
            inside.update(
                a.id
                for a in node.args[:-1]
                if isinstance(a, ast.Name) and _used_as_index(a.id, node.args[-1])
            )
    based = {
        n.value.id for n in ast.walk(tree) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)
    }
    return inside - based


def _used_as_index(name: str, body: ast.expr) -> bool:
    slices = (n.slice for n in ast.walk(body) if isinstance(n, ast.Subscript))
    return any(isinstance(n, ast.Name) and n.id == name for s in slices for n in ast.walk(s))


def _shapes(name: str, tree: ast.Module) -> list[tuple[str, ...]]:
    """Shapes for one name, the likeliest first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name:
            members = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            free = itertools.chain("ijklpqrs", (f"i{k}" for k in itertools.count(1)))
            return [tuple(m.id if isinstance(m, ast.Name) else next(free) for m in members)]
    arrays = any(isinstance(n, ast.MatMult) for n in ast.walk(tree)) or any(
        isinstance(n, ast.Name) and n.id in ("sum", "mean", "softmax", "norm", "prod", "logsumexp")
        for n in ast.walk(tree)
    )
    if not arrays:
        return [(), *_VECTORS]
    if name[0].isupper():
        return [*_MATRICES, *_VECTORS, ()]
    scalar_names = ("b", "c", "lam", "alpha", "beta", "eps")
    return [(), *_VECTORS] if name in scalar_names else [*_VECTORS, (), *_MATRICES]


def _by_distance(choices: Sequence[Sequence[tuple[str, ...]]]) -> Iterator[tuple[tuple[str, ...], ...]]:
    """All combinations, those nearest to the likeliest first."""
    ranges = [range(len(c)) for c in choices]
    for total in range(sum(len(c) - 1 for c in choices) + 1):
        for picks in itertools.product(*(range(min(len(r), total + 1)) for r in ranges)):
            if sum(picks) == total:
                yield tuple(c[k] for c, k in zip(choices, picks, strict=True))


def _written(names: Sequence[str], shapes: Sequence[tuple[str, ...]]) -> str:
    data = [n for n in names if n in _DATA] if any(n not in _DATA for n in names) else names[1:]
    lines = []
    for n, s in zip(names, shapes, strict=True):
        sizes = f"[{', '.join(s)}]" if s else ""
        lines.append(f"{n}: {'data' if n in data else 'weight'}{sizes}")
    return "; ".join(lines)


def refusal(names: Sequence[str], lines: str, place: Refusal) -> Refusal:
    """The message, at the place where the first unknown name was met."""
    stand = "stands" if len(names) == 1 else "stand"
    return Refusal(
        f"nothing says what {listing(names)} {stand} for; put declarations before the formula, such as "
        f"`{lines}`",
        place.line,
        place.column,
        place.width,
    )
