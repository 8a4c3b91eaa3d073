"""python -m tests.programs --count 10000 --seed 0    judges that many random programs; a failure is shrunk and told.

Chunks of programs have seeds of their own, so that a part of a run can be repeated: `--chunks 40:60`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from programs.judged import installed  # noqa: E402
from programs.many import LONG, SHORT, chunk  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chunks", default="", metavar="FROM:TO", help="only these chunks of the run")
    parser.add_argument("--only", default="", help="the names of some properties, with commas")
    parser.add_argument("--short", action="store_true", help="the programs of the normal run of the tests")
    parser.add_argument("--quick", action="store_true", help="do not shrink what fails")
    options = parser.parse_args()
    run = SHORT if options.short else LONG
    if options.only:
        run = dataclasses.replace(run, every=dict.fromkeys(options.only.split(","), 1))
    warnings.simplefilter("error")  # as in the tests
    first, last = 0, -(-options.count // run.count)
    if options.chunks:
        first, last = (int(x) for x in options.chunks.split(":"))
    total: Counter[str] = Counter()
    failures = 0
    begun, used = time.perf_counter(), time.process_time()
    for k in range(first, last):
        try:
            chunk(run, options.seed, k, total, shrink=not options.quick)
        except Exception:  # noqa: BLE001 - whatever it is, it is told, and the next chunk is judged
            failures += 1
            print(f"chunk {k} of seed {options.seed} FAILED\n{traceback.format_exc()}", flush=True)
        if (k + 1) % 5 == 0 or k + 1 == last:
            spent = time.perf_counter() - begun
            print(
                f"chunk {k + 1}/{last}: {total['programs']} programs, {failures} failed, {spent:.0f} s",
                flush=True,
            )
    statements = {k[10:]: n for k, n in sorted(total.items()) if k.startswith("statement ")}
    others = {k: n for k, n in sorted(total.items()) if not k.startswith("statement ")}
    print(
        f"seed {options.seed}, chunks {first}:{last} of {run.count}; "
        f"judges beside complex steps: {', '.join(installed()) or 'none'}"
    )
    print("; ".join(f"{k} {n}" for k, n in others.items()))
    print("statements: " + ", ".join(f"{k} {n}" for k, n in statements.items()))
    print(
        f"{total['programs']} programs, {failures} failures, {time.perf_counter() - begun:.0f} s"
        f" ({time.process_time() - used:.0f} s of CPU)"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
