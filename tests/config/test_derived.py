"""What is derived from the schema: JSON Schema and reference, both also in the repository."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from router.command.schema import schema_text
from router.config import not_yet
from router.config.document import read
from router.config.json_schema import json_schema
from router.config.mistake import Mistakes
from router.config.reference import BEGIN, END, keys, reference, splice
from tests.config.sample import SMALL

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config").glob("*.yaml"))


def errors(text: bytes) -> list[str]:
    """Check a YAML text against the JSON Schema alone."""
    validator: Any = jsonschema.Draft202012Validator(json_schema())
    return sorted(error.json_path for error in validator.iter_errors(read(text, Mistakes("f")).plain()))


def test_the_schema_in_the_repository_is_current() -> None:
    """Run ``router schema > config/router.schema.json`` after a change of the schema."""
    assert (ROOT / "config" / "router.schema.json").read_text() == schema_text()


def test_the_schema_is_a_valid_schema() -> None:
    """Editors refuse a schema that is not valid itself."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_fits_the_schema(path: Path) -> None:
    """An editor shows no mistake in the examples."""
    assert errors(path.read_bytes()) == []


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("name: a,", "name: a b,", "$.targets[0].name"),
        ("routes:", "servers: {}\nroutes:", "$"),
        ("routes:", "server: {drain: 5}\nroutes:", "$.server.drain"),
        ("[http://127.0.0.1:8001]", "[ftp://h]", "$.targets[0].endpoints[0]"),
        ("[http://127.0.0.1:8001]", "[]", "$.targets[0].endpoints"),
        ("header:x-user-id", "head:x", "$.routes[0].unit[0]"),
        ("weight: 95", "weight: -1", "$.experiments[0].arms[0].weight"),
        ("target: a, unit", "unit", "$.routes[0]"),
    ],
)
def test_the_schema_finds_mistakes(before: str, after: str, path: str) -> None:
    """Unknown keys, missing keys, wrong types, units and bounds are seen while typing."""
    assert before in SMALL
    assert errors(SMALL.encode()) == []
    assert errors(SMALL.replace(before, after).encode()) == [path]


def test_the_reference_has_a_row_with_a_meaning_for_every_key() -> None:
    """No key is without type and description."""
    rows = {line.split("|")[1].strip(" `"): line for line in reference().splitlines() if line.startswith("| `")}
    assert sorted(rows) == sorted(path for path, _ in keys())
    for row in rows.values():
        _, _, kind, _, meaning, _ = row.replace("\\|", "").split("|")
        assert kind.strip()
        assert meaning.strip()


@pytest.mark.parametrize("page", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_needs_both_markers_once(page: str) -> None:
    """Text outside the markers is never replaced."""
    with pytest.raises(ValueError, match="the page needs the lines"):
        splice(page, "text")


def test_keys_that_are_not_supported_yet_are_not_in_the_schema() -> None:
    """A key either works or is refused; none is both."""
    known = {f"$.{path}" for path, _ in keys()}
    assert known.isdisjoint(not_yet.KEYS)
    assert set(not_yet.VALUES) <= known | {f"{path}[]" for path in known}
