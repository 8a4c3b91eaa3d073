"""From text to program: the front end of the language.

`read` goes through the lines in order. Declarations are in `declarations.py`, equations in `equations.py`, formulas in
`formulas.py`; this file says what each line is.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from symgrad.errors import Refusal, SymgradError, complete, did_you_mean
from symgrad.language import declarations, definitions, equations
from symgrad.language.build import Builder
from symgrad.language.definitions import Definition
from symgrad.language.formulas import Formulas
from symgrad.language.functions import FUNCTIONS
from symgrad.language.ints import Size, of
from symgrad.language.program import Program
from symgrad.language.syntax import is_name, parse, words
from symgrad.leaves import LEAVES


def read(
    text: str, definitions: Mapping[str, Definition] | None = None, sizes: Mapping[str, int] | None = None
) -> Program:
    """The program that a text declares.

    Args:
        text: declarations, equations and definitions, a line each or separated by `;`.
        definitions: operations known by name; a `def` of the text wins over one of the same name.
        sizes: numbers for size letters; the others stay symbolic.

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
    cleaned = text if isinstance(text, str) else ""
    try:
        cleaned, tree = parse(text)
        return _Reader(cleaned, tree, definitions or {}, sizes or {}).program()
    except Refusal as problem:
        raise complete(problem, cleaned) from None
    except RecursionError:
        raise SymgradError("the text is nested too deeply; give parts a line of their own") from None


