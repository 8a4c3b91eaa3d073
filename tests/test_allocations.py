"""A training step of a fast module allocates no array, once the first steps have made what it keeps."""

import inspect
import linecache
import runpy
from pathlib import Path

import numpy as np
import pytest
from benchmarks.allocations import counted
from benchmarks.cases import CASES

import symgrad as sg

FAST = Path(__file__).resolve().parent.parent / "generated" / "fast"
NOT_YET: set[str] = set()


def allocated(path: Path) -> list[tuple[int, str]]:
    """The bytes of each array that a third step allocates, and the line that asks for it; small random data."""
    module = runpy.run_path(str(path))
    letters = {row[0]: 6 for row in module["SIZES"]}
    taken = inspect.signature(module["Model"]).parameters
    model = module["Model"](**{letter: size for letter, size in letters.items() if letter in taken})
    rng = np.random.default_rng(0)
    arrays = []
    for name in module["DATA"]:
        shape = module["SHAPES"][name](letters)
        if name in module["INTEGER"]:
            arrays.append(rng.integers(0, module["BELOW"][name](letters), shape))
        else:
            arrays.append(rng.uniform(0.1, 0.9, shape).astype(np.float32))
    model.step(*arrays)
    model.step(*arrays)
    with counted() as found:
        model.step(*arrays)
    return [(a.size, linecache.getline(a.file, a.line).strip()) for a in found]


def test_each_array_is_counted() -> None:
    with counted() as found:
        a = np.empty((3, 4))
        a + 1
        np.add(a, a, out=a)
        a.sum()
    assert [size for size, _, _ in found] == [96, 96]
    assert {Path(file) for _, file, _ in found} == {Path(__file__)}
    assert found[1].line == found[0].line + 1
    with counted() as found:
        pass
    assert found == []


def test_a_readable_module_allocates() -> None:
    found = allocated(FAST.parent / "readable" / "digits.py")
    assert len(found) > 20
    assert any("@ W1" in line for _, line in found)


def unless_known(name: str):
    marks = [pytest.mark.xfail(reason="allocates still", strict=False)] if name in NOT_YET else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("letter", [unless_known(letter) for letter in CASES])
def test_networks_of_the_benchmarks(letter: str, tmp_path: Path) -> None:
    path = sg.Model(CASES[letter].path).generate(tmp_path / "net.py", optimizer="sgd", style="fast")
    assert allocated(path) == []


@pytest.mark.parametrize("name", [unless_known(path.stem) for path in sorted(FAST.glob("*.py"))])
def test_shipped_networks(name: str) -> None:
    assert allocated(FAST / f"{name}.py") == []
