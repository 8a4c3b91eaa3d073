"""Documents: every format says what the story says, whatever its words are, and stands alone."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_explain import DETAILS, derived, every_form, every_program

from symgrad import explain
from symgrad.errors import SymgradError
from symgrad.explain import boxes, pdf, scripts
from symgrad.explain.style import STYLE
from symgrad.language.implicit import IMPLICIT
from symgrad.leaves import LEAVES

MATHML = {
    "math", "mrow", "mi", "mn", "mo", "mspace", "mfrac", "msqrt", "msub", "msup", "msubsup", "munder", "mover",
    "mtable", "mtr", "mtd",
}  # fmt: skip
HTML = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "aside", "section", "div",
    "span", "a", "em", "code", "pre", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary",
    "figure", "figcaption", "bdi",
}  # fmt: skip
VOID = {"meta"}


class Reader(HTMLParser):
    """What a reader of HTML finds: tags that match, and the text of the body."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.faults: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.faults.append(f"<{tag}/> does not end in HTML")

    def handle_data(self, data: str) -> None:
        if "style" not in self.stack:
            self.words.append(data)


def local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]


def tree(page: str) -> ElementTree.Element:
    """The page as XML and as HTML: both agree on what it holds."""
    start, body = page.split("\n", 1)
    assert start == "<!DOCTYPE html>"
    root = ElementTree.fromstring(body)  # noqa: S314 (a page of ours)
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.faults == [] and reader.stack == []
    style = root.find("./head/style")
    assert style is not None
    text = "".join(root.itertext()).replace(style.text or "", "", 1)
    assert "".join(reader.words).strip() == text.strip()
    return root


@every_form
@every_program
def test_html_stands_alone(name: str, form: str) -> None:
    """Well formed, of elements that are known, without scripts; no TeX is left, and every anchor is there."""
    for detail in DETAILS:
        root = tree(explain.document(derived(name), form, detail).html())
        assert {local(e.tag) for e in root.iter()} <= MATHML | HTML
        ids = [e.get("id") for e in root.iter() if e.get("id")]
        assert len(ids) == len(set(ids))
        for e in root.iter():
            assert not set(e.attrib) & {"src", "srcset", "action", "onload", "onclick"}
            if e.get("href"):
                assert (e.get("href") or "")[1:] in ids
        assert "\\" not in "".join(root.itertext())


def test_style_fetches_nothing() -> None:
    """And needs no escaping, which would not be read back inside a style element."""
    assert not re.search(r"url\(|@import|[<>&]", STYLE)


def test_templates_are_read_as_boxes() -> None:
    """Every template of the tables is made of signs that are known, and is written back as it was."""
    for name in [*LEAVES, *IMPLICIT]:
        text = scripts._holes(scripts._template(name))
        found = boxes.read(text)
        assert boxes.source(found) == text
        assert "unknown" not in repr(found)


# ---------------------------------------------------------------------- PDF


def test_nothing_makes_a_pdf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SymgradError, match=r"neither LaTeX .* nor Chromium.*install one of them"):
        explain.document(derived("line")).pdf(tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
def test_pdf_by_latex(tmp_path: Path) -> None:
    assert explain.document(derived("line")).pdf(tmp_path / "a.pdf") in pdf.LATEX
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-")
