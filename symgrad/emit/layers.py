"""The named tensors of a forward pass, and the weights that each is made with."""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.language.program import Program, Statement


def layers(program: Program, statements: Sequence[Statement]) -> list[tuple[str, list[str]]]:
    """Each named tensor that statements compute, in order, the target last; and the weights read after those before it.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n, i]; W: weight[i, j]; v: weight[j]; h = tanh(x @ W); z = h @ v; loss = sum(z**2)")
        >>> layers(p, p.statements)
        [('h', ['W']), ('z', ['v']), ('loss', [])]
    """
    reads: dict[str, dict[str, None]] = {}
    for s in statements:
        reads.setdefault(s.out, {}).update(dict.fromkeys(s.reads))
    named = [name for name, t in ((name, program[name]) for name in reads) if t.role == "value" and t.named]
    named += [] if program.target in named else [program.target]
    weights = [w.name for w in program.role("weight")]
    found = []
    for name in named:
        todo, seen = list(reads[name]), {name}
        while todo:
            r = todo.pop()
            if r not in seen and r not in named:
                todo += reads.get(r, ())
            seen.add(r)
        found.append((name, [w for w in weights if w in seen]))
    return found
