"""Whether two answers are the same: a verdict that does not depend on who is asked first."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.schema import Compare
from router.routing.compare import (
    AGREE,
    MAX_CONTAINERS,
    MAX_DIFFERENCES,
    MAX_POINTER,
    Answer,
    Verdict,
    compare_answers,
    compare_json,
    compile_rules,
    numbers_agree,
)

RULES = compile_rules(Compare())
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
documents: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
texts = st.one_of(documents.map(lambda value: json.dumps(value).encode()), st.binary(max_size=30))
tolerances = st.floats(0, 1)


def verdict(one: object, other: object, **compare: Any) -> Verdict:
    """Compare two documents, or two bodies as they are."""
    bodies = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in (one, other)]
    return compare_answers(Answer(200, bodies[0]), Answer(200, bodies[1]), compile_rules(Compare(**compare)))


@given(texts)
def test_an_answer_agrees_with_itself(text: bytes) -> None:
    """Reflexive, by its bytes and by the walk through the document."""
    assert compare_answers(Answer(200, text), Answer(200, text), RULES) == AGREE
    assert compare_json(text, text, RULES).result != "differ" or json_fails(text)


def json_fails(text: bytes) -> bool:
    """Return whether a text is not even what Python takes for JSON."""
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


@given(documents)
def test_the_order_of_keys_and_white_space_do_not_count(document: Any) -> None:
    """Two ways to write a document agree."""
    other = json.dumps(document, indent=3, sort_keys=True).encode()
    assert verdict(json.dumps(document).encode(), other) == AGREE


@given(texts, texts, tolerances)
def test_the_verdict_is_the_same_in_either_order(one: bytes, other: bytes, tolerance: float) -> None:
    """Symmetric, with the same differences."""
    assert verdict(one, other, tolerance=tolerance) == verdict(other, one, tolerance=tolerance)


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=5), tolerances, tolerances)
def test_a_larger_tolerance_never_makes_a_difference(pairs: list[tuple[float, float]], a: float, b: float) -> None:
    """Monotone: what agrees within a tolerance agrees within a larger one."""
    one, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    strict, loose = sorted((a, b))
    if verdict(one, other, tolerance=strict).result == "agree":
        assert verdict(one, other, tolerance=loose).result == "agree"


@given(documents, documents, documents)
def test_what_is_under_an_ignored_pointer_does_not_count(document: Any, one: Any, other: Any) -> None:
    """Be it different, or there on one side only."""
    assert verdict({"d": document, "x": one}, {"d": document, "x": other}, ignore=("/x",)) == AGREE
    assert verdict({"d": document, "x": one}, {"d": document}, ignore=("/x",)) == AGREE
    assert verdict([document, one], [document], ignore=("/1",)) == AGREE


@pytest.mark.parametrize(
    ("one", "other", "places"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, ("/a/b/1",)),
        ({"a": 1}, {"b": 1}, ("/a", "/b")),
        ([1, 2], [1], ("/1",)),
        ({"a/b": 1, "c~d": 1}, {"a/b": 2, "c~d": 2}, ("/a~1b", "/c~0d")),
        (1, 2, ("body",)),
        ({"a": 1}, [1], ("body",)),
        ({"a": True}, {"a": 1}, ("/a",)),
        ([False], [0], ("/0",)),
        ({"a": None}, {}, ("/a",)),
        ({"a": "1"}, {"a": 1}, ("/a",)),
        ({"a": ""}, {"a": None}, ("/a",)),
        ([2**53], [2**53 + 1], ("/0",)),
        ([1.0], [1.1], ("/0",)),
        (b'{"a":NaN}', b'{"a":1.0}', ("/a",)),
        (b'{"a":Infinity}', b'{"a":-Infinity}', ("/a",)),
        (b'{"a":Infinity}', b'{"a":1e308}', ("/a",)),
        (b"[1e308]", b"[-1e308]", ("/0",)),
        (b"[1.5]", b"[1" + b"0" * 400 + b"]", ("/0",)),
        (b"yes", b"no", ("body",)),
        (b"", b"{}", ("body",)),
        (b"\xff", b'"\xff"', ("body",)),
    ],
)
def test_differences_are_named(one: object, other: object, places: tuple[str, ...]) -> None:
    """A difference is a pointer to the place, or the body when it is no JSON or differs as a whole."""
    assert verdict(one, other) == Verdict("differ", places)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.1 + 0.2, 0.3),
        (1e-9, 0.0),
        (1e12, 1e12 + 1e5),
        (b'{"a":NaN,"b":Infinity}', b'{"b":Infinity,"a":NaN}'),
        (b'{"a":1,"a":2}', b'{"a":2}'),
        (b'[123456789012345678901234567890, "\\u0041"]', b'[123456789012345678901234567890,"A"]'),
        (b"[1e999]", b"[Infinity]"),
        (gzip.compress(b'{"a":1}', mtime=1), b'{"a": 1}'),
        (gzip.compress(b'{"a":1}', mtime=1), gzip.compress(b'{"a":1}', mtime=2)),
    ],
)
def test_what_means_the_same_agrees(one: object, other: object) -> None:
    """Numbers within the tolerance, spellings of one value, codings of one content."""
    assert verdict(one, other) == AGREE


def test_the_tolerance_is_relative_above_one_and_absolute_below() -> None:
    """``|a - b| <= tolerance * max(1, |a|, |b|)``."""
    assert verdict(1000.0, 1009.0, tolerance=0.01) == AGREE
    assert verdict(1000.0, 1011.5, tolerance=0.01).result == "differ"
    assert verdict(0.001, 0.0105, tolerance=0.01) == AGREE
    assert verdict(0.001, 0.0115, tolerance=0.01).result == "differ"


def test_another_status_is_the_difference() -> None:
    """Bodies of two outcomes are not compared."""
    assert compare_answers(Answer(200, b"{}"), Answer(503, b"{}"), RULES) == Verdict("differ", ("status",))


def test_what_was_not_kept_is_not_comparable() -> None:
    """Neither agreement nor difference, on whichever side it is missing."""
    for one, other in ((None, b"{}"), (b"{}", None), (None, None)):
        assert compare_answers(Answer(200, one), Answer(200, other), RULES).result == "not_comparable"


@pytest.mark.parametrize("depth", [600, 100_000])
def test_what_is_nested_too_deeply_is_not_comparable(depth: int) -> None:
    """A document that no parser should be trusted with costs nothing and is no difference."""
    one, other = (b"[" * depth + number + b"]" * depth for number in (b"1", b"2"))
    assert verdict(one, other).result == "not_comparable"


def test_what_has_too_many_parts_is_not_comparable() -> None:
    """A small body can hold enough arrays to keep a worker busy: it is left alone, unless its bytes are the same."""
    many = b"[" + b"[1]," * (MAX_CONTAINERS + 1)
    assert verdict(many + b"1]", many + b"2]").result == "not_comparable"
    assert verdict(many + b"1]", many + b"1]") == AGREE


def test_python_reads_no_deeper_than_others() -> None:
    """What is not quite JSON is read by another parser, with the same answer to depth."""
    one, other = (b"[NaN," + b"[" * 100_000 + number for number in (b"1", b"2"))
    assert verdict(one, other).result == "not_comparable"


def test_everything_may_be_ignored() -> None:
    """The empty pointer is the whole document: then only the status counts."""
    assert verdict({"a": 1}, [2], ignore=("",)) == AGREE


def test_integers_have_no_tolerance() -> None:
    """Whatever it is; nor has a number that no double comes near."""
    assert not numbers_agree(1, 2, 1.0)
    assert numbers_agree(1.0, 2, 1.0)
    assert not numbers_agree(10**400, 1.0, 1.0)


def test_a_bomb_is_not_opened() -> None:
    """What a gzip body holds is bounded as the body itself is."""
    bomb = gzip.compress(b" " * 10_000_000, mtime=1)
    assert verdict(bomb, b"{}", body_bytes=100_000).result == "not_comparable"


@pytest.mark.parametrize("body", [b"\x1f\x8bnot gzip", gzip.compress(b'{"a":1}', mtime=1)[:-4]])
def test_what_only_looks_like_gzip_is_bytes(body: bytes) -> None:
    """A broken coding is not an error, and never agreement."""
    assert verdict(body, b'{"a":1}') == Verdict("differ", ("body",))


def test_differences_are_bounded() -> None:
    """However different two documents are, few places are named, each in few characters."""
    one = {f"{'k' * 1000}{number}": number for number in range(1000)}
    found = verdict(one, {})
    assert len(found.differences) == MAX_DIFFERENCES
    assert max(map(len, found.differences)) <= MAX_POINTER
