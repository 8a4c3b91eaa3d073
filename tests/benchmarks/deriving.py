"""How long it takes from a declaration to a step that can run, by depth; each time in a fresh process.

`python -m tests.benchmarks.deriving TOOL NETWORK DEPTH` prints the seconds without the imports. symgrad derives and
writes the fast module; JAX traces and compiles; PyTensor differentiates and compiles; sympy differentiates the loss of
one example, written out entry by entry, by every weight.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from .competitors import Competitor
from .worker import restrict

WIDTH, BATCH, TOKENS, HEADS = 32, 8, 16, 4  # sizes play no part in deriving, and little in compiling
SYMPY_WIDTH = 2
TOOLS = {"symgrad": (), "jax": ("jax", "jaxlib"), "pytensor": ("pytensor",), "sympy": ()}
# (tool, network, depth): the longest that is wanted
FIGURES = {
    ("symgrad", "dense", 100): 2.0,
    ("symgrad", "dense", 1000): 20.0,
    ("symgrad", "transformer", 12): 5.0,
}


def declaration(network: str, depth: int) -> str:
    """A stack of layers in the language."""
    if network == "dense":
        lines = [f"x0: data[n, {WIDTH}]", f"t: data[n, {WIDTH}]"]
        lines += [f"x{k + 1} = tanh(dense(x{k}, {WIDTH}))" for k in range(depth)]
    else:
        lines = [f"x0: data[n, {TOKENS}, {WIDTH}]", f"t: data[n, {TOKENS}, {WIDTH}]"]
        for k in range(depth):
            lines += [
                f"h{k} = x{k} + multi_head_attention(layer_norm(x{k}), {HEADS})",
                f'x{k + 1} = h{k} + dense(gelu(dense(layer_norm(h{k}), {4 * WIDTH}), approximate="tanh"), {WIDTH})',
            ]
    return "\n".join([*lines, f"loss = mse(x{depth}, t)"])


def shapes(network: str, depth: int) -> list[dict[str, tuple[int, ...]]]:
    """The weights of each layer."""
    e = WIDTH
    dense = {"W1": (e, e), "b1": (e,)}
    transformer = {
        "gamma1": (e,), "beta1": (e,), "W1": (e, 3 * e), "b1": (3 * e,), "U1": (e, e), "c1": (e,),
        "gamma2": (e,), "beta2": (e,), "W2": (e, 4 * e), "b2": (4 * e,), "W3": (4 * e, e), "b3": (e,),
    }  # fmt: skip
    return [dense if network == "dense" else transformer] * depth


def with_symgrad(network: str, depth: int) -> float:
    sg = importlib.import_module("symgrad")
    text = declaration(network, depth)
    started = time.perf_counter()
    sg.Model(text).source("net", optimizer="adam", style="fast")
    return time.perf_counter() - started


def with_jax(network: str, depth: int) -> float:
    import jax
    import jax.numpy as jnp

    peer = importlib.import_module(".peers.with_jax", __package__)
    layers = [{name: jnp.full(s, 0.1) for name, s in each.items()} for each in shapes(network, depth)]
    x = jnp.ones((BATCH, WIDTH) if network == "dense" else (BATCH, TOKENS, WIDTH))

    def loss(layers, x):
        for w in layers:
            x = jnp.tanh(peer.dense(w, 1, x)) if network == "dense" else peer.transformer(w, x, HEADS)
        return (x * x).mean()

    started = time.perf_counter()
    jax.jit(jax.value_and_grad(loss)).lower(layers, x).compile()
    return time.perf_counter() - started


def with_pytensor(network: str, depth: int) -> float:
    import numpy as np
    import pytensor
    import pytensor.tensor as pt

    peer = importlib.import_module(".peers.with_pytensor", __package__)
    shape = (BATCH, WIDTH) if network == "dense" else (BATCH, TOKENS, WIDTH)
    start = pytensor.shared(np.ones(shape, np.float32))
    layers = [
        {name: pytensor.shared(np.full(s, 0.1, np.float32)) for name, s in each.items()}
        for each in shapes(network, depth)
    ]
    started = time.perf_counter()
    x = start
    for w in layers:
        x = pt.tanh(peer.dense(w, 1, x)) if network == "dense" else peer.transformer(w, x, shape, HEADS)
    loss = (x * x).mean()
    gradients = pytensor.grad(loss, [w for each in layers for w in each.values()])
    pytensor.function([], [loss, *gradients])()  # the first call compiles
    return time.perf_counter() - started


def with_sympy(network: str, depth: int) -> float:
    import sympy

    if network != "dense":
        raise SystemExit("only dense layers are written out")
    places = range(SYMPY_WIDTH)
    started = time.perf_counter()
    x, weights = list(sympy.symbols(f"x:{SYMPY_WIDTH}")), []
    for k in range(depth):
        w = [[sympy.Symbol(f"w{k}_{i}_{j}") for j in places] for i in places]
        b = [sympy.Symbol(f"b{k}_{j}") for j in places]
        x = [sympy.tanh(sum((x[i] * w[i][j] for i in places), b[j])) for j in places]
        weights += [*b, *(entry for row in w for entry in row)]
    loss = sum(entry**2 for entry in x)
    for w in weights:
        loss.diff(w)
    return time.perf_counter() - started


MEASURE: Mapping[str, Callable[[str, int], float]] = {
    "symgrad": with_symgrad,
    "jax": with_jax,
    "pytensor": with_pytensor,
    "sympy": with_sympy,
}


def measure(
    depths: Sequence[int], tell: Callable[[str], object], limit: float = 120, blocks: int = 12
) -> list[dict]:
    """Records with `tool`, `network`, `depth`, and `wall` and `cpu` seconds or a `fault`.

    A tool that took longer than `limit` is not asked for more depth.
    """
    records = []
    for tool, needs in TOOLS.items():
        missing = Competitor(tool, "", needs=needs).missing()
        over = False
        for network, depth in [*(("dense", d) for d in depths), ("transformer", blocks)]:
            record = {"tool": tool, "network": network, "depth": depth}
            if missing:
                record["fault"] = f"needs {' and '.join(missing)}, not installed"
            elif tool == "sympy" and network != "dense":
                continue
            elif over and network == "dense":
                record["fault"] = "a smaller depth took too long"
            else:
                record |= _once(tool, network, depth, limit)
                over = over or ("fault" in record and network == "dense")
            tell(f"{tool}, {network} {depth}: " + str(record.get("fault") or f"{record['wall']:.2f} s"))
            records.append(record)
    return records


def _once(tool: str, network: str, depth: int, limit: float) -> dict:
    command = [sys.executable, "-m", f"{__package__}.deriving", tool, network, str(depth)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"fault": f"not done in {limit:.0f} s"}
    if done.returncode:
        return {"fault": (done.stderr.strip().splitlines() or ["no word"])[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def markdown(records: Sequence[Mapping], clock: str, judged: bool) -> str:
    """A table by depth, with a verdict where a figure is wanted."""
    settings = list(dict.fromkeys((r["network"], r["depth"]) for r in records))
    tools = list(dict.fromkeys(r["tool"] for r in records))
    found = {(r["tool"], r["network"], r["depth"]): r for r in records}

    def cell(tool: str, network: str, depth: int) -> str:
        r = found.get((tool, network, depth))
        if r is None:
            return "–"
        if "fault" in r:
            return r["fault"]
        figure = FIGURES.get((tool, network, depth))
        told = f"{r[clock]:.2f}"
        if figure is not None:
            told += f" (wanted below {figure:.0f}" + (
                f": {'met' if r[clock] < figure else 'missed'})" if judged else ")"
            )
        return told

    lines = [
        f"Seconds to a step that can run, without imports; sympy has layers of {SYMPY_WIDTH} units, one example.",
        "",
        f"| layers | {' | '.join(tools)} |",
        f"|---|{'---|' * len(tools)}",
    ]
    for network, depth in settings:
        lines.append(f"| {depth} {network} | {' | '.join(cell(tool, network, depth) for tool in tools)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    tool, network, depth = sys.argv[1:]
    restrict(1)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cpu = time.process_time()
    wall = MEASURE[tool](network, int(depth))
    print(json.dumps({"wall": wall, "cpu": time.process_time() - cpu}), file=answers, flush=True)


if __name__ == "__main__":
    main()
