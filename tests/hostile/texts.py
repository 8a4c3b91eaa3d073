"""Texts that were never meant to be read: each is made from a number, so that a failure can be made again."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from cases import declarations

ROOT = Path(__file__).resolve().parent.parent.parent

# what would be noticed if it ran, what breaks out of quotes, what is large, and letters that are not what they seem
ATTACKS = (
    "__import__('os').system('touch /tmp/hostile')",
    "exec('1')",
    "eval('1')",
    "open('/tmp/hostile', 'w')",
    "().__class__.__bases__[0].__subclasses__()",
    "x.__class__",
    "breakpoint()",
    "compile('1', '', 'exec')",
    "globals()",
    "np.load('x.npy', allow_pickle=True)",
    "np.fromfile('x')",
    "np.ctypeslib",
    "os.system('id')",
    "import os",
    "from os import system",
    "@exec\ndef f(x): return x",
    "def f(x=exec('1')): return x",
    "def f(x: exec('1')): return x",
    "lambda: 0",
    "(yield)",
    "await x",
    "[x for x in y]",
    "{**x}",
    "f'{x}'",
    "b'x'",
    "x := 1",
    "*x",
    "**x",
    "class A: pass",
    "del x",
    "global x",
    "assert x",
    "raise x",
    "with x: pass",
    "match x:",
    '"""',
    "'''",
    "'",
    '"',
    "\\",
    "#",
    "# type: ignore",
    "# -*- coding: utf-7 -*-",
    ";",
    ";;",
    "\n",
    "\r",
    "\r\n",
    "\f",
    "\v",
    "\t",
    "\0",
    "\x1b[31m",
    "\x85",
    "\u2028",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\u0301",
    "\ud800",
    "ﬁ",
    "ᵀ",
    "²",
    "𝐱",
    "x̂",
    "σ",
    "∑",
    "∇",
    "√",
    "−",
    "·",
    "≤",
    "|x|",
    "^",
    "^T",
    "'",
    "2x",
    "x!",
    "$",
    "?",
    "`",
    "~",
    "<<",
    "&",
    "10**9",
    "9**9**9",
    "10**10**10",
    "1e400",
    "1e-400",
    "1e999999999",
    "0",
    "-1",
    "1000000000",
    "0.1",
    "1/0",
    "0/0",
    "0**0",
    "0x_f",
    "1_0",
    "07",
    "1j",
    "1e",
    ".5.",
    "inf",
    "nan",
    "None",
    "True",
    "...",
    "[]",
    "()",
    "{}",
    "[1, [2]]",
    "[[]]",
    "(" * 30,
    "[" * 30,
    "-" * 60,
    "not " * 30,
    "x**" * 30,
    "((x" * 8,
    "x[x[x[",
    "sum(" * 12,
    "max(" * 12,
    "i < 10**9",
    "[i < n]",
    "index(i)",
    "held(x)",
    "stop(x)",
    "training",
    "pi",
    "e",
    "loss",
    "beta",
    "lambda",
    "\\input{x}",
    "\\write18{id}",
    "<script>",
    "]]>",
    "{{ x }}",
    "{% x %}",
    "%s",
    "{x}",
    "{0}",
    "x" * 300,
)
WORDS = [
    "x",
    "y",
    "w",
    "A",
    "B",
    "X",
    "Y",
    "W",
    "t",
    "z",
    "loss",
    "n",
    "i",
    "j",
    "k",
    "m",
    "sum",
    "mean",
    "max",
    "min",
    "prod",
    "softmax",
    "logsumexp",
    "exp",
    "log",
    "tanh",
    "relu",
    "sqrt",
    "abs",
    "norm",
    "inv",
    "det",
    "solve",
    "dense",
    "conv2d",
    "attention",
    "batch_norm",
    "data",
    "weight",
    "label",
    "constant",
    "zeros",
    "symmetric",
    "distribution",
    "he",
    "uniform",
    "def",
    "return",
    "if",
    "else",
    "and",
    "or",
    "not",
    "in",
    "+",
    "-",
    "*",
    "/",
    "**",
    "@",
    "%",
    "//",
    "=",
    "+=",
    "==",
    "<",
    "<=",
    ">",
    ">=",
    "!=",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    ".",
    ".T",
    "&",
    "|",
    ";",
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "0.5",
]
_PIECE = re.compile(r"\w+|\s+|[^\w\s]")


