"""The gallery: a page for every operation and every shipped network, with its definition, its derivation, the NumPy
function that is generated and the check of it.

A page is a `Document`, told once and written in any format; the index is Markdown, for its links.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from importlib import resources
from pathlib import Path

from symgrad.check import Verdict
from symgrad.derivation import Derivation, derive
from symgrad.errors import listing
from symgrad.explain import Document
from symgrad.explain.marked import escaped
from symgrad.explain.parts import Listing, Part, Prose, Sentence, Story
from symgrad.language.implicit import IMPLICIT, spoken
from symgrad.leaves import LEAVES
from symgrad.model import Model
from symgrad.ops import FORMULAS, Example, examples, named

NETWORKS = "networks"
ENTRIES = 4  # of each tensor, stepped one by one beside directions


def groups() -> dict[str, dict[str, str]]:
    """Every shipped operation and a line about it, by the part of the language or the file that defines it.

    Example:
        >>> groups()["activations"]["relu6"]
        '`x` kept between 0 and 6; slope 0 at both ends.'
    """
    found: dict[str, dict[str, str]] = {
        "scalar functions": {leaf.name: leaf.note or "Applied entry by entry." for leaf in LEAVES.values()},
        "defined by an equation": {},
        "functions of arrays": {name: about for name, (about, _, _) in FORMULAS.items()},
    }
    for op, one in IMPLICIT.items():
        found["defined by an equation"].setdefault(
            spoken(op), (one.run.__doc__ or one.equation).split("\n")[0]
        )
    for first in named():
        if first.where.endswith(".sg"):  # not one of the user's own
            found.setdefault(first.where.removesuffix(".sg"), {})[first.name] = " ".join(first.doc.split())
    return found


def networks() -> dict[str, Path]:
    """The declarations of the shipped networks, by name."""
    folder = Path(str(resources.files("symgrad") / NETWORKS))
    return {path.stem: path for path in sorted(folder.glob("*.sg"))}


class Page:
    """The page of one operation or of one network.

    Args:
        title: its heading.
        shown: what it shows: for each definition some words or equations, a declaration, and the derivation of that.

    Example:
        >>> page = operation("relu")
        >>> page.document().markdown().splitlines()[0]
        '# relu'
    """

    def __init__(self, title: str, shown: Sequence[tuple[Part | None, Listing, Derivation]]):
        self.title, self.shown = title, shown

    def document(self) -> Document:
        """The page, to be written in any format."""
        return Document(self._story)

    def _story(self, numpy: bool) -> Story:
        return Story((), tuple(self._parts(numpy)), (self.title,))

    def _parts(self, numpy: bool) -> Iterator[Part]:
        for (definition, declaration, d), function, verdict in zip(
            self.shown, self._functions, self._verdicts, strict=True
        ):
            if definition is not None:
                yield definition
            yield declaration
            told = d.document()
            story = told.plain if numpy else told.story
            if story.notation:
                yield Prose(("Notation",), story.notation)
            yield from story.passages
            yield Listing(("NumPy",), function, "python")
            yield Prose(("Check",), (checked(verdict),))

    @cached_property
    def _functions(self) -> list[str]:
        return [d.numpy().strip() for _, _, d in self.shown]

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return [d.check(entries=ENTRIES) for _, _, d in self.shown]


def operation(name: str) -> Page:
    """The page of an operation.

    Raises:
        SymgradError: no operation has the name.
    """
    return Page(name, [(_definition(e), Listing(("Example",), e.declaration, "python"), derive(e.declaration))
                       for e in examples(name)])  # fmt: skip


def network(name: str) -> Page:
    """The page of a shipped network."""
    text = networks()[name].read_text(encoding="utf-8")
    return Page(name, [(None, Listing(("Declaration",), text.strip(), "python"), Model(text).derive())])


_JUDGES = {
    "complex step": "complex steps through the definition",
    "readable": "the generated function",
    "fast": "the fast module",
}


def checked(verdict: Verdict) -> Sentence:
    """What the check found, in words that are the same on every machine."""
    judges = list(dict.fromkeys(_JUDGES.get(r.against, r.against) for r in verdict.rows))
    tensors = list(dict.fromkeys(r.name for r in verdict.rows))
    sizes = ", ".join(f"{n} = {k}" for n, k in verdict.sizes.items())
    digits = -round(math.log10(verdict.tolerance))
    return (
        f"The derived gradient{'s' * (len(tensors) > 1)} by {listing(tensors)} and "
        f"{'those' if len(tensors) > 1 else 'that'} of {listing(judges)} {'agree' if verdict.ok else 'DO NOT AGREE'} "
        f"to {digits} digits" + (f" for {sizes}" if sizes else "") + ".",
    )


def _definition(e: Example) -> Part:
    return Listing(("Definition",), e.definition.strip(), "python" if e.code else "text")


def index() -> str:
    """The first page, in Markdown: every page with a line about it, grouped."""
    lines = [
        "# Gallery",
        "",
        "Every operation and every shipped network: its definition, the derivation, the generated NumPy function and",
        "its check. `symgrad ops NAME --format html --open` shows a page in the browser.",
        "",
        "## networks",
        "",
    ]
    for name, path in networks().items():
        first = path.read_text(encoding="utf-8").splitlines()[0]
        lines.append(f"- [{name}]({NETWORKS}/{name}.md): {escaped(first.removeprefix('# '))}")
    for group, abouts in groups().items():
        lines += ["", f"## {group}", ""]
        lines += [f"- [{escaped(name)}]({name}.md): {escaped(about)}" for name, about in abouts.items()]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, Callable[[], str]]:
    """For the path of every page what writes its Markdown, the index first."""
    found: dict[str, Callable[[], str]] = {"README.md": index}
    for name in networks():
        found[f"{NETWORKS}/{name}.md"] = partial(_markdown, network, name)
    for name in (name for names in groups().values() for name in names):
        found[f"{name}.md"] = partial(_markdown, operation, name)
    return found


def _markdown(page: Callable[[str], Page], name: str) -> str:
    return page(name).document().markdown()
