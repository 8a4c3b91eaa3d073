"""Starts the competitors, checks them, and times them in rounds, one at a time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import symgrad as sg

from .agreement import disagreement
from .cases import CASES, CHECK_RATES, CHECK_STEPS, TIMING_RATE, Case, start
from .competitors import COMPETITORS, Competitor

ROOT = Path(__file__).resolve().parents[2]
MEMORY = ("plain", "readable", "fast", "torch", "nn.LSTM")  # those whose memory is measured
QUARTERS = Competitor("fast in quarters", "generated", "quarters")
REFERENCE = Competitor("reference", "generated", "exact")


PATIENCE = 300  # seconds, in which a compiler must be done


class Failed(Exception):
    """A competitor does not run; the text says why in a line."""


class Process:
    """A worker and what is asked of it."""

    def __init__(self, asked: Mapping[str, object]):
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        command = [sys.executable, "-m", f"{__package__}.worker", json.dumps(asked)]
        paths = [str(Path(__file__).parents[__package__.count(".") + 1]), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def ask(self, do: str, seconds: float = PATIENCE, **command: object) -> dict:
        """One command and its answer.

        Raises:
            Failed: no answer, because the worker ended or took too long.
        """
        try:
            print(json.dumps({"do": do, **command}), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise Failed(self._reason()) from None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        if not ready:
            self.end()
            raise Failed(f"no answer to {do} in {seconds:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(self._reason())
        return json.loads(line)

    def _reason(self) -> str:
        self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        # a package may add advice after its error; the error is the last line that looks like one
        told = [line for line in lines if "Error" in line.split(":")[0] or "Exception" in line.split(":")[0]]
        return (told or lines or [f"exit status {self.process.returncode}"])[-1][:300]

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


@dataclass
class Field:
    """The networks prepared in a folder: modules generated, batches and weights written."""

    folder: Path
    starts: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    references: dict[tuple[str, str], dict[str, np.ndarray]] = field(default_factory=dict)
    broken: dict[tuple[str, str], str] = field(
        default_factory=dict
    )  # by competitor and network: not asked again

    def prepare(self, case: Case, optimizers: Iterable[str]) -> None:
        model = sg.Model(case.path)
        self.starts[case.letter] = start(
            {w.name: tuple(int(str(size)) for size in w.shape) for w in model.program.role("weight")}
        )
        arrays = {f"data_{k}": a for k, a in case.data().items()}
        arrays |= {f"weight_{k}": a for k, a in self.starts[case.letter].items()}
        np.savez(self.folder / f"{case.letter}.npz", **arrays)
        for optimizer in optimizers:
            stem = self.folder / f"{case.letter}_{optimizer}"
            for style in ("readable", "fast"):
                model.generate(f"{stem}_{style}.py", optimizer=optimizer, style=style)
            model.generate(f"{stem}_numba.py", optimizer=optimizer, target="numba")

    def process(
        self, competitor: Competitor, letter: str, optimizer: str, threads: int, rate: float
    ) -> Process:
        return Process(
            {
                "file": competitor.file,
                "variant": competitor.variant,
                "network": letter,
                "optimizer": optimizer,
                "threads": threads,
                "rate": rate,
                "inputs": str(self.folder / f"{letter}.npz"),
                "folder": str(self.folder),
            }
        )

    def found(
        self, competitor: Competitor, letter: str, optimizer: str, threads: int
    ) -> dict[str, np.ndarray]:
        """Loss, gradients, weights after a step and losses of a competitor, from a process of its own."""
        path = self.folder / f"found_{letter}_{optimizer}_{threads}_{competitor.name.replace(' ', '_')}.npz"
        process = self.process(competitor, letter, optimizer, threads, CHECK_RATES[optimizer])
        try:
            process.ask("check", path=str(path), steps=CHECK_STEPS)
        finally:
            process.end()
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        path.unlink()
        return arrays

    def reference(self, letter: str, optimizer: str) -> dict[str, np.ndarray]:
        """What everybody must find, from the readable module in float64."""
        if (letter, optimizer) not in self.references:
            self.references[letter, optimizer] = self.found(REFERENCE, letter, optimizer, 1)
        return self.references[letter, optimizer]

    def fault(self, competitor: Competitor, letter: str, optimizer: str, threads: int) -> str | None:
        """Why a competitor is left out, or None: it disagrees, or it does not run."""
        if not competitor.checked:
            return None
        if (competitor.name, letter) in self.broken:
            return self.broken[competitor.name, letter]
        try:
            found = self.found(competitor, letter, optimizer, threads)
        except Failed as problem:
            told = self.broken[competitor.name, letter] = f"does not run: {problem}"
            return told
        reference = self.reference(letter, optimizer)
        told = disagreement(found, reference, self.starts[letter], optimizer, CHECK_RATES[optimizer])
        return told and f"disagrees: {told}"


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        rounds: how often each competitor has its turn.
        seconds: about how long a turn is.
    """

    networks: Sequence[str]
    competitors: Sequence[str]
    optimizers: Sequence[str] = ("sgd", "adam")
    threads: Sequence[int] = (1, 2)
    rounds: int = 15
    seconds: float = 0.1


