"""Hostile text through the parser, through the whole derivation, and on the command line; every input from its number.

python -m tests.fuzz --parser 1000000 --derive 10000 --commands 3000 --seed 0 [--processes 2] [--first 0]

An input may be taken or refused in one sentence (a SymgradError). Anything else is a failure: another exception, more
CPU time or memory than the bound, or execution, which a hook sees (tests/hostile/watch.py). Failures are written as
texts into `fuzz-failures/`; the exit status is their number. `--show K` prints input K.
"""

from __future__ import annotations

import argparse
import heapq
import multiprocessing
import resource
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:  # as `python -m tests.fuzz`
    sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
from hostile import vectors  # noqa: E402
from hostile.texts import Maker  # noqa: E402
from hostile.watch import Executed, watching  # noqa: E402

import symgrad as sg  # noqa: E402
from symgrad.emit.load import load  # noqa: E402
from symgrad.errors import SymgradError  # noqa: E402
from symgrad.language import updates  # noqa: E402
from symgrad.language.reader import read  # noqa: E402
from symgrad.library import DEFINITIONS  # noqa: E402
from symgrad.worked import read_values  # noqa: E402

# CPU seconds: for a text of at most some 20 kB through reading; the other parts do more for each text
BOUNDS = {"read": 2.0, "derive": 60.0, "command": 60.0}
MEMORY = 2 << 30  # bytes that a process may take at all; the report says what it took
SLOWEST = 5


