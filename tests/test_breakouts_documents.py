"""Break-outs from documents: whatever a declaration holds, every output of every command is text, or markup of ours
alone, as independent strict parsers of each format judge it; LaTeX reads and writes no file of others."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_breakouts import ACTING, DECLARED, HOSTILE, WORDS, ran
from test_documents import HTML, MATHML, local, tree
from test_explain import faults

import symgrad as sg
from symgrad.errors import SymgradError
from symgrad.explain.document import Document
from symgrad.explain.parts import Listing, Prose, Story, Table
from symgrad.language.syntax import is_name
from symgrad.study.report import Plot, Report

SVG = {"svg", "title", "desc", "style", "rect", "path", "text", "tspan", "g", "defs", "clipPath", "use"}
ATTRIBUTES = {
    "accent", "alttext", "aria-label", "charset", "class", "clip-path", "clip-rule", "colspan", "columnalign",
    "columnspacing", "content", "d", "display", "displaystyle", "dx", "dy", "fill", "fill-rule", "font-size",
    "font-style", "form", "height", "href", "id", "lang", "linebreak", "lspace", "mathvariant", "maxsize",
    "minsize", "movablelimits", "name", "open", "role", "rowspacing", "rspace", "rx", "scope", "separator", "space",
    "stretchy", "stroke", "stroke-dasharray", "stroke-linejoin", "stroke-width", "style", "symmetric",
    "text-anchor", "textLength", "transform", "version", "viewBox", "width", "x", "y",
}  # fmt: skip


def html(page: str) -> None:
    elements = list(tree(page).iter())
    assert {local(e.tag) for e in elements} <= HTML | MATHML | SVG
    _attributes(elements)


def svg(text: str) -> None:
    elements = list(ElementTree.fromstring(text).iter())  # noqa: S314 - our own
    assert {local(e.tag) for e in elements} <= SVG
    _attributes(elements)


def _attributes(elements: list[ElementTree.Element]) -> None:
    """Those that we write; none acts, none leads out of the page."""
    assert {local(a) for e in elements for a in e.attrib} <= ATTRIBUTES
    assert all(re.fullmatch(r"#[\w-]+", e.get("href", "#a")) for e in elements)
    for e in elements:
        for where in re.findall(r"url\(([^)]*)", e.get("style", "") + e.get("clip-path", "")):
            assert where.startswith("#")


def latex(text: str) -> None:
    """Macros that are known; accents of letters are spelt with macros of a sign or a letter."""
    assert (
        faults(re.sub(r"\\[`'^~\"=.cvrHu]\{(?:\\?\w)?\}|\\(?:ss|ae|AE|oe|OE|o|O|l|L|i|j)\{\}", "", text))
        == []
    )


def markdown(text: str) -> None:
    """Outside of code and mathematics no sign is left that makes markup."""
    rest = re.sub(r"^(```+)\w*\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    rest = re.sub(r"\$`[^`]*`\$|\\.|`[^`]*`", "", rest, flags=re.DOTALL)
    assert not re.search(r"[<>`$\[]|\]\(", rest), rest
    assert ACTING.isdisjoint(text)


def plain(text: str) -> None:
    assert ACTING.isdisjoint(text)


def python(text: str) -> None:
    """One import, of NumPy; nothing is called that the function does not need."""
    nodes = list(ast.walk(ast.parse(text)))
    assert [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names] == ["numpy"]
    assert not {"eval", "exec", "open", "__import__"} & {n.id for n in nodes if isinstance(n, ast.Name)}
    assert ACTING.isdisjoint(text)


def drawn(text: str) -> None:
    """Paths and nodes; no more macros than in the documents."""
    bare = re.sub(
        r"^\\(?:node|draw|fill|clip)\b|(?<=font=)\\\w+|(?<=\{)\\tiny\b", "", text, flags=re.MULTILINE
    )
    latex(bare)


def data(text: str) -> None:
    told = json.loads(text)
    assert str(sg.derive(told["declaration"]).derived.source) == told["declaration"]


JUDGES = {
    "text": plain, "latex": latex, "tex": latex, "html": html, "markdown": markdown, "json": data, "svg": svg,
    "numpy": python, "tikz": drawn,
}  # fmt: skip


def every_output(d: sg.Derivation) -> None:
    """All that a derivation gives."""
    JUDGES["text"](d.text(detail="everything"))
    for form in ("matrix", "index"):
        JUDGES["latex"](d.latex(form))
        JUDGES["html"](d.html(form=form, picture="both"))
        JUDGES["markdown"](d.markdown(form=form))
    JUDGES["json"](d.json())
    JUDGES["svg"](d.picture().svg)
    JUDGES["tikz"](d.picture().tikz)
    JUDGES["numpy"](d.numpy())


# ---- words


def hostile() -> str:
    """A declaration with every hostile word in each place that takes words."""
    words = "".join(HOSTILE)
    label = f"a{words}b".translate({ord(c): None for c in words if not c.isprintable()})
    return DECLARED.format(words, words[::-1], ascii(label), ascii(words), "enc")


def test_every_output_of_hostile_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file whose name is hostile too."""
    monkeypatch.chdir(tmp_path)
    name = 'a<b onload="x">$%`|\\input{q}\'; id;#{{7}}.sg'
    Path(name).write_text(hostile(), encoding="utf-8", newline="")
    every_output(sg.derive(Path(name)))
    for kind in ("html", "tex"):
        status, told = ran("derive", name, "--optimizer", "adam", "--format", kind, "--detail", "everything")
        assert status == 0, told
        JUDGES[kind](told)


