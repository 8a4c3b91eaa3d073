"""Calls of definitions: parameters are bound, lines are read as if they stood in the text, the result is one
array.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language import declarations, equations, ints, recurrences, subscripts
from symgrad.language import expr as ex
from symgrad.language.definitions import Definition, Parameter, declares_weights
from symgrad.language.expr import Expr, conjuncts, margins_of
from symgrad.language.frames import Frame, Layer, Option, Use, Value
from symgrad.language.ints import Int, Size, of
from symgrad.language.program import Tensor
from symgrad.language.ranges import letter as letter_of
from symgrad.language.syntax import is_condition, is_name, words
from symgrad.language.values import Array, Pending, aligned, integer, permuted, shown, widened

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

DEPTH = 24  # of calls inside calls
CALLS = 10_000  # of definitions in one program


def call(f: Formulas, d: Definition, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Value:
    """The result of a definition for these arguments.

    Raises:
        Refusal: where no definition of the name takes them.
    """
    f.calls += 1
    if len(f.stack) >= DEPTH or f.calls > CALLS:
        raise Refusal("the definitions grow without bound here")
    if len(args) >= 2 and _names_axis(f, d, args[0]):
        return _along_letter(f, d, args, keywords)
    named = {k: keywords.pop(k) for k in ("name", "weights") if _is_name_of_layer(f, d, k, keywords)}
    axis = None
    if not any(p.name in ("axis", "dim") for p in d.params):
        axis = keywords.pop("axis", keywords.pop("dim", None))
        keep = keywords.pop("keepdims", keywords.pop("keepdim", None))
        if axis is not None:
            return _along_axis(f, d, args, keywords, named, axis, keep)
    values = [_argument(f, a) for a in args]
    options = {k: _argument(f, v) for k, v in keywords.items()}
    said = [words(a) for a in (*args, *keywords.values())]
    return expand(f, d, values, options, said, _use(f, d, named))


def _argument(f: Formulas, node: ast.expr) -> Value:
    """What a call gives to a parameter; `(2, 1)` are several whole numbers."""
    if isinstance(node, ast.Tuple) and node.elts:
        return Option(tuple(f.whole(n, "each of several numbers") for n in node.elts))
    return f.value(node)


def _is_name_of_layer(f: Formulas, d: Definition, option: str, keywords: dict[str, ast.expr]) -> bool:
    """Whether `name="enc"` or `weights="enc"` speaks of the weights that a call declares."""
    own = any(p.name == option for one in (d, *d.others) for p in one.params)
    return option in keywords and not own and declares_weights(d, f.definitions)


def _use(f: Formulas, d: Definition, named: dict[str, ast.expr]) -> Use | None:
    """What `name="enc"` calls the weights of a layer, or whose weights `weights="enc"` takes."""
    if not named:
        return None
    (option, node), *more = named.items()
    if more:
        raise f.placed(Refusal(f'{d.name} takes its weights from a layer, weights="enc", or names its own, '
                               'name="enc", not both'), node)  # fmt: skip
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or not is_name(node.value):
        raise f.placed(Refusal(f'a layer\'s name is a word in quotes: {option}="enc"'), node)
    name, known = node.value, f.frame.layers
    if option == "weights":
        if name not in known:
            hint = (
                did_you_mean(name, known)
                or f'; a call before this gives the name, {d.name}(..., name="{name}")'
            )
            raise f.placed(Refusal(f"no layer is called {name}{hint}"), node)
        if known[name].definition != d.name:
            raise f.placed(
                Refusal(f"{name} is a {known[name].definition}, whose weights are no weights of {d.name}"),
                node,
            )
        return Use(known[name], again=True)
    if name in known:
        raise f.placed(
            Refusal(f'two layers are called {name}; to use its weights again, write weights="{name}"'), node
        )
    known[name] = _layer(f, d, name)
    return Use(known[name], again=f.frame.use is not None and f.frame.use.again)


def _layer(f: Formulas, d: Definition, name: str) -> Layer:
    """A layer by its full name: inside a definition it belongs to the call, by its name or by a number."""
    use, layers = f.frame.use, f.layers
    full = f"{use.layer.name}_{name}" if use is not None else name
    if use is not None and use.again and full in layers:
        return layers[full]
    if use is None and f.frame.definition is not None:
        full = next(x for x in (f"{name}{k}" for k in itertools.count(1)) if x not in layers)
    return layers.setdefault(full, Layer(full, d.name))


def expand(
    f: Formulas,
    d: Definition,
    values: Sequence[Value],
    options: dict[str, Value],
    texts: Sequence[str],
    use: Use | None = None,
) -> Value:
    """The result of the first definition of the name whose parameters fit."""
    problems: list[tuple[int, str, str]] = []
    candidates = [one for one in (d, *d.others) if _counts(one, len(values) + len(options))]
    for one in candidates or (d, *d.others):
        frame = Frame(definition=one, foreign=bool(one.where) or f.frame.foreign, use=use or f.frame.use)
        try:
            _bind(f, one, frame, values, options, texts)
        except Refusal as problem:
            problems.append((len(frame.values), problem.reason.removeprefix(one.signature), problem.reason))
            continue
        if one in f.stack:
            raise Refusal(f"{d.name} calls itself; a definition cannot be recursive")
        return _run(f, one, frame, "" if use is not None else _number(f, one, frame))
    # what the definitions say that came furthest, once where they say the same
    furthest = max(bound for bound, *_ in problems)
    said = {what: reason for bound, what, reason in reversed(problems) if bound == furthest}
    raise Refusal("; or ".join(reversed(said.values())))


def takes(d: Definition, count: int, keywords: Collection[str] = ()) -> bool:
    """Whether a definition, or another of its name, takes so many arguments, `keywords` among them."""
    return any(
        _counts(one, count) and all(any(p.name == k for p in one.params) for k in keywords)
        for one in (d, *d.others)
    )


def _counts(d: Definition, count: int) -> bool:
    """Whether a definition takes so many arguments."""
    return sum(p.default is None for p in d.params) <= count <= len(d.params)


def _bind(
    f: Formulas,
    d: Definition,
    frame: Frame,
    values: Sequence[Value],
    options: dict[str, Value],
    texts: Sequence[str],
) -> None:
    """Give the parameters their values, checking shapes and binding the letters of the axes."""
    if len(values) > len(d.params):
        raise Refusal(f"{d.signature} takes {len(d.params)} arguments, not {len(values)}")
    given: dict[str, tuple[Value, str]] = {
        p.name: (v, t) for p, v, t in zip(d.params, values, texts, strict=False)
    }
    said = texts[len(values) :] or list(options)
    for (name, v), text in zip(options.items(), said, strict=False):
        if name not in [p.name for p in d.params]:
            raise Refusal(f"{d.signature} has no option {name}")
        if name in given:
            raise Refusal(f"{d.signature} gets {name} twice")
        given[name] = (v, text)
    missing = [p.name for p in d.params if p.name not in given and p.default is None]
    if missing:
        raise Refusal(f"{d.signature} needs {listing(missing)} too")
    lead: list[tuple[tuple[Int, ...], str]] = []
    for p in d.params:
        v, text = given.get(p.name) or (_default(f, p, frame), p.name)
        if p.axes is not None and not (p.default is not None and v == Option(None)):
            v = _repeated(p, v, frame) if isinstance(v, Array) and p.default is not None else v
            _fit(f, d, p, v, text, frame, lead)
        if p.parts:
            _fit_parts(d, p, v, text, frame)
        if isinstance(v, Option) and isinstance(v.value, str):
            _check_choice(d, p, v.value)
        if isinstance(v, Array):
            v = f.builder.stored(v)
            if v.whole is not None and v.fixed is not None:
                frame.sizes[p.name] = v.whole
        frame.values[p.name] = v
    for line in d.weights:
        for n in ast.walk(line.annotation):
            if isinstance(n, ast.Name) and n.id in frame.sizes:
                frame.letters[n.id] = None


def _default(f: Formulas, p: Parameter, frame: Frame) -> Value:
    """The value of an option that is not given; it sees the parameters before it."""
    assert p.default is not None
    before, f.frame = f.frame, frame
    try:
        return _argument(f, p.default)
    finally:
        f.frame = before


def _repeated(p: Parameter, v: Array, frame: Frame) -> Array:
    """An optional array over all axes that its parameter speaks of, if it broadcasts to them."""
    assert p.axes is not None
    named = [frame.sizes.get(n.id) if isinstance(n, ast.Name) else None for n in p.axes]
    if p.axes and subscripts.is_dots(p.axes[0]):
        named[:1] = frame.lead[0]
    shape = tuple(n for n in named if n is not None)
    skip = len(shape) - v.rank
    if len(shape) < len(named) or skip < 0 or shape == v.shape:
        return v
    if any(n not in (ints.ONE, m) for n, m in zip(v.shape, shape[skip:], strict=True)):
        return v
    letters = ("",) * skip + tuple(
        x if n != ints.ONE else "" for x, n in zip(v.letters, v.shape, strict=True)
    )
    whole = v.integer
    return Array(
        shape,
        lambda at: v.at(aligned(v, shape, at)),
        letters,
        None if whole is None or v.fixed is not None else lambda at: whole(aligned(v, shape, at)),
    )


def _fit_parts(d: Definition, p: Parameter, v: Value, text: str, frame: Frame) -> None:
    """Several whole numbers, or one for all of them."""
    whole = v.whole if isinstance(v, Array) else None
    numbers = (whole,) * len(p.parts) if whole is not None else v.value if isinstance(v, Option) else None
    if not isinstance(numbers, tuple) or len(numbers) != len(p.parts):
        form = f"({', '.join(p.parts)})"
        raise Refusal(
            f"{d.signature}: {p.name} is one whole number, or {len(p.parts)} of them, {form}, and not {text}"
        )
    for letter, number in zip(p.parts, numbers, strict=True):
        frame.sizes[letter], frame.values[letter] = number, integer(number)


def _check_choice(d: Definition, p: Parameter, given: str) -> None:
    """Refuse a word that a definition does not ask an option for."""
    known = d.choices.get(p.name)
    if known is not None and given not in known:
        told = listing([f'"{word}"' for word in known], "or")
        raise Refusal(f'{d.name} takes {told} as {p.name}, not "{given}"{did_you_mean(given, known)}')


def _fit(
    f: Formulas,
    d: Definition,
    p: Parameter,
    v: Value,
    text: str,
    frame: Frame,
    lead: list[tuple[tuple[Int, ...], str]],
) -> None:
    """Match an argument's shape with a parameter's axes."""
    assert p.axes is not None
    if isinstance(v, Option):
        raise Refusal(f"{d.signature} takes an array as {p.name}, not {v.value!r}")
    if p.label != (v.integer is not None and v.fixed is None):
        kind = "an integer tensor (a label)" if p.label else "an array of real numbers"
        raise Refusal(f"{d.signature} takes {kind} as {p.name}, and {text} is none")
    dotted = bool(p.axes) and subscripts.is_dots(p.axes[0])
    named = p.axes[1:] if dotted else p.axes
    if v.rank < len(named) or (v.rank > len(named) and not dotted):
        least = "at least " * dotted
        raise Refusal(f"{d.signature}: {text} is {shown(v.shape)}, but {p.name} has {least}{len(named)} axes")
    count = v.rank - len(named)
    if dotted:
        frame.dotted = True
        frame.lead = v.shape[:count], (v.letters or ("",) * v.rank)[:count]
        if lead and lead[0][0] != v.shape[:count]:
            raise Refusal(
                f"{d.signature}: the leading axes of {lead[0][1]} are {shown(lead[0][0])}, those of {text} "
                "are "
                f"{shown(v.shape[:count])}; they must agree"
            )
        lead.append((v.shape[:count], text))
    if p.below:
        frame.sizes[p.below] = _number_of_values(f, v, text)
        frame.letters[p.below] = None
    for axis, size in zip(named, v.shape[count:], strict=True):
        _fit_axis(f, d, axis, size, text, frame)


def _number_of_values(f: Formulas, v: Array, text: str) -> Int:
    """How many values the entries of an integer array may have."""
    assert v.integer is not None
    entry = v.integer(tuple(ints.axis(f.builder.ranges.new("", n)) for n in v.shape))
    if not isinstance(entry.atom, ints.Look):
        raise Refusal(f"nothing tells how many values {text} may have: give a label as it is declared")
    return f.builder.ranges.settled(f.builder.below[entry.atom.tensor])


def _fit_axis(f: Formulas, d: Definition, axis: ast.expr, size: Int, text: str, frame: Frame) -> None:
    """Match one axis: a new letter takes the size, a known one must have it, an expression is solved for its
    letter.
    """
    names = [n.id for n in ast.walk(axis) if isinstance(n, ast.Name)]
    new = [n for n in dict.fromkeys(names) if n not in frame.sizes]
    for n in names:
        frame.letters[n] = None
    if isinstance(axis, ast.Name) and new:
        frame.sizes[axis.id] = size
        return
    expected = _size_of(f, axis, {**frame.sizes, **{n: of(Size(f"?{n}")) for n in new}})
    if new:
        factor, rest = _linear(expected, Size(f"?{new[0]}"))
        whole = (size - rest) // factor if factor else None
        if len(new) > 1 or whole is None or whole * (factor or 1) + rest != size:
            raise Refusal(
                f"{d.signature}: {text} has an axis of {size}, and no {new[0]} makes {words(axis)} = {size}"
            )
        frame.sizes[new[0]] = whole
        return
    if expected != size and not f.builder.ranges.pin(expected, size):
        raise Refusal(
            f"{d.signature}: {text} has {size} where {words(axis)} is {expected}; the two must agree"
        )


def _size_of(f: Formulas, node: ast.expr, sizes: dict[str, Int]) -> Int:
    before = f.frame
    f.frame = Frame(sizes=sizes, definition=before.definition, foreign=True)
    try:
        return f.whole(node)
    finally:
        f.frame = before


def _linear(x: Int, letter: Size) -> tuple[int | None, Int]:
    """The number that multiplies a letter, and the rest."""
    one = x.substitute({letter: 1})
    none = x.substitute({letter: 0})
    return (one - none).number, none


# ---------------------------------------------------------------------- the body


@contextmanager
def _entered(f: Formulas, d: Definition, frame: Frame) -> Iterator[None]:
    before, inside = f.frame, f.inside
    f.frame, f.inside = frame, False
    f.stack.append(d)
    try:
        with f.builder.called(d.name):
            yield
    finally:
        f.stack.pop()
        f.frame, f.inside = before, inside


def _run(f: Formulas, d: Definition, frame: Frame, suffix: str) -> Value:
    """Read the lines of a definition; messages of shipped ones point at the call."""
    frame.suffix = suffix
    for weight in d.weights:
        assert isinstance(weight.target, ast.Name)
        frame.weights[weight.target.id] = weight
    try:
        with _entered(f, d, frame):
            known = {declarations.base(w.target) for w in d.weights}
            waiting = recurrences.Waiting(d.body, known)
            for line in waiting.lines:
                if isinstance(line, ast.Assert):
                    _require(f, line)
                elif (circle := waiting.circle(line)) is not None:
                    lines = waiting.met(circle, line)
                    if lines is not None:
                        recurrences.read(f, circle, lines, local=True)
                elif isinstance(line, ast.Assign):
                    state = _state(f, d, declarations.base(line.targets[0]))
                    if state is None:
                        equations.local(f, line)
                    else:
                        equations.advanced(f, state, line.targets[0], line.value)
                elif isinstance(line, ast.AugAssign):
                    equations.local_sum(f, line)
                elif isinstance(line, ast.AnnAssign) and line not in d.weights:
                    _zeros(f, line)
                elif isinstance(line, ast.Return):
                    assert line.value is not None
                    result = equations.returned(f, line.value, d)
            return result
    except Refusal as problem:
        if frame.foreign and not problem.reason.startswith("in "):
            problem.reason = f"in {d.signature}: {problem.reason}"
            problem.args = (problem.reason,)
        raise


def _zeros(f: Formulas, line: ast.AnnAssign) -> None:
    """`y: zeros[..., m]`: the sizes of what equations of a definition add to."""
    assert isinstance(line.target, ast.Name)
    dims = declarations.split(line.annotation, line.value).dims
    sizes = [f.frame.lead[0] if subscripts.is_dots(n) else (f.whole(n),) for n in dims]
    f.frame.zeros[line.target.id] = tuple(n for part in sizes for n in part)


def _require(f: Formulas, line: ast.Assert) -> None:
    """What a definition requires of its options and sizes: refused where it cannot hold, else a need of the program."""
    assert isinstance(line.msg, ast.Constant)
    sizes = f.frame.sizes

    def size(found: re.Match[str]) -> str:
        return str(f.builder.ranges.settled(sizes[found[1]])) if found[1] in sizes else found[0]

    said = f"in {f.builder.label}, " + re.sub(r"{(\w+)}", size, str(line.msg.value))
    held = f.option(line.test)
    if held is not None:
        if not held:
            raise Refusal(said)
        return
    condition = f.condition(line.test)
    if condition.rank:
        raise Refusal(f"{f.builder.label} takes sizes where {words(line.test)} compares them, not arrays")
    for c in conjuncts(condition.at(())):
        margins = margins_of(c)
        if margins is None:
            raise Refusal(f"a definition requires comparisons of sizes only, not {words(line.test)}")
        for margin in map(f.builder.ranges.settled, margins):
            holds = ints.nonnegative(margin)
            if holds is False:
                raise Refusal(said)
            if holds is None:
                f.builder.needs[margin, said] = None
                _divisible(f, margin)


def _divisible(f: Formulas, margin: Int) -> None:
    """What is learned where `c % groups == 0` is required."""
    for monomial, _ in margin.terms if len(margin.terms) == 1 else ():
        (a, *more) = monomial or (None,)
        if isinstance(a, ints.Remainder) and not more and a.bottom.number:
            f.builder.ranges.divides(a.top, a.bottom.number)


def _number(f: Formulas, d: Definition, frame: Frame) -> str:
    """The number of a layer's weights: one more than the largest that any of its stems has, in the text or in
    the layer with a name that it is a part of.

    It is taken for all of them, used or not, so that training and evaluation have the same names.
    """
    stems = [line.target.id for line in d.weights if isinstance(line.target, ast.Name)]
    if not stems:
        return ""
    numbers = f.builder.numbers if frame.use is None else frame.use.numbers
    number = 1 + max(numbers.get(stem, 0) for stem in stems)
    numbers.update(dict.fromkeys(stems, number))
    return str(number)


def _state(f: Formulas, d: Definition, name: str) -> Tensor | None:
    """The state of a definition that has this name, if it declares one."""
    for line in d.weights:
        if isinstance(line.target, ast.Name) and line.target.id == name:
            v = f.frame.values.get(name) or open_weight(f, name)
            t = f.builder.tensors[v.tensor] if isinstance(v, Array) else None
            return t if t is not None and t.role == "state" else None
    return None


def open_weight(f: Formulas, name: str) -> Array:
    """Declare a definition's weight, draw or state at its first use."""
    frame = f.frame
    line = frame.weights.pop(name)
    own = f"{name}{frame.suffix}" if frame.use is None else f"{frame.use.layer.name}_{name}{frame.suffix}"
    declared = declarations.split(line.annotation, _start(f, line.value))
    with equations.entered(f, {}):  # its letters are sizes, whatever index is called so around here
        tensor, letters = declarations.tensor(own, declared, f.whole, f.array, frame.lead[0])
    if declared.role != "weight" and f.trains:
        _refuse_entries(f, name, declared.role)
    if frame.use is not None and frame.use.again:
        if declared.role != "draw":
            frame.values[name] = _again(f, tensor, frame.use.layer)
            return frame.values[name]  # type: ignore[return-value]
        own = own if own not in f.builder.tensors else f.builder.part_name_of(own)  # drawn anew
    if own in f.builder.tensors or own in f.names:
        raise Refusal(f"the name {own} is taken already; give the layer another name")
    if frame.use is not None:
        frame.use.layer.weights[own] = None
    made = replace(tensor, name=own, label=f.builder.label)
    frame.values[name] = f.builder.declare(made, letters)
    f.root.values[own] = frame.values[name]
    return frame.values[name]  # type: ignore[return-value]


