"""From text to program: the front end of the language.

`read` goes through the lines in order. Declarations are in `declarations.py`, equations in `equations.py`,
formulas in `formulas.py`; this file says what each line is.
"""

from __future__ import annotations

import ast
import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace

from symgrad.errors import Refusal, SymgradError, complete, did_you_mean
from symgrad.language import declarations, definitions, equations, recurrences, suggestions
from symgrad.language import expr as ex
from symgrad.language.build import Builder
from symgrad.language.declarations import Declaration
from symgrad.language.definitions import Definition
from symgrad.language.expr import Expr
from symgrad.language.formulas import FUNCTIONS, Formulas, Undeclared
from symgrad.language.ints import ZERO, Int, Look, Size, of, product
from symgrad.language.program import Program, Statement
from symgrad.language.reductions import OPS
from symgrad.language.syntax import is_name, parse, words
from symgrad.language.values import Array
from symgrad.leaves import LEAVES

CORE = {*OPS, *LEAVES, "stop", "held", "index"}  # functions that no text can do without


def read(
    text: str,
    definitions: Mapping[str, Definition] | None = None,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Program:
    """The program that a text declares.

    Args:
        text: declarations, equations and definitions, a line each or separated by `;`.
        definitions: operations known by name; a `def` of the text wins over one of the same name.
        sizes: numbers for size letters; the others stay symbolic.
        training: what the option of this name is, in the text and in all definitions.

    Raises:
        SymgradError: one paragraph that says what is wrong, where, and what would be right.

    Example:
        >>> p = read("x: data[n]; w: weight[n]; loss = sum(w*x)**2")
        >>> print(p)
        x: data[n]
        w: weight[n]
        loss_1 = sum(n, w[n]*x[n])
        loss = loss_1**2
    """
    if sizes is not None and not isinstance(sizes, Mapping):
        raise SymgradError(
            f'sizes takes a number for each size letter, such as sizes={{"n": 3}}, not {sizes!r}'
        )
    cleaned = text if isinstance(text, str) else ""
    try:
        cleaned, tree = parse(text)
        try:
            return programmed(cleaned, tree, definitions, sizes, training)
        except Refusal as problem:
            raise _with_declarations(problem, cleaned, tree, definitions or {}) or problem from None
    except Refusal as problem:
        raise complete(problem, cleaned) from None


def programmed(
    text: str,
    tree: ast.Module,
    definitions: Mapping[str, Definition] | None = None,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Program:
    """The program of a text that `parse` took; what it cannot take it refuses with the place in the text.

    Raises:
        Refusal: what is wrong, and where.
    """
    try:
        return _Reader(text, tree, definitions or {}, sizes or {}, training).program()
    except RecursionError:
        raise Refusal("the text is nested too deeply; give parts a line of their own") from None


def _with_declarations(
    problem: Refusal, text: str, tree: ast.Module, known: Mapping[str, Definition]
) -> Refusal | None:
    """For a text without any declaration, the message that offers some."""
    if not isinstance(problem, Undeclared) or any(isinstance(n, ast.AnnAssign) for n in tree.body):
        return None
    own = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    formulas = ast.Module([n for n in tree.body if not isinstance(n, ast.FunctionDef)], [])
    names = suggestions.unknown_names(formulas, lambda n: n in own or n in ("pi", "e", "training"))
    if not names:
        return None

    def reads(lines: str) -> bool:
        try:
            again = parse(f"{lines}\n{text}")
            _Reader(*again, known, {}, True).program()
        except Refusal:
            return False
        return True

    return suggestions.refusal(names, suggestions.declarations(formulas, names, reads), problem)


class _Reader:
    """One text being read, line by line."""

    def __init__(
        self,
        text: str,
        tree: ast.Module,
        known: Mapping[str, Definition],
        sizes: Mapping[str, int],
        training: bool,
    ):
        self.text, self.tree, self.training = text, tree, training
        self.given = {name: of(_size_number(name, value)) for name, value in sizes.items()}
        own: dict[str, Definition] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                definitions.add(own, definitions.define(node, text))
        self.names = _names(tree)
        self.builder = Builder(dict.fromkeys(n.id for n in ast.walk(tree) if isinstance(n, ast.Name)))
        for name in self.names:
            self.builder.reserve(name)
        # looked up, not copied: a definition of `known` is read when it is first called
        every = ChainMap(own, known)  # type: ignore[arg-type]  # only the first is ever written to
        self.f = Formulas(self.builder, every, self.names, training)
        self.builder.sizes = self.f.root.sizes
        self.sizes: dict[str, None] = {}
        self.declared: dict[str, ast.AST] = {}  # weights, for the message when one is never used
        self.last = ""
        self.writers = _writers(tree)
        self.states = _states(tree)
        self.waiting = recurrences.Waiting(tree.body, self.states)
        self.parts: dict[str, list[Statement]] = {}
        self.ops: dict[str, str] = {}
        calls = (n.func for n in ast.walk(tree) if isinstance(n, ast.Call))
        self.called = {n.id for n in calls if isinstance(n, ast.Name) and self._is_function(n.id)}
        self._check_names(own)

    def _is_function(self, name: str) -> bool:
        return name in self.f.definitions or name in FUNCTIONS

    def _check_names(self, own: Mapping[str, Definition]) -> None:
        for name, node in self.names.items():
            if name in own or name in self.called or name in CORE:
                raise Refusal(f"{name} is a function; give the tensor another name").at(node)
            if not is_name(name):
                raise Refusal(f"{name} cannot be a name").at(node)

    def program(self) -> Program:
        if not any(not isinstance(n, ast.FunctionDef) for n in self.tree.body):
            raise Refusal("the text is empty: it needs an equation, such as `loss = sum(x**2)`")
        for node in self.waiting.lines:
            try:
                self.line(node)
            except Refusal as problem:
                raise problem.at(node) from None
        end = self.tree.body[-1]
        if isinstance(end, ast.Assign):
            self.last = declarations.base(end.targets[0])
        target = "loss" if "loss" in self.builder.tensors else self.last
        if not target:
            raise Refusal("nothing is computed: add an equation, such as `loss = sum(x**2)`")
        self._drop_unread(target)
        self._drop_constants(target)
        self._check_use(target)
        for name in self.given:
            if name not in self.sizes:
                raise Refusal(
                    f"a number is given for {name}, which is no size of the "
                    f"text{did_you_mean(name, self.sizes)}"
                )
        letters = tuple(s for s in self.sizes if s not in self.given)
        return replace(self.builder.program(target, letters, self.text), switched=self.f.switched)

    # lines

    def line(self, node: ast.stmt) -> None:
        """Read one line of the text."""
        self.builder.line = node.lineno
        match node:
            case ast.FunctionDef():
                return
            case ast.AnnAssign(target=ast.Name(id=name)):
                self.declaration(name, node)
            case ast.Assign() if (circle := self.waiting.circle(node)) is not None:
                self.recurrence(circle, node)
            case ast.Assign(targets=[target]) if declarations.base(target):
                self.equation(declarations.base(target), target, node.value, "=", node)
            case ast.AugAssign(target=target, op=ast.Add()) if declarations.base(target):
                self.equation(declarations.base(target), target, node.value, "+=", node)
            case ast.Expr(value=value):
                self.bare(value, node)
            case ast.Assign():
                raise Refusal("one equation writes one tensor: `y = ...` or `y[i, j] = ...`")
            case ast.AugAssign(target=target):
                raise self._again(declarations.base(target) or words(target), node)
            case _:
                raise Refusal(f"a line is a declaration, an equation or a definition, not {words(node)}")

    def equation(self, name: str, target: ast.expr, value: ast.expr, op: str, node: ast.stmt) -> None:
        """One equation of a tensor; after the last one, the tensor may be read."""
        if name in self.states:
            self._advance(name, target, value, op, node)
            return
        self._may_write(name, target, op, node)
        if isinstance(target, ast.Subscript):
            if recurrences.is_start(target):
                raise Refusal(
                    f"a position before the first starts a recurrence, and no equation reads {name} at an earlier step"
                )
            statement = equations.indexed(self.f, target, value, node.lineno, op, self.parts.get(name, ()))
        else:
            last = name == "loss" or node is self.tree.body[-1]
            made = equations.written(self.f, name, value, node.lineno, op, last=last)
            if made is None:
                self.last = name
                return
            statement = made
        parts = self.parts.setdefault(name, [])
        parts.append(statement)
        if self.writers[name][-1] is node:
            equations.completed(self.f, name, parts, node)
            self._keep_number(name, parts)
        self.last = name

    def _advance(self, name: str, target: ast.expr, value: ast.expr, op: str, node: ast.stmt) -> None:
        """The equation that gives a state its next value."""
        t = self.builder.tensors.get(name)
        if t is None:
            line = getattr(self.states[name], "lineno", 0)
            raise Refusal(f"the state {name} is declared in line {line}, below; put that line first")
        if op == "+=":
            raise Refusal(f"the next value of a state is an equation: `{name} = {name} + ...`").at(node)
        equations.advanced(self.f, t, target, value)

    def recurrence(self, circle: tuple[str, ...], node: ast.Assign) -> None:
        """One equation of a recurrence; with the last one all of them are read."""
        name = declarations.base(node.targets[0])
        if name in self.sizes or (name in self.builder.tensors and name not in self.parts):
            self._may_write(name, node.targets[0], "=", node)
        lines = self.waiting.met(circle, node)
        if lines is not None:
            recurrences.read(self.f, circle, lines)
        self.last = name

    def _keep_number(self, name: str, parts: list[Statement]) -> None:
        """A scalar that is a whole number made of sizes may stand in positions and shapes: `hidden = 32`."""
        (first, *more) = parts
        array = self.f.frame.values[name]
        if more or first.left or first.axes or not isinstance(array, Array):
            return
        whole = _whole(first.body)
        if whole is not None:
            array.integer = lambda _: whole

    def bare(self, value: ast.expr, node: ast.stmt) -> None:
        """A last line that is only a formula."""
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return  # a note
        if node is not self.tree.body[-1]:
            raise Refusal("only the last line may be a formula without a name; write `name = ...`")
        plain = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
        if isinstance(plain, ast.Name) and plain.id in self.builder.tensors:
            self.last = plain.id
            return
        name = "value"
        while name in self.names:
            name += "_"
        self.writers[name] = [node]
        self.equation(name, ast.Name(name), value, "=", node)

    def declaration(self, name: str, node: ast.AnnAssign) -> None:
        """`x: data[n]`, `y: zeros[n]`."""
        if name in self.f.frame.values or name in self.builder.zeros:
            raise Refusal(f"{name} is declared twice")
        if name in self.sizes:
            raise Refusal(f"{name} is a size already; a name is a tensor or a size")
        d = declarations.split(node.annotation, node.value)
        if d.ellipsis:
            raise Refusal(
                "a declaration gives every axis its size; `...` is for the parameters of a definition"
            )
        for dim in d.dims:
            self._new_sizes(dim)
        for _, bound in d.bounds if d.role == "label" else ():
            self._new_sizes(bound)
        if d.role == "zeros":
            self._zeros(name, d)
            return
        tensor, letters = declarations.tensor(name, d, self.f.whole, self.f.array)
        self.f.frame.values[name] = self.builder.declare(tensor, letters)
        if tensor.role == "weight":
            self.declared[name] = node

    def _zeros(self, name: str, d: Declaration) -> None:
        """`y: zeros[n]`: the sizes of what equations write."""
        if d.bounds or d.facts or d.start is not None:
            raise Refusal("zeros are written by equations and have no facts")
        if name not in self.writers:
            raise Refusal(f"no equation writes {name}: add `{name}[...] += ...`, or leave the line out")
        self.builder.zeros[name] = tuple(map(self.f.whole, d.dims))

    def _new_sizes(self, dim: ast.expr) -> None:
        """Letters met in a shape are sizes from here on."""
        for n in ast.walk(dim):
            if isinstance(n, ast.Name) and n.id not in self.f.frame.values and n.id not in self.sizes:
                if n.id in self.names:
                    raise Refusal(f"{n.id} is a tensor and a size; a name is one of them").at(n)
                if n.id in self.called or n.id in CORE:
                    raise Refusal(f"{n.id} is a function; give the size another letter").at(n)
                self.sizes[n.id] = None
                self.f.frame.sizes[n.id] = self.given.get(n.id) or of(Size(n.id))
                self.f.frame.letters[n.id] = None

    def _may_write(self, name: str, target: ast.expr, op: str, node: ast.stmt) -> None:
        """Refuse a second writer that is none of several parts, or a name that is something else."""
        if name in self.sizes:
            raise Refusal(f"{name} is a size of the declarations; a name is a tensor or a size")
        before = self.parts.get(name)
        if name in self.builder.tensors and not before:
            raise Refusal(f"{name} is declared as {self.builder.tensors[name].role} and cannot be written")
        if self.writers[name][0] is not node and not before:
            raise self._again(name, node)  # the first one was a list or took over a part
        mixed = before and (op != self.ops[name] or isinstance(target, ast.Name) and op == "=")
        if mixed or self._reads(name, node):
            raise self._again(name, node)
        self.ops[name] = op

    def _reads(self, name: str, node: ast.stmt) -> bool:
        value = getattr(node, "value", None)
        return value is not None and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(value))

    def _again(self, name: str, node: ast.stmt) -> Refusal:
        """The message for a name that is written a second time, with the line as it would be right."""
        new = self.builder.part_name_of(name)
        lines = ast.unparse(node)
        if isinstance(node, ast.AugAssign):
            changed = ast.BinOp(node.target, node.op, node.value)
            lines = f"{ast.unparse(node.target)} = {ast.unparse(changed)}"
        renamed = re.sub(rf"^{re.escape(name)}\b", new, lines)
        return Refusal(
            f"{name} has one value in the whole text; give the new one a name of its own: `{renamed}`"
        )

    # the end

    def _drop_unread(self, target: str) -> None:
        """Parts of a definition that an option left out, and what was made for them alone."""
        b = self.builder
        read, kept = {target}, []
        for s in reversed(b.statements):
            t = b.tensors[s.out]
            if t.role != "value" or t.named or s.out in read:
                kept.append(s)
                read.update(s.reads)
        b.statements = kept[::-1]
        made = {s.out for s in kept}
        unread = [
            t.name for t in b.tensors.values() if t.role == "value" and not t.named and t.name not in made
        ]
        for name in unread:
            del b.tensors[name]

    def _drop_constants(self, target: str) -> None:
        """Numbers that only served as sizes (`hidden = 32`) leave no statement."""
        b = self.builder
        read = {name for s in b.statements for name in s.reads}
        for name, array in self.f.frame.values.items():
            whole = getattr(array, "whole", None)
            t = b.tensors.get(name)
            if (
                whole is not None
                and t is not None
                and t.role == "value"
                and name not in read
                and name != target
            ):
                b.statements = [s for s in b.statements if s.out != name]
                del b.tensors[name]

    def _check_use(self, target: str) -> None:
        read = {name for s in self.builder.statements for name in s.reads}
        for name, node in self.states.items():
            if self.training and name not in self.writers:
                raise declarations.no_next(name).at(node)
        for name, node in self.declared.items():
            if self.training and name not in read and name != target:
                said = f"the weight {name} is declared and never used; use it, or leave its line out"
                raise Refusal(said).at(node)


def _writers(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """For each tensor that equations write, those lines."""
    out: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            for t in node.targets if isinstance(node, ast.Assign) else [node.target]:
                out.setdefault(declarations.base(t), []).append(node)
    return out


def _written(node: ast.stmt) -> set[str]:
    """The tensors that a line writes."""
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign)
        else []
    )
    return set(map(declarations.base, targets))


def _states(tree: ast.Module) -> dict[str, ast.AST]:
    """The states that a text declares, each with its line."""
    return {
        node.target.id: node
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if declarations.is_state(node)
    }


def _names(tree: ast.Module) -> dict[str, ast.AST]:
    """The tensors that a text declares or writes, each with the last line that does."""
    out: dict[str, ast.AST] = {name: nodes[-1] for name, nodes in _writers(tree).items() if name}
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            out.setdefault(node.target.id, node)
    return out


def _whole(e: Expr) -> Int | None:
    """A sum of products of sizes and whole numbers as an integer expression."""
    match e:
        case ex.Num(v) if v.denominator == 1:
            return of(int(v))
        case ex.Val(i) if not i.axes and not any(isinstance(a, Look) for a in i.atoms()):
            return i
        case ex.Add(args) | ex.Mul(args):
            parts = [_whole(a) for a in args]
            if any(p is None for p in parts):
                return None
            known = [p for p in parts if p is not None]
            return sum(known, ZERO) if isinstance(e, ex.Add) else product(known)
    return None


def _size_number(name: str, value: object) -> int:
    if not is_name(str(name)) or isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refusal(f"the size {name} is given as {value!r}; a size is a whole number of at least 1")
    return value
