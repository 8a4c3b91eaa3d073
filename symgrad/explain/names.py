"""How names look: `W1` as W^{(1)}, `y_hat` with its hat, Greek letters, error signals as δ; and the one escaping
function that every word of a user passes on its way into LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from symgrad.explain.formula import Symbol
from symgrad.language.ints import Look, Size
from symgrad.language.program import Program, Tensor

_LOWER = "alpha beta gamma delta epsilon zeta eta theta iota kappa mu nu xi pi rho sigma tau upsilon phi chi psi omega"
_UPPER = "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
GREEK = {name: f"\\{name}" for name in (*_LOWER.split(), *_UPPER.split(), "lambda")} | {
    "lam": r"\lambda", "lamda": r"\lambda", "eps": r"\varepsilon", "epsilon": r"\varepsilon", "phi": r"\varphi",
}
ACCENTS = {"hat": r"\hat", "bar": r"\bar", "tilde": r"\tilde", "dot": r"\dot", "ddot": r"\ddot", "vec": r"\vec"}

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\^{}", "~": r"\textasciitilde{}", "<": r"\ensuremath{<}", ">": r"\ensuremath{>}", "|": r"\ensuremath{|}",
    '"': "''", "`": "`", "\n": " ", "\t": " ",
    "∂": r"\ensuremath{\partial}", "Σ": r"\ensuremath{\Sigma}", "·": r"\ensuremath{\cdot}", "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\le}", "≥": r"\ensuremath{\ge}", "≠": r"\ensuremath{\neq}", "−": r"\ensuremath{-}",
    "ᵀ": r"\ensuremath{^{\top}}", "∞": r"\ensuremath{\infty}", "→": r"\ensuremath{\to}", "′": "'", "–": "--", "—": "---",
    "…": "...", "’": "'", "‘": "`", "“": "``", "”": "''",
}  # fmt: skip
_COMBINING = {"̀": r"\`", "́": r"\'", "̂": r"\^", "̃": r"\~", "̈": r"\"", "̄": r"\=", "̇": r"\.", "̧": r"\c", "̌": r"\v"}


def escape(text: str) -> str:
    r"""Any text as LaTeX for text mode that pdflatex sets without further packages.

    >>> escape("50% of y_hat & {x}")
    '50\\% of y\\_hat \\& \\{x\\}'
    """
    return "".join(map(_escaped, text))


def _escaped(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if " " <= c <= "~":
        return c
    greek = _greek(c)
    if greek:
        return rf"\ensuremath{{{greek}}}"
    base, *marks = unicodedata.normalize("NFD", c)
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _COMBINING:
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"{_COMBINING[marks[0]]}{{{dotless}}}"
    return f"U+{ord(c):04X}" if c.isprintable() else " "


def _greek(c: str) -> str:
    words = unicodedata.name(c, "").split()
    if words[:1] == ["GREEK"] and words[-2:-1] == ["LETTER"]:
        name = words[-1].lower().replace("lamda", "lambda")
        if "SMALL" in words:
            return GREEK.get(name, "o" if name == "omicron" else "")
        return GREEK.get(name.capitalize(), "" if name not in GREEK else rf"\mathrm{{{name[0].upper()}}}")
    return ""


def mathematical(name: str, indexed: bool = False) -> str:
    r"""A name as LaTeX for math mode; `indexed` names carry their own number or label above, for subscripts are taken.

    >>> mathematical("W1", indexed=True), mathematical("lam"), mathematical("y_hat"), mathematical("step_size")
    ('W^{(1)}', '\\lambda', '\\hat{y}', '\\mathrm{step}_{\\mathrm{size}}')
    """
    stem, *labels = [part for part in name.split("_") if part] or [name]
    if not labels and (split := re.fullmatch(r"(.*?\D)(\d+)", stem)):
        stem, labels = split[1], [split[2]]
    if len(labels) == 1 and len(stem) > 1 and stem not in GREEK and len(labels[0]) == 1 and labels[0].isalpha():
        stem, labels = labels[0], [stem]  # enc_W, a layer's weight: W of enc
    accents = [p for p in labels if p in ACCENTS]
    labels = [p for p in labels if p not in ACCENTS]
    shown = _word(stem)
    for accent in accents:
        shown = f"{ACCENTS[accent]}{{{shown}}}"
    if not labels:
        return shown
    if indexed:
        inner = ",".join(f"({p})" if p.isdigit() else _word(p) for p in labels)
        return f"{shown}^{{{inner}}}"
    return f"{shown}_{{{','.join(map(_word, labels))}}}" if len(labels) > 1 or len(_word(labels[0])) > 1 else f"{shown}_{labels[0]}"


def _word(part: str) -> str:
    if part in GREEK:
        return GREEK[part]
    if part.isdigit() or (len(part) == 1 and part.isascii()):
        return part
    if len(part) == 1 and _greek(part):
        return _greek(part)
    return rf"\mathrm{{{escape(part)}}}" if part.isascii() else rf"\text{{{escape(part)}}}"


@dataclass(frozen=True)
class Names:
    """The symbols of a program: tensors, sizes and letters, each unlike all others.

    `wanted` are the names whose gradients are results and not only error signals.
    """

    program: Program
    adjoints: Mapping[str, str]

    @cached_property
    def loss(self) -> str:
        """What the target is called: L if it is `loss` and nothing else is L."""
        taken = {*self.program.tensors, *self.program.sizes}
        return "L" if self.program.target == "loss" and "L" not in taken else self.program.target

    @cached_property
    def tensors(self) -> dict[str, Symbol]:
        """The symbol of each tensor that is no adjoint."""
        plain = [t for t in self.program.tensors.values() if t.role != "adjoint"]
        nicknames = _nicknames(plain, [*self.program.tensors, *self.program.sizes, self.loss])
        found: dict[str, Symbol] = {}
        looks: dict[str, None] = {}
        for t in plain:
            text = self.loss if t.name == self.program.target else nicknames.get(t.name, t.name)
            latex = mathematical(text, indexed=bool(t.shape))
            if latex in looks:
                latex = rf"\mathrm{{{escape(text)}}}" if text.isascii() else rf"\text{{{escape(text)}}}"
            looks[latex] = None
            found[t.name] = Symbol(t.name, text, latex)
        return found

    def tensor(self, name: str) -> Symbol:
        """A tensor's symbol; an adjoint of a computed tensor is an error signal δ, of an input it is ∂L/∂W."""
        t = self.program[name]
        if t.role != "adjoint":
            return self.tensors[name]
        of = self.tensors[t.of]
        whole = self.adjoints.get(t.of, name) == name
        mark = "" if whole else name.rsplit("_", 1)[-1] if "_" in name else name
        if self.program[t.of].role == "value" or not whole:
            label = _label(of.text)
            again = f"({t.sweep})" if t.sweep > 1 else ""
            latex = rf"\delta^{{{label}{again}{',' + _word(mark) if mark else ''}}}"
            return Symbol(name, f"δ{of.text}{again}{'_' + mark if mark else ''}", latex)
        loss = self.tensors[self.program.target]
        return Symbol(name, f"∂{loss.text}/∂{of.text}", rf"\frac{{\partial {loss.latex}}}{{\partial {of.latex}}}", of)

    @cached_property
    def sizes(self) -> dict[str, Symbol]:
        """A size is a capital where its letter also runs as an index: 2/N Σ_n."""
        running = {a for s in self.program.statements for a, _ in s.axes}
        taken = {*self.program.tensors, *self.program.sizes, *running, self.loss}
        found = {}
        for n in self.program.sizes:
            capital = n.upper()
            if n not in running:
                latex = mathematical(n)
            elif len(n) == 1 and n.isascii() and capital not in taken:
                latex = capital
            else:
                latex = rf"\lvert {mathematical(n)} \rvert"
            found[n] = Symbol(n, n, latex)
        return found

    def size(self, name: str) -> Symbol:
        return self.sizes.get(name) or Symbol(name, name, mathematical(name))

    def letter(self, name: str) -> Symbol:
        """A running index; a copy of a letter (`i_2`) is primed."""
        copy = re.fullmatch(r"([a-zA-Z])_([23])", name)
        if copy:
            marks = int(copy[2]) - 1
            return Symbol(name, copy[1] + "′" * marks, copy[1] + "'" * marks)
        return Symbol(name, name, mathematical(name))

    def used_sizes(self, names: Iterable[str]) -> list[str]:
        return [n for n in self.program.sizes if n in set(names)]


def _label(text: str) -> str:
    """A tensor's name as the label of its error signal."""
    return mathematical(text)


_STEMS = {"max=": "m", "min=": "m", "prod=": "q", "+=": "s", "=": "u"}


def _nicknames(tensors: list[Tensor], taken: Iterable[str]) -> dict[str, str]:
    """Short names for parts that the user did not name."""
    used = dict.fromkeys(taken)
    unnamed = [t for t in tensors if not t.named]
    found = {}
    free = [x for x in "uvrsqabcdefghk" if x not in used]
    for k, t in enumerate(unnamed):
        if len(unnamed) <= len(free):
            found[t.name] = free[k]
    return found


def sizes_in(program: Program) -> list[str]:
    """Sizes that stand in bodies as numbers."""
    found: dict[str, None] = {}
    for t in program.tensors.values():
        for n in t.shape:
            found.update(dict.fromkeys(a.name for a in n.atoms() if isinstance(a, (Size, Look)) and isinstance(a, Size)))
    return list(found)
