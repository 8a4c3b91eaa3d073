"""Answers as programs: the student's lines, read by the language's own reader beside the program they are about."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from symgrad.errors import Refusal, complete, did_you_mean, listing
from symgrad.explain.grading.signs import plain
from symgrad.language import declarations
from symgrad.language.program import Facts, Program, Tensor, declaration, needed
from symgrad.language.reader import programmed
from symgrad.language.syntax import parse
from symgrad.library import DEFINITIONS

LOSS = "L"  # what derivations call the loss
LENGTH = 20_000  # characters of an answer
MODULES = ("np", "numpy", "torch")
_QUOTIENT = re.compile(r"^\s*[∂d]\w+\s*/\s*[∂d]\w+(?=\s*(\[[^]=]*\])?\s*=(?!=))", re.MULTILINE)


@dataclass(frozen=True)
class Answer:
    """An answer that was read.

    Attributes:
        text: what the student wrote, cleaned.
        tree: its lines; the last one gives the answer under `name`.
        program: the program with the answer's statements.
        name: the tensor that is the answer.
        signals: what it uses beside the program's inputs, by the name it has there.
    """

    text: str
    tree: ast.Module
    program: Program
    name: str
    signals: Mapping[str, Tensor]


class Desk:
    """Reads answers about one program.

    Args:
        source: the program that the answers are about.
        signals: error signals and parts by the names they may be called.
    """

    def __init__(self, source: Program, signals: Mapping[str, Tensor]):
        self.source, self.signals = source, signals
        self._header = _header(source)
        words = [n.id for n in ast.walk(self._header) if isinstance(n, ast.Name)]
        named = [t.name for t in source.tensors.values() if t.named]
        self._known = dict.fromkeys([*named, *source.sizes, *words])
        self._hidden: dict[
            str, str
        ] = {}  # a tensor called loss would be what the reader takes for the target
        if "loss" in self._known:
            self._hidden["loss"] = source.fresh("loss_value", words)
            self._header.body = [_Renaming(self._hidden).visit(line) for line in self._header.body]

    def read(self, text: str) -> Answer:
        """The answer that a text gives.

        Raises:
            SymgradError: one paragraph, with the line and a caret, where it cannot be read.
        """
        cleaned = text
        try:
            cleaned, tree = self.parsed(text)
            return self.taken(cleaned, tree)
        except Refusal as problem:
            raise complete(self._told(problem), cleaned) from None

    @staticmethod
    def parsed(text: str) -> tuple[str, ast.Module]:
        """The cleaned text and its tree; a quotient on the left, `∂L/∂w = ...`, is one name, and the signs of printed
        mathematics, `Xᵀ`, `·`, `h²`, are read as what they mean.

        Raises:
            Refusal: with the place, where it is not of the language.
        """
        if len(text) > LENGTH:
            raise Refusal(f"the answer has {len(text)} characters; at most {LENGTH} are read")
        named = _QUOTIENT.sub(lambda m: re.sub(r"[∂/ ]", lambda c: "d" if c[0] == "∂" else "_", m[0]), text)
        return parse(plain(named))

    def taken(self, text: str, tree: ast.Module) -> Answer:
        """The answer of a tree that `parse` took.

        Raises:
            Refusal: with the place in the student's text.
        """
        lines, name = self._renamed(tree)
        used = {n.id for line in lines for n in ast.walk(line) if isinstance(n, ast.Name)} - _letters(lines)
        written = {declarations.base(t) for line in lines for t in _targets(line)}
        beside = {
            x: t for x, t in self.signals.items() if x in used and x not in written and x not in self._known
        }
        shown = [declaration(replace(t, name=x, role="data", facts=Facts(), start=None, literal=None, early=()))
                 for x, t in beside.items()]  # fmt: skip
        extra = parse("\n".join(shown))[1].body if shown else []
        whole = ast.Module([*copy.deepcopy(self._header.body), *extra, *lines], [])
        program = programmed(text, whole, DEFINITIONS)
        if name not in program.tensors:
            raise Refusal("the last line gives no tensor: end with the answer, a formula or `name = formula`")
        part = replace(program, target=name, statements=needed(program.statements, [name]))
        return Answer(text, tree, part, name, beside)

    def _renamed(self, tree: ast.Module) -> tuple[list[ast.stmt], str]:
        """The student's lines under names that the program does not have, and the name of the answer."""
        if not tree.body:
            raise Refusal("the answer is empty")
        taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        new = dict(self._hidden)
        written = {declarations.base(t) for line in tree.body for t in _targets(line)}
        if LOSS not in {*self._known, *self.signals, *written, *_letters(tree.body)}:
            new[LOSS] = self._hidden.get(self.source.target, self.source.target)

        def fresh(stem: str) -> str:
            while stem in self._known or stem in taken or stem in self.signals:
                stem += "_"
            taken.add(stem)
            return stem

        lines: list[ast.stmt] = []
        name = ""
        for k, old in enumerate(tree.body):
            line = copy.deepcopy(old)
            last = k == len(tree.body) - 1
            if isinstance(line, ast.AnnAssign):
                raise Refusal(
                    "an answer declares nothing: it uses the names of the program, and gives names to its own parts"
                ).at(line)
            if last and isinstance(line, ast.Expr):
                target = ast.copy_location(ast.Name(fresh("answer"), ast.Store()), line)
                line = ast.copy_location(ast.Assign([target], line.value), line)
            targets = _targets(line)
            reads = _Renaming(new)
            if isinstance(line, (ast.Assign, ast.AugAssign)):
                line.value = reads.visit(line.value)
                for own in map(declarations.base, targets):
                    if own in self._known and new.get(own) in (None, self._hidden.get(own)):
                        new[own] = fresh(own)
                if isinstance(line, ast.Assign):
                    line.targets = [_Renaming(new).visit(t) for t in targets]
                else:
                    line.target = _Renaming(new).visit(line.target)
                if last:
                    name = declarations.base(_targets(line)[0])
            lines.append(line)
        if not name:
            raise Refusal("the last line of an answer is the answer: a formula, or `name = formula`").at(
                tree.body[-1]
            )
        return lines, name

    def _told(self, problem: Refusal) -> Refusal:
        """A refusal with what the answer may use, where it is about an unknown name."""
        found = re.search(r"(?:^|\b)'?(\w+)'? is (?:not known|unknown|not declared|no )", problem.reason)
        if found and found[1] not in self._known and found[1] != "there":
            names = self.names()
            near = did_you_mean(found[1], names)
            reason = f"{found[1]} is no name of this problem{near}; an answer may use {listing(names)}"
            return Refusal(reason, problem.line, problem.column, problem.width)
        return problem

    def names(self) -> list[str]:
        """What an answer may use."""
        own = [t.name for t in self.source.tensors.values() if t.named]
        signals = {t.name: x for x, t in self.signals.items() if t.of and t.of in own}
        return [*own, *self.source.sizes, *(x for x in signals.values() if x not in own)]