class Hang(BaseException):
    """More CPU time than the bound."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise `Hang` inside after so much CPU time of this process."""

    def stop(*_: object) -> None:
        raise Hang(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass
class Tally:
    """What became of the inputs."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str, int]] = field(default_factory=list)
    failures: list[tuple[str, int, str, str]] = field(default_factory=list)
    cpu: float = 0.0
    memory: int = 0  # KiB

    def add(self, other: Tally) -> None:
        self.counts += other.counts
        self.slowest = heapq.nlargest(SLOWEST, self.slowest + other.slowest)
        self.failures += other.failures
        self.cpu += other.cpu
        self.memory = max(self.memory, other.memory)


# what is done with a text: each takes it or refuses it


def reads(text: str, k: int) -> None:
    """The parser; now and then another place that takes text."""
    match k % 16:
        case 0:
            updates.parse(text)
        case 1:
            updates.parse_schedules(text)
        case 2:
            read_values([text], None)
        case _:
            read(text, DEFINITIONS)


def derives(text: str, k: int) -> None:
    """Everything that is made of a program: printed, both modules written and one of them loaded, run and checked."""
    m = sg.Model(text)
    d = m.derive()
    d.text(), d.latex(), d.numpy()
    if k % 4 == 0:
        d.html(), d.markdown()
    for style in ("readable", "fast"):
        source = m.source("hostile", style=style)
        if k % 2 == (style == "fast"):
            load(source, "hostile")
    d.check()


def commands(words: list[str], k: int) -> None:
    """One command as it is typed: a paragraph and status 2, or what it is for."""
    done = vectors.run(words)
    if done.returncode not in (0, 1, 2) or "Traceback" in done.stderr or "fault of symgrad" in done.stderr:
        raise AssertionError(f"status {done.returncode}: {done.stderr[-300:]}")
    if done.returncode == 2 and "\n\n" in done.stderr.strip():
        raise AssertionError(f"more than a paragraph: {done.stderr[-300:]}")


KINDS: dict[str, Callable[[Any, int], None]] = {"read": reads, "derive": derives, "command": commands}


def made(maker: Maker, kind: str, k: int) -> Any:
    return vectors.vector(maker, k) if kind == "command" else maker.text(k, mild=kind == "derive")


def one(kind: str, given: Any, k: int) -> tuple[str, str]:
    """What became of one input, and of a failure the traceback."""
    try:
        # commands write files; what they run is watched where the same texts are read and derived
        with bounded(BOUNDS[kind]), watching(kind != "command"), np.errstate(all="ignore"):
            KINDS[kind](given, k)
    except (SymgradError, vectors.Refused):
        return "refused", ""
    except Hang:
        return "hang", traceback.format_exc()
    except Executed:
        return "execution", traceback.format_exc()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told
        return "traceback", traceback.format_exc()
    return "accepted", ""


def batch(kind: str, maker: Maker, numbers: range) -> Tally:
    """Some inputs of one kind."""
    tally = Tally()
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in numbers:
            given, start = made(maker, kind, k), time.process_time()
            became, why = one(kind, given, k)
            tally.counts[became] += 1
            heapq.heappush(tally.slowest, (time.process_time() - start, kind, k))
            if len(tally.slowest) > SLOWEST:
                heapq.heappop(tally.slowest)
            if why:
                tally.failures.append((kind, k, str(given), why))
    tally.cpu = time.process_time() - begun
    tally.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return tally


_makers: list[Maker] = []  # the one of a process of the pool


def prepare(seed: int, kind: str) -> None:
    """A process of its own: one maker, what is imported late imported, and a limit of memory."""
    _makers[:] = [Maker(seed)]
    derives("x: data[n, 3]; t: label[n] < 2; loss = softmax_cross_entropy(dense(tanh(x), 2), t)", 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


def _batch(job: tuple[str, range]) -> Tally:
    return batch(job[0], _makers[0], job[1])


def run(kind: str, seed: int, first: int, count: int, processes: int, failed: Path) -> int:
    """All inputs of one kind, and the report of them; how many failed."""
    size = {"read": 2000, "derive": 20, "command": 20}[kind]
    jobs = [(kind, range(k, min(k + size, first + count))) for k in range(first, first + count, size)]
    tally, done, start = Tally(), 0, time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(processes, prepare, (seed, kind)) as pool:
        for part in pool.imap_unordered(_batch, jobs):
            for what, k, given, why in part.failures:
                failed.mkdir(exist_ok=True)
                (failed / f"{what}-{seed}-{k}.txt").write_text(f"{given}\n\n{why}", "utf-8", "surrogatepass")
                print(f"FAILED {what} {k}: {why.strip().splitlines()[-1][:200]}", flush=True)
            tally.add(part)
            done += sum(part.counts.values())
            if done // (10 * size) != (done - size) // (10 * size):
                print(f"  {kind}: {done} of {count}, {dict(tally.counts)}, {tally.cpu:.0f} s CPU", flush=True)
    print(f"{kind}: seed {seed}, {done} inputs from {first}: {dict(sorted(tally.counts.items()))}")
    print(
        f"  {tally.cpu:.0f} s CPU in {time.perf_counter() - start:.0f} s, peak memory {tally.memory // 1024} MB"
    )
    for seconds, _, k in sorted(tally.slowest, reverse=True):
        print(f"  {seconds:.2f} s CPU: input {k} (--kind {kind} --show {k})")
    return len(tally.failures)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parser", type=int, default=0, help="how many texts to the parser")
    parser.add_argument("--derive", type=int, default=0, help="how many texts through everything")
    parser.add_argument("--commands", type=int, default=0, help="how many command lines")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="folder of what failed")
    parser.add_argument("--kind", choices=tuple(KINDS), default="read", help="of --show")
    parser.add_argument("--show", type=int, metavar="K", help="print one input, and what becomes of it")
    options = parser.parse_args()
    if options.show is not None:
        maker = Maker(options.seed)
        given = made(maker, options.kind, options.show)
        print(given.encode("utf-8", "backslashreplace").decode() if isinstance(given, str) else given)
        prepare(options.seed, options.kind)
        print("\n".join(one(options.kind, given, options.show)))
        return 0
    wanted = {"read": options.parser, "derive": options.derive, "command": options.commands}
    return min(100, sum(
        run(kind, options.seed, options.first, n, options.processes, options.failures)
        for kind, n in wanted.items() if n
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
