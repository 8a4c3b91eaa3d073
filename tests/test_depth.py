"""The work of deriving and generating grows with the number of layers, and with nothing more than that."""

import pytest
from counting import calls

import symgrad as sg

LAYERS = {
    "relu": "relu(dense({}, 8))",
    "softmax": "softmax(dense({}, 8))",
    "own softmax": "exp(dense({0}, 8) - max({0}))/sum(exp({0} - max({0})))",
}


def deep(layer: str, depth: int) -> str:
    lines = ["x: data[n, 8]", "t: label[n] < 3", f"h0 = {layer.format('x')}"]
    lines += [f"h{k} = {layer.format(f'h{k - 1}')}" for k in range(1, depth)]
    return "\n".join([*lines, f"loss = softmax_cross_entropy(dense(h{depth - 1}, 3), t)"])


def work(layer: str, depth: int) -> int:
    """Calls that reading, deriving and writing make."""

    def made() -> None:
        model = sg.Model(deep(layer, depth))
        model.source(style="fast")
        model.source(style="readable")

    return calls(made)


@pytest.mark.parametrize("name", LAYERS)
def test_work_is_linear_in_depth(name: str) -> None:
    work(LAYERS[name], 3)  # what is made once
    few, some, many = (work(LAYERS[name], depth) for depth in (2, 4, 8))
    assert (many - some) / (some - few) < 2 * 1.05
