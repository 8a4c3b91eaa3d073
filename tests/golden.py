"""What the shipped declarations produce, kept in `generated/`: rebuilt here, compared by a test.

python tests/golden.py            says what differs (exit status 1)
python tests/golden.py --accept   writes it
--networks                        leaves the gallery alone, which takes half a minute
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import symgrad as sg
from symgrad import gallery
from symgrad.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "generated"
NETWORKS = ROOT / "symgrad" / "networks"
GALLERY = Path("gallery")


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


def pages(names: Collection[str] = ()) -> Iterator[tuple[Path, str]]:
    """The pages of the gallery, all or those of some names, with their text."""
    for name, write in gallery.pages().items():
        if not names or name in names:
            yield GALLERY / name, write()


def present(folder: Path) -> set[Path]:
    return {p.relative_to(folder) for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


def differences(
    made: Iterable[tuple[Path, str]], there: Iterable[Path], folder: Path = GENERATED
) -> list[str]:
    """A unified diff for each file that differs from what is made, is missing, or should not be there."""
    made = {path: text.rstrip("\n") + "\n" for path, text in made}
    there = set(there)
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


def accept(made: Iterable[tuple[Path, str]], there: Iterable[Path], folder: Path = GENERATED) -> None:
    """Make the folder what the declarations produce, in place of the files that are there."""
    texts = {path: text.rstrip("\n") + "\n" for path, text in made}
    for old in there:
        if old not in texts:
            (folder / old).unlink()
    for path, text in texts.items():
        write_atomically(folder / path, text)


def split(folder: Path = GENERATED) -> tuple[set[Path], set[Path]]:
    """The files that are there: those of the networks, those of the gallery."""
    there = present(folder)
    shown = {p for p in there if p.parts[0] == str(GALLERY)}
    return there - shown, shown


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accept", action="store_true")
    parser.add_argument("--networks", action="store_true")
    options = parser.parse_args()
    own, shown = split()
    made = products() if options.networks else itertools.chain(products(), pages())
    there = own if options.networks else own | shown
    if options.accept:
        accept(made, there)
    else:
        found = differences(made, there)
        print("\n\n".join(found) or "generated/ is what the declarations produce")
        if found:
            sys.exit("to accept: python tests/golden.py --accept")
