"""A derivation as one function: `loss_and_grad(...)` or the like, standalone, NumPy only."""

from __future__ import annotations

from collections.abc import Mapping

from symgrad.emit import head
from symgrad.emit.fast import Fast
from symgrad.emit.frames import fill
from symgrad.emit.load import Source
from symgrad.emit.names import Names, words
from symgrad.emit.readable import Readable
from symgrad.language.program import Tensor, declaration, needed
from symgrad.language.trace import Derived, Key
from symgrad.passes.arrange import arranged
from symgrad.passes.precise import precise

# for each kind of derivation the function's name, what it gives, and what the file holds
_KINDS = {
    "gradient": (
        "loss_and_grad",
        "The loss, and its gradient by name, each in the shape of its variable.",
        "A loss and its gradient",
    ),
    "jacobian": (
        "value_and_jacobian",
        "The value, and its derivative by name: the axes of the value, then those of the variable.",
        "A value and its Jacobian",
    ),
    "hessian": (
        "loss_and_hessian",
        "The loss, and its second derivative by pairs of names: the axes of the one, then those of the other.",
        "A loss and its Hessian",
    ),
    "hvp": (
        "loss_and_hvp",
        "The loss, and its Hessian times the given vectors, each in the shape of its variable.",
        "A loss and its Hessian times vectors",
    ),
    "per example": (
        "loss_and_grads",
        "The loss, and each example's share of its gradient: the axis of the examples, then those of the variable.",
        "A loss and its gradient example by example",
    ),
}


def function_name(derived: Derived) -> str:
    """What the function of a derivation is called."""
    return _KINDS[derived.kind][0]


def function_source(
    derived: Derived,
    *,
    style: str = "readable",
    sizes: Mapping[str, int] | None = None,
    real: str = "float",
    labels: Mapping[tuple[int, str], str] | None = None,
) -> Source:
    """Standalone source of a function (see `function_name`) that takes the inputs in declared order or by name.

    Args:
        style: "readable" or "fast".
        sizes: numbers for size letters that no input has.
        real: the least type of reals, as the source names it.
        labels: for each step's number and tensor the number that comments cite; the step's if None.

    Returns:
        source that imports NumPy only; the function returns the loss and `{name: gradient}` (for a Hessian the names
        are pairs), float64 (complex if an input is). In the fast style buffers are kept from call to call, and the
        arrays returned are copies.

    Raises:
        Refusal: a size that no input has; a name that Python does not allow.
    """
    known = head.numbers(derived, labels)
    if style == "fast":
        derived = arranged(derived)
        known |= head.numbers_again(known, derived.program)
    program = precise(derived.program)
    call, summary, title = _KINDS[derived.kind]
    names = Names([call, "_plan", "_PLANS"])
    inputs = list(derived.source.inputs)
    for t in inputs:
        names.of(t.name)
    for letter in program.sizes:
        names.of(letter)
    solved = head.check_solvable(program, inputs, names, sizes or {})
    fixed = [
        (names.of(s), str(int(sizes[s])))
        for s in program.sizes
        if sizes and s in sizes and s not in {f.letter for f in solved}
    ]
    found = fixed + [
        (names.of(f.letter), f.text.replace("{}", f"{names.of(f.tensor)}.shape[{f.axis}]")) for f in solved
    ]
    numbers = {
        new: known[old] for old, new in zip(derived.program.statements, program.statements, strict=True)
    }
    wanted = (program.target, *derived.gradients.values())
    statements = needed(program.statements, wanted)  # no next value of a state
    used = {t for s in statements for t in s.reads}
    arrays = [_array(t, names) for t in inputs]
    gradients = derived.gradients
    common = {
        "call": call,
        "summary": summary,
        "title": title,
        "real": real,
        "about": [words(declaration(t)) for t in inputs],
        "inputs": arrays,
        "sizes": found,
        "needs": [(names.size(need), words(text)) for need, text in program.needs],
        "literals": head.literals(program, names, used),
    }
    if style == "readable":
        writer = Readable(program, names, numbers)
        lines = writer.write(statements, [program.target, *gradients.values()])
        results = {_key(name): names.of(adjoint) for name, adjoint in gradients.items()}
        helpers = [head.helper(h, names) for h in writer.text.helpers]
        return fill(
            "function.py.jinja",
            **common,
            helpers=helpers,
            lines=lines,
            loss=names.of(program.target),
            gradients=results,
        )
    into = {adjoint: names.of(adjoint) for adjoint in dict.fromkeys(gradients.values())}
    literal_names = [t.name for t in program.role("literal")]
    fast = Fast(program, names, numbers, literal_names, into, [program.target])
    plan = fast.write(statements)
    buffers = [(into[a], fast.text.shape(program[a].shape)) for a in into]
    met = {t.name for t in inputs if fast.takes(t.name)}
    helpers = [
        head.helper(h, names) for h in (*fast.text.helpers, *(("_bits", "_mask") if plan.bits else ()))
    ]
    return fill(
        "function_fast.py.jinja", **common, helpers=helpers, plan=plan, buffers=buffers,
        copied=[a for a in arrays if a["key"] in met], loss=plan.results[program.target],
        gradients={_key(name): into[adjoint] for name, adjoint in gradients.items()},
        whole=bool(program[program.target].shape),
    )  # fmt: skip


def _key(name: Key) -> str:
    """A name, or a pair of names, as source."""
    return f'"{name}"' if isinstance(name, str) else f"({', '.join(map(_key, name))})"


def _array(t: Tensor, names: Names) -> dict[str, object]:
    shape = [names.size(n) for n in t.shape]
    return {
        "key": t.name,
        "name": names.of(t.name),
        "rank": len(shape),
        "shape": f"({', '.join(shape)}{',' if len(shape) == 1 else ''})",
        "integer": t.integer,
    }
