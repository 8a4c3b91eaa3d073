"""Every operation as a Python object: `sg.dense(x, 32)` and `sg.Dense(32)`, made from the definitions when asked for.

A definition, shipped or one's own, needs nothing here: its function has its name, its class a name derived from it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from symgrad.errors import SymgradError, did_you_mean, listing
from symgrad.language.definitions import Definition, Parameter, declares_weights, stems
from symgrad.language.formulas import FUNCTIONS
from symgrad.language.functions import ALIASES, HINTS
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS
from symgrad.objects.declared import size
from symgrad.objects.expressions import Expression, applied, missing
from symgrad.objects.nodes import LayerWeight, Owner, checked
from symgrad.objects.writing import function_names

COMMON = ("axis", "dim", "keepdims", "keepdim")  # options of every function along the last axis
CAPITALS = {
    "relu": "ReLU", "elu": "ELU", "gelu": "GELU", "selu": "SELU", "celu": "CELU", "silu": "SiLU", "prelu": "PReLU",
    "rrelu": "RReLU", "crelu": "CReLU", "glu": "GLU", "geglu": "GEGLU", "swiglu": "SwiGLU", "reglu": "ReGLU",
    "lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "rms": "RMS", "mse": "MSE", "mae": "MAE", "bce": "BCE", "nll": "NLL",
    "kl": "KL", "mlp": "MLP", "erf": "Erf", "rmsnorm": "RMSNorm", "layernorm": "LayerNorm", "batchnorm": "BatchNorm",
}  # fmt: skip


def class_name(name: str) -> str:
    """What the class of a definition is called: words begin with a capital, and some are written as they are known.

    Example:
        >>> [class_name(x) for x in ("dense", "relu6", "layer_norm", "conv2d", "softmax_cross_entropy", "l2")]
        ['Dense', 'ReLU6', 'LayerNorm', 'Conv2d', 'SoftmaxCrossEntropy', 'L2']
    """
    words = []
    for word in name.split("_"):
        letters = word.rstrip("0123456789")
        words.append(
            CAPITALS[letters] + word[len(letters) :] if letters in CAPITALS else word[:1].upper() + word[1:]
        )
    return "".join(words)


def signature(d: Definition) -> inspect.Signature:
    """A definition's parameters as Python shows them."""
    return inspect.Signature([_parameter(p) for p in d.params])


def _parameter(p: Parameter) -> inspect.Parameter:
    axes: Any = inspect.Parameter.empty
    if p.axes is not None:
        axes = f"{'label' if p.label else ''}[{', '.join('...' if _dots(a) else ast.unparse(a) for a in p.axes)}]"
        axes += f" < {p.below}" if p.below else ""
    elif p.parts:
        axes = f"({', '.join(p.parts)})"
    default = inspect.Parameter.empty if p.default is None else _value(p.default)
    return inspect.Parameter(
        p.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=axes
    )


