"""Bodies in motion: lengths, limits, surplus, ends that are none, and what an old caller gets of chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.proxy.bodies import (
    CHUNKED,
    UNTIL_CLOSE,
    Download,
    TooLargeError,
    Upload,
    chunked_content,
)
from router.proxy.framing import FramingError
from tests.proxy.test_framing import bodies, cuts, reference, split


@given(st.binary(min_size=1, max_size=50), st.binary(max_size=20), cuts)
def test_upload_of_a_length(body: bytes, behind: bytes, where: list[int]) -> None:
    """An upload of a length forwards exactly that many bytes and keeps the rest, under any split."""
    upload = Upload(len(body), 1000)
    out = b""
    rest = b""
    for part in split(body + behind, where):
        if upload.done:
            rest += part
        else:
            out += upload.feed(part)
            rest += upload.rest
    assert (out, rest, upload.received, upload.done) == (body, behind, len(body), True)


@given(bodies(), st.integers(0, 60), cuts)
def test_upload_of_chunks_up_to_a_limit(body: tuple[bytes, bytes], limit: int, where: list[int]) -> None:
    """Chunks are counted by their content: at the limit they pass, one byte beyond they are refused."""
    data, content = body
    upload = Upload(CHUNKED, limit)
    out = b""
    try:
        for part in split(data, where):
            out += upload.feed(part)
    except TooLargeError:
        assert len(content) > limit
    else:
        assert len(content) <= limit
        decoded = reference(out)
        assert decoded is not None
        assert decoded.content == content
        assert upload.done


@given(bodies(), cuts)
def test_download_of_chunks(body: tuple[bytes, bytes], where: list[int]) -> None:
    """Chunks stay chunks for a 1.1 caller and are opened for a 1.0 caller; both end with the body."""
    data, content = body
    for http11 in (True, False):
        download = Download(CHUNKED, http11=http11)
        out = b"".join(download.feed(part) for part in split(data, where))
        assert download.done
        assert not download.surplus
        decoded = reference(out)
        assert out == content if not http11 else decoded is not None and decoded.content == content
        assert download.end() is None


@given(st.binary(max_size=50), st.binary(min_size=1, max_size=10), cuts)
def test_download_of_a_length_with_surplus(body: bytes, more: bytes, where: list[int]) -> None:
    """Bytes beyond a length are dropped and noticed."""
    download = Download(len(body) + 1, http11=True)
    out = b""
    for part in split(body + b"!" + more, where):
        if download.done:
            break
        out += download.feed(part)
    assert out == body + b"!"
    assert download.done


def test_surplus_is_noticed() -> None:
    """The flag that keeps a connection from being reused is set for lengths and chunks."""
    by_length = Download(2, http11=True)
    assert by_length.feed(b"okmore") == b"ok"
    assert by_length.surplus
    by_chunks = Download(CHUNKED, http11=True)
    assert by_chunks.feed(b"0\r\n\r\nmore") == b"0\r\n\r\n"
    assert by_chunks.surplus


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_download_until_close(parts: list[bytes]) -> None:
    """A body that the connection ends becomes chunks for a 1.1 caller, and its end is the last one (RFC 9112 6.3)."""
    new, old = Download(UNTIL_CLOSE, http11=True), Download(UNTIL_CLOSE, http11=False)
    wrapped = b"".join(new.feed(part) for part in parts)
    plain = b"".join(old.feed(part) for part in parts)
    last = new.end()
    assert last is not None
    decoded = reference(wrapped + last)
    assert decoded is not None
    assert decoded.content == plain == b"".join(parts)
    assert old.end() == b""
    assert not new.done


@pytest.mark.parametrize("length", [5, CHUNKED])
def test_an_early_end_is_no_end(length: int) -> None:
    """The end of the connection does not complete a body that has a length or chunks (RFC 9112 8)."""
    download = Download(length, http11=True)
    download.feed(b"2\r\n")
    assert download.end() is None


def test_bad_chunks_are_refused_in_both_directions() -> None:
    """Neither direction passes on what is not chunked."""
    with pytest.raises(FramingError):
        Upload(CHUNKED, 10).feed(b"zz\r\n")
    with pytest.raises(FramingError):
        Download(CHUNKED, http11=True).feed(b"zz\r\n")


@given(bodies())
def test_content_of_a_whole_chunked_body(body: tuple[bytes, bytes]) -> None:
    """A gathered body is opened to be read."""
    assert chunked_content(body[0]) == body[1]