def _start(f: Formulas, node: ast.expr | None) -> ast.expr | None:
    """How a weight starts; where an option of the call says it in words, what they say."""
    said = f.frame.values.get(node.id) if isinstance(node, ast.Name) else None
    return (
        declarations.scheme(said.value) if isinstance(said, Option) and isinstance(said.value, str) else node
    )


def _refuse_entries(f: Formulas, name: str, role: str) -> None:
    """One draw or state cannot stand for each entry of the equation around."""
    for v in list(f.frame.values.values()):
        if isinstance(v, Array) and ex.axes(v.at((ints.ZERO,) * v.rank)):
            raise Refusal(
                f"the {role} {name} would be one for all entries here: give the whole array, without its indices"
            )


def _again(f: Formulas, wanted: Tensor, layer: Layer) -> Array:
    """A weight that the first call of a layer declared, for a further one."""
    if wanted.name not in layer.weights:
        raise Refusal(
            f"the layer {layer.name} has no weight {wanted.name} to use again: it was called otherwise"
        )
    own = f.builder.array(wanted.name)
    same = len(own.shape) == len(wanted.shape) and all(
        a == b or f.builder.ranges.pin(a, b) for a, b in zip(own.shape, wanted.shape, strict=True)
    )
    if not same:
        raise Refusal(f"{wanted.name} is {shown(own.shape)}, and {shown(wanted.shape)} is needed here")
    return own


