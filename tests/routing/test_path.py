"""Paths: one spelling for matching, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.path import canonical, canonical_text

PIECES = st.sampled_from(
    ["/", "a", ".", "..", "%2e", "%2F", "%5c", "\\", ";", "%41", "%c3", "%zz", "%", "%3b", "%252e"]
)
PATHS = st.lists(PIECES, max_size=12).map(lambda pieces: ("/" + "".join(pieces)).encode())


@pytest.mark.parametrize(
    ("path", "spelled"),
    [
        (b"/v2/models/ranker/infer", b"/v2/models/ranker/infer"),
        (b"/v2/models/ranker/versions/1.0/infer", b"/v2/models/ranker/versions/1.0/infer"),
        (b"/.well-known/x", b"/.well-known/x"),
        (b"/a/...", b"/a/..."),
        (b"*", b"*"),
        (b"", b""),
        (b"/%6Dodels/%7Euser", b"/models/~user"),
        (b"/a%2fb/c%3dd", b"/a/b/c%3Dd"),
        (b"/a//b///c", b"/a/b/c"),
        (b"/a/%2Fb", b"/a/b"),
        (b"/a/./b", b"/a/b"),
        (b"/a/b/../c", b"/a/c"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/a/%2e%2E/c", b"/c"),
        (b"/..", None),
        (b"/a/../../c", None),
        (b"/%2e%2e/x", None),
        (b"/public/..%2fadmin", None),
        (b"/public%2f../admin", None),
        (b"/public/..;x/admin", None),
        (b"/public/..%3b/admin", None),
        (b"/public\\..\\admin", None),
        (b"/public%5c..%5Cadmin", None),
        (b"/a//../b", None),
        (b"/x%2Fy/../admin", None),
        (b"/a\\b", b"/a\\b"),
        (b"/a%252e%252e/b", b"/a%252e%252e/b"),
        (b"/%zz%4", b"/%zz%4"),
        (b"/%a%41", None),
        (b"/%%34%31", None),
    ],
)
def test_spelling(path: bytes, spelled: bytes | None) -> None:
    """Spellings that every server reads alike are one; those they dispute match nothing."""
    assert canonical(path) == spelled


@pytest.mark.parametrize(("path", "spelled"), [("/é x", b"/%C3%A9%20x"), ("/%c3%a9", b"/%C3%A9"), ("/a/..%2f", None)])
def test_spelling_of_the_configuration(path: str, spelled: bytes | None) -> None:
    """A path is written in a file as people write it, and compared as requests send it."""
    assert canonical_text(path) == spelled


@given(PATHS)
def test_spelling_is_final(path: bytes) -> None:
    """What is spelled canonically stays as it is."""
    spelled = canonical(path)
    assert spelled is None or canonical(spelled) == spelled


@given(PATHS)
def test_no_reading_leads_elsewhere(path: bytes) -> None:
    """Where a path is not refused, servers that decode slashes, merge them or do neither resolve dots to the same."""
    spelled = canonical(path)
    if spelled is None or b"\\" in path or b"%5c" in path:
        return
    plain = path.replace(b"%2e", b".").replace(b"%41", b"A")
    for read in (plain, plain.replace(b"%2F", b"/")):
        kept: list[bytes] = []
        for segment in read.split(b"/"):
            if segment == b"..":
                kept.pop()
            elif segment != b".":
                kept.append(segment)
        resolved = b"/".join(kept).replace(b"%2F", b"/")
        while b"//" in resolved:
            resolved = resolved.replace(b"//", b"/")
        assert resolved.rstrip(b"/").upper() == spelled.rstrip(b"/").upper()
