"""How names look: `W1` as W^{(1)}, `y_hat` with its hat, Greek letters, error signals as δ; and the one
escaping function that every word of a user passes on its way into LaTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from symgrad.explain.formula import Derivative, Extent, Formula, Symbol
from symgrad.language.expr import Call, accesses
from symgrad.language.program import Statement, Tensor

_LOWER = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_UPPER = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega")
_SHORT = {
    "lam": r"\lambda", "lamda": r"\lambda", "eps": r"\varepsilon", "epsilon": r"\varepsilon",
    "phi": r"\varphi",
}  # fmt: skip
GREEK = {name: f"\\{name}" for name in (*_LOWER, *_UPPER)} | _SHORT
ACCENTS = {name: f"\\{name}" for name in ("hat", "bar", "tilde", "dot", "ddot", "vec")}

LETTERS = {
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}",
}  # fmt: skip
_MATH = {
    "<": "<", ">": ">", "|": "|", "∂": r"\partial", "Σ": r"\Sigma", "·": r"\cdot", "×": r"\times",
    "≤": r"\le", "≥": r"\ge", "≠": r"\neq", "−": "-", "ᵀ": r"^{\top}", "∞": r"\infty", "→": r"\to",
    "∇": r"\nabla", "∑": r"\Sigma", "∏": r"\Pi", "⊙": r"\odot", "⊘": r"\oslash", "⊤": r"\top", "∈": r"\in",
    "≈": r"\approx", "±": r"\pm", "√": r"\surd", "←": r"\leftarrow", "°": r"^{\circ}", "‖": r"\Vert",
    "µ": r"\mu", "ℓ": r"\ell",
}  # fmt: skip
_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\^{}", "~": r"\textasciitilde{}", '"': "''", "\n": " ", "\t": " ", "′": "'", "–": "--",
    "—": "---", "…": "...", "’": "'", "‘": "`", "“": "``", "”": "''", "`": r"\`{}", "\u00a0": "~",
    **LETTERS,
}  # fmt: skip
_SPECIAL = _TEXT | {c: rf"\ensuremath{{{shown}}}" for c, shown in _MATH.items()}
# combining marks, as decomposed letters have them, and their accents in text mode
_COMBINING = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0308": r"\"", "\u0304": r"\=",
    "\u0307": r"\.", "\u0327": r"\c", "\u030c": r"\v", "\u030a": r"\r", "\u030b": r"\H", "\u0306": r"\u",
}  # fmt: skip


def escape(text: str) -> str:
    r"""Any text as LaTeX for text mode that pdflatex sets without further packages.

    >>> escape("50% of y_hat & {x}")
    '50\\% of y\\_hat \\& \\{x\\}'
    """
    out: list[str] = []
    for before, c in zip(" " + text, text, strict=False):
        # two hyphens are no dash, and two quotes no quotation mark
        out += ["{}", _escaped(c)] if c == before and c in "-'`,<>" else [_escaped(c)]
    return "".join(out)


def _escaped(c: str) -> str:
    if c in _SPECIAL:
        return _SPECIAL[c]
    if " " <= c <= "~":
        return c
    greek = _greek(c)
    if greek:
        return rf"\ensuremath{{{greek}}}"
    decomposed = unicodedata.normalize("NFD", c)
    base, marks = decomposed[0], decomposed[1:]
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _COMBINING:
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"{_COMBINING[marks[0]]}{{{dotless}}}"
    if decomposed == c and unicodedata.decomposition(c)[:5] in ("<supe", "<sub>"):
        sign = "^" if "super" in unicodedata.decomposition(c) else "_"
        plain = "".join(map(_escaped, unicodedata.normalize("NFKD", c)))
        return rf"\ensuremath{{{sign}{{{plain}}}}}" if plain.isascii() else _numbered(c)
    return _numbered(c) if c.isprintable() else " "


def _numbered(c: str) -> str:
    """A character by its number; the braces end it where digits follow."""
    return f"U+{ord(c):04X}{{}}"


def _greek(c: str) -> str:
    words = unicodedata.name(c, "").split()
    if words[:1] == ["GREEK"] and words[-2:-1] == ["LETTER"]:
        name = words[-1].lower().replace("lamda", "lambda")
        if "SMALL" in words:
            return GREEK.get(name, "o" if name == "omicron" else "")
        return GREEK.get(name.capitalize(), "" if name not in GREEK else rf"\mathrm{{{name[0].upper()}}}")
    return ""


def mathematical(name: str, indexed: bool = False) -> str:
    r"""A name as LaTeX for math mode; `indexed` names carry their own number or label above, for subscripts
    are taken.

    >>> mathematical("W1", indexed=True), mathematical("lam"), mathematical("y_hat")
    ('W^{(1)}', '\\lambda', '\\hat{y}')
    """
    parts = [part for part in name.split("_") if part]
    if not parts or parts[0].isdigit():
        return _word(name)  # _0 is no number
    stem, labels = parts[0], parts[1:]
    numbered = re.fullmatch("(.*?[^0-9])([0-9]+)", stem)
    if not labels and numbered:
        stem, labels = numbered[1], [numbered[2]]
    long = len(stem) > 1 and stem not in GREEK
    if long and len(labels) == 1 and len(labels[0]) == 1 and labels[0].isalpha():
        stem, labels = labels[0], [stem]  # enc_W, a layer's weight: W of enc
    accents = [p for p in labels if p in ACCENTS]
    labels = [p for p in labels if p not in ACCENTS]
    shown = _word(stem)
    for accent in accents:
        shown = f"{ACCENTS[accent]}{{{shown}}}"
    if not labels:
        return shown
    if indexed:
        inner = ",".join(f"({p})" if p.isascii() and p.isdigit() else _word(p) for p in labels)
        return f"{shown}^{{{inner}}}"
    return (
        f"{shown}_{{{','.join(map(_word, labels))}}}"
        if len(labels) > 1 or len(_word(labels[0])) > 1
        else f"{shown}_{_word(labels[0])}"
    )


def _word(part: str) -> str:
    if part in GREEK:
        return GREEK[part]
    if part.isascii() and (part.isdigit() or len(part) == 1 and part.isalpha()):
        return part
    if len(part) == 1 and _greek(part):
        return _greek(part)
    return rf"\mathrm{{{escape(part)}}}" if part.isascii() else rf"\text{{{escape(part)}}}"


@dataclass(frozen=True)
class Names:
    """The symbols of a derivation: tensors, sizes and letters, each unlike all others.

    Attributes:
        tensors: all tensors of the steps, adjoints too, by name.
        statements: all statements of the steps.
        given: names that the reader knows; others are nicknamed.
        target: the tensor that is differentiated.
        whole: for each differentiated tensor, and each by which, the name of the whole adjoint; others are parts.
        letters: the size letters.
        inlined: parts that are put in place and need no name.
        layers: for each tensor that the weights of a layer are applied to give, the layer's number.
        sole: the tensor that has the only error signal.
    """

    tensors: Mapping[str, Tensor]
    statements: tuple[Statement, ...]
    target: str
    whole: Mapping[tuple[str, str], str]
    letters: tuple[str, ...]
    inlined: frozenset[str] = frozenset()
    layers: Mapping[str, str] = field(default_factory=dict)
    sole: str = ""

    @cached_property
    def loss(self) -> str:
        """What the target is called: L if it is `loss` and nothing else is L."""
        taken = {*self.tensors, *self.letters}
        return "L" if self.target == "loss" and "L" not in taken else self.target

    @cached_property
    def symbols(self) -> dict[str, Symbol]:
        """The symbol of each tensor that is no adjoint."""
        found: dict[str, Symbol] = {}
        looks: dict[str, None] = {}
        for t in self.tensors.values():
            if t.role == "adjoint":
                continue
            text = self.loss if t.name == self.target else self.nicknames.get(t.name, t.name)
            # the next value of m1 is named after m1 with its number: both stand above
            told = re.sub(r"(?<=[^0-9])([0-9]+)$", r"_\1", t.of) + "_next" if t.role == "next" else text
            latex = mathematical(told, indexed=bool(t.shape))
            if latex in looks:
                latex = rf"\mathrm{{{escape(text)}}}" if text.isascii() else rf"\text{{{escape(text)}}}"
            looks[latex] = None
            found[t.name] = Symbol(t.name, text, latex)
        return found

    @cached_property
    def nicknames(self) -> dict[str, str]:
        """Short names for parts that the user did not name and that are not put in place."""
        taken = {*self.tensors, *self.letters, self.loss, *(a for s in self.statements for a, _ in s.axes)}
        wanted: dict[str, list[str]] = {}
        found: dict[str, str] = self._preactivations(taken)
        for t in self.tensors.values():
            if t.name not in found and not t.named and t.role == "value" and t.name not in self.inlined:
                writer = next((s for s in self.statements if s.out == t.name), None)
                wanted.setdefault(_stems(writer), []).append(t.name)
        for stems, names in wanted.items():
            free = [x for x in stems if x not in taken and x not in found.values()]
            if len(names) <= len(free):
                found.update(zip(names, free, strict=False))
                continue
            stem = (free or [stems[0]])[0]
            for k, name in enumerate(names, 1):
                nick = f"{stem}{k}"
                found[name] = nick if nick not in taken else name
        return found

    def _preactivations(self, taken: set[str]) -> dict[str, str]:
        """What the unnamed sums of layers are called: z1, z2, ..., or a1, ... where z is something else."""
        unnamed = {
            t: n for t, n in self.layers.items() if not self.tensors[t].named and t not in self.inlined
        }
        for stem in ("z", "a"):
            names = {t: f"{stem}{n}" for t, n in unnamed.items()}
            clear = stem not in taken or stem in self.layers
            alike = {x for n in unnamed.values() for x in (f"{stem}{n}", f"{stem}_{n}")}
            if clear and not {x for x in taken & alike if x not in self.tensors or self.tensors[x].named}:
                return names
        return {}

    @cached_property
    def signals(self) -> dict[str, tuple[str, str]]:
        """Error signals that are called by the number of their layer, or are the only one: what stands behind δ in
        text, and above it."""
        looks = {x for s in self.symbols.values() for x in (s.text, s.latex)}
        names = {of: (n, f"({n})") for of, n in self.layers.items()} or (
            {self.sole: ("", "")} if self.sole else {}
        )
        told = {
            x
            for n, above in names.values()
            for x in (f"δ{n}", rf"\delta^{{{above}}}" if above else r"\delta")
        }
        return {} if told & looks else names

    def tensor(self, name: str) -> Formula:
        """A tensor's symbol; the adjoint of a computed tensor is an error signal δ, of an input the
        derivative ∂L/∂W."""
        t = self.tensors[name]
        if t.role != "adjoint":
            return self.symbols[name]
        whole, ahead = (
            self.whole.get((t.seed, t.of), name) == name,
            len(t.shape) - len(self.tensors[t.of].shape),
        )
        if whole and self.tensors[t.of].role not in ("value", "adjoint"):
            return Derivative(self.tensor(t.seed or self.target), self.symbols[t.of], name, ahead)
        text, latex = self._signal(t)
        if not whole:
            part = name.rsplit("_", 1)[-1]
            text, latex = f"{text}_{part}", f"{latex},{_word(part)}" if latex else _word(part)
        if t.seed and self.tensors[t.seed].role == "adjoint":  # of a gradient: by what that was taken
            by = self.symbols[self.tensors[t.seed].of]
            return Symbol(name, f"{text}({by.text})", rf"\delta^{{{latex}({by.latex})}}")
        number = f"({t.sweep})" if t.sweep > 1 else ""
        above = f"{latex}{number}"
        return Symbol(name, f"{text}{number}", rf"\delta^{{{above}}}" if above else r"\delta")

    def _signal(self, t: Tensor) -> tuple[str, str]:
        """The letters of an error signal: δz, δ2 for that of layer 2, δδz for that of an error signal; with what
        stands above the δ."""
        of = self.tensors[t.of]
        if of.role == "adjoint":
            text, latex = self._signal(of)
            return f"δ{text}", rf"\delta^{{{latex}}}" if latex else r"\delta"
        if t.of in self.signals and t.seed in ("", self.target):
            number, latex = self.signals[t.of]
            return f"δ{number}", latex
        return f"δ{self.symbols[t.of].text}", mathematical(self.symbols[t.of].text)

    @cached_property
    def sizes(self) -> dict[str, Extent]:
        """A size is a capital where its letter also runs as an index: 2/N Σ_n."""
        running = {a for s in self.statements for a, _ in s.axes}
        taken = {*self.tensors, *self.letters, *running, self.loss}
        found = {}
        for n in self.letters:
            if n not in running:
                latex = mathematical(n)
            elif len(n) == 1 and n.isascii() and n.islower() and n.upper() not in taken:
                latex = n.upper()
            else:
                latex = rf"\lvert {mathematical(n)} \rvert"
            found[n] = Extent(n, n, latex)
        return found

    def size(self, name: str) -> Extent:
        return self.sizes.get(name) or Extent(name, name, mathematical(name))

    @cached_property
    def before(self) -> frozenset[tuple[str, int]]:
        """The axes, by tensor and number, along which something reads a row before the first."""
        return frozenset(
            (a.tensor, d)
            for s in self.statements
            for a in accesses(s.body)
            for d, i in enumerate(a.index)
            if (i.number or 0) < 0
        )

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Other letters for those that are called like a tensor, as a part's own letters may be."""
        running = list(dict.fromkeys(a for s in self.statements for a, _ in s.axes))
        taken = {*self.tensors, *self.letters, *running, self.loss}
        free = [x for x in "ijklmnpqrsuvwabcdefgh" if x not in taken]
        clash = [a for a in running if a in self.tensors]
        return {a: free[k] if k < len(free) else f"{a}_i" for k, a in enumerate(clash)}

    def letter(self, name: str) -> Symbol:
        """A running index; a copy of a letter (`i_2`) is primed."""
        name = self.aliases.get(name, name)
        copy = re.fullmatch(r"([a-zA-Z])_([23])", name)
        if copy:
            marks = int(copy[2]) - 1
            return Symbol(name, copy[1] + "′" * marks, copy[1] + "'" * marks)
        return Symbol(name, name, mathematical(name))


def _stems(writer: Statement | None) -> str:
    """Letters for a part, by what it is: a maximum, a sum of exponentials, an exponential, anything."""
    if writer is not None and writer.op in ("max=", "min="):
        return "mc"
    if writer is not None and isinstance(writer.body, Call):
        return "sc" if writer.op == "+=" else "uvrq"
    return "uvrq"