# ---------------------------------------------------------------------- another axis than the last


def _names_axis(f: Formulas, d: Definition, node: ast.expr) -> bool:
    """Whether a first argument names the index that the call goes along: `softmax(i, A[i, j])`."""
    first = d.params[0] if d.params else None
    return (
        isinstance(node, ast.Name)
        and first is not None
        and first.axes is not None
        and f.frame.is_letter(node.id)
        and node.id not in ("pi", "e")
    )


def _along_letter(f: Formulas, d: Definition, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Array:
    """`softmax(i, A[i, j])`: the definition of the array over i, at the i of the equation if it keeps that
    axis.
    """
    letter, *conditions, body = args
    assert isinstance(letter, ast.Name)
    outside = f.equation.find(letter.id)
    with f.scope():
        subscripts.refuse_tensor_letter(f, letter.id, letter)
        axis = f.equation.bind(letter.id, letter)
        held = [f.array(c) for c in conditions if is_condition(c)]
        if len(held) < len(conditions) or any(c.rank for c in held):
            form = f"{d.name}({letter.id}, x[{letter.id}])"
            raise Refusal(
                f"{d.name} takes one index, then conditions in brackets, then what it goes over: {form}"
            )
        with f.builder.under([c.at(()).condition for c in held]):
            a = f.array(body)
            if a.rank:
                raise Refusal(f"{words(body)} is {shown(a.shape)}; write one entry, with all its indices")
            entry = a.at(())
            size = f.builder.ranges.known[axis]
            values: list[Value] = [line_of(entry, axis, size)]
            if held:
                values.append(line_of(ex.mul(*(c.at(()) for c in held)), axis, size))
            options = {k: f.value(v) for k, v in keywords.items()}
            result = expand(f, d, values, options, [words(body), *map(words, conditions)])
    assert isinstance(result, Array)
    if not result.rank:
        return result
    if outside is None:
        raise Refusal(f"{d.name} keeps the index {letter.id}, so the left side must have it")
    assert outside.axis is not None
    f.builder.ranges.pin(f.builder.ranges.known[outside.axis], size)
    if isinstance(result, Pending) and not result.written:
        whole = result.body
        out = f.builder.pending(result.op, (), lambda _: whole((outside,)), result.reduced, ties=result.ties)
        out.label = result.label
        return out
    return Array((), lambda _: result.at((outside,)))


def line_of(entry: Expr, axis: str, size: Int) -> Array:
    """The array over one index of an equation."""
    return Array((size,), lambda p: equations.moved(entry, {axis: p[0]}), (letter_of(axis),))


def _along_axis(
    f: Formulas,
    d: Definition,
    args: list[ast.expr],
    keywords: dict[str, ast.expr],
    named: dict[str, ast.expr],
    axis: ast.expr,
    keep: ast.expr | None,
) -> Value:
    """`softmax(x, axis=0)`: the axis goes last, and back where the result still has it."""
    if not any(one.params and one.params[0].axes is not None for one in (d, *d.others)):
        raise f.placed(Refusal(f"{d.signature} takes all entries of an array and knows no axis"), axis)
    a = f.array(args[0])
    number = f.whole(axis, "an axis").number
    if number is None or not -a.rank <= number < a.rank:
        raise f.placed(Refusal(f"{words(args[0])} is {shown(a.shape)} and has no axis {words(axis)}"), axis)
    number %= a.rank
    order = [*(k for k in range(a.rank) if k != number), number]
    moved = a if number == a.rank - 1 else permuted(a, order)
    values: list[Value] = [moved, *(f.value(x) for x in args[1:])]
    options = {k: f.value(v) for k, v in keywords.items()}
    result = expand(f, d, values, options, [words(x) for x in args], _use(f, d, named))
    if not isinstance(result, Array):
        return result
    if result.rank == a.rank:
        return result if number == a.rank - 1 else permuted(result, [order.index(k) for k in range(a.rank)])
    kept = f.value(keep) if keep is not None else Option(False)
    if isinstance(kept, Option) and kept.value is True and result.rank == a.rank - 1:
        return widened(result, [number])
    return result
