"""Documents: every format says what the story says, whatever its words are, and stands alone."""

from __future__ import annotations

import json
import re
import shutil
import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from test_explain import DETAILS, FORMS, derived, every_form, every_program, faults

import symgrad as sg
from symgrad import explain
from symgrad.cli import main
from symgrad.errors import SymgradError
from symgrad.explain import boxes, pdf, record, scripts
from symgrad.explain.style import STYLE
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import declaration
from symgrad.language.reader import read
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


# ---------------------------------------------------------------------- JSON


def told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record.written(derived(name)))
    return found


@every_program
def test_steps_are_data(name: str) -> None:
    d, data = derived(name), told(name)
    assert [s["number"] for s in data["steps"]] == [s.number for s in d.steps]
    assert str(read(data["declaration"])) == data["declaration"]
    for gradient in data["gradients"]:
        assert gradient["matrix"]["text"] == explain.result_equations(d, gradient["by"][0])
    latex = [e["latex"] for s in data["steps"] for e in s["equations"]]
    latex += [s["reason_latex"] for s in data["steps"]]
    latex += [g[form]["latex"] for g in data["gradients"] for form in FORMS]
    assert [f for text in latex for f in faults(text)] == []


@every_program
def test_steps_are_read_back(name: str) -> None:
    """Each statement of each step is text of the language: it is read with declarations of what it reads."""
    data = told(name)
    inputs = {t.name: declaration(t) for t in derived(name).source.inputs}
    sizes = ", ".join(derived(name).source.sizes)

    def declared(role: str, x: str) -> str:
        return f"{x}: {role}[{', '.join(data['tensors'][x]['shape'])}]".replace("[]", "")

    for text in [e["text"] for s in data["steps"] for e in s["equations"]]:
        out = re.split(r"[\[ ]", text)[0]
        known = {x for x in re.findall(r"[^\W\d]\w*", text) if x in data["tensors"] and x != out}
        lines = [f"sizes: data[{sizes}]", *(inputs.get(x, declared("data", x)) for x in sorted(known))]
        lines += [declared("zeros", out)] * ("+=" in text)
        if not re.match(r"\w+\[\w+\[", text):  # what is added at looked-up places is summed by its writer
            (statement,) = read("\n".join([*lines, text])).statements
            assert statement.out == out


def test_json_of_a_hessian() -> None:
    d = sg.hessian("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)")
    data = json.loads(d.json())
    assert data["kind"] == "hessian"
    assert [g["by"] for g in data["gradients"]] == [["w", "w"]]


# ---------------------------------------------------------------------- the command

LINE = "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)"


@pytest.mark.parametrize(
    "ending, start",
    [
        (".txt", "Forward"),
        (".tex", "\\documentclass"),
        (".html", "<!DOCTYPE html>"),
        (".md", ""),
        (".json", "{"),
        (".py", "import numpy"),
    ],
)
def test_files_by_their_endings(tmp_path: Path, ending: str, start: str) -> None:
    """The method and the command write the same file."""
    d = sg.derive(LINE)
    d.save(tmp_path / f"one{ending}")
    assert main(["derive", LINE, "-o", str(tmp_path / f"two{ending}")]) == 0
    one, two = ((tmp_path / f"{name}{ending}").read_text(encoding="utf-8") for name in ("one", "two"))
    assert one == two
    assert start in one and one.endswith("\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one{ending}", f"two{ending}"]


def test_unknown_endings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SymgradError, match=r"a\.doc says no format; it ends with \.txt, .*\.pdf"):
        sg.derive(LINE).save(tmp_path / "a.doc")
    for arguments, words in (
        (["--format", "pdf"], "-o derivation.pdf"),
        (["--format", "text", "--open"], "--open shows html or pdf"),
    ):
        assert main(["derive", LINE, *arguments]) == 2
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_open_shows_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(seen.append(url)) or True)
    assert main(["derive", LINE, "--open"]) == 0
    (url,) = seen
    path = Path(url.removeprefix("file://"))
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert str(path) in capsys.readouterr().out
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    assert main(["derive", LINE, "--open"]) == 2
    assert "no browser could be started" in capsys.readouterr().err
    shutil.rmtree(path.parent)
