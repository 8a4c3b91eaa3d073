"""PDF by what the machine has: LaTeX, or else a browser that prints the page.

Neither is given a shell, more than a folder of its own, or more than two minutes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from symgrad.errors import Refusal

LATEX = ("latexmk", "pdflatex")
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge",
    "microsoft-edge-stable", "brave-browser",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)  # fmt: skip
SECONDS = 120
_TEX = ("-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "-no-shell-escape")


def made(tex: Callable[[], str], page: Callable[[], str]) -> tuple[bytes, str]:
    """The document as PDF, and the program that made it.

    Args:
        tex: gives the LaTeX of the whole document.
        page: gives its HTML.

    Raises:
        Refusal: nothing on this machine makes one; it says what to install, or what LaTeX stumbled over.
    """
    reasons = []
    for names, way, source in ((LATEX, _typeset, tex), (BROWSERS, _printed, page)):
        program = next((p for name in names if (p := shutil.which(name))), None)
        if program is None:
            continue
        document = source()
        try:
            with tempfile.TemporaryDirectory(prefix="symgrad-", ignore_cleanup_errors=True) as folder:
                found = way(program, Path(folder), document)
        except OSError as problem:
            raise Refusal(f"no PDF could be made: {problem.strerror or problem}") from None
        if isinstance(found, bytes):
            return found, Path(program).stem
        reasons.append(f"{Path(program).stem} {found}")
    if reasons:
        raise Refusal(f"no PDF could be made: {'; '.join(reasons)}")
    raise Refusal(
        "no PDF can be made on this machine, which has neither LaTeX (latexmk or pdflatex) nor Chromium, Chrome or "
        "Edge: install one of them, or write a .html file and print it in a browser"
    )


def _typeset(program: str, folder: Path, source: str) -> bytes | str:
    """The PDF by LaTeX, or why there is none."""
    (folder / "document.tex").write_text(source, encoding="utf-8", newline="\n")
    if Path(program).stem == "latexmk":
        # -norc: no file of settings, which are Perl, is read
        run = [program, "-norc", "-pdf", *_TEX[:3], f"-latexoption={_TEX[3]}", "document.tex"]
    else:
        run = [program, *_TEX, "document.tex"]
    problem = _run(run, folder)
    done = _read(folder / "document.pdf")
    if done is None or problem:
        log = folder / "document.log"
        told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        return _first_error(told) or problem or "ended without a document"
    return done


def _first_error(log: str) -> str:
    """The first error that LaTeX tells of: `document.tex:3: Undefined control sequence.` or `! ...`."""
    found = re.search(r"^(?:\S*\.tex:(\d+): |! )(.+)$", log, re.MULTILINE)
    if found is None:
        return ""
    where = f"in line {found[1]} of the .tex file" if found[1] else ""
    return f"stopped {where}: {found[2].rstrip('.')}".replace("  ", " ").replace(" :", ":")


def _printed(program: str, folder: Path, page: str) -> bytes | str:
    """The PDF as a browser prints the page, or why there is none."""
    source, target = folder / "document.html", folder / "document.pdf"
    source.write_text(page, encoding="utf-8", newline="\n")
    options = [
        "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
        "--disable-component-update", "--disable-extensions", "--no-pdf-header-footer",
        f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={target}",
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium refuses to start its sandbox as root
    problem = _run([program, *options, source.as_uri()], folder)
    return _read(target) or problem or "ended without a document"


def _run(command: Sequence[str], folder: Path) -> str:
    """Run a program; why it failed, or nothing."""
    try:
        done = subprocess.run(  # noqa: S603 (a program of the machine, on files that we wrote)
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not end within {SECONDS} s"
    except OSError as problem:
        return f"cannot be started: {problem.strerror or problem}"
    return f"ended with status {done.returncode}" if done.returncode else ""


def _read(path: Path) -> bytes | None:
    """A PDF that is one."""
    data = path.read_bytes() if path.exists() else b""
    return data if data.startswith(b"%PDF-") else None