def corpus() -> list[str]:
    """Texts of the language that can be read, and a few of its neighbours."""
    texts = list(declarations().values())
    for place in ("networks", "library", "topics"):
        texts += [p.read_text(encoding="utf-8") for p in sorted((ROOT / "symgrad" / place).glob("*.sg"))]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    texts += re.findall(r"^```sg\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    sources = sorted((ROOT / "tests").glob("test_*.py"))
    for source in sources:
        texts += re.findall(
            r'"([a-zA-Z]\w*: (?:data|weight|label|constant)[^"\n]*)"', source.read_text("utf-8")
        )
    return list(dict.fromkeys(t for t in texts if len(t) < 4000))


class Maker:
    """Text number `k` of a seed, alone: `Maker(seed).text(k)`."""

    def __init__(self, seed: int):
        self.seed = seed
        self.corpus = corpus()
        self.pieces = [_PIECE.findall(t) for t in self.corpus]

    def text(self, k: int, mild: bool = False) -> str:
        """One text; a mild one is nearly right, so that much of it gets through."""
        r = random.Random(f"{self.seed} {k} {mild}")  # noqa: S311 - it only has to repeat itself
        way = r.random()
        if mild:
            return grammar(r, wild=0.01) if way < 0.6 else self.mutated(r, 1, 0.1)
        if way < 0.6:
            return self.mutated(r, r.choice((1, 1, 2, 3, 6, 12)), 0.5)
        if way < 0.7:
            return self.spliced(r)
        if way < 0.8:
            return grammar(r, wild=r.choice((0.0, 0.02, 0.1)))
        if way < 0.95:
            return " ".join(r.choice(r.choice((WORDS, ATTACKS))) for _ in range(r.randrange(1, 40)))
        return "".join(
            chr(r.choice((r.randrange(128), r.randrange(0x3000), r.randrange(0x110000)))) for _ in range(30)
        )

    def mutated(self, r: random.Random, times: int, wild: float) -> str:
        """A text of the corpus with some words changed."""
        at = r.randrange(len(self.pieces))
        words = list(self.pieces[at])
        if len(words) > 150:  # a part of a long one: the time goes to many texts
            lines = self.corpus[at].splitlines(keepends=True)
            first = r.randrange(len(lines))
            words = _PIECE.findall("".join(lines[first : first + r.randrange(1, 12)]))
        for _ in range(times):
            self.mutate(words, r, wild)
        return "".join(words)

    def mutate(self, words: list[str], r: random.Random, wild: float) -> None:
        k = r.randrange(len(words)) if words else 0
        last = min(len(words), k + r.randrange(1, 8))
        match r.randrange(9):
            case 0:
                del words[k : k + 1]
            case 1:
                del words[k:last]
            case 2:
                words[k:k] = words[k:last]
            case 3:
                words[k:k] = words[k:last] * r.randrange(2, 20)
            case 4 if words:
                other = r.randrange(len(words))
                words[k], words[other] = words[other], words[k]
            case 5:
                words[k : k + 1] = [r.choice(ATTACKS if r.random() < wild else WORDS)]
            case 6:
                words[k:k] = [" ", r.choice(ATTACKS if r.random() < wild else WORDS), " "]
            case 7:
                deep = r.choice((1, 2, 5, 40, 100)) if r.random() < wild else 1
                around = r.choice(("()", "[]", ("exp(", ")"), ("sum(", ")"), ("-(", ")"), ("(1 + ", ")**2")))
                words[k:last] = [around[0] * deep, *words[k:last], around[1] * deep]
            case _:
                words[k : k + 1] = [r.choice(self.pieces[r.randrange(len(self.pieces))])]

    def spliced(self, r: random.Random) -> str:
        """Lines of two texts."""
        a, b = (r.choice(self.corpus).splitlines(keepends=True) for _ in range(2))
        k, m = r.randrange(len(a) + 1), r.randrange(len(b) + 1)
        return "".join(a[max(0, k - 4) : k] + b[m : m + 4])


def grammar(r: random.Random, wild: float = 0.0) -> str:
    """A program of the language, nearly always readable; `wild` is how often a part is something else."""
    return "\n".join(_Grammar(r, wild).lines())


class _Grammar:
    def __init__(self, r: random.Random, wild: float):
        self.r, self.wild = r, wild
        self.shapes: dict[str, tuple[str, ...]] = {}

    def one_of(self, *choices: str) -> str:
        return self.r.choice(ATTACKS) if self.r.random() < self.wild else self.r.choice(choices)

    def lines(self) -> list[str]:
        r, out = self.r, []
        sizes = [
            self.one_of("n", "i", "m", "3", "2*n", "5") if r.random() < 0.3 else s for s in ("n", "m", "k")
        ]
        for name in r.sample(("x", "y", "w", "A", "B", "v", "c"), r.randrange(2, 5)):
            shape = tuple(r.choice(sizes) for _ in range(r.choice((0, 1, 1, 2))))
            self.shapes[name] = shape
            role = self.one_of("weight", "weight", "data")
            out.append(
                f"{name}: {role}" + (f"[{', '.join(shape)}]" if shape else "") + self.one_of("", "", " > 0")
            )
        if not any(": weight" in line for line in out):
            self.shapes["p"] = ()
            out.append("p: weight")
        total = []
        for k in range(r.randrange(0, 4)):
            name = f"h{k}"
            shape = self.shapes[r.choice(list(self.shapes))]
            out.append(
                f"{name} = {self.formula(shape, 3)}" if r.random() < 0.6 else self.equation(name, shape)
            )
            self.shapes[name] = shape
        for name, shape in self.shapes.items():
            total.append(
                f"{self.one_of('sum', 'mean', 'sum')}({name}**2)"
                if shape
                else self.one_of(name, f"{name}**2")
            )
        return [*out, "loss = " + self.one_of(" + ", " + ", " - ", "*").join(total)]

    def equation(self, name: str, shape: Sequence[str]) -> str:
        letters = ["a", "b"][: len(shape)]
        left = name + (
            f"[{', '.join(f'{x} < {s}' for x, s in zip(letters, shape, strict=True))}]" if shape else ""
        )
        return f"{left} = {self.entry(letters, 3)}"

    def entry(self, letters: Sequence[str], deep: int) -> str:
        """A scalar formula in entries."""
        r = self.r
        if deep == 0 or r.random() < 0.2:
            name = r.choice(list(self.shapes))
            shape = self.shapes[name]
            if not shape:
                return name
            if r.random() < 0.7 and len(letters) >= len(shape):
                guard = " and ".join(f"{x} < {s}" for x, s in zip(letters, shape, strict=False))
                return f"[{guard}]*{name}[{', '.join(letters[: len(shape)])}]"
            bound = [f"q{deep}{k}" for k in range(len(shape))]
            how = self.one_of("sum", "max", "mean", "min")
            return f"{how}({', '.join(bound)}, {name}[{', '.join(bound)}]{self.one_of('', '**2', '*2')})"
        a = self.entry(letters, deep - 1)
        return self.joined(a, self.entry(letters, deep - 1)) if r.random() < 0.5 else self.called(a)

    def formula(self, shape: Sequence[str], deep: int) -> str:
        """A formula of this shape."""
        r = self.r
        if deep == 0 or r.random() < 0.2:
            same = [n for n, s in self.shapes.items() if s in (tuple(shape), ())]
            return r.choice(same) if same else self.one_of("1", "0.5", "2")
        if shape and r.random() < 0.1:
            rows = [n for n, s in self.shapes.items() if len(s) == 2 and s[0] == shape[0]]
            for left in rows[:1]:
                inner = self.shapes[left][1]
                right = [n for n, s in self.shapes.items() if s == (inner, *shape[1:])]
                if right:
                    return f"({left} @ {r.choice(right)})"
        a = self.formula(shape, deep - 1)
        return self.joined(a, self.formula(shape, deep - 1)) if r.random() < 0.5 else self.called(a)

    def joined(self, a: str, b: str) -> str:
        return self.one_of(f"({a} + {b})", f"({a} - {b})", f"{a}*{b}", f"{a}/(1 + ({b})**2)", f"max({a}, {b})",
                           f"({a} if {a} > 0 else {b})", f"[{a} > {b}]*{b}")  # fmt: skip

    def called(self, a: str) -> str:
        return self.one_of(f"tanh({a})", f"exp(-({a})**2)", f"sin({a})", f"sqrt(1 + ({a})**2)", f"log(1 + ({a})**2)",
                           f"relu({a})", f"abs({a})", f"({a})**2", f"-({a})", f"sigmoid({a})", f"({a})**3/7",
                           f"stop({a})", f"2*({a})")  # fmt: skip
