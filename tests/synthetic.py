"""The synthetic data sets of `symgrad/data/`, made from a seed: rebuilt here, compared by a test.

python tests/synthetic.py            writes them

`random.Random.random` gives the same numbers in every version of Python; nothing else random is used.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "symgrad" / "data"


def ratings(users: int = 60, items: int = 40, count: int = 1600, rank: int = 3, seed: int = 20261124) -> str:
    """Who rated what, and how: 1 to 5 in steps of a half, from hidden tastes, with noise of a quarter."""
    r = random.Random(seed)  # noqa: S311 - data, not secrets

    def normal(scale: float) -> float:
        return scale * 3**0.5 * (r.random() + r.random() + r.random() + r.random() - 2)

    def factors(n: int) -> list[list[float]]:
        return [[normal(0.7) for _ in range(rank)] for _ in range(n)]

    tastes, traits = factors(users), factors(items)
    kind, liked = [normal(0.4) for _ in range(users)], [normal(0.4) for _ in range(items)]
    cells = list(itertools.product(range(users), range(items)))
    for k in range(len(cells) - 1, 0, -1):  # Fisher and Yates
        j = int(r.random() * (k + 1))
        cells[k], cells[j] = cells[j], cells[k]
    lines = ["user,item,rating"]
    for u, i in cells[:count]:
        exact = 3.2 + kind[u] + liked[i] + sum(a * b for a, b in zip(tastes[u], traits[i], strict=True))
        stars = round(2 * min(5.0, max(1.0, exact + normal(0.25)))) / 2
        lines.append(f"{u},{i},{stars:g}")
    return "\n".join(lines) + "\n"


def adding(count: int = 800, length: int = 10, seed: int = 20261124) -> str:
    """The adding problem: pairs of a number from 0 to 1 and a mark, and the sum of the two numbers that are marked."""
    r = random.Random(seed)  # noqa: S311 - data, not secrets
    lines = [",".join([*(f"value{k},mark{k}" for k in range(length)), "total"])]
    for _ in range(count):
        values = [int(r.random() * 100) for _ in range(length)]  # in hundredths
        first = int(r.random() * length)
        second = (first + 1 + int(r.random() * (length - 1))) % length
        cells = [f"{v / 100:.2f},{int(k in (first, second))}" for k, v in enumerate(values)]
        lines.append(",".join([*cells, f"{(values[first] + values[second]) / 100:.2f}"]))
    return "\n".join(lines) + "\n"


SETS: dict[str, Callable[[], str]] = {"adding.csv": adding, "ratings.csv": ratings}

if __name__ == "__main__":
    for name, made in SETS.items():
        (DATA / name).write_text(made(), encoding="utf-8", newline="\n")
