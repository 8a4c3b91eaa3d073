"""Matrix functions by name: what an equation defines (`inv`, `solve`, `det`, ...), powers of matrices, norms."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import calls, ints, reductions, subscripts
from symgrad.language import expr as ex
from symgrad.language.arguments import Args, Keywords, letters_of, no_more, takes
from symgrad.language.expr import Access, Call
from symgrad.language.implicit import IMPLICIT
from symgrad.language.products import product_of
from symgrad.language.program import Statement
from symgrad.language.ranges import letter
from symgrad.language.syntax import is_condition, words
from symgrad.language.values import Array, Positions, elementwise, shown

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

Function = Callable[["Formulas", Args, Keywords], Array]

POWERS = 64  # the largest exponent of matrix_power
NOT_HERE = {
    "pinv": "the pseudo-inverse of a matrix with independent columns is inv(A.T @ A) @ A.T",
    "lstsq": "the least squares solution is solve(A.T @ A, A.T @ b)",
    "eig": "eigenvalues are taken of symmetric matrices: eigvals(A)",
    "svd": "the squared singular values are eigvals(A.T @ A)",
    **dict.fromkeys(("cholesky", "qr", "expm", "sqrtm", "logm"), "it is not part of the language"),
}


def _square(f: Formulas, name: str, node: ast.expr) -> Array:
    """A matrix with as many rows as columns, or a stack of them."""
    a = f.array(node)
    if a.rank < 2 or a.shape[-1] != a.shape[-2] and not f.builder.ranges.pin(a.shape[-1], a.shape[-2]):
        raise Refusal(f"{name} takes a square matrix, and {words(node)} is {shown(a.shape)}")
    return a


def _operand(f: Formulas, a: Array, own: list[str], *, mixed: bool = False) -> tuple[Access, list[str]]:
    """An array as entries of a whole tensor, and the axes of the equation around that go before its own.

    A tensor is taken as it stands, or transposed (`mixed`: with its axes in any order); else its entries are stored
    under a name made up for them.
    """
    b = f.builder
    at = tuple(map(ints.axis, own))
    entry = b.stored(a).at(at)
    turned = (*at[:-2], at[-1], at[-2]) if len(at) > 1 else at
    as_it_is = isinstance(entry, Access) and (
        entry.index in (at, turned) or mixed and sorted(map(str, entry.index)) == sorted(map(str, at))
    )
    if not as_it_is:
        entry = b.pending("=", a.shape, lambda p: (a.at(p), None), letters=letters_of(a)).at(at)
    assert isinstance(entry, Access)
    return entry, b.outer(entry, None, own)


def _over(f: Formulas, a: Array, count: int) -> list[str]:
    """Fresh axes for the first axes of an array."""
    return [
        f.builder.ranges.new(x or "j", n) for x, n in zip(letters_of(a)[:count], a.shape[:count], strict=True)
    ]


def _write(
    f: Formulas, op: str, body: tuple[Access, ...], outer: list[str], left: list[str], axes: list[str]
) -> Array:
    """The statement of an operation, and its result: for each value of the axes of the equation around, one."""
    b = f.builder
    domain = tuple((a, b.ranges.known[a]) for a in [*outer, *axes])
    at = tuple(map(ints.axis, [*outer, *left]))
    name = b.named(Statement("", at, op, Call(op, body), domain, line=b.line, label=b.label), b.label)
    if not outer:
        return b.array(name)
    shape = tuple(b.ranges.known[a] for a in left)
    return Array(shape, lambda p: Access(name, at[: len(outer)] + p), tuple(map(letter, left)))


def _single(op: str) -> Function:
    """An operation on one square matrix, or on each of a stack."""
    row = IMPLICIT[op]

    def function(f: Formulas, args: Args, keywords: Keywords) -> Array:
        keywords.pop("UPLO", None)  # a symmetric matrix has both triangles
        no_more(op, keywords)
        takes(op, args, 1)
        with f.builder.unguarded():
            a = _square(f, op, args[0])
        before = _over(f, a, a.rank - 2)
        x, n = letters_of(a)[-2] or letters_of(a)[-1] or "i", a.shape[-2]
        at = {letter: f.builder.ranges.new(x if letter == "i" else "k", n) for letter in row.letters}
        with f.builder.unguarded():
            entry, outer = _operand(f, a, [*before, at["i"], at["j"]])
        result = [*before, *(at[x] for x in row.result)]
        return _write(f, op, (entry,), outer, result, [*before, *(at[x] for x in row.letters)])

    return function


def _solve(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`solve(A, B)`: the X with A @ X = B; one right-hand side, or a matrix of them, one in each column."""
    no_more("solve", keywords)
    takes("solve", args, 2)
    with f.builder.unguarded():
        a, b = _square(f, "solve", args[0]), f.array(args[1])
    place = 0 if b.rank == 1 else b.rank - 2
    if not b.rank or b.shape[place] != a.shape[-1] and not f.builder.ranges.pin(b.shape[place], a.shape[-1]):
        raise Refusal(
            f"solve(A, B) finds the X with A @ X = B: {words(args[0])} is {shown(a.shape)}, so {words(args[1])} has "
            f"{a.shape[-1]} rows, and it is {shown(b.shape)}"
        )
    stacks = [a.shape[:-2], b.shape[:-2] if b.rank > 1 else ()]
    shorter, longer = sorted(stacks, key=len)
    if shorter and shorter != longer[len(longer) - len(shorter) :]:
        raise Refusal(
            f"solve: the leading axes of {words(args[0])} are {shown(stacks[0])}, those of {words(args[1])} are "
            f"{shown(stacks[1])}; they must agree"
        )
    ranges = f.builder.ranges
    before = _over(f, a if len(stacks[0]) >= len(stacks[1]) else b, len(longer))
    i, j = (ranges.new(x or "i", a.shape[-1]) for x in letters_of(a)[-2:])
    columns = [ranges.new(letters_of(b)[-1] or "k", b.shape[-1])] if b.rank > 1 else []
    own = [before[len(before) - len(stack) :] for stack in stacks]
    with f.builder.unguarded():
        one, outer = _operand(f, a, [*own[0], i, j])
        two, more = _operand(f, b, [*own[1], i, *columns])
    outer = f.builder.ranges.order([*outer, *more])
    return _write(f, "solve", (one, two), outer, [*before, j, *columns], [*before, *columns, i, j])


