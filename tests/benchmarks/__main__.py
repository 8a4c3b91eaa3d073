"""`python -m tests.benchmarks`: measures, and writes a table, a plot and the numbers themselves."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import deriving, driver, machine, memory, table
from .cases import CASES, OPTIMIZERS
from .competitors import COMPETITORS

PARTS = ("steps", "memory", "deriving")


def _several(known: Iterable[str]) -> Callable[[str], list[str]]:
    names = list(known)

    def chosen(text: str) -> list[str]:
        picked = [word.strip() for word in text.split(",")]
        for word in picked:
            if word not in names:
                raise argparse.ArgumentTypeError(f"'{word}' is none of {', '.join(names)}")
        return picked

    return chosen


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1")
    return number


def _naturals(text: str) -> list[int]:
    return [_natural(word) for word in text.split(",")]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = made.add_argument
    add("--only", type=_several(PARTS), default=list(PARTS), help="parts of " + ", ".join(PARTS))
    add("--networks", type=_several(CASES), default=list(CASES), help="letters, such as a,c,e")
    add(
        "--peers",
        type=_several(COMPETITORS),
        default=list(COMPETITORS),
        help="some of " + ", ".join(COMPETITORS),
    )
    add("--optimizers", type=_several(OPTIMIZERS), default=list(OPTIMIZERS), help="sgd, adam")
    add("--threads", type=_naturals, default=[1, 2], help="such as 1,2")
    add("--rounds", type=_natural, default=15, help="turns of each competitor")
    add("--seconds", type=float, default=0.1, help="about how long a turn is")
    add(
        "--depths",
        type=_naturals,
        default=[1, 10, 50, 100, 200],
        help="dense layers to derive, such as 100,1000",
    )
    add("--limit", type=float, default=120, help="seconds after which a derivation is given up")
    add("--clock", choices=["wall", "cpu"], default="wall", help="cpu is for one thread on a busy machine")
    add(
        "--out",
        type=Path,
        default=Path("benchmarks"),
        help="a folder for results.md, times.svg and numbers.json",
    )
    add("--again", action="store_true", help="make the table and the plot anew from numbers.json")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    numbers = options.out / "numbers.json"
    found = json.loads(numbers.read_text("utf-8")) if options.again else measure(options)
    numbers.write_text(json.dumps(found, indent=1), "utf-8")
    text = report(found, options.clock)
    (options.out / "results.md").write_text(text, "utf-8")
    print(text)
    rows = table.rows(found["steps"], options.clock)
    if rows:
        try:
            plot = importlib.import_module(f"{__package__}.plot")
        except ImportError:
            print("matplotlib is not installed: there is no plot", file=sys.stderr)
        else:
            plot.draw(rows, options.out / "times.svg")
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All numbers that were asked for."""

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    plan = driver.Plan(
        options.networks, options.peers, options.optimizers, options.threads, options.rounds, options.seconds
    )
    found: dict[str, Any] = {"machine": machine.describe(options.threads), "judged": machine.judged()}
    found["steps"] = driver.measure(plan, tell) if "steps" in options.only else []
    found["memory"] = []
    if "memory" in options.only:
        if memory.measurable():
            found["memory"] = driver.memory(plan, tell)
        else:
            tell("this system does not tell the peak of a process: memory is left out")
    found["deriving"] = (
        deriving.measure(options.depths, tell, options.limit) if "deriving" in options.only else []
    )
    return found


def report(found: dict[str, Any], clock: str) -> str:
    """All tables."""
    parts = ["# Benchmarks", found["machine"].rstrip()]
    if clock == "cpu":
        parts.append("Times are those of the processor, not of the clock.")
    if found["steps"]:
        parts += ["## A training step", table.markdown(table.rows(found["steps"], clock), found["judged"])]
    if found["memory"]:
        parts += ["## Memory", table.memory(found["memory"])]
    if found["deriving"]:
        parts += ["## Deriving", deriving.markdown(found["deriving"], clock, found["judged"])]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
