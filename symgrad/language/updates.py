"""Update equations as text of the language, one definition for each name: optimisers, in terms of a weight and its
gradient; what precedes them (clipping, penalties); and schedules of the learning rate, in terms of the step."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language import expr as ex
from symgrad.language import syntax
from symgrad.language.expr import Access, Expr, Num
from symgrad.language.scalar import NoScalar, scalar
from symgrad.language.syntax import is_name, shortened
from symgrad.leaves import LEAVES

COUNT = "t"  # the number of the step, from 1
TOTAL = "T"  # the number of all steps of the training
NORM = (
    "norm"  # of the loss's gradient by all weights together, where a definition does not compute one itself
)
RATE = "lr"
Equations = tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Update:
    """Update equations as a definition says them.

    Attributes:
        options: numbers with their defaults.
        state: names kept from step to step, from zero.
        equations: what is computed for each entry (of a schedule: once a step), in order.
        about: the definition's own words.
        needs: numbers of the optimiser that it reads.
    """

    name: str
    options: Mapping[str, float]
    state: tuple[str, ...]
    equations: Equations
    about: str = ""
    needs: tuple[str, ...] = ()

    @property
    def own(self) -> frozenset[str]:
        """The names of its numbers, its states and what it computes."""
        return frozenset((*self.options, *self.state, *(name for name, _ in self.equations)))

    def reads(self, name: str) -> bool:
        """Whether an equation reads a name that is not its own."""
        return name not in self.own and any(name in ex.tensors(e) for _, e in self.equations)

    def renamed(self, of: Callable[[str], str]) -> Update:
        """The same with other names for its numbers, states and parts."""

        def entry(e: object) -> Expr | None:
            return Access(of(e.tensor), ()) if isinstance(e, Access) else None

        return replace(
            self,
            options={of(n): v for n, v in self.options.items()},
            state=tuple(map(of, self.state)),
            equations=tuple((of(n), ex.rewrite(e, entry)) for n, e in self.equations),
            needs=tuple(map(of, self.needs)),
        )


@dataclass(frozen=True)
class Rule:
    """How weights are updated: what precedes the optimiser, the optimiser, and the schedule of its learning rate.

    Attributes:
        optimizer: the optimiser.
        before: what is done to the gradient, and to weights, before the optimiser's own equations; in this order.
        schedule: what gives the learning rate of step t, or None where it stays.
        given: numbers in place of the defaults.

    Example:
        >>> from symgrad.library import optimizer
        >>> rule = optimizer("momentum", schedule="step", clip_value=0.5, lr=0.1)
        >>> for name, e in rule.equations: print(name, "<-", e)
        g <- minimum(maximum(g, -clip_value), clip_value)
        v <- beta*v + g
        w <- w - lr*v
        >>> rule.schedule.equations
        (('lr', lr*gamma**floor((t - 1)/step_size)),)
        >>> dict(rule.options)
        {'lr': 0.1, 'beta': 0.9, 'clip_value': 0.5, 'step_size': 30.0, 'gamma': 0.1}
    """

    optimizer: Update
    before: tuple[Update, ...] = ()
    schedule: Update | None = None
    given: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.optimizer.name

    @property
    def about(self) -> str:
        return self.optimizer.about

    @property
    def parts(self) -> tuple[Update, ...]:
        """The definitions whose equations a step computes for each entry, in order."""
        return (*self.before, self.optimizer)

    @property
    def state(self) -> tuple[str, ...]:
        """What is kept of each entry from step to step, from zero."""
        return tuple(s for part in self.parts for s in part.state)

    @property
    def equations(self) -> Equations:
        """What a step computes for each entry, in order; `g` and `w` may be computed more than once."""
        return tuple(e for part in self.parts for e in part.equations)

    @property
    def numbers(self) -> Mapping[str, float]:
        """The numbers that `equations` read."""
        own = {n: v for part in (self.optimizer, *self.before) for n, v in part.options.items()}
        return {n: self.given.get(n, v) for n, v in own.items()}

    @property
    def options(self) -> Mapping[str, float]:
        """All numbers: those of `equations`, then those of the schedule."""
        more = self.schedule.options if self.schedule else {}
        return {**self.numbers, **{n: self.given.get(n, v) for n, v in more.items()}}

    @property
    def clips(self) -> bool:
        """Whether an equation reads the norm of the whole gradient."""
        return any(part.reads(NORM) for part in self.parts)

    @property
    def counts(self) -> bool:
        """Whether the schedule reads the number of all steps."""
        return self.schedule is not None and self.schedule.reads(TOTAL)

    @property
    def moving(self) -> tuple[str, ...]:
        """What may be another number at each step."""
        return (COUNT, *([NORM] if self.clips else []), *([RATE] if self.schedule else []))


@dataclass(frozen=True)
class _Kind:
    """What is defined: the first arguments, what the last equation gives, other names that are known."""

    word: str
    first: tuple[str, ...]
    gives: tuple[str, ...]
    known: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        return f"`def name({', '.join(self.first)}, option=0.1):`"


_OPTIMIZER = _Kind("optimiser", ("w", "g"), ("w",), (COUNT, NORM))
_PRECEDING = _Kind("step before an optimiser", ("w", "g"), ("w", "g"), (COUNT, NORM))
_SCHEDULE = _Kind("schedule", (RATE, COUNT, TOTAL), (RATE,))


def parse(text: str) -> dict[str, Update]:
    """The optimisers that a text defines.

    Raises:
        Refusal: the text is no definition of an optimiser; with its line.

    Example:
        >>> parse("def heavy(w, g, lr=0.1):\\n    v = v/2 + g\\n    w = w - lr*v")["heavy"].state
        ('v',)
    """
    return _parsed(text, _OPTIMIZER)


def parse_preceding(text: str) -> dict[str, Update]:
    """What a text defines to precede an optimiser: a new `g`, or a new `w`; errors as for `parse`."""
    return _parsed(text, _PRECEDING)


def parse_schedules(text: str) -> dict[str, Update]:
    """The schedules that a text defines, or the one whose learning rate it is; errors as for `parse`.

    Example:
        >>> parse_schedules("lr/sqrt(t)")["formula"].equations
        (('lr', lr/sqrt(t)),)
    """
    if "def " in text:
        return _parsed(text, _SCHEDULE)
    try:
        (line,) = syntax.parse(text)[1].body
    except ValueError as problem:
        said = f": {problem.reason}" if isinstance(problem, Refusal) else ""
        raise Refusal(
            f"the schedule '{shortened(text.strip())}' is no formula of lr, t and T, such as lr/sqrt(t){said}"
        ) from None
    if isinstance(line, ast.Assign):
        return _parsed(f"def formula(lr, t, T):\n    {text.strip()}", _SCHEDULE)
    return _parsed(f"def formula(lr, t, T):\n    lr = {text.strip()}", _SCHEDULE)


def _parsed(text: str, kind: _Kind) -> dict[str, Update]:
    try:
        _, tree = syntax.parse(text)
    except Refusal as problem:
        problem.reason = f"the definition of {_a(kind.word)} cannot be read: {problem.reason}"
        raise
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            raise Refusal(f"{_a(kind.word)} is {kind.example} and its update equations").at(node)
        try:
            found[_named(node.name)] = _definition(node, kind)
        except RecursionError:
            raise Refusal("this is nested too deeply; give parts a line of their own").at(node) from None
    return found


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _definition(node: ast.FunctionDef, kind: _Kind) -> Update:
    options, given = _options(node, kind), [a.arg for a in node.args.args]
    needs = given[len(kind.first) : len(given) - len(options)]
    computed = [t.id for line in node.body for t in _targets(line)]
    seen = {*kind.first, *options, *needs, *(k for k in kind.known if k == COUNT or k not in computed)}
    fixed = {*options, *needs, COUNT, *(kind.first if kind is _SCHEDULE else ())} - {*kind.gives}
    state = [] if kind is _SCHEDULE else _state(node, seen)
    seen.update(state)
    about, equations = "", []
    for k, line in enumerate(node.body):
        match line:
            case ast.Expr(value=ast.Constant(value=str(words))) if k == 0:
                about = words
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if name in fixed:
                    raise Refusal(
                        f"{name} is given to the {kind.word} {node.name}, and no equation computes it: "
                        "give what is computed another name"
                    ).at(line)
                reads = _reads(value)
                unknown = [r for r in reads if r not in seen and r not in ("pi", "e")]
                if unknown:
                    raise Refusal(
                        f"'{unknown[0]}' is unknown in the equation of {name}{did_you_mean(unknown[0], seen)}"
                    ).at(line)
                try:
                    body = scalar(ast.unparse(value), {r: Access(r, ()) for r in seen})
                except NoScalar as problem:
                    raise Refusal(_told(name, problem)).at(line) from None
                equations.append((_named(name), body))
                seen.add(name)
            case _:
                raise Refusal(f"the body of {_a(kind.word)} is equations `name = formula`").at(line)
    if not equations or equations[-1][0] not in kind.gives:
        raise Refusal(
            f"the last equation of the {kind.word} {node.name} gives the new {' or '.join(kind.gives)}"
        ).at(node)
    return Update(node.name, options, tuple(state), tuple(equations), about, tuple(needs))


def _told(name: str, problem: NoScalar) -> str:
    """What is wrong with an equation that is no scalar formula."""
    called, leaf = problem.called, LEAVES.get(problem.called)
    if leaf is not None:
        return f"{called} takes {listing(leaf.params)} in the equation of {name}, not as in '{problem.part}'"
    if called:
        return f"'{called}' is no function of numbers in the equation of {name}{did_you_mean(called, LEAVES)}"
    return (
        f"'{problem.part}' is no part of a formula for {name}: there are numbers, names, + - * / **, brackets such as "
        "[t < 10] and functions such as sqrt(t), and nothing is divided by 0"
    )


def _options(node: ast.FunctionDef, kind: _Kind) -> dict[str, float]:
    """The arguments that have a default."""
    names, first = [a.arg for a in node.args.args], len(kind.first)
    more = len(names) - len(node.args.defaults)
    other = node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.posonlyargs
    if tuple(names[:first]) != kind.first or other or (more != first and kind is not _PRECEDING):
        raise Refusal(
            f"the arguments of the {kind.word} {node.name} are {', '.join(kind.first)}, and options with a default each"
        ).at(node)
    options: dict[str, float] = {}
    for name, default in zip(names[more:], node.args.defaults, strict=True):
        if name in (*kind.first, COUNT, *options):
            raise Refusal(f"{name} of the {kind.word} {node.name} is given twice: rename the option").at(node)
        try:
            value = scalar(ast.unparse(default), {})
        except NoScalar:
            value = None
        if not isinstance(value, Num):
            raise Refusal(f"the default of {name} must be a number").at(default)
        try:
            options[_named(name)] = float(value.value)
        except OverflowError:
            raise Refusal(f"the default of {name} is too large a number").at(default) from None
    return options


def _state(node: ast.FunctionDef, given: set[str]) -> list[str]:
    """The names whose first equation reads them: what is kept from step to step; equations before it read it too."""
    first: dict[str, ast.expr] = {}
    for line in node.body:
        for target in _targets(line):
            first.setdefault(target.id, line.value)  # type: ignore[attr-defined]
    return [name for name, value in first.items() if name not in given and name in _reads(value)]


def _reads(value: ast.expr) -> list[str]:
    """The names in a formula that are not called."""
    called = {id(n.func) for n in ast.walk(value) if isinstance(n, ast.Call)}
    return [n.id for n in ast.walk(value) if isinstance(n, ast.Name) and id(n) not in called]


def _targets(line: ast.stmt) -> list[ast.Name]:
    return [t for t in line.targets if isinstance(t, ast.Name)] if isinstance(line, ast.Assign) else []


def _named(name: str) -> str:
    if not is_name(name):
        raise Refusal(
            f"'{name}' cannot be a name: a name is letters, digits and _, no keyword, and begins with no __"
        )
    return name