def measure(plan: Plan, tell: Callable[[str], object] = print) -> list[dict]:
    """The times of each competitor in each setting; those left out have a `fault` instead.

    A record has `network`, `optimizer`, `threads`, `competitor`, and `wall` and `cpu` (seconds a step, a number for
    each round), `build` (seconds until the first step was done) or `fault`.
    """
    records = []
    with tempfile.TemporaryDirectory() as folder:
        ground = Field(Path(folder))
        for letter in plan.networks:
            ground.prepare(CASES[letter], plan.optimizers)
            for threads in plan.threads:
                for optimizer in plan.optimizers:
                    records += _setting(ground, plan, letter, optimizer, threads, tell)
    return records


def _setting(
    ground: Field, plan: Plan, letter: str, optimizer: str, threads: int, tell: Callable[[str], object]
) -> list[dict]:
    head = {"network": letter, "optimizer": optimizer, "threads": threads}
    chosen = [COMPETITORS[name] for name in plan.competitors if letter in COMPETITORS[name].networks]
    records, running = [], {}

    def leave_out(c: Competitor, why: str) -> None:
        records.append({**head, "competitor": c.name, "fault": why})
        tell(f"{letter} {optimizer} {threads}: {c.name} is left out, it {why}")

    present = []
    for c in chosen:
        if c.missing():
            leave_out(c, f"needs {' and '.join(c.missing())}, not installed")
        else:
            present.append(c)
    if any(c.checked for c in present):
        ground.reference(letter, optimizer)  # once, before two look for it at a time
    with ThreadPoolExecutor(2) as pool:
        faults = list(pool.map(lambda c: ground.fault(c, letter, optimizer, threads), present))
    for c, fault in zip(present, faults, strict=True):
        if fault:
            leave_out(c, fault)
            continue
        process = ground.process(c, letter, optimizer, threads, TIMING_RATE)
        try:
            built = process.ask("build")
            once = min(process.ask("time", steps=1)["wall"] for _ in range(3))
        except Failed as problem:
            leave_out(c, f"does not run: {problem}")
            process.end()
            continue
        steps = max(1, round(plan.seconds / once))
        record = {
            **head,
            "competitor": c.name,
            "steps": steps,
            "wall": [],
            "cpu": [],
            "build": built["seconds"],
        }
        running[c.name] = process, record | ({"split": built["split"]} if built["split"] else {})
    try:
        for turn in range(plan.rounds):
            names = list(running)
            # nobody always follows the same one
            for name in names[turn % len(names) :] + names[: turn % len(names)] if names else []:
                process, record = running[name]
                taken = process.ask("time", steps=record["steps"], warm=max(1, record["steps"] // 10))
                record["wall"].append(taken["wall"])
                record["cpu"].append(taken["cpu"])
    finally:
        for process, _ in running.values():
            process.end()
    records += [record for _, record in running.values()]
    told = ", ".join(f"{r['competitor']} {np.median(r['wall']) * 1e3:.4g}" for r in records if "wall" in r)
    tell(f"{letter} {optimizer} {threads} thread{'s' * (threads > 1)}, ms a step: {told}")
    return records


def memory(plan: Plan, tell: Callable[[str], object] = print) -> list[dict]:
    """Peak and allocations of each competitor, one thread, the last optimiser that was chosen (of two, Adam)."""
    records = []
    optimizer = plan.optimizers[-1]
    with tempfile.TemporaryDirectory() as folder:
        ground = Field(Path(folder))
        for letter in plan.networks:
            ground.prepare(CASES[letter], [optimizer])
            chosen = [COMPETITORS[name] for name in plan.competitors if name in MEMORY]
            if "fast" in plan.competitors:
                chosen.append(QUARTERS)
            for c in chosen:
                if letter not in c.networks or c.missing():
                    continue
                process = ground.process(c, letter, optimizer, 1, TIMING_RATE)
                try:
                    answer = process.ask("memory")
                    records.append(
                        {"network": letter, "optimizer": optimizer, "competitor": c.name, **answer}
                    )
                    tell(f"{letter}: {c.name} takes {answer['peak'] / 2**20:.1f} MiB")
                except Failed as problem:
                    tell(f"{letter}: the memory of {c.name} is not measured, it does not run: {problem}")
                finally:
                    process.end()
    return records
