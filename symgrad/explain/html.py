"""The story as a page of HTML that stands alone: MathML, one style sheet, no script, nothing fetched.

The page is a tree of elements, written out once; so no text of a user is ever markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Union
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from symgrad.explain import beside, mathml
from symgrad.explain.latex import LATEX
from symgrad.explain.parts import (
    Equation,
    Listing,
    Part,
    Passage,
    Picture,
    Prose,
    Remark,
    Sentence,
    Story,
    Table,
    spans,
)
from symgrad.explain.plain import spans_of_code
from symgrad.explain.scripts import TEXT
from symgrad.explain.style import STYLE
from symgrad.explain.tex import WIDE, broken
from symgrad.seen import isolated, shown

Content = Union[str, Element]

LONG = 8  # equations and reasons from which a passage can be folded by its reader
_REFERENCE = re.compile(r"(?<![\w)])\((\d+[a-z]*)(?:; [^()]*)?\)")
_PARTS = (
    r"""(?P<s>\"{3}(?s:.)*?\"{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<c>\#[^\n]*)|(?P<k>\b(?:%s)\b)"""
)
_CODE = {
    "python": re.compile(
        _PARTS % "and|as|assert|class|def|elif|else|except|for|from|if|import|in|is|lambda|not|or|pass|raise|"
        "return|try|while|with|None|True|False"
    ),
    "sg": re.compile(_PARTS % "data|weight|label|constant|zeros|and|or|not"),
}
_SVG = "http://www.w3.org/2000/svg"


def written(story: Story) -> str:
    """The whole page."""
    return _Page(story).text()


class _Page:
    def __init__(self, story: Story):
        self.story = story
        passages = [p for p in story.passages if isinstance(p, Passage)]
        self.free = {
            str(n) for p in passages for e in _all(p) for n in e.numbers
        }  # numbers that are no anchor yet
        self.known = frozenset(self.free)

    def text(self) -> str:
        title = words(self.story.title) or "Derivation"
        root = Element("html", lang="en")
        head = SubElement(root, "head")
        head.append(Element("meta", charset="utf-8"))
        head.append(Element("meta", name="viewport", content="width=device-width, initial-scale=1"))
        head.append(Element("meta", name="color-scheme", content="light dark"))
        head.append(_element("title", title))
        head.append(_element("style", STYLE))
        main = SubElement(SubElement(root, "body"), "main")
        main.append(_element("h1", *self.said(self.story.title or ("Derivation",))))
        if self.story.notation:
            notes = [_element("p", *self.said(line)) for line in self.story.notation]
            main.append(_element("aside", _element("h2", "Notation"), *notes, **{"class": "notation"}))
        for p in self.story.passages:
            main.append(self.part(p))
        written = ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
        # elements that never hold anything have no end tag in HTML
        return "<!DOCTYPE html>\n" + written.replace("></meta>", " />") + "\n"

    # sentences

    def said(self, sentence: Sentence) -> list[Content]:
        """A sentence; words between backticks are code, and numbers of equations lead to them."""
        out: list[Content] = []
        for part in sentence:
            if isinstance(part, str):
                for piece, code in spans_of_code(part):
                    out += [_element("code", shown(piece))] if code else self.linked(piece)
            else:
                out.append(mathml.inline(part))
        return out

    def linked(self, text: str) -> list[Content]:
        out: list[Content] = []
        end = 0
        for m in _REFERENCE.finditer(text):
            if m[1] in self.known:
                out += [_words(text[end : m.start()]), _element("a", m[0], href=f"#eq-{m[1]}")]
                end = m.end()
        return [*out, _words(text[end:])]

    # parts

    def part(self, p: Part) -> Element:
        body = list(self.body(p))
        heading = [_element("h2", *self.said(p.heading))] if p.heading else []
        if isinstance(p, Passage) and len(p.equations) + len(p.remarks) > LONG and heading:
            # open, so that everything is seen and printed; the reader may fold it
            body = [_element("details", _element("summary", *heading), *body, open="open")]
            heading = []
        return _element("section", *heading, *body)

    def body(self, p: Part) -> Iterable[Element]:
        match p:
            case Passage():
                yield from self.passage(p)
            case Prose(_, paragraphs):
                yield from (_element("p", *self.said(line)) for line in paragraphs)
            case Listing(_, text, language):
                code = _element("code", *_coloured(shown(text), language))
                yield _element("pre", code, **{"class": f"listing {language}"})
            case Table(_, columns, rows):
                head = _element("tr", *(_element("th", *self.said(c), scope="col") for c in columns))
                lines = [_element("tr", *(_element("td", *self.said(c)) for c in row)) for row in rows]
                table = _element("table", _element("thead", head), _element("tbody", *lines))
                yield _element("div", table, **{"class": "scroll"})
            case Picture(_, svg, _, alt):
                yield _figure(svg, alt)

    def passage(self, p: Passage) -> Iterable[Element]:
        forms = beside.shown(p)
        odd = len(forms) % 2  # the last of an odd number of forms has the width for itself
        widths = [WIDE if odd and k == len(forms) - 1 else WIDE / 2 for k in range(len(forms))]
        columns = [self.equations(equations, w) for (_, equations), w in zip(forms, widths, strict=True)]
        if len(forms) == 1:
            yield from columns
        else:
            named = [
                _element("div", _element("h3", _words(caption)), column, **{"class": "form"})
                for (caption, _), column in zip(forms, columns, strict=True)
            ]
            yield _element("div", *named, **{"class": "beside"})
        if p.remarks:
            yield _element("ul", *map(self.remark, p.remarks), **{"class": "reasons"})

    def remark(self, r: Remark) -> Element:
        """`(3) rule: sentence`, the number leading to its equation."""
        numbers: list[Content] = [self.numbered(r.numbers), " "] if r.numbers else []
        rule: list[Content] = [_element("em", _words(r.rule)), ": "] if r.rule else []
        return _element("li", *numbers, *rule, *self.said(r.sentence))

    def numbered(self, numbers: Sequence[str]) -> Content:
        text = f"({', '.join(spans(numbers, '–'))})"
        first = next((n for n in numbers if str(n) in self.known), None)
        return text if first is None else _element("a", text, href=f"#eq-{first}")

    # equations

    def equations(self, equations: Sequence[Equation], width: float) -> Element:
        grid = Element("div", {"class": "equations"})
        indent = 0.0
        for e in equations:
            indent = self.equation(grid, e, width, indent)
        return _element("div", grid, **{"class": "scroll"})

    def equation(self, grid: Element, e: Equation, width: float, indent: float) -> float:
        """Rows of left side, sign and line, number; further lines start behind the sign."""
        lines, indent = broken(e, width, indent)
        anchors = [str(n) for n in e.numbers if str(n) in self.free]
        self.free.difference_update(anchors)
        left = Element("div", {"class": "left"})
        if e.left is not None:
            left.append(mathml.math(LATEX.inside(e.left), TEXT.line(e.left), display=True))
        sign = LATEX.piece(LATEX.RELATIONS.get(e.sign, e.sign)).boxes
        for k, line in enumerate(lines):
            boxes = tuple(b for piece in line for b in piece.boxes)
            right = mathml.math(
                boxes if k else (*sign, *boxes),
                f"{e.sign} {TEXT.line(e.right)}" if not k else "",
                display=True,
                continued=True,
            )
            grid.append(left if not k else Element("div", {"class": "left"}))
            grid.append(_element("div", right, **{"class": "right more" if k else "right"}))
            number = Element("div", {"class": "number"})
            if k == len(lines) - 1 and e.numbers:
                number.text = f"({', '.join(spans(e.numbers, '–'))})"
            grid.append(number)
        for n in anchors[:1]:
            left.set("id", f"eq-{n}")
        for n in anchors[1:]:
            left.append(Element("span", id=f"eq-{n}"))
        return indent


