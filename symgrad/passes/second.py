"""More than gradients: Jacobians, Hessians, Hessian-vector products, and the gradient of each example's share.

All of them are the one rule again: a Jacobian is a sweep whose target has axes, a Hessian the Jacobian of the derived
gradient, a Hessian-vector product the gradient of the loss's slope along the vectors, and the examples are kept apart
by an axis of them in front of what they share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from symgrad.chain import check_wanted
from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.program import Program, Statement, Tensor, size_letters
from symgrad.language.trace import Derived, Key, Step
from symgrad.passes.derive import backward, finish, prepare
from symgrad.passes.examples import examples


def jacobian(program: Program, of: str | None = None, wrt: Iterable[str] | None = None) -> Derived:
    """The derivative of every entry of `of` (the target if None) by every entry of each wanted tensor.

    Example:
        >>> from symgrad.language.reader import read
        >>> d = jacobian(read("A: data[m, n]; x: weight[n]; y = A @ x"))
        >>> print(d.program.statements[-1])
        dx[i, n] = A[i, n]
    """
    given = None if wrt is None else tuple(wrt)
    program = aimed(program, of or program.target, given or ())
    names = check_wanted(program, _weights(program) if given is None else given)
    stable, steps = prepare(program, names)
    done = backward(stable, names, of=program.target)
    gradients: dict[Key, str] = {n: done.adjoints[n] for n in names}
    return finish(program, done.program, gradients, [*steps, *done.steps], done.adjoints, "jacobian")


def hessian(program: Program, wrt: Iterable[str] | None = None) -> Derived:
    """The second derivative of the target, a scalar, by each pair of wanted tensors."""
    base, bars = _gradient(program, wrt)
    names = tuple(bars)
    current, steps = base.program, list(base.steps)
    found: dict[tuple[str, str], str] = {}
    for k, a in enumerate(names):
        done = backward(current, names[k:], of=bars[a], stem=f"d2{a}_")
        current = done.program
        steps += done.steps
        found.update({(a, b): done.adjoints[b] for b in names[k:]})
        for b in names[:k]:
            current, step = _turned(current, found[b, a], bars[a], b, f"d2{a}_{b}")
            steps.append(step)
            found[a, b] = step.equation[0].out
    pairs: dict[Key, str] = {(a, b): found[a, b] for a in names for b in names}
    return finish(base.source, current, pairs, steps, base.adjoints, "hessian", base)


def hvp(program: Program, wrt: Iterable[str] | None = None) -> Derived:
    """The Hessian times vectors, one for each wanted tensor and of its shape, which are inputs of the program.

    With one wanted tensor its vector is `v`, with several `v_` and their names; `_` is added to a name that is taken.
    """
    base, bars = _gradient(program, wrt)
    names = tuple(bars)
    tensors: dict[str, Tensor] = {}
    for w in names:
        v = "v" if len(names) == 1 else f"v_{w}"
        while v in base.source.tensors or v in base.program.tensors or v in base.source.sizes:
            v += "_"
        tensors[v] = Tensor(v, base.source[w].shape, "data")
    source = replace(base.source, tensors={**base.source.tensors, **tensors})
    slope = base.program.fresh("slope", tensors)
    along = []
    for v, w in zip(tensors, names, strict=True):
        axes = tuple((f"i_{k}", n) for k, n in enumerate(tensors[v].shape))
        index = tuple(ints.axis(a) for a, _ in axes)
        body = Access(v, index) * Access(bars[w], index)
        along.append(Statement(slope, (), "+=", body, axes))
    tensors[slope] = Tensor(slope, sweep=1)
    steps = [*base.steps, Step(0, "direction", tuple(along), reason=_ALONG.format(listing(tensors)))]
    current = replace(
        base.program,
        tensors={**base.program.tensors, **tensors},
        statements=(*base.program.statements, *along),
    )
    done = backward(current, names, of=slope, stem="d2")
    products: dict[Key, str] = {w: done.adjoints[w] for w in names}
    return finish(source, done.program, products, [*steps, *done.steps], base.adjoints, "hvp", base)


_ALONG = "The slope of the loss along the vectors; its gradient is the Hessian times them."


def per_example(program: Program, wrt: Iterable[str] | None = None) -> Derived:
    """For each example the gradient of its share of the loss, the axis of the examples in front."""
    names = check_wanted(program, _weights(program) if wrt is None else wrt)
    stable, steps = prepare(program, names)
    apart = examples(stable, names)
    done = backward(stable, names, examples=apart)
    gradients: dict[Key, str] = {n: done.adjoints[n] for n in names}
    return finish(program, done.program, gradients, [*steps, *done.steps], done.adjoints, "per example")


def aimed(program: Program, of: str, wrt: Iterable[str] = ()) -> Program:
    """The program of one tensor: what it needs and what it is differentiated by, and nothing else.

    Raises:
        Refusal: `of` is no computed tensor.
    """
    computed = [n for n, t in program.tensors.items() if t.role == "value"]
    if of not in program.tensors:
        raise Refusal(
            f"of names '{of}', which is no tensor of the program{did_you_mean(of, computed)} "
            f"(computed are {listing(computed)})"
        )
    if of not in computed:
        raise Refusal(
            f"of names '{of}', which is declared and not computed (computed are {listing(computed)})"
        )
    if of == program.target:
        return program
    needed = dict.fromkeys((of, *(w for w in wrt if w in program.tensors)))
    todo = list(needed)
    while todo:
        new = dict.fromkeys(r for s in program.writers(todo.pop()) for r in s.reads if r not in needed)
        needed.update(new)
        todo += new
    statements = tuple(s for s in program.statements if s.out in needed)
    inside = [i for s in statements for e in (s.body, s.guard) if e is not None for i in ex.ints(e)]
    sizes = size_letters(
        [inside, *([n for _, n in s.axes] for s in statements), *(program[t].shape for t in needed)]
    )
    known = size_letters(program[t].shape for t in needed if not program.writers(t))
    for t in program.inputs:  # an input that only says how long an axis is
        if any(str(n) in sizes and str(n) not in known for n in t.shape):
            needed[t.name] = None
            known = (*known, *size_letters([t.shape]))
    tensors = {n: t for n, t in program.tensors.items() if n in needed}
    letters = tuple(
        x for x in program.sizes if x in (*sizes, *size_letters(t.shape for t in tensors.values()))
    )
    needs = tuple(need for need in program.needs if set(size_letters([[need[0]]])) <= set(letters))
    return replace(program, tensors=tensors, statements=statements, target=of, sizes=letters, needs=needs)


def _weights(program: Program) -> list[str]:
    return [t.name for t in program.role("weight")]


def _gradient(program: Program, wrt: Iterable[str] | None) -> tuple[Derived, dict[str, str]]:
    """The gradient as it is differentiated again, through nothing that is a variable itself, and its tensors."""
    names = check_wanted(program, _weights(program) if wrt is None else wrt)
    stable, steps = prepare(program, names)
    done = backward(stable, names, apart=names)
    bars = {n: done.adjoints[n] for n in names}
    gradients: dict[Key, str] = dict(bars.items())
    base = finish(program, done.program, gradients, [*steps, *done.steps], done.adjoints)
    return base, bars


def _turned(program: Program, name: str, seed: str, by: str, stem: str) -> tuple[Program, Step]:
    """The derivative of `seed`, the gradient by a, by b, from that of the gradient by b by a, which is `name`."""
    t, half = program[name], len(program[by].shape)
    new = program.fresh(stem)
    letters = [i.axis or "" for s in program.writers(name)[:1] for i in s.left]
    if "" in letters or len(set(letters)) < len(letters):
        letters = [f"i_{k}" for k in range(len(t.shape))]
    place = tuple(map(ints.axis, letters))
    axes = tuple(zip((*letters[half:], *letters[:half]), (*t.shape[half:], *t.shape[:half]), strict=True))
    s = Statement(new, tuple(ints.axis(a) for a, _ in axes), "=", Access(name, place), axes)
    tensor = replace(t, name=new, shape=tuple(n for _, n in axes), of=by, seed=seed)
    whole = replace(program, tensors={**program.tensors, new: tensor}, statements=(*program.statements, s))
    return whole, Step(0, "symmetry", (s,), reason="Second derivatives may be taken in either order.")
