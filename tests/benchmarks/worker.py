"""A process of its own for one competitor: `python -m tests.benchmarks.worker SETTING`.

It fixes its threads before it imports anything, then answers one line of JSON for each line of JSON that it reads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def restrict(threads: int) -> None:
    """Holds this process, and every library that it will import, to so many threads and processors."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, processors[-threads:])


def setting(asked: dict):
    """What the peer is told; the data and weights are in a file."""
    import numpy as np

    from .step import Setting

    with np.load(asked["inputs"]) as file:
        arrays = {name: file[name] for name in file.files}
    data, weights = (
        {name.removeprefix(kind): a for name, a in arrays.items() if name.startswith(kind)}
        for kind in ("data_", "weight_")
    )
    return Setting(
        asked["network"],
        asked["variant"],
        asked["optimizer"],
        asked["threads"],
        asked["rate"],
        data,
        weights,
        Path(asked["folder"]),
    )


class Worker:
    """The commands, one method each."""

    def __init__(self, asked: dict):
        import importlib

        self.asked = asked
        self.peer = importlib.import_module(f".peers.{asked['file']}", __package__)
        self.setting = setting(asked)

    def build(self) -> dict:
        started = time.perf_counter()
        self.step = self.peer.build(self.setting)
        self.step.once()  # compilers compile here
        return {"seconds": time.perf_counter() - started, "split": self.step.split()}

    def check(self, path: str, steps: int) -> dict:
        """Writes loss and gradients at the start, the weights after one step, and the losses of some steps."""
        import numpy as np

        step = self.peer.build(self.setting)
        loss, gradients = step.gradients()
        found = {"loss": np.asarray(loss)} | {f"gradient_{k}": np.array(g) for k, g in gradients.items()}
        if step.steps == 1:
            losses = [float(step.once())]
            found |= {f"weight_{k}": np.array(w) for k, w in step.weights().items()}
            losses += [float(step.once()) for _ in range(steps - 1)]
            found["losses"] = np.array(losses)
        np.savez(path, **found)
        return {}

    def memory(self, steps: int = 3) -> dict:
        """Bytes by which building and some steps lift the process, and the arrays that a step allocates afterwards.

        Two steps with two examples come first: they load what is loaded on demand, in every competitor.
        """
        from dataclasses import replace

        from .allocations import counted
        from .memory import allocated, peak

        few = {name: a[:2].copy() for name, a in self.setting.data.items()}
        small = self.peer.build(replace(self.setting, data=few))
        small.once()
        small.once()
        del small
        kept = []

        def work() -> None:
            kept.append(self.peer.build(self.setting))
            for _ in range(steps):
                kept[0].once()

        lifted = peak(work)
        with counted() as arrays:
            kept[0].once()
        size = sum(a.size for a in arrays)
        return {"peak": lifted, "arrays": len(arrays), "bytes": size, "held": allocated(kept[0].once)}

    def time(self, steps: int, warm: int = 1) -> dict:
        """Seconds a step, by the clock and of the processor, over about so many; `warm` others come first."""
        once = self.step.once
        calls = max(1, round(steps / self.step.steps))
        for _ in range(max(1, round(warm / self.step.steps))):
            once()
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            once()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": wall / calls / self.step.steps, "cpu": cpu / calls / self.step.steps}


def main() -> None:
    asked = json.loads(sys.argv[1])
    restrict(asked["threads"])
    # what a library prints must not stand between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(asked)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
