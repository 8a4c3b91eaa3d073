"""What the shipped declarations produce, kept in `generated/`: rebuilt here, compared by a test.

python tests/golden.py            says what differs (exit status 1)
python tests/golden.py --accept   writes it
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

import symgrad as sg

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated"
NETWORKS = ROOT / "symgrad" / "networks"


def products() -> Iterator[tuple[Path, str]]:
    """Every file of `generated/` with its text: a module in both styles and the derivation of each network."""
    for declaration in sorted(NETWORKS.glob("*.sg")):
        name = declaration.stem
        model = sg.Model(declaration)
        for style in ("readable", "fast"):
            yield Path(style) / f"{name}.py", model.source(name, optimizer="adam", style=style)
        d = model.derive()
        yield Path("derivations") / f"{name}.txt", d.text() + "\n"
        for form in ("matrix", "index"):
            yield Path("derivations") / f"{name}_{form}.tex", d.latex(form, fragment=False) + "\n"


def differences(folder: Path = GENERATED) -> list[str]:
    """A unified diff for each file that differs, is missing, or should not be there."""
    made = {path: text.rstrip("\n") + "\n" for path, text in products()}
    there = {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    found = []
    for path in sorted({*made, *there}):
        old = (folder / path).read_text(encoding="utf-8") if path in there else ""
        new = made.get(path, "")
        if old != new:
            lines = difflib.unified_diff(
                old.splitlines(), new.splitlines(), f"generated/{path}", "rebuilt", lineterm="", n=1
            )
            found.append("\n".join(list(lines)[:40]))
    return found


def accept(folder: Path = GENERATED) -> None:
    """Make the folder what the declarations produce."""
    made = {path: text.rstrip("\n") + "\n" for path, text in products()}
    for old in folder.rglob("*"):
        if old.is_file() and old.relative_to(folder) not in made:
            old.unlink()
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true")
    if parser.parse_args().accept:
        accept()
    else:
        found = differences()
        print("\n\n".join(found) or "generated/ is what the declarations produce")
        if found:
            sys.exit("to accept: python tests/golden.py --accept")
