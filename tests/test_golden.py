"""`generated/` is what the shipped declarations produce, under any hash seed."""

import os
import subprocess
import sys

import golden
import pytest


@pytest.mark.parametrize("seed", ["1", "20261123"])
def test_generated_is_current(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, golden.__file__], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_file_is_found(tmp_path) -> None:
    golden.accept(tmp_path)
    assert golden.differences(tmp_path) == []
    changed = tmp_path / "fast" / "digits.py"
    changed.write_text(changed.read_text() + "x = 1\n")
    (tmp_path / "stray.txt").write_text("stray")
    report = golden.differences(tmp_path)
    assert len(report) == 2 and "-x = 1" in report[0] and "-stray" in report[1]
