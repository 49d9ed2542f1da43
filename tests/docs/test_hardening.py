"""The page on hardening says what is so: every row has its evidence, and all of it exists."""

import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "hardening.md").read_text(encoding="utf-8")
TESTS = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(\[[^`]+\])?`")


def rows() -> list[list[str]]:
    """Return the cells of all rows but the heads of the tables."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| shown by |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_row_has_a_test_or_a_reason() -> None:
    """A row that nothing shows says why."""
    assert len(rows()) > 50
    for topic, does, evidence in rows():
        assert TESTS.search(evidence) or "no test: " in does, topic


def test_every_named_test_exists() -> None:
    """Names are those that pytest collects, the single cases of parametrised tests included."""
    named = {(file, name, case) for file, name, case in TESTS.findall(PAGE)}
    files = sorted({file for file, _, _ in named})
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *files]
    collected = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=100)
    ids = set(collected.stdout.splitlines())
    known = ids | {test.partition("[")[0] for test in ids}
    assert sorted(f"{file}::{name}{case}" for file, name, case in named if f"{file}::{name}{case}" not in known) == []
