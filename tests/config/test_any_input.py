"""Whatever stands in a file, loading it ends, with a configuration or with mistakes."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.config.load import load_text
from router.config.mistake import ConfigError
from router.config.reference import keys
from tests.config.sample import SMALL

WORDS = sorted({part.removesuffix("[]") for path, _ in keys() for part in path.split(".")})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["a", "b", "r", "e", "5s", "1MiB", "5%", "http://h:1", "/v2", "header:x", "json:/a", "0.0.0.0:1"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), below, max_size=5)
    ),
    max_leaves=25,
)


def outcome(text: bytes) -> str:
    """Load bytes; give what came of it."""
    try:
        return load_text(text, "any.yaml").digest
    except ConfigError as error:
        return str(error)


@given(st.binary(max_size=300))
def test_any_bytes(text: bytes) -> None:
    """Bytes give a configuration or mistakes."""
    assert outcome(text)


@given(st.text("ab:-[]{}&*!?|>'\"%#,~ \n\t01.", max_size=120))
def test_any_yaml_syntax(text: str) -> None:
    """Indicators of YAML in any order give a configuration or mistakes."""
    assert outcome(text.encode())


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6))
def test_any_tree_of_known_keys(tree: dict[str, Any]) -> None:
    """Known keys with any values in any places give a configuration or mistakes."""
    assert outcome(json.dumps(tree).encode("utf-8", "surrogatepass"))


@settings(max_examples=300)
@given(st.integers(0, len(SMALL)), st.integers(0, len(SMALL)), st.text(max_size=5))
def test_any_edit_of_a_good_file(start: int, end: int, text: str) -> None:
    """A good file with any part replaced gives a configuration or mistakes."""
    assert outcome((SMALL[:start] + text + SMALL[max(start, end) :]).encode("utf-8", "surrogatepass"))
