"""The README says what is so: its tour runs, its numbers come out, its tables and links are current."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from router.config.load import load_text
from router.config.reference import reference, splice
from tests.ports import free_ports

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")])
PORTS = ("8080", "9090", "9101", "9102")
SEPARATOR = "@@ end of block @@"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks() -> list[Block]:
    """Return all fenced blocks in order."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]


def test_the_tour_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    """All shell blocks run in order in one shell, and each output that is shown is what comes out."""
    script, expected = ["set -euo pipefail"], []
    for before, block in zip([None, *blocks()], blocks(), strict=False):
        if block.language == "bash":
            script += [block.text, f"echo '{SEPARATOR}'"]
            expected.append("")
        elif block.language == "text" and before is not None and before.language == "bash":
            expected[-1] = block.text
    code, output, errors = _run(_with_free_ports("\n".join(script)), tmp_path)
    logs = "\n".join(path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("*.log")))
    assert code == 0, logs
    assert errors == ""

    printed = output.split(f"{SEPARATOR}\n")[:-1]
    assert len(printed) == len(expected)
    for shown, actual in zip(expected, printed, strict=True):
        assert not shown or actual.split() == shown.split()
    assert sum(1 for shown in expected if shown) >= 2


def _with_free_ports(script: str) -> str:
    free = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    return re.sub("|".join(PORTS), lambda found: free[found[0]], script)


def _run(script: str, folder: Path) -> tuple[int, str, str]:
    # Files, not pipes: what the script starts in the background would keep a pipe open.
    output, errors = folder / "stdout.log", folder / "stderr.log"
    with output.open("wb") as out, errors.open("wb") as err:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    try:
        code = shell.wait(timeout=90)
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing is left when the script ended what it started
            os.killpg(shell.pid, signal.SIGKILL)
    return code, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [block.text for block in blocks() if block.language == "yaml"])
def test_every_configuration_in_the_readme_loads(text: str) -> None:
    """An example can be copied."""
    assert load_text(text.encode(), "README.md").config.routes


def test_only_the_two_commands_are_not_run_here() -> None:
    """Every block is run, loaded or an output, but for the two that would run this test or need a minute."""
    languages = {block.language for block in blocks()}
    consoles = [block.text for block in blocks() if block.language == "console"]

    assert languages <= {"bash", "text", "yaml", "console"}
    assert consoles == ["$ make demo\n$ make test\n"]


def test_the_reference_is_current() -> None:
    """``router schema --into README.md`` would change nothing."""
    assert splice(README, reference()) == README


def test_every_runtime_dependency_says_what_it_is_for() -> None:
    """The table has a row for each dependency, and for nothing else."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[><=~ ]", wanted)[0] for wanted in project["dependencies"]}
    section = README.partition("## What it is built on")[2].partition("\n## ")[0]
    explained = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", section, re.MULTILINE))

    del explained["dependency"]
    assert explained.keys() == needed
    assert all(len(sentence) > 20 for sentence in explained.values())


def test_every_promise_names_tests_that_exist() -> None:
    """A promise is one that a test shows."""
    section = README.partition("## Promises")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!what holds|---)(.+?) \| (.+) \|$", section, re.MULTILINE)
    assert rows
    for promise, evidence in rows:
        tests = re.findall(r"`(tests/[\w/.]+)::(\w+)`", evidence)
        assert tests, promise
        for file, name in tests:
            source = (REPOSITORY / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    """No page points to a file or a heading that is not there."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        file, _, heading = target.partition("#")
        if "://" in target:
            continue
        linked = (page.parent / file) if file else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings}, target


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    """A page that nobody finds is not written."""
    folder = REPOSITORY / "docs"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([^)]+)\)", index))