class _Reader:
    def __init__(self, text: str, tree: ast.Module, known: Mapping[str, Definition], sizes: Mapping[str, int]):
        self.text, self.tree = text, tree
        self.given = {name: of(_size_number(name, value)) for name, value in sizes.items()}
        own: dict[str, Definition] = {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                definitions.add(own, definitions.define(node, text))
        self.names = _written(tree)
        self.builder = Builder(dict.fromkeys(n.id for n in ast.walk(tree) if isinstance(n, ast.Name)))
        self.f = Formulas(self.builder, {**known, **own}, self.names)
        self.sizes: dict[str, None] = {}
        self.declared: dict[str, ast.AST] = {}  # weights, for the message when one is never used
        self.last = ""
        self._check_names(own)

    def _check_names(self, own: Mapping[str, Definition]) -> None:
        for name, node in self.names.items():
            if name in own:
                raise Refusal(f"{name} is a function and a tensor; a name is one of them").at(node)
            if not is_name(name):
                raise Refusal(f"{name} cannot be a name").at(node)

    def program(self) -> Program:
        if not any(not isinstance(n, ast.FunctionDef) for n in self.tree.body):
            raise Refusal("the text is empty: it needs an equation, such as `loss = sum(x**2)`")
        for node in self.tree.body:
            try:
                self.line(node)
            except Refusal as problem:
                raise problem.at(node) from None
        target = "loss" if "loss" in self.builder.tensors else self.last
        if not target:
            raise Refusal("nothing is computed: add an equation, such as `loss = sum(x**2)`")
        self._drop_constants(target)
        self._check_use(target)
        letters = tuple(s for s in self.sizes if s not in self.given)
        return self.builder.program(target, letters, self.text)

    # lines

    def line(self, node: ast.stmt) -> None:
        """Read one line of the text."""
        self.builder.line = node.lineno
        match node:
            case ast.FunctionDef():
                return
            case ast.AnnAssign(target=ast.Name(id=name)):
                self.declaration(name, node)
            case ast.Assign(targets=[ast.Name(id=name)]):
                self._may_write(name, node, whole=True)
                equations.written(self.f, name, node.value, node.lineno)
                self.last = name
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name)) as target]):
                self._may_write(name, node, whole=True)
                equations.indexed(self.f, target, node.value, node.lineno)
                self.last = name
            case ast.Expr(value=value):
                self.bare(value, node)
            case ast.Assign():
                raise Refusal("one equation writes one tensor: `y = ...` or `y[i, j] = ...`")
            case _:
                raise Refusal(f"a line is a declaration, an equation or a definition, not {words(node)}")

    def bare(self, value: ast.expr, node: ast.stmt) -> None:
        """A last line that is only a formula."""
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return  # a note
        if node is not self.tree.body[-1]:
            raise Refusal("only the last line may be a formula without a name; write `name = ...`")
        plain = value.elts[0] if isinstance(value, ast.Tuple) else value
        if isinstance(plain, ast.Name) and plain.id in self.builder.tensors:
            self.last = plain.id
            return
        name = "value"
        while name in self.names:
            name += "_"
        equations.written(self.f, name, value, node.lineno)
        self.last = name

    def declaration(self, name: str, node: ast.AnnAssign) -> None:
        """`x: data[n]`, `y: zeros[n]`."""
        if name in self.f.frame.values:
            raise Refusal(f"{name} is declared twice")
        if name in self.sizes:
            raise Refusal(f"{name} is a size already; a name is a tensor or a size")
        d = declarations.split(node.annotation, node.value)
        if d.ellipsis:
            raise Refusal("a declaration gives every axis its size; `...` is for the parameters of a definition")
        for dim in d.dims:
            self._new_sizes(dim)
        for _, bound in d.bounds if d.role == "label" else ():
            self._new_sizes(bound)
        tensor, letters = declarations.tensor(name, d, self.f.whole, self.f.array)
        for n, dim in zip(tensor.shape, d.dims, strict=True):
            if n.number is not None and n.number < 1:
                raise Refusal(f"a size is at least 1, not {n}").at(dim)
        self.f.frame.values[name] = self.builder.declare(tensor, letters)
        if tensor.role == "weight":
            self.declared[name] = node

    def _new_sizes(self, dim: ast.expr) -> None:
        """Letters met in a shape are sizes from here on."""
        for n in ast.walk(dim):
            if isinstance(n, ast.Name) and n.id not in self.f.frame.values and n.id not in self.sizes:
                if n.id in self.names:
                    raise Refusal(f"{n.id} is a tensor and a size; a name is one of them").at(n)
                if n.id in self.f.definitions or n.id in FUNCTIONS or n.id in LEAVES:
                    raise Refusal(f"{n.id} is a function; give the size another letter").at(n)
                self.sizes[n.id] = None
                self.f.frame.sizes[n.id] = self.given.get(n.id) or of(Size(n.id))
                self.f.frame.letters[n.id] = None

    def _may_write(self, name: str, node: ast.stmt, *, whole: bool) -> None:
        """Refuse a second writer, or a name that is something else."""
        if name in self.sizes:
            raise Refusal(f"{name} is a size of the declarations; a name is a tensor or a size").at(node)
        if name in self.builder.tensors and whole:
            self._again(name, node)

    def _again(self, name: str, node: ast.stmt) -> None:
        role = self.builder.tensors[name].role
        if role != "value":
            raise Refusal(f"{name} is declared as {role} and cannot be written").at(node)
        new = self.builder.part_name_of(name)
        raise Refusal(f"{name} is written already; give the new value a name of its own: `{new} = ...`").at(node)

    # the end

    def _drop_constants(self, target: str) -> None:
        """Numbers that only served as sizes (`hidden = 32`) leave no statement."""
        b = self.builder
        read = {name for s in b.statements for name in s.reads}
        for name, array in self.f.frame.values.items():
            whole = getattr(array, "whole", None)
            t = b.tensors.get(name)
            if whole is not None and t is not None and t.role == "value" and name not in read and name != target:
                b.statements = [s for s in b.statements if s.out != name]
                del b.tensors[name]

    def _check_use(self, target: str) -> None:
        read = {name for s in self.builder.statements for name in s.reads}
        for name, node in self.declared.items():
            if name not in read and name != target:
                raise Refusal(
                    f"the weight {name} is declared and never used{did_you_mean(name, [])}; use it, or leave its line out"
                ).at(node)


def _written(tree: ast.Module) -> dict[str, ast.AST]:
    """The tensors that a text declares or writes, each with the first node that does."""
    out: dict[str, ast.AST] = {}
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign)):
            targets = [node.target]
        for t in targets:
            base = t.value if isinstance(t, ast.Subscript) else t
            if isinstance(base, ast.Name):
                out.setdefault(base.id, node)
    return out


def _size_number(name: str, value: object) -> int:
    if not is_name(str(name)) or isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refusal(f"the size {name} is given as {value!r}; a size is a whole number of at least 1")
    return value