def words(sentence: Sentence) -> str:
    """A sentence without markup."""
    return "".join(
        "".join(shown(part) for part, _ in spans_of_code(p)) if isinstance(p, str) else TEXT.line(p)
        for p in sentence
    )


def _all(p: Passage) -> list[Equation]:
    return [e for _, equations in beside.shown(p) for e in equations]


def _words(text: str) -> Content:
    """Words; what turns the direction of writing turns no more than them."""
    return _element("bdi", shown(text)) if isolated(text) else shown(text)


def _coloured(text: str, language: str) -> list[Content]:
    """Code whose comments, strings and words of the language have classes."""
    if language not in _CODE:
        return [text]
    out: list[Content] = []
    end = 0
    for m in _CODE[language].finditer(text):
        out += [text[end : m.start()], _element("span", m[0], **{"class": m.lastgroup or ""})]
        end = m.end()
    return [*out, text[end:]]


def _figure(svg: str, alt: str) -> Element:
    """A drawing as part of the page."""
    drawn = drawing(svg)
    drawn.set("role", "img")
    drawn.set("aria-label", shown(alt))
    return _element("figure", drawn, _element("figcaption", _words(alt)))


def drawing(svg: str | bytes) -> Element:
    """An SVG of ours whose elements are named as those of a page: the one outermost says that they are SVG."""
    root = ElementTree.fromstring(svg)  # noqa: S314 (an SVG of ours)
    for e in root.iter():
        e.tag = e.tag.removeprefix(f"{{{_SVG}}}")
    root.set("xmlns", _SVG)
    return root


def _element(tag: str, *content: Content, **look: str) -> Element:
    """An element that holds words and elements in this order."""
    e = Element(tag, look)
    for c in content:
        if not isinstance(c, str):
            e.append(c)
        elif len(e):
            e[-1].tail = (e[-1].tail or "") + c
        else:
            e.text = (e.text or "") + c
    return e