@pytest.mark.parametrize("kind", ["html", "markdown"])
def test_sheets_are_ours(kind: str) -> None:
    status, told = ran("exercise", "--topic", "softmax_regression", "--show", "solution", "--format", kind)
    assert status == 0
    JUDGES[kind](told)


@settings(max_examples=20, deadline=None)
@given(st.lists(WORDS, min_size=7, max_size=7))
def test_reports_take_any_words(words: list[str]) -> None:
    """Of a study: titles, cells and what is said of plots."""
    parts = (
        Prose((words[0],), ((words[1],),)),
        Table((words[2],), ((words[3],),), (((words[4],),),)),
        Listing((words[5],), words[6]),
    )
    drawn = Plot("a", words[0], words[1], lambda figure: None)
    report = Report(words[6], None, (*parts[:2], drawn))
    report.__dict__["_drawn"] = {"a": '<svg xmlns="http://www.w3.org/2000/svg"><title>a</title></svg>'}
    html(report.html())
    plain(report.text())
    document = Document(lambda _: Story((), parts, (words[6],)))
    html(document.html())
    markdown(document.markdown())
    latex(document.latex())
    plain(document.text())


# ---- names

NAMES = [
    "input", "write18", "catcode", "begin", "end", "script", "onload", "constructor", "__proto__"[1:], "hasOwnProperty",
    "α", "勾A", "Ù", "x\u0301", "א", "ا", "\u115f", "x·y", "ßß", "_", "_x", "x__y", "loss_1", "d", "dx", "A୦", "_0",
    "_1_2", "B",
]  # fmt: skip


def named(names: list[str]) -> str:
    a, b, c, d = names
    return f"{a}: data[n, {b}]; y: data[n]; {c}: weight[{b}]; {d} = {a} @ {c}; loss = mean(({d} - y)**2)"


@pytest.mark.parametrize("start", range(0, 28, 4))
def test_every_output_of_odd_names(start: int) -> None:
    names = NAMES[start : start + 4]
    every_output(sg.derive(named(names)))


LETTERS = st.characters(categories=("Lu", "Ll", "Lt", "Lm", "Lo", "Nl"))
MORE = st.characters(categories=("Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd", "Pc"))
IDENTIFIERS = st.builds(lambda a, b: a + b, LETTERS | st.just("_"), st.text(MORE, max_size=5)).filter(is_name)


@pytest.mark.long
@settings(max_examples=100, deadline=None)
@given(st.lists(IDENTIFIERS, min_size=4, max_size=4, unique=True))
def test_every_output_of_any_names(names: list[str]) -> None:
    try:
        d = sg.derive(named(names))
    except SymgradError:
        return
    every_output(d)


# ---- names of modules


@pytest.mark.parametrize("name", ["numpy", "json", "csv", "statistics", "scipy"])
def test_no_module_hides_one_that_it_imports(tmp_path: Path, name: str) -> None:
    with pytest.raises(SymgradError, match=f"a module called {name} would be imported in place of"):
        sg.Model("x: weight[3]; loss = sum(x**2)").generate(tmp_path / f"{name}.py")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ['x";import os#.py', "a b.py", "class.py", '"""\\N.py', "ｎｐ.py", ".py", "a\n.py"]
)
def test_names_of_modules_can_be_imported(tmp_path: Path, name: str) -> None:
    with pytest.raises(SymgradError, match="whose name can be imported"):
        sg.Model("x: weight[3]; loss = sum(x**2)").generate(tmp_path / name)


# ---- LaTeX


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
def test_latex_touches_no_other_file(tmp_path: Path) -> None:
    """Words that read, write or run where they are macros: the files that pdflatex says it opened are its own."""
    (tmp_path / "secret.tex").write_text("SECRET")
    attacks = [
        "\\input{secret}", "\\input secret ", "\\InputIfFileExists{secret}{}{}", "\\include{secret}",
        "^^5cinput{secret}",
        "^^5c^^69nput{secret}", "\\immediate\\write18{touch ran}", "\\immediate\\openout15=out.txt\\write15{x}", "%\n",
        "\\catcode`\\%=0 %input{secret}", "\\endgroup\\input{secret}", "$\\input{secret}$", "|touch ran",
        "}\\input{secret}{",
        "\\end{document}\\input{secret}", "`\\input{secret}`", "\\csname input\\endcsname{secret}", "\\directlua{x}",
        "\\usepackage{secret}", "\\openin5=secret \\read5 to\\x \\x", "\\verbatiminput{secret}", *HOSTILE,
    ]  # fmt: skip
    parts = [
        part
        for w in attacks
        for part in (
            Prose((w,), ((w, w),)),
            Listing((w,), f"{w}\n{w}"),
            Table((w,), ((w,), (w,)), (((w,), (w,)),)),
        )
    ]
    (tmp_path / "a.tex").write_text(
        Document(lambda _: Story((), tuple(parts), ("".join(attacks),))).latex(fragment=False),
        encoding="utf-8",
    )
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "-recorder", "a.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    lines = (tmp_path / "a.fls").read_text(encoding="utf-8", errors="replace").splitlines()
    assert {line for line in lines if line.startswith("OUTPUT ")} == {
        "OUTPUT a.log",
        "OUTPUT a.pdf",
        "OUTPUT a.aux",
    }
    assert not any("secret" in line or "/etc/" in line.removeprefix("INPUT /etc/tex") for line in lines)
    assert {p.name for p in tmp_path.iterdir()} == {
        "secret.tex",
        *(f"a.{end}" for end in ("tex", "log", "pdf", "aux", "fls")),
    }
    assert os.path.getsize(tmp_path / "a.pdf") > 10_000
