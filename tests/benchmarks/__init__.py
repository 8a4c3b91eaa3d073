"""Benchmarks: a whole training step of seven networks, against the frameworks and against the bare matrix products.

`python -m tests.benchmarks` measures; `--help` tells what can be chosen.
"""
