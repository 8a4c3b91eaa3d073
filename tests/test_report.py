"""The report of a fast module: counted from what its lines were written for."""

from pathlib import Path

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.cli import main

NET = """
x: data[n, 8]
t: label[n] < 3
h = relu(dense(x, 5))
loss = softmax_cross_entropy(dense(h, 3), t)
"""


def step_lines(source: str) -> list[str]:
    """The calls in `run` of the function that trains."""
    kernel = (
        source.partition("def _training(")[2].partition("    def run():\n")[2].partition("        return ")[0]
    )
    return [x for x in kernel.splitlines() if x.strip() and not x.strip().startswith("#")]


def held(source: emit.Source, n: int) -> int:
    """The bytes of the arrays that the function that trains keeps."""
    module = emit.load(source, "reported")
    shapes = {"W1": (8, 5), "b1": (5,), "W2": (5, 3), "b2": (3,)}
    given = {k: np.zeros(shape, np.float32) for k, shape in shapes.items()}
    wanted = {k: np.zeros(shape, np.float32) for k, shape in shapes.items()}
    inputs, run = module["_training"]({"n": n, "rows": n}, np.float32, given, wanted)
    kept = [*inputs.values(), *(c.cell_contents for c in run.__closure__)]
    found = {}
    for array in (a for a in kept if isinstance(a, np.ndarray)):
        memory = array
        while memory.base is not None:
            memory = memory.base
        found[id(memory)] = memory
    own = {id(a) for a in (*given.values(), *wanted.values())}
    return sum(a.nbytes for k, a in found.items() if k not in own)


def test_totals_are_those_of_the_lines() -> None:
    model = sg.Model(NET)
    source = model.source(optimizer="sgd", style="fast")
    report, twice = (model.report(optimizer="sgd", sizes={"n": n}) for n in (64, 128))
    *groups, update = report.groups
    assert sum(g.calls for g in groups) == len(step_lines(source))
    dense = next(g for g in groups if "sum(i, x[n, i]*W1[i, m])" in g.group)
    assert dense.flops == dense.products == 2 * 64 * 8 * 5 and dense.share == 1
    assert dense.moved == 4 * (64 * 8 + 8 * 5 + 64 * 5)
    assert update.group == "update by sgd" and update.products == 0
    assert report.total.flops == sum(g.flops for g in report.groups)
    assert twice.total.calls == report.total.calls
    # as large as what is kept, and growing with n as that does; beside it stand numbers and gaps up to 64 bytes
    reported = twice.total.buffers - report.total.buffers
    assert reported == held(source, 128) - held(source, 64)


def test_a_loop_counts_each_turn() -> None:
    text = "x: data[n, 7, 2]; h = lstm(x, 3); loss = mean(h**2)"
    longer = text.replace("7", "14")
    short, long = (sg.Model(t).report(sizes={"n": 5}) for t in (text, longer))
    assert long.total.calls > short.total.calls
    inside = [g for g in short.groups if g.calls and g.calls % 7 == 0]
    assert inside
    again = {g.group: g for g in long.groups}
    assert all(again[g.group].calls == 2 * g.calls for g in inside if g.group in again)


def test_table_and_what_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "net.py"
    assert main(["generate", NET, str(out), "--report", "--size", "n=64"]) == 0
    shown = capsys.readouterr().out
    assert (
        "One step of training with n = 64" in shown and "all of a step" in shown and "update by adam" in shown
    )
    assert 'n = s["n"]' in out.read_text()  # the module keeps its letters
    out.unlink()
    assert main(["generate", NET, str(out), "--report"]) == 2
    assert not out.exists()  # nothing is written where something is refused
    assert "a report counts with numbers, and n has none: give for example n=64" in capsys.readouterr().err
    with pytest.raises(sg.SymgradError, match="q, which is no size"):
        sg.Model(NET).report(sizes={"n": 4, "q": 2})
    with pytest.raises(sg.SymgradError, match='of the style "fast"'):
        sg.Model(NET).report(style="readable", sizes={"n": 4})
