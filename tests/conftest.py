"""One thread for each worker's BLAS, Ctrl-C as in a terminal, and the same examples on every run."""

import os
import signal

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# where pytest was started in the background of a script, Ctrl-C is ignored, by what it starts too
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# what they import need not be installed
collect_ignore_glob = ["benchmarks/peers/*", "benchmarks/plot.py"]

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("steady")
