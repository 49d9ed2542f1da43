"""Lists and values in answers, read and replaced without the rest being touched."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, json

from router.routing.answer import MAX_ID_BYTES, MOST_ITEMS, compile_ids, read_list, with_value
from router.routing.request import pointer_tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab01/~", max_size=2), inner, max_size=4),
    max_leaves=12,
)


def ids(body: bytes, at: str = "/items", id_at: str = "/id") -> list[str] | None:
    """Return the ids of a list, in order."""
    found = read_list(body, pointer_tokens(at), compile_ids(pointer_tokens(id_at)))
    return None if found is None else list(found)


@pytest.mark.parametrize(
    ("items", "id_at", "expected"),
    [
        (b'[{"id": "a"}, {"id": "b"}]', "/id", ["a", "b"]),
        (b'[{"id": 1}, {"id": 20, "x": [1]}]', "/id", ["1", "20"]),
        (b'[{"id": 1}, {"id": "a"}, {"id": 1.50}, {"id": true}]', "/id", ["1", "a", "1.50", "true"]),
        (b'[{"id": "a"}, {"id": "a", "second": 1}]', "/id", ["a"]),
        (b'[{"d": {"k": "a"}}, {"d": {"k": "\\u00e9"}}]', "/d/k", ["a", "é"]),
        (b'[["a", 1], ["b", 2]]', "/0", ["a", "b"]),
        (b'[{"0": "a"}, ["b"]]', "/0", ["a", "b"]),
        (b'[{"a/b": "x"}]', "/a~1b", ["x"]),
        (b'["a", 2, true]', "", ["a", "2", "true"]),
        (b"[]", "/id", []),
        (b'[{"id": ""}]', "/id", None),
        (b'[{"id": null}]', "/id", None),
        (b'[{"id": ["a"]}]', "/id", None),
        (b'[{"id": "a"}, {}]', "/id", None),
        (b'[{"id": "a"}, 1]', "/id", None),
        (b"[[1]]", "", None),
        (b'{"id": "a"}', "/id", None),
        (b"null", "", None),
        (b'[{"id": "a"}', "/id", None),
        (b'[{"id": "\xff"}]', "/id", None),
        (b'[{"id": "%b"}]' % (b"x" * MAX_ID_BYTES), "/id", ["x" * MAX_ID_BYTES]),
        (b'[{"id": "%b"}]' % (b"x" * (MAX_ID_BYTES + 1)), "/id", None),
    ],
)
def test_ids_of_a_list(items: bytes, id_at: str, expected: list[str] | None) -> None:
    """Strings without their quotes, other scalars as they are written, each once; nothing else is an id."""
    assert ids(b'{"n": 1, "items": %b}' % items, id_at=id_at) == expected


def test_a_list_has_an_end() -> None:
    """A thousand items are a list, more are not."""
    assert len(ids(json.encode(list(range(MOST_ITEMS))), "", "") or []) == MOST_ITEMS
    assert ids(json.encode(list(range(MOST_ITEMS + 1))), "", "") is None


@pytest.mark.parametrize("body", [b"", b"[" * 200_000, b"{", b'{"items":', b"\xff", b'"items"', b"12"])
def test_what_is_no_document_has_no_list(body: bytes) -> None:
    """Never an error."""
    assert ids(body) is None


@given(st.lists(st.text(min_size=1, max_size=5) | st.integers(-(2**70), 2**70), max_size=6))
def test_reading_at_once_is_reading_one_by_one(names: list[Any]) -> None:
    """Whatever the ids are, both ways of reading them agree."""
    items = json.encode([{"x": {"y": name}} for name in names])
    deep = json.encode([{"x": [name]} for name in names])
    assert ids(items, "", "/x/y") == ids(deep, "", "/x/0")


def paths(node: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return every pointer that leads somewhere."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [at, *(path for key, value in inner for path in paths(value, (*at, str(key))))]


@given(JSON, st.data())
def test_only_what_is_at_the_pointer_changes(document: Any, data: st.DataObject) -> None:
    """Another value stands there, and everything else is what it was."""
    at = data.draw(st.sampled_from(paths(document)))
    changed = json.decode(with_value(json.encode(document), at, Raw(b'"new"')))
    root: Any = {"": document}
    node, path = root, ["", *at]
    for token in path[:-1]:
        node = node[int(token) if isinstance(node, list) else token]
    node[int(path[-1]) if isinstance(node, list) else path[-1]] = "new"
    assert changed == root[""]


def test_text_stays_as_it_came() -> None:
    """Numbers keep their digits, and items their white space."""
    body = b'{"pi": 3.140000000000000000001, "n": 12345678901234567890123, "items": [{"id":  1 }]}'
    named = read_list(body, ("items",), compile_ids(("id",)))
    assert named is not None
    out = with_value(body, ("items",), [*named.values(), Raw(b"1e5")])
    assert out == b'{"pi":3.140000000000000000001,"n":12345678901234567890123,"items":[{"id":  1 },1e5]}'


def test_a_pointer_that_leads_nowhere_is_an_error() -> None:
    """Nothing is made where nothing was."""
    for body, at in ((b"{}", ("a",)), (b"[1]", ("1",)), (b"1", ("a",))):
        with pytest.raises(ValueError, match="leads nowhere"):
            with_value(body, at, 1)
