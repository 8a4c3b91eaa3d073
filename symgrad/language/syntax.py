"""From text to a tree: bounds before anything is parsed, a whitelist after, and hints where the syntax is
another one's.

Nothing of a text is ever evaluated; what is not on the list is refused with its place.
"""

from __future__ import annotations

import ast
import inspect
import io
import keyword
import math
import re
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator

from symgrad.errors import Refusal

LENGTH = 400_000  # characters of a text
TOKENS = 100_000
BRACKETS = 60  # open at once
DEPTH = 80  # levels of a tree, a chain of sums or products counting as one
DIGITS = 400  # of one number
NAME = 200  # characters of one name
HINTED = 2000  # characters of a line in which the notation that was meant is sought

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ"
_SUPERSCRIPT = str.maketrans(_RAISED, "0123456789-n")
_ALLOWED = (
    ast.Module, ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assert,
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Call, ast.keyword, ast.Constant, ast.Name,
    ast.Attribute, ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.Load, ast.Store,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_NO_LOOP = "there are no loops here: write a sum with its index, `sum(i, x[i])`, or `y[i] = ...` for all i"
_NO_FOR = "there is no `for` here: write the equation with its index, `y[i] = x[i]**2`"
_NO_IMPORT = "nothing is imported here: functions are known by their names (`symgrad ops` lists them)"
_REFUSED: dict[type[ast.AST], str] = {
    ast.Lambda: "there is no lambda here: write `def f(x): return ...` above, and use f",
    ast.GeneratorExp: "there is no `for` here: write a sum with its index, `sum(i, x[i])`",
    ast.ListComp: _NO_FOR,
    ast.SetComp: _NO_FOR,
    ast.DictComp: _NO_FOR,
    ast.For: _NO_LOOP,
    ast.While: _NO_LOOP,
    ast.If: "there is no `if` statement here: write `a if c else b`, or `[c]*a + [not c]*b`",
    ast.Import: _NO_IMPORT,
    ast.ImportFrom: _NO_IMPORT,
    ast.BitXor: "`^` is no power here: write `x**2`",
    ast.BitAnd: "`&` joins facts in a declaration; join conditions with `and`: `[a > 0 and b > 0]`",
    ast.BitOr: "join conditions with `or`: `[a > 0 or b > 0]`; an absolute value is `abs(x)`",
    ast.Invert: "turn a condition round with `not`: `[not x > 0]`",
    ast.LShift: "`<<` is not part of the language: write `x*2**k`",
    ast.RShift: "`>>` is not part of the language: write `x//2**k`",
    ast.ClassDef: "there are no classes here: write `def f(x): return ...`",
    ast.Starred: "`*` cannot unpack here: write the arguments one by one",
    ast.NamedExpr: "`:=` is not part of the language: give the part a line of its own",
    ast.JoinedStr: "texts with fields are not part of the language",
    ast.Dict: "there are no dictionaries here",
    ast.Set: "there are no sets here: a condition stands in square brackets, `[x > 0]`",
}


def parse(text: str) -> tuple[str, ast.Module]:
    """The cleaned text and its tree, of which every node is on the whitelist.

    Raises:
        Refusal: with the place, where the text is too large or not of the language.

    Example:
        >>> text, tree = parse("y = x + 1")
        >>> ast.unparse(tree)
        'y = x + 1'
    """
    if not isinstance(text, str):
        raise Refusal(f"a program is a text, not {type(text).__name__}")
    if len(text) > LENGTH:
        raise Refusal(f"the text has {len(text)} characters; at most {LENGTH} are read")
    text = text.removeprefix("\ufeff")
    # a text that starts with a definition keeps the indentation of its body
    opens = re.match(r"def\b[^\n]*:[ \t]*(#[^\n]*)?\n", text)
    text = inspect.cleandoc("\n" + text if opens else text)
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        raise Refusal("the text holds characters that are none: it was not saved as UTF-8 text")
    _bound(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error"
            )  # what Python only doubts, such as `3if`, is no text of the language
            tree = ast.parse(text)
    except SyntaxError as problem:
        raise _explained(problem, text) from None
    except (RecursionError, MemoryError, ValueError) as problem:
        raise Refusal(
            "the text is nested too deeply, has a sum of too many terms, or a number that is too long"
        ) from problem
    _check(tree)
    tree.body = _unpacked(tree.body)
    return text, tree


def _unpacked(body: list[ast.stmt]) -> list[ast.stmt]:
    """The lines with `a, b = f(x)` as `a = f(x)[0]` and `b = f(x)[1]`; of two tuples each with its own part."""
    out: list[ast.stmt] = []
    for line in body:
        match line:
            case ast.FunctionDef():
                line.body = _unpacked(line.body)
                out.append(line)
            case ast.Assign(targets=[ast.Tuple(elts=names) | ast.List(elts=names)], value=value):
                if isinstance(value, ast.Tuple) and len(value.elts) != len(names):
                    said = f"{len(names)} names stand on the left, and {len(value.elts)} values on the right"
                    raise Refusal(said).at(line)
                for k, name in enumerate(names):
                    part = (
                        value.elts[k]
                        if isinstance(value, ast.Tuple)
                        else ast.copy_location(ast.Subscript(value, ast.Constant(k), ast.Load()), value)
                    )
                    made = ast.copy_location(ast.Assign([name], part), line)
                    out.append(ast.fix_missing_locations(made))
            case _:
                out.append(line)
    return out


def is_name(name: str) -> bool:
    """Whether a word may be a name: an identifier that NFKC leaves as it is, no keyword, not `__...`."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and unicodedata.normalize("NFKC", name) == name
        and not name.startswith("__")
    )


def _bound(text: str) -> None:
    """Refuse before parsing what is too long or too deep, and words that are no names."""
    opened = 0
    for count, token in enumerate(_tokens(text), 1):
        line, column = token.start
        here = (line, len(token.line[:column].encode()), len(token.string))
        if count > TOKENS:
            raise Refusal(f"the text has more than {TOKENS} words and signs", *here)
        if token.type == tokenize.NUMBER and len(token.string) > DIGITS:
            raise Refusal(f"a number has at most {DIGITS} digits", *here)
        if token.type == tokenize.NAME and len(token.string) > NAME:
            raise Refusal(f"a name has at most {NAME} characters, not {len(token.string)}", *here[:2], 1)
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string) and not is_name(token.string):
            raise _no_name(token.string, here)
        if token.type == tokenize.OP:
            opened += (token.string in "([{") - (token.string in ")]}")
            if opened > BRACKETS:
                raise Refusal(
                    f"more than {BRACKETS} brackets are open here; give parts a line of their own", *here
                )


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return  # ast.parse says where


def _no_name(word: str, here: tuple[int, int, int]) -> Refusal:
    plain = unicodedata.normalize("NFKC", word)
    if word.startswith("__"):
        return Refusal(f"a name cannot start with two underscores: {word}", *here)
    if re.fullmatch(r"\w+[ᵀᵗ]", word):
        return Refusal(f"write {word[:-1]}.T for the transpose", *here)
    raised = re.fullmatch(f"(.+?)([{_RAISED}]+)", word)
    if raised:
        return Refusal(f"write a power as {raised[1]}**{raised[2].translate(_SUPERSCRIPT)}", *here)
    return Refusal(f"'{word}' is written with letters that are variants of others; write '{plain}'", *here)


def _explained(problem: SyntaxError, text: str) -> Refusal:
    """Python's complaint in our words, with a hint for the notation that was probably meant."""
    lines = text.splitlines() or [""]
    number = min(max(problem.lineno or 1, 1), len(lines))
    line = lines[number - 1]
    for pattern, hint in _HABITS:
        # a pattern may take the square of a line's length
        found = re.search(pattern, line) if len(line) <= HINTED else None
        if found:
            words = {k: v or "" for k, v in found.groupdict().items()}
            if "power" in words:
                words["power"] = words["power"].translate(_SUPERSCRIPT)
            return Refusal(
                hint.format(**words), number, len(line[: found.start()].encode()), len(found.group())
            )
    said = problem.msg.removesuffix(" Perhaps you forgot a comma?").removesuffix(
        ". Perhaps you forgot a comma?"
    )
    hint = _said(said)
    column = max((problem.offset or 1) - 1, 0)
    return Refusal(hint, number, len(line[:column].encode()), 1)


def _said(said: str) -> str:
    if "was never closed" in said or "unexpected EOF" in said:
        return f"a bracket is open: {said}"
    if "unmatched" in said or "does not match" in said:
        return f"the brackets do not fit: {said}"
    if "indent" in said:
        return "this line is indented and belongs to nothing above it; start all lines in the same column"
    if "maybe you meant '=='" in said:
        return "one `=` writes a tensor; compare with `==`"
    if "too many nested" in said:
        return "the text is nested too deeply; give parts a line of their own"
    if "cannot assign to" in said or "cannot be an annotation" in said or "illegal target" in said:
        return f"the left side of an equation is a name or a name with indices, `y` or `y[i, j]` ({said})"
    return f"this is not part of the language ({said})"


_HABITS = (
    (r"(?P<name>\b[A-Za-z_]\w*)\s*(\^?[ᵀᵗ⊤]|\^T\b|'(?![^']*'))", "write {name}.T for the transpose"),
    (r"(?P<base>\w+)(?P<power>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", "write a power as {base}**{power}"),
    (
        r"\|(?P<inside>[^|]+)\|",
        "write an absolute value as abs({inside}), the length of a vector as norm({inside})",
    ),
    (
        r"(?<![\w.])(?P<number>\d+\.?\d*)(?P<name>[A-Za-z_]\w*|\()",
        "write the product with a star: {number}*{name}",
    ),
    (r"(?P<a>\))\s*(?P<b>\()", "write a product with a star: (...)*(...)"),
    (r"\bprint\b", "nothing is printed here: leave the line out"),
    (r"[·×⋅]", "write a product with `*` (entry by entry) or `@` (of matrices)"),
    (r"[−–]", "this minus is another character: write `-`"),
    (r"[≤≥≠]", "write comparisons as `<=`, `>=`, `!=`"),
    (r"[∑Σ]", "write a sum as `sum(i, x[i])`"),
    (r"√", "write a root as `sqrt(x)`"),
    (r"∇|∂", "the derivative is what is asked for: write the function only"),
    (r"\b(lambda)\b", "there is no lambda here: write `def f(x): return ...` above, and use f"),
    (r"(?P<name>\b[A-Za-z_]\w*)\s*:=", "write `{name} = ...`"),
)


def _check(tree: ast.Module) -> None:
    """Every node is on the list and no branch is too deep; chains of one sum or product count once."""
    stack: list[tuple[ast.AST, int]] = [(tree, 0)]
    annotations: set[int] = set()
    while stack:
        node, depth = stack.pop()
        if depth > DEPTH:
            raise Refusal("this is nested too deeply; give parts a line of their own").at(node)
        if isinstance(node, ast.AnnAssign):
            annotations.update(id(n) for n in ast.walk(node.annotation))
        hint = _REFUSED.get(type(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and not math.isfinite(node.value):
            hint = "this number is too large: the largest are about 1e307"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor) and _is_t(node.right):
            hint = f"write {grouped(words(node.left))}.T for the transpose"
        if hint is None and isinstance(node, ast.BinOp):
            hint = None if id(node) in annotations else _REFUSED.get(type(node.op))
        if hint is None and isinstance(node, ast.UnaryOp):
            hint = _REFUSED.get(type(node.op))
        if hint is None and not isinstance(node, (*_ALLOWED, *_REFUSED)):
            hint = f"{type(node).__name__} is not part of the language"
        if hint is not None and not isinstance(node, (ast.operator, ast.unaryop)):
            raise Refusal(hint).at(node)
        for child in ast.iter_child_nodes(node):
            same = isinstance(node, ast.BinOp) and child is node.left and same_chain(node, child)
            stack.append((child, depth if same else depth + 1))


def _is_t(node: ast.expr) -> bool:
    """Whether a right operand starts with T, as in `X^T @ y`."""
    while isinstance(node, ast.BinOp):
        node = node.left
    return isinstance(node, ast.Name) and node.id == "T"


def same_chain(node: ast.BinOp, child: ast.AST) -> bool:
    """Whether a left operand goes on the sum, or the product, that the node ends."""
    if not isinstance(child, ast.BinOp):
        return False
    sums, products = (ast.Add, ast.Sub), (ast.Mult, ast.Div)
    return any(isinstance(node.op, ops) and isinstance(child.op, ops) for ops in (sums, products))


def chain(node: ast.BinOp) -> list[tuple[ast.operator | None, ast.expr]]:
    """The members of a sum or of a product, each with the sign before it, without recursion."""
    members: list[tuple[ast.operator | None, ast.expr]] = []
    here: ast.expr = node
    while isinstance(here, ast.BinOp) and (here is node or same_chain(node, here)):
        members.append((here.op, here.right))
        here = here.left
    members.append((None, here))
    return members[::-1]


def words(node: ast.AST, most: int = 40) -> str:
    """What the user wrote, for a message."""
    return shortened(ast.unparse(node), most)


def shortened(text: str, most: int = 40) -> str:
    """A text for a message, its end left out where it is long."""
    return text if len(text) <= most else text[: most - 3] + "..."


def grouped(text: str) -> str:
    """Words as a part of a suggested formula: in parentheses unless they are one name or entry."""
    return text if re.fullmatch(r"[\w.]+(\[[^]]*\])?", text) else f"({text})"


def unsigned(node: ast.expr) -> ast.expr:
    """What stands behind signs: of `-[i > 0]*x[i]` Python sees the sign before the bracket alone."""
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        node = node.operand
    return node


def is_condition(node: ast.expr) -> bool:
    """Whether it is a condition in square brackets."""
    if not isinstance(node, ast.List) or len(node.elts) != 1:
        return False
    inside = node.elts[0]
    return isinstance(inside, (ast.Compare, ast.BoolOp)) or (
        isinstance(inside, ast.UnaryOp) and isinstance(inside.op, ast.Not)
    )