def _minors(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`minors(A, B)`: how `cofactor(A)` changes when A changes by B."""
    no_more("minors", keywords)
    takes("minors", args, 2)
    with f.builder.unguarded():
        a, b = _square(f, "minors", args[0]), f.array(args[1])
        if a.shape != b.shape:
            raise Refusal(f"minors takes two matrices of one size, not {shown(a.shape)} and {shown(b.shape)}")
        own = _over(f, a, a.rank)
        one, outer = _operand(f, a, own)
        two, more = _operand(f, b, own)
    return _write(f, "minors", (one, two), f.builder.ranges.order([*outer, *more]), own, own)


def _matrix_power(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`matrix_power(A, 3)`: A @ A @ A; a negative power is one of the inverse."""
    no_more("matrix_power", keywords)
    takes("matrix_power", args, 2)
    a = _square(f, "matrix_power", args[0])
    exponent = f.array(args[1]).number
    if exponent is None or exponent.denominator != 1 or abs(exponent) > POWERS:
        raise Refusal(
            f"matrix_power(A, k) takes a whole number k from -{POWERS} to {POWERS}, not {words(args[1])}"
        )
    k = int(exponent)
    if k == 0:
        return Array(a.shape, lambda p: ex.Bracket(ex.Cmp("==", ex.val(p[-2]), ex.val(p[-1]))), letters_of(a))
    base = _single("inv")(f, [args[0]], {}) if k < 0 else f.builder.stored(a)
    texts = (words(args[0]), words(args[0]))
    result: Array | None = None
    for bit in f"{abs(k):b}":
        result = None if result is None else f.builder.stored(product_of(f, result, result, *texts))
        if bit == "1":
            result = base if result is None else f.builder.stored(product_of(f, result, base, *texts))
    assert result is not None
    return result


# ---------------------------------------------------------------------- pairs


def pair(f: Formulas, name: str, call: ast.Call, which: ast.expr) -> Array:
    """`slogdet(A)[1]`, `eigh(A)[0]`: one of the two results of a function of NumPy."""
    number = f.whole(which, "which of the two results").number
    if number not in (0, 1):
        raise Refusal(f"{name} has the two results [0] and [1], not [{words(which)}]")
    keywords = {k.arg: k.value for k in call.keywords if k.arg is not None}
    found = _single(PAIRS[name][number])(f, list(call.args), keywords)
    return elementwise(lambda e: ex.call("sign", e), found) if PAIRS[name][number] == "det" else found


PAIRS = {"slogdet": ("det", "logdet"), "eigh": ("eigvals", "eigvecs")}


def _whole_pair(name: str) -> Function:
    def function(f: Formulas, args: Args, keywords: Keywords) -> Array:
        one, two = PAIRS[name]
        raise Refusal(
            f"{name} has two results; take one: {name}(A)[0] is the {one} part, {name}(A)[1] is {two}(A)"
        )

    return function


# ---------------------------------------------------------------------- norms

NORMS = {1: "norm", 2: "frobenius"}  # by how many axes the length is taken along


def _norm(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`norm(x, 1)`, `norm(x, ord=3)`, `norm(A, "fro")`, `norm(x, axis=1)` as NumPy reads them; `norm(i, A[i, j])`."""
    first = args[0] if args else None
    if isinstance(first, ast.Name) and len(args) > 1 and f.frame.is_letter(first.id):
        no_more("norm", keywords)
        return _over_letter(f, first, args[1:-1], args[-1])
    named = [keywords.pop("ord", keywords.pop("p", None)), keywords.pop("axis", keywords.pop("dim", None))]
    keep = keywords.pop("keepdims", keywords.pop("keepdim", None))
    no_more("norm", keywords)
    takes("norm", args, 1, 2, 3)
    for k, extra in enumerate(args[1:]):
        if named[k] is not None:
            raise Refusal(f"norm gets {('ord', 'axis')[k]} twice")
        named[k] = extra
    with f.read_once(args[0]) as (x, a):
        return _normed(f, x, a, named[0], named[1], keep)


def _normed(
    f: Formulas,
    x: ast.expr,
    a: Array,
    order: ast.expr | None,
    axis: ast.expr | None,
    keep: ast.expr | None,
) -> Array:
    options = {name: node for name, node in (("axis", axis), ("keepdims", keep)) if node is not None}
    kind = _order(f, order)
    if a.rank == 2 and axis is None:
        if kind in (1, "inf"):  # the largest sum over a column, over a row
            return f.array(_formula(f"max(sum(abs(x), axis={0 if kind == 1 else 1}))", x))
        if order is not None and kind != "fro":
            raise Refusal(
                f"norm(A, {words(order)}) of a matrix is not part of the language; there are norm(A), which is "
                'norm(A, "fro"), norm(A, 1) and norm(A, inf)'
            )
    if kind in (None, 2, "fro"):
        return _length(f, a, axis, keep)
    if kind in (1, "inf"):
        return f.array(_formula("sum(abs(x))" if kind == 1 else "max(abs(x))", x, options))
    assert order is not None
    if "norms" not in f.definitions:
        raise Refusal("norms is not a known function")
    return calls.call(f, f.definitions["norms"], [x, order], options)  # type: ignore[return-value]


def _over_letter(f: Formulas, index: ast.Name, conditions: Args, body: ast.expr) -> Array:
    """`norm(j, [j > 0], x[i, j])`: the length over an index of an equation."""
    with f.scope():
        subscripts.refuse_tensor_letter(f, index.id, index)
        axis = f.equation.bind(index.id, index)
        held = [f.array(c) for c in conditions if is_condition(c)]
        if len(held) < len(conditions) or any(c.rank for c in held):
            raise Refusal(
                "norm takes one index, then conditions in brackets, then what it goes over: norm(j, x[i, j])"
            )
        with f.builder.under([c.at(()).condition for c in held]):
            a = f.array(body)
            if a.rank:
                raise Refusal(f"{words(body)} is {shown(a.shape)}; write one entry, with all its indices")
            entry = ex.mul(*(c.at(()) for c in held), a.at(()))
        return _length(f, calls.line_of(entry, axis, f.builder.ranges.known[axis]), None, None)


def _length(f: Formulas, a: Array, axis: ast.expr | None, keep: ast.expr | None) -> Array:
    """The Euclidean length along an axis, or of all entries."""
    b = f.builder
    if not a.rank:
        return elementwise(lambda e: ex.call("abs", e), a)
    over = list(range(a.rank)) if axis is None else reductions.axes(f, axis, a.rank, axis)
    own = [b.ranges.new(x or "i", n) for x, n in zip(letters_of(a), a.shape, strict=True)]
    kept = [x for d, x in enumerate(own) if d not in over]
    if len(over) > 2 or len(over) == 2 and kept:
        inner = _length(f, a, ast.Constant(over[-1]), None)
        return _length(f, inner, ast.Tuple([ast.Constant(d) for d in over[:-1]]), keep)
    entry, outer = _operand(f, a, own, mixed=True)
    out = _write(f, NORMS[len(over)], (entry,), outer, kept, [*kept, *(own[d] for d in over)])
    if keep is None or not reductions.flag(f, keep):
        return out

    def narrow(p: Positions) -> Positions:
        return tuple(i for d, i in enumerate(p) if d not in over)

    shape = tuple(ints.ONE if d in over else n for d, n in enumerate(a.shape))
    return Array(
        shape, lambda p: out.at(narrow(p)), tuple("" if d in over else x for d, x in enumerate(letters_of(a)))
    )


def _order(f: Formulas, node: ast.expr | None) -> int | str | None:
    """Which norm: None, 1, 2, "inf", "fro", or "p" for another number."""
    match node:
        case None | ast.Constant(value=None):
            return None
        case ast.Constant(value="fro"):
            return "fro"
        case ast.Attribute(attr="inf") | ast.Name(id="inf"):
            return "inf"
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf")]):
            return "inf"
        case ast.Constant(value=str()):
            raise Refusal(f'the order of a norm is a number, inf or "fro", not {words(node)}')
    a = f.array(node)
    if a.fixed is None or a.number is not None and a.number <= 0:
        raise Refusal(f'the order of a norm is a positive number, inf or "fro", not {words(node)}')
    return int(a.number) if a.number in (1, 2) else "p"


def _formula(text: str, x: ast.expr, options: Keywords | None = None) -> ast.expr:
    """A formula in one array, with the array's own text put in, and options for its outer call."""

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return x if node.id == "x" else node

    node = Put().visit(ast.parse(text, mode="eval").body)
    node.keywords += [ast.keyword(name, value) for name, value in (options or {}).items()]
    return ast.copy_location(node, x)


FUNCTIONS: dict[str, Function] = {
    "inv": _single("inv"), "inverse": _single("inv"), "det": _single("det"), "logdet": _single("logdet"),
    "cofactor": _single("cofactor"), "eigvals": _single("eigvals"), "eigvalsh": _single("eigvals"),
    "eigvecs": _single("eigvecs"), "solve": _solve, "minors": _minors, "matrix_power": _matrix_power, "norm": _norm,
    "norm1": lambda f, args, keywords: _norm(f, [*args, ast.Constant(1)], keywords),
    "norm2": lambda f, args, keywords: _norm(f, [*args, ast.Constant(2)], keywords),
    **{name: _whole_pair(name) for name in PAIRS},
}  # fmt: skip
