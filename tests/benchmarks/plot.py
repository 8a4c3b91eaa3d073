"""A picture of the table, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from .competitors import COMPETITORS
from .table import Row

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LOOK = {"wall": "black", "plain": "tab:gray", "readable": "tab:cyan", "fast": "tab:red"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Seconds a step of every competitor relative to `fast`, a panel for each optimiser and number of threads."""
    settings = list(dict.fromkeys((row.optimizer, row.threads) for row in rows))
    names = [name for name in COMPETITORS if any(name in row.seconds for row in rows)]
    figure, panels = plt.subplots(
        len(settings), 1, figsize=(9, 2.6 * len(settings) + 0.6), squeeze=False, layout="constrained"
    )
    for (optimizer, threads), panel in zip(settings, panels[:, 0], strict=True):
        chosen = [r for r in rows if (r.optimizer, r.threads) == (optimizer, threads) and "fast" in r.seconds]
        width = 0.8 / len(names)
        for k, name in enumerate(names):
            places = [j for j, row in enumerate(chosen) if name in row.seconds]
            heights = [chosen[j].seconds[name] / chosen[j].seconds["fast"] for j in places]
            panel.bar(
                [j - 0.4 + (k + 0.5) * width for j in places],
                heights,
                width,
                label=name,
                color=LOOK.get(name),
            )
        panel.axhline(1, color="tab:red", linewidth=0.8)
        panel.set_yscale("log")
        panel.set_xticks(range(len(chosen)), [row.network for row in chosen])
        panel.set_ylabel("time relative to fast")
        panel.set_title(f"{optimizer}, {threads} thread{'s' * (threads > 1)}", fontsize=10)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=min(6, len(labels)), loc="outside lower center", fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
