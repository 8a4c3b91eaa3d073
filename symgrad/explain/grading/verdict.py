"""What is said of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from symgrad.explain.document import Document
from symgrad.explain.parts import Listing, Part, Prose, Sentence, Story
from symgrad.language.trace import Key


@dataclass(frozen=True)
class Grade:
    """Whether an answer is right, and if not, what is wrong with it.

    Attributes:
        name: which derivative was answered for; of several answers, all of them.
        right: whether the answer is equal to the derivative.
        why: one sentence: how equality was decided, or what is wrong.
        hint: a sentence that helps without giving the answer away; empty where the answer is right.
        mistake: the classic mistake that gives exactly this answer, in a sentence; empty if none does.
        difference: the first term that differs, in a sentence; empty if none was found.
        given: the answer as it was written.
        solution: the derivative as text of the language.
        parts: of several answers at once, the grade of each.

    Example:
        >>> import symgrad as sg
        >>> d = sg.derive("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)")
        >>> bool(d.grade(w="2/n * X.T @ (X @ w - y)"))
        True
    """

    name: Key
    right: bool
    why: str
    hint: str = ""
    mistake: str = ""
    difference: str = ""
    given: str = ""
    solution: str = ""
    parts: tuple[Grade, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return self.right

    def __iter__(self) -> Iterator[Grade]:
        """The grades of the single answers."""
        return iter(self.parts or (self,))

    def __getitem__(self, name: Key) -> Grade:
        for part in self:
            if part.name == name:
                return part
        raise KeyError(name)

    @property
    def document(self) -> Document:
        """The verdict as a document, without the solution."""
        return Document(lambda _: Story((), tuple(p for g in self for p in g._told())))

    def _told(self) -> Iterator[Part]:
        heading: Sentence = (f"{_shown(self.name)}: {'right' if self.right else 'wrong'}",)
        if self.given:
            yield Listing(heading, self.given, "sg")
            heading = ()
        yield Prose(heading, tuple((line,) for line in dict.fromkeys((self.why, self.difference)) if line))

    def text(self, width: int = 80) -> str:
        """The verdict for a terminal."""
        return self.document.text(width)

    def latex(self, fragment: bool = True) -> str:
        """The verdict as LaTeX."""
        return self.document.latex(fragment)

    def markdown(self) -> str:
        """The verdict as Markdown."""
        return self.document.markdown()

    def html(self) -> str:
        """The verdict as an HTML page."""
        return self.document.html()

    def __str__(self) -> str:
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _shown(name: Key) -> str:
    return name if isinstance(name, str) else ", ".join(name)


def together(grades: tuple[Grade, ...]) -> Grade:
    """Several grades as one: right if all are."""
    if len(grades) == 1:
        return grades[0]
    wrong = [g for g in grades if not g.right]
    names = ", ".join(_shown(g.name) for g in grades)
    said = ", ".join(_shown(g.name) for g in wrong)
    why = f"wrong: {said}" if wrong else "all of them are right"
    return Grade(names, not wrong, why, wrong[0].hint if wrong else "", parts=grades)