def _dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _value(node: ast.expr) -> object:
    """A default as a value of Python, where it is one."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def _known(name: str) -> tuple[Definition, ...]:
    """The definitions of a name, a scalar function in the form of one; none for what the language reads itself."""
    name = ALIASES.get(name, name) if name not in DEFINITIONS and name not in FUNCTIONS else name
    found: list[Definition] = []
    if name in DEFINITIONS:
        found += [DEFINITIONS[name], *DEFINITIONS[name].others]
    if name in LEAVES and name not in FUNCTIONS:
        leaf = LEAVES[name]
        doc = f"{name}({', '.join(leaf.params)}), entry by entry." + (f" {leaf.note}" if leaf.note else "")
        found.append(Definition(name, tuple(map(Parameter, leaf.params)), (), "", doc))
    return tuple(found)


def _about(known: Sequence[Definition]) -> str:
    """The docstring of an object: what the definition says, and the definition itself."""
    texts = [textwrap.indent(d.source.strip(), "    ") for d in known if d.source]
    return "\n\n".join([known[0].doc, *(["Its definition:"] if texts else []), *texts])


# ---------------------------------------------------------------------- functions


def function(name: str) -> Callable[..., Expression]:
    """`sg.dense`: the function of a name, applied to expressions."""
    known = _known(name)

    def apply(*args: object, **options: object) -> Expression:
        return _apply(name, args, options)

    apply.__name__ = apply.__qualname__ = name
    apply.__module__ = "symgrad"
    if known:
        apply.__doc__ = _about(known)
        apply.__signature__ = signature(known[0])  # type: ignore[attr-defined]
    else:
        text = (FUNCTIONS[name].__doc__ or "").strip()
        apply.__doc__ = text or f"{name}(...), as NumPy reads it; a function of the language."
    return apply


def _apply(name: str, args: Sequence[object], options: Mapping[str, object]) -> Expression:
    known = _known(name)
    if not known:
        return applied(name, args, options)
    given = dict(options)
    owner = _owner(name, known[0], given)
    try:
        made: Expression = _first(known, lambda d: _called(name, d, _bound(d, d.params, args, given), owner))
    except SymgradError:
        if name not in FUNCTIONS:
            raise
        return applied(name, args, options)  # NumPy's of the same name, such as norm(x, 1)
    return made


def _first(known: Sequence[Definition], make: Callable[[Definition], Any]) -> Any:
    """The first result for the definitions of a name that raises nothing."""
    problems = []
    for d in known:
        try:
            return make(d)
        except SymgradError as problem:
            problems.append(str(problem))
    raise SymgradError("; or ".join(dict.fromkeys(problems)))


def _owner(name: str, d: Definition, options: dict[str, object]) -> Owner | None:
    """The layer that `name="enc"` makes of a call."""
    if not declares_weights(d, DEFINITIONS) or any(p.name == "name" for p in d.params):
        return None
    if "weights" in options and all(p.name != "weights" for p in d.params):
        raise SymgradError(
            f"to use weights again, make the layer once, enc = sg.{class_name(name)}(...), and apply it twice"
        )
    given = options.pop("name", None)
    return None if given is None else Owner(name, checked(given))


def _bound(
    d: Definition, params: Sequence[Parameter], args: Sequence[object], options: Mapping[str, object]
) -> dict[str, object]:
    """Arguments by the names of the parameters, all that are needed among them.

    Raises:
        SymgradError: too many, too few, unknown or twice.
    """
    bound = _partly(d, params, args, options)
    missing = [p.name for p in params if p.default is None and p.name not in bound]
    if missing:
        raise SymgradError(f"{d.signature} needs {listing(missing)} too")
    return bound


def _partly(
    d: Definition, params: Sequence[Parameter], args: Sequence[object], options: Mapping[str, object]
) -> dict[str, object]:
    if len(args) > len(params):
        takes = listing([p.name for p in params]) if params else "no argument"
        raise SymgradError(f"{d.signature} takes {takes} here, not {len(args)} arguments")
    bound = dict(zip([p.name for p in params], args, strict=False))
    every = [p.name for p in d.params]
    for name, value in options.items():
        if name not in every and name not in COMMON:
            raise SymgradError(f"{d.signature} has no option {name}{did_you_mean(name, [*every, *COMMON])}")
        if name in bound:
            raise SymgradError(f"{d.signature} gets {name} twice")
        bound[name] = value
    return bound


def _called(name: str, d: Definition, bound: Mapping[str, object], owner: Owner | None) -> Expression:
    """The call as it is written: what is needed by position, options by name."""
    args: list[object] = []
    sizes = [n.id for w in d.weights for n in ast.walk(w.annotation) if isinstance(n, ast.Name)]
    options = {k: size(v) if isinstance(v, str) and k in sizes else v for k, v in bound.items()}
    for p in d.params:
        if p.default is not None or p.name not in options:
            break
        args.append(options.pop(p.name))
    return applied(name, args, options, owner)


# ---------------------------------------------------------------------- layers


class Layer:
    """An operation with its settings, to be applied to arrays: `sg.Dense(32)(x)`.

    The settings are the parameters after the first that declare no axes; the call takes the others. Applied twice, a
    layer has the same weights both times; `layer.W` is one of them.
    """

    _function = ""

    def __init__(self, *settings: object, name: str | None = None, **options: object):
        self._settings, self._options = settings, options
        if not self._known():
            if name is not None:
                raise SymgradError(f"{self._function} has no weights that name={name!r} could name")
            self._owner = Owner(self._function)
            return
        d = self._known()[0]
        if name is not None and any(p.name == "name" for p in d.params):
            self._options = {**options, "name": name}
        elif name is not None and not declares_weights(d, DEFINITIONS):
            raise SymgradError(f"{d.signature} has no weights that name={name!r} could name")
        self._owner = Owner(self._function, "" if name is None else checked(name))
        _first(self._known(), self._set)

    def _known(self) -> tuple[Definition, ...]:
        return _known(self._function)

    def _set(self, d: Definition) -> dict[str, object]:
        params = [p for p in d.params[1:] if p.axes is None]
        return _partly(d, params, self._settings, self._options)

    def __call__(self, *arrays: object, **options: object) -> Expression:
        known = self._known()
        if not known:
            return applied(self._function, [*arrays, *self._settings], {**self._options, **options})
        owner = self._owner if declares_weights(known[0], DEFINITIONS) else None

        def make(d: Definition) -> Expression:
            bound = self._set(d)
            rest = [p for p in d.params if p.name not in bound]
            return _called(self._function, d, {**bound, **_bound(d, rest, arrays, options)}, owner)

        made: Expression = _first(known, make)
        return made

    def _stems(self) -> tuple[str, ...]:
        known = self._known()
        return stems(known[0], DEFINITIONS) if known else ()

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("_"):
            raise AttributeError(name)
        known = self._stems()
        if name not in known and re.sub(r"\d+$", "", name) not in known:
            weights = f"its weights are {listing(known)}" if known else "it has no weights"
            raise AttributeError(
                f"{type(self).__name__} has no '{name}'; {weights}{did_you_mean(name, known)}"
            )
        return Expression(LayerWeight(self._owner, name))

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self._stems()})

    def __repr__(self) -> str:
        name = {"name": self._owner.name} if self._owner.name else {}
        options = [f"{k}={v!r}" for k, v in {**self._options, **name}.items()]
        return f"{type(self).__name__}({', '.join([*map(repr, self._settings), *options])})"


_classes: dict[str, tuple[Definition | None, type[Layer]]] = {}


def layer_class(name: str) -> type[Layer]:
    """`sg.Dense`: the class of a definition, the same one as long as the definition is."""
    defined = DEFINITIONS.get(name)
    if name in _classes and _classes[name][0] is defined:
        return _classes[name][1]
    about: dict[str, object] = {"_function": name, "__module__": "symgrad", "__doc__": function(name).__doc__}
    known = _known(name)
    if known:
        about["__signature__"] = _settings(next((d for d in known if d.weights), known[0]))
    made = type(class_name(name), (Layer,), about)
    _classes[name] = (defined, made)
    return made


def _settings(d: Definition) -> inspect.Signature:
    """What the class of a definition takes."""
    settings = [_parameter(p) for p in d.params[1:] if p.axes is None]
    if declares_weights(d, DEFINITIONS) and all(p.name != "name" for p in d.params):
        settings.append(inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default=None))
    optional = [k for k, p in enumerate(settings) if p.default is not p.empty]
    for k, p in enumerate(settings):
        if optional and k > optional[0] and p.default is p.empty:
            settings[k] = p.replace(
                kind=p.KEYWORD_ONLY
            )  # Python has no required parameter after an optional one
    return inspect.Signature(sorted(settings, key=lambda p: p.kind))


class Sequential:
    """Layers and functions one after another: each is applied to the result of the one before.

    Args:
        steps: layers, functions such as `sg.relu`, or anything else that takes an expression and gives one.

    Raises:
        SymgradError: a step cannot be applied.

    Example:
        >>> import symgrad as sg
        >>> net = sg.Sequential(sg.Dense(32), sg.ReLU(), sg.Dense(10))
        >>> print(sg.softmax_cross_entropy(net(sg.data("n", 64)), sg.label("n", below=10)))
        x: data[n, 64]
        t: label[n] < 10
        h1 = relu(dense(x, 32))
        h2 = dense(h1, 10)
        loss = softmax_cross_entropy(h2, t)
    """

    def __init__(self, *steps: Callable[..., Expression]):
        for k, step in enumerate(steps, 1):
            if isinstance(step, type):
                raise SymgradError(
                    f"step {k} of Sequential is the class {step.__name__}; write {step.__name__}(), with its settings"
                )
            if not callable(step):
                raise SymgradError(f"step {k} of Sequential, {step!r}, is no layer and no function")
        self.steps = steps

    def __call__(self, *arrays: Expression) -> Expression:
        if not self.steps and len(arrays) != 1:
            raise SymgradError("an empty Sequential takes one expression")
        for k, step in enumerate(self.steps, 1):
            result = step(*arrays)
            if not isinstance(result, Expression):
                raise SymgradError(f"step {k} of Sequential gives {result!r}, which is no expression")
            arrays = (result,)
        return arrays[0]

    def __iter__(self) -> Iterator[Callable[..., Expression]]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, k: int) -> Callable[..., Expression]:
        return self.steps[k]

    def __repr__(self) -> str:
        names = [repr(s) if not inspect.isroutine(s) else s.__name__ for s in self.steps]
        return f"Sequential({', '.join(names)})"


# ---------------------------------------------------------------------- by name


def classes() -> dict[str, str]:
    """The classes by name, each with the operation that it is of."""
    found: dict[str, str] = {}
    for name in function_names():
        found.setdefault(class_name(name), name)
    return found


def names() -> tuple[str, ...]:
    """What `find` knows."""
    return tuple(dict.fromkeys([*function_names(), *classes()]))


def find(name: str) -> Any:
    """What `sg.name` is: the function of a name, or the class.

    Raises:
        AttributeError: there is no operation of the name.
    """
    if name in function_names():
        return function(name)
    found = classes()
    if name in found:
        return layer_class(found[name])
    hint = f": {HINTS[name]}" if name in HINTS else ""
    alike = {n.lower(): n for n in names()}
    near = (
        f"; did you mean '{alike[name.lower()]}'?" if name.lower() in alike else did_you_mean(name, names())
    )
    raise missing(f"symgrad has no '{name}'{hint or near}", name)
