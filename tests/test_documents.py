"""Documents: every format says what the story says, whatever its words are, and stands alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_explain import (
    DETAILS,
    FORMS,
    ONE_PLACE,
    ROOT,
    SCALARS,
    derived,
    every_form,
    every_program,
    faults,
    trees,
    value,
)

import symgrad as sg
from symgrad import explain
from symgrad.cli import main
from symgrad.errors import SymgradError
from symgrad.explain import boxes, html, marked, mathml, pdf, record, terminal, tex
from symgrad.explain.cast import Cast
from symgrad.explain.document import Document
from symgrad.explain.formula import Symbol, plus
from symgrad.explain.indices import Indices
from symgrad.explain.latex import LATEX, _holes, _template
from symgrad.explain.mathml import APPLY, TIMES
from symgrad.explain.parts import Equation, Listing, Passage, Prose, Remark, Story, Table
from symgrad.explain.plain import columns, spans_of_code
from symgrad.explain.style import STYLE
from symgrad.language.expr import Expr
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import declaration
from symgrad.language.reader import read
from symgrad.leaves import LEAVES
from symgrad.passes.derive import derive
from symgrad.seen import TURNING, shown, straight

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
    assert root.find("./head/style") is not None
    text = "".join(root.itertext())
    for e in root.iter():
        text = text.replace(e.text or "", "", 1) if local(e.tag) == "style" else text
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
        text = _holes(_template(name))
        found = boxes.read(text)
        assert boxes.source(found) == text
        assert "unknown" not in repr(found)


# ---------------------------------------------------------------------- MathML, read as it is seen


class MathValue:
    """The value of a scalar formula in MathML: products by nearness, brackets as written."""

    def __init__(self, elements: list[ElementTree.Element], at: dict[str, float]):
        self.items = [e for e in elements if e.tag != "mspace" and e.text not in (APPLY, TIMES)]
        self.at, self.k = at, 0

    def peek(self) -> str:
        e = self.items[self.k] if self.k < len(self.items) else None
        return "" if e is None else (e.text or "") if e.tag == "mo" else "x"

    def whole(self) -> float:
        total = self.signed() if self.peek() != "+" else self.term()
        while self.peek() in ("+", "−"):
            self.k += 1
            total += self.term() if self.items[self.k - 1].text == "+" else -self.term()
        assert self.k == len(self.items), [e.text or e.tag for e in self.items]
        return total

    def signed(self) -> float:
        if self.peek() == "−":
            self.k += 1
            return -self.term()
        return self.term()

    def term(self) -> float:
        total = self.factor()
        while self.peek() in ("x", "⋅"):
            self.k += self.peek() == "⋅"
            total *= self.factor()
        return total

    def factor(self) -> float:
        e = self.items[self.k]
        self.k += 1
        function = {**ONE_PLACE, "arctan": np.arctan}.get(e.text or "")
        if e.tag == "mi" and function is not None:
            return float(function(self.factor()))
        return self.value(e)

    def value(self, e: ElementTree.Element) -> float:
        match e.tag:
            case "mn":
                return float(e.text or "")
            case "mi":
                return self.at[e.text or ""]
            case "mfrac":
                return float(np.divide(*(MathValue(parts(c), self.at).whole() for c in e)))
            case "msup":
                power = MathValue(parts(e[1]), self.at).whole()
                return float(np.exp(power)) if e[0].text == "e" else float(np.power(self.value(e[0]), power))
            case "mrow":
                inner = list(e)
                if inner[0].text == "(":
                    assert inner[-1].text == ")"
                    inner = [c for part in inner[1:-1] for c in parts(part)]
                return MathValue(inner, self.at).whole()
        raise TypeError(e.tag)


def parts(e: ElementTree.Element) -> list[ElementTree.Element]:
    return list(e) if e.tag == "mrow" and (e[0].text != "(" or e[0].tag != "mo") else [e]


@settings(max_examples=200, deadline=None)
@given(trees())
def test_mathml_means_what_was_meant(e: Expr) -> None:
    at = {"a": 1.25, "b": -0.75, "c": 2.5}
    formula = Indices(Cast(derive(SCALARS)).names, {}).expr(e, [])
    with np.errstate(all="ignore"):
        truth = value(e, at)
        seen = MathValue(mathml.row(LATEX.inside(formula)), at).whole()
    if np.isfinite(truth) and abs(truth) < 1e6:
        assert seen == pytest.approx(truth, rel=1e-6, abs=1e-9)


def test_mathml_of_names_and_brackets() -> None:
    def shown_as(latex: str) -> str:
        text = ElementTree.tostring(mathml.math(boxes.read(latex), ""), encoding="unicode")
        return re.sub(r"^<math[^>]*>|</math>$", "", text)

    assert shown_as("W^{(1)}_{n i}") == (
        '<msubsup><mi>W</mi><mrow><mi>n</mi><mo>\u2063</mo><mi>i</mi></mrow><mrow><mo form="prefix" stretchy="false">('
        '</mo><mn>1</mn><mo form="postfix" stretchy="false">)</mo></mrow></msubsup>'
    )
    assert shown_as(r"\hat{y}") == '<mover accent="true"><mi>y</mi><mo stretchy="false">^</mo></mover>'
    assert shown_as(r"\mathrm{logits}") == "<mi>logits</mi>"
    assert shown_as(r"\text{na\"{\i}ve}") == "<mi>naïve</mi>"
    assert shown_as(r"a - -b").count('form="prefix"') == 1
    assert 'stretchy="true"' in shown_as(r"\Bigl(\frac{a}{b}\Bigr)")
    assert "\u2061" in shown_as(r"\log(x)")
    assert "\u2062" in shown_as(r"2 x")
    # a line that ends inside brackets, and the one that follows it
    assert shown_as("(a + b").endswith("<mi>b</mi></mrow>")
    assert shown_as("+ c)^{2}").endswith(
        '<msup><mo form="postfix" stretchy="false">)</mo><mn>2</mn></msup></mrow>'
    )


# ---------------------------------------------------------------------- any words

NASTY = (
    "</script>", "<b>", "%", "\\input{x}", "\\end{verbatim}", "\\end{document}", "$", "$$", "`", "```", "]]>", "-->",
    "&amp;", "#", "_", "^", "{", "}", "~", "|", "\\", "\u202e", "\u2066", "\x00", "\x1b[31m", "\x07", "\r", "\ud800",
    "\uffff", "勾配", "é", "e\u0301", "δ", "\n", "1. ", "- ", "a b", "\u00a0", "\U0001f600", "--", "''", "[", "*",
)  # fmt: skip
words = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=8)), max_size=6).map("".join)
LOSS = Symbol("L", "L", "L")


def stories() -> st.SearchStrategy[Story]:
    """Stories with any words wherever words stand."""
    equation = Equation(LOSS, plus(LOSS, LOSS), ("1",))
    return st.builds(
        lambda w: Story(
            ((w[0],),),
            (
                Passage((w[1], LOSS), (equation,), (Remark(("1",), w[2], (w[3],)),)),
                Prose((w[4],), ((w[5],), (w[6], LOSS))),
                Listing((w[7],), w[8]),
                Table((w[9],), ((w[10],), (w[11],)), (((w[12],), (LOSS,)),)),
            ),
            (w[13],),
        ),
        st.lists(words, min_size=14, max_size=14),
    )


def every_word(story: Story) -> list[str]:
    """The words of a story in the order of its page, without the backticks of code."""
    found = [story.title, *story.notation]
    for p in story.passages:
        found.append(p.heading)
        match p:
            case Passage():
                found += [s for r in p.remarks for s in (((r.rule, None),), r.sentence)]  # a rule is no code
            case Prose(_, paragraphs):
                found += paragraphs
            case Listing(_, text):
                found.append(((text, None),))
            case Table(_, columns, rows):
                found += [*columns, *(c for row in rows for c in row)]
    out = []
    for sentence in found:
        for part in sentence:
            if isinstance(part, str):
                out.append("".join(shown(piece) for piece, _ in spans_of_code(part)))
            elif isinstance(part, tuple):
                out.append(shown(part[0]))
    return [w for w in out if w]


@settings(max_examples=60, deadline=None)
@given(stories())
def test_html_says_every_word(story: Story) -> None:
    """In order, as text: no word is markup, and none is lost."""
    root = tree(html.written(story))
    assert {local(e.tag) for e in root.iter()} <= MATHML | HTML
    body = root.find("./body")
    assert body is not None
    text, at = "".join(body.itertext()), 0
    for word in every_word(story):
        place = text.find(word, at)
        assert place >= 0, (word, text[at : at + 200])
        at = place + len(word)


@settings(max_examples=60, deadline=None)
@given(stories())
def test_latex_takes_every_word(story: Story) -> None:
    for fragment in (True, False):
        text = tex.written(story, fragment)
        text = re.sub(r"\\[`'^~\"=.cvrHu]\{\w?\}|\\(?:ss|ae|AE|oe|OE|o|O|l|L|i)\{\}", "", text)
        assert faults(text) == []


@settings(max_examples=60, deadline=None)
@given(stories(), st.booleans())
def test_markdown_takes_every_word(story: Story, github: bool) -> None:
    """Outside of code no sign is left that makes markup, and inside of code no fence ends early."""
    text = marked.written(story, github)
    listing = next(p for p in story.passages if isinstance(p, Listing))
    longest = max([2, *(len(m) for m in re.findall("`+", listing.text))])
    fence = "`" * (longest + 1)
    block = re.search(rf"^{fence}text\n(.*?)\n{fence}$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1] == straight(listing.text)
    for rest in (text[: block.start()], text[block.end() :]):
        outside = re.sub(r"```math\n.*?\n```|\$`[^`]*`\$|\\.|`[^`]*`", "", rest, flags=re.DOTALL)
        assert not re.search(r"[<>]", outside)
        assert "`" not in outside
        assert github is False or "$" not in outside
    assert not TURNING & set(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text)


@settings(max_examples=60, deadline=None)
@given(stories(), st.integers(40, 90))
def test_terminals_take_every_word(story: Story, width: int) -> None:
    """No line is wider than the terminal, also with wide characters, and none moves its cursor."""
    for line in terminal.written(story, width).split("\n"):
        assert columns(line) <= width
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line)
        assert not TURNING & set(line)


@pytest.mark.parametrize("width", [40, 57])
@every_program
def test_text_fits_narrow_terminals(name: str, width: int) -> None:
    for detail in DETAILS:
        for line in explain.document(derived(name), "index", detail).text(width).splitlines():
            assert columns(line) <= width


@every_program
def test_markdown_has_a_block_a_step(name: str) -> None:
    """Every equation with a left side begins a display of its own; macros that GitHub refuses are not there."""
    document = explain.document(derived(name))
    blocks = re.findall(r"^```math\n(.*?)\n```$", document.markdown(), re.MULTILINE | re.DOTALL)
    equations = [e for p in document.story.passages if isinstance(p, Passage) for e in p.equations]
    assert len(blocks) == sum(e.left is not None for e in equations)
    assert [f for block in blocks for f in faults(block)] == []
    assert "operatorname" not in document.markdown()
    assert "```" not in document.markdown(github=False)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "generated" / "derivations").glob("*.tex")), ids=lambda p: p.stem
)
def test_latex_of_the_shipped_networks(path: Path) -> None:
    """As it is committed: macros that are known, braces and environments that match, nothing beyond ASCII."""
    assert faults(path.read_text(encoding="utf-8")) == []


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
        (["-o", str(tmp_path / "a.doc")], "a.doc says no format"),
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


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
def test_any_words_are_typeset(tmp_path: Path) -> None:
    """Words that mean something to LaTeX, and characters that it has no glyph for, in every place."""
    every = (*NASTY, "naïve Łódź ß x² a₁ ∇ ⊙ 勾配", "W" * 90, "`" + "a_" * 60 + "`")
    passages = tuple(
        part
        for w in every
        for part in (
            Passage((w,), (Equation(LOSS, LOSS),), (Remark(("1",), w, (w,)),)),
            Prose((w,), ((w, LOSS, w),)),
            Listing((w,), f"{w}\n  {w}\n\n"),
            Table((w,), ((w,), (w,)), ((("[x]",), (w,)), ((w,), (LOSS,)))),
        )
    )
    document = Document(lambda numpy: Story((("`x`",),), passages, ("A % B",)))
    (tmp_path / "a.tex").write_text(document.latex(fragment=False), encoding="utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert max(map(float, re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)), default=0) <= 10


@pytest.mark.long
@pytest.mark.skipif(not any(map(shutil.which, pdf.BROWSERS)), reason="there is no browser on this machine")
@every_form
@every_program
def test_pages_are_printed(name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that is here renders every page."""
    find = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name in pdf.LATEX else find(name))
    made = explain.document(derived(name), form).pdf(tmp_path / "a.pdf")
    assert made in {Path(b).stem for b in pdf.BROWSERS}
    assert (tmp_path / "a.pdf").stat().st_size > 4000


def test_what_latex_stumbles_over_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first error of the log is in the sentence."""
    log = "This is pdfTeX\n./document.tex:3: Undefined control sequence.\nl.3 \\foo\n"

    def fails(command: list[str], folder: Path) -> str:
        (folder / "document.log").write_text(log, encoding="utf-8")
        return "ended with status 12"

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "pdflatex" else None)
    monkeypatch.setattr(pdf, "_run", fails)
    with pytest.raises(
        SymgradError, match=r"pdflatex stopped in line 3 of the \.tex file: Undefined control sequence"
    ):
        sg.derive(LINE).pdf(tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []
