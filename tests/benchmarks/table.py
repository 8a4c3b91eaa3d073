"""From times to medians, ratios, verdicts and a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .cases import CASES
from .competitors import COMPETITORS

FRAMEWORK, WALL, PLAIN = "fastest framework", "bare products", "plain NumPy"
# (against whom, network, optimiser, threads): the largest ratio of `fast` to it that is wanted
FIGURES: dict[tuple[str, str, str, int], float] = {
    **{
        (FRAMEWORK, letter, optimizer, 1): figure
        for letter, figures in {
            "a": (0.5, 0.5),
            "b": (0.8, 0.8),
            "c": (1.05, 1.15),
            "d": (1.02, 1.02),
            "e": (0.6, 0.6),
            "f": (0.95, 0.95),
            "g": (1.1, 1.1),
        }.items()
        for optimizer, figure in zip(("sgd", "adam"), figures, strict=True)
    },
    **{
        (FRAMEWORK, letter, optimizer, 2): figure
        for letter, figure in {"d": 1.05, "e": 0.65, "f": 0.95}.items()
        for optimizer in ("sgd", "adam")
    },
    (WALL, "c", "sgd", 1): 1.10,
    (WALL, "d", "sgd", 1): 1.05,
    **{
        (WALL, letter, optimizer, 1): figure
        for letter, figure in {"e": 1.25, "f": 1.30, "g": 1.6}.items()
        for optimizer in ("sgd", "adam")
    },
    **{
        (PLAIN, letter, optimizer, 1): {"a": 1 / 4, "e": 1 / 5, "f": 1 / 2}.get(letter, 1.0)
        for letter in CASES
        for optimizer in ("sgd", "adam")
    },
}


def noise(letter: str) -> float:
    """What is no difference: the two tiny networks spend their time in calls."""
    return 0.30 if letter in "ab" else 0.05


@dataclass(frozen=True)
class Row:
    """A setting: a network, an optimiser, a number of threads.

    Attributes:
        seconds: the median of each competitor that ran.
        spread: half of the range of the middle half of its rounds, relative to the median.
        faults: why the others did not.
        splits: how those that choose have split the work.
    """

    network: str
    optimizer: str
    threads: int
    seconds: Mapping[str, float]
    spread: Mapping[str, float]
    faults: Mapping[str, str]
    splits: Mapping[str, str]

    @property
    def fastest(self) -> str | None:
        """The framework with the fastest single step."""
        frameworks = [name for name in self.seconds if COMPETITORS[name].framework]
        return min(frameworks, key=lambda name: self.seconds[name], default=None)

    def ratio(self, against: str) -> float | None:
        """`fast` relative to what it is compared with; None where one of them did not run."""
        name = {FRAMEWORK: self.fastest, WALL: "wall", PLAIN: "plain"}[against]
        if name not in self.seconds or "fast" not in self.seconds:
            return None
        return self.seconds["fast"] / self.seconds[name]


def rows(records: Sequence[Mapping], clock: str = "wall") -> list[Row]:
    """One row a setting, in the order of the records."""
    settings: dict[tuple[str, str, int], list[Mapping]] = {}
    for r in records:
        settings.setdefault((r["network"], r["optimizer"], r["threads"]), []).append(r)
    made = []
    for setting, each in settings.items():
        ran = {r["competitor"]: r[clock] for r in each if r.get(clock)}
        order = [name for name in COMPETITORS if name in ran]
        made.append(
            Row(
                *setting,
                {name: median(ran[name]) for name in order},
                {name: spread(ran[name]) for name in order},
                {r["competitor"]: r["fault"] for r in each if "fault" in r},
                {r["competitor"]: r["split"] for r in each if r.get("split")},
            )
        )
    return made


def spread(times: Sequence[float]) -> float:
    """Half of the interquartile range, relative to the median."""
    ordered = sorted(times)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / 2 / median(ordered)


def verdict(ratio: float, figure: float, letter: str) -> str:
    """A ratio against the largest that is wanted."""
    if ratio <= figure:
        return "met"
    over = ratio / figure - 1
    return "within the noise" if over <= noise(letter) else f"missed by {over:.0%}"


def markdown(made: Sequence[Row], judged: bool) -> str:
    """Tables of medians and of ratios; with verdicts only if `judged`."""
    names = [name for name in COMPETITORS if any(name in row.seconds for row in made)]
    lines = ["Milliseconds a step, medians; the fastest single step of a framework is bold.", ""]
    lines += _table(
        ["network", "optimiser", "threads", *names],
        [
            [
                f"{row.network} {CASES[row.network].title}",
                row.optimizer,
                row.threads,
                *(_time(row, name) for name in names),
            ]
            for row in made
        ],
    )
    lines += ["", "`fast` relative to others: below 1 it is faster.", ""]
    found = []
    for against in (FRAMEWORK, WALL, PLAIN):
        for row in made:
            ratio = row.ratio(against)
            figure = FIGURES.get((against, row.network, row.optimizer, row.threads))
            if ratio is None:
                continue
            told = verdict(ratio, figure, row.network) if judged and figure is not None else ""
            rival = f"{against}, {row.fastest}" if against == FRAMEWORK else against
            wanted = "" if figure is None else f"{figure:.2f}"
            found.append([row.network, row.optimizer, row.threads, rival, f"{ratio:.2f}", wanted, told])
    lines += _table(
        ["network", "optimiser", "threads", "against", "ratio", "wanted at most", "verdict"], found
    )
    loops = [row for row in made if {"jax loop", "fast"} <= set(row.seconds)]
    if loops:
        lines += ["", "Against a whole loop compiled by JAX, which is no single step:", ""]
        own = [n for n in ("fast", "numba", "numba loop") if any(n in row.seconds for row in loops)]
        cells = [
            [r.network, r.optimizer, r.threads]
            + [f"{r.seconds[n] / r.seconds['jax loop']:.2f}" if n in r.seconds else "" for n in own]
            for r in loops
        ]
        lines += _table(["network", "optimiser", "threads", *own], cells)
    splits = [(row, name, told) for row in made for name, told in row.splits.items()]
    if splits:
        lines += ["", "How the work was split, as measured:", ""]
        lines += [f"- {name} on {row.network} with {row.optimizer}: {told}" for row, name, told in splits]
    faults = sorted({(name, row.network, why) for row in made for name, why in row.faults.items()})
    if faults:
        lines += ["", "Left out:", ""]
        grouped: dict[tuple[str, str], list[str]] = {}
        for name, letter, why in faults:
            grouped.setdefault((name, why), []).append(letter)
        lines += [f"- {name} on {', '.join(letters)}: {why}" for (name, why), letters in grouped.items()]
    return "\n".join(lines) + "\n"


def _time(row: Row, name: str) -> str:
    if name not in row.seconds:
        return "–"
    told = f"{row.seconds[name] * 1e3:.3g}"
    if row.spread[name] > noise(row.network):
        told += f" ±{row.spread[name]:.0%}"
    return f"**{told}**" if name == row.fastest else told


def _table(head: Sequence[str], body: Sequence[Sequence[object]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(str, line))} |" for line in body),
    ]


def memory(records: Sequence[Mapping]) -> str:
    """Peaks side by side, and what a step of `fast` allocates."""
    peaks: dict[str, dict[str, float]] = {}
    for r in records:
        peaks.setdefault(r["network"], {})[r["competitor"]] = r["peak"] / 2**20
    names = list(dict.fromkeys(r["competitor"] for r in records))
    lines = ["MiB above the level after import and data: weights, state, and the peak of three steps.", ""]
    body = []
    for letter, each in peaks.items():
        rivals = [each[name] for name in ("torch", "nn.LSTM") if name in each]
        told = "–"
        if rivals and "fast" in each:
            told = f"{each['fast'] / min(rivals):.2f}"
        cells = [f"{each[name]:.1f}" if name in each else "–" for name in names]
        body.append([f"{letter} {CASES[letter].title}", *cells, told])
    lines += _table(["network", *names, "fast to PyTorch (wanted at most 1)"], body)
    lines += [
        "",
        "Allocated in a step after the first; bytes held in passing are those that tracemalloc sees,",
        "with the buffers of ufuncs and Python's own objects.",
        "",
    ]
    lines += _table(
        ["network", "competitor", "arrays", "their bytes", "held in passing"],
        [
            [r["network"], r["competitor"], r["arrays"], r["bytes"], r["held"]]
            for r in records
            if r["competitor"] in ("fast", "plain")
        ],
    )
    return "\n".join(lines) + "\n"