def _header(source: Program) -> ast.Module:
    """The lines of a program: the user's own where they give it, else as the program prints itself."""
    if source.text:
        try:
            text, tree = parse(source.text)
            again = programmed(text, copy.deepcopy(tree), DEFINITIONS)
        except Refusal:
            again = None
        if again is not None and set(source.statements) <= set(again.statements):
            return _named(tree, again)
    return _named(parse(str(source))[1], source)


def _named(tree: ast.Module, program: Program) -> ast.Module:
    """The lines with a name for the last one if it is a formula alone."""
    last = tree.body[-1]
    if isinstance(last, ast.Expr) and not isinstance(last.value, ast.Name):
        target = ast.copy_location(ast.Name(program.target, ast.Store()), last)
        tree.body[-1] = ast.copy_location(ast.Assign([target], last.value), last)
    elif isinstance(last, ast.Expr):
        del tree.body[-1]
    return tree


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]):
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id in self.names:
            return ast.copy_location(ast.Name(self.names[node.id], node.ctx), node)
        return node


def _letters(lines: list[ast.stmt]) -> set[str]:
    """Names that stand at places, and so are letters of the answer's own."""
    slices = [n.slice for line in lines for n in ast.walk(line) if isinstance(n, ast.Subscript)]
    return {n.id for s in slices for n in ast.walk(s) if isinstance(n, ast.Name)}


def _targets(line: ast.stmt) -> list[ast.expr]:
    if isinstance(line, ast.Assign):
        return line.targets
    return [line.target] if isinstance(line, ast.AugAssign) else []


def spelled(node: ast.AST, most: int = 60) -> str:
    """An expression as a user would write it: `2/n * X.T`, `h**2`."""
    text = re.sub(r" (\*\*|/) ", r"\1", ast.unparse(node))
    return text if len(text) <= most else f"{text[: most - 3]}..."
