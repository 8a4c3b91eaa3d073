"""Recurrences: equations that read one another at an earlier step. They are recognised here and not built
yet.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from symgrad.errors import Refusal, listing


def circles(tree: ast.Module) -> Mapping[str, tuple[str, ...]]:
    """For each name that depends on itself, the names of its circle, in the order of the text."""
    reads: dict[str, dict[str, None]] = {}
    for name, value in _equations(tree):
        names = (n.id for n in ast.walk(value) if isinstance(n, ast.Name))
        reads.setdefault(name, {}).update(dict.fromkeys(names))
    left = _unfinished(reads)
    reach = {name: _reached(name, left) for name in left}
    return {
        name: tuple(other for other in left if other in reach[name] and name in reach[other])
        for name in left
        if name in reach[name]
    }


def _unfinished(reads: Mapping[str, Mapping[str, None]]) -> dict[str, Mapping[str, None]]:
    """The names left when, again and again, those that read nothing left are taken away: circles, and what
    reads them.
    """
    waits = {name: sum(other in reads for other in others) for name, others in reads.items()}
    readers: dict[str, list[str]] = {}
    for name, others in reads.items():
        for other in others:
            readers.setdefault(other, []).append(name)
    done = [name for name, count in waits.items() if not count]
    for name in done:  # grows while it is walked
        for reader in readers.get(name, ()):
            waits[reader] -= 1
            if not waits[reader]:
                done.append(reader)
    return {name: others for name, others in reads.items() if waits[name]}


def _equations(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            base = node.targets[0].value
            if isinstance(base, ast.Name):
                yield base.id, node.value


def _reached(start: str, reads: Mapping[str, Mapping[str, None]]) -> dict[str, None]:
    found: dict[str, None] = {}
    todo = list(reads[start])
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = None
            todo.extend(reads.get(name, ()))
    return found


def refuse(name: str, circle: tuple[str, ...], node: ast.AST) -> Refusal:
    """The message for an equation of a recurrence."""
    if len(circle) == 1:
        said = f"{name} is written from its own entries, a recurrence"
    else:
        said = f"{listing(circle)} are written from one another, a recurrence"
    return Refusal(f"{said}; recurrences are part of the language but cannot be derived yet").at(node)


def is_start(target: ast.Subscript) -> bool:
    """Whether a left side stands before the first step: `h[n, -1, k]`."""
    members = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
    return any(
        isinstance(m, ast.UnaryOp) and isinstance(m.op, ast.USub) and isinstance(m.operand, ast.Constant)
        for m in members
    )
