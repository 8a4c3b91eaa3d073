"""`generated/` is what the shipped declarations produce."""

import re
from pathlib import Path

import golden
import pytest

from symgrad import gallery
from symgrad.check.numeric import Row, Verdict


def test_generated_is_current() -> None:
    own, _ = golden.split()
    assert golden.differences(golden.products(), own) == []


def test_a_changed_file_is_found(tmp_path) -> None:
    made = [(Path("fast") / "digits.py", "w = 0\n"), (Path("derivations") / "digits.txt", "Forward\n")]
    golden.accept(made, [], tmp_path)
    assert golden.differences(made, golden.present(tmp_path), tmp_path) == []
    changed = tmp_path / "fast" / "digits.py"
    changed.write_text(changed.read_text() + "x = 1\n")
    (tmp_path / "stray.txt").write_text("stray")
    report = golden.differences(made, golden.present(tmp_path), tmp_path)
    assert len(report) == 2 and "-x = 1" in report[0] and "-stray" in report[1]


PAGES = list(gallery.pages())
PARTS = [PAGES[k::12] for k in range(12)]


@pytest.mark.parametrize("part", range(len(PARTS)))
def test_the_gallery_is_current(part: int) -> None:
    """Every page is rebuilt, its derivation checked again; pytest's workers share them."""
    _, there = golden.split()
    wanted = {golden.GALLERY / name for name in PARTS[part]}
    made = dict(golden.pages(PARTS[part]))
    assert set(made) == wanted
    assert golden.differences(made.items(), there & wanted) == []
    for path, text in made.items():
        assert "DO NOT AGREE" not in text, path


def test_the_gallery_has_no_other_pages() -> None:
    _, there = golden.split()
    assert there == {golden.GALLERY / name for name in PAGES}


def test_the_index_leads_to_every_page() -> None:
    links = re.findall(r"\]\(([^)]+)\)", gallery.index())
    assert {"README.md", *links} == set(PAGES)


def test_a_wrong_gradient_is_seen_on_its_page() -> None:
    row = Row("w", "complex step", 0.5, (0,), 1.0, 2.0)
    (told,) = gallery.checked(Verdict((row,), 1e-9, {"n": 2}))
    assert told == (
        "The derived gradient by w and that of complex steps through the definition DO NOT AGREE to 9 digits for n = 2."
    )
