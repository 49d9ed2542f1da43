"""The threat model says what is so: each of its tests exists, and each boundary has some."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (?!threat \||---)(.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)))


@pytest.mark.parametrize("boundary", ["Caller", "Target", "Shadow", "Operator", "Configuration", "Readers",
                                      "Shared memory", "Signals", "Signing keys"])  # fmt: skip
def test_every_boundary_has_a_section_with_threats(boundary: str) -> None:
    """None is forgotten."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    (section,) = [text for text in sections if text.startswith(boundary)]
    assert section.count("| `tests/") >= 3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_threat_names_its_test(row: tuple[str, str, str]) -> None:
    """What has no evidence is no promise; it belongs in the text below the table."""
    assert re.search(r"`tests/[\w/.]+::\w+`", row[2])


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    """A test that is renamed or removed is noticed here."""
    source = (REPOSITORY / file).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)
