"""One thread for each worker's BLAS, and the same examples on every run."""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# what they import need not be installed
collect_ignore_glob = ["benchmarks/peers/*", "benchmarks/plot.py"]

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("steady")
