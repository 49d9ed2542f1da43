"""Promises of ``router.bench.connection``: where an answer ends, under every framing and any split of its bytes."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.bench.connection import Connection

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + LENGTH
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello\r\ncontent-length: 5\r\n\r\n"
HEAD_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that remembers what was written and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: object) -> None:
        """Remember."""
        assert isinstance(data, bytes)
        self.written.append(data)

    def abort(self) -> None:
        """Remember."""
        self.aborted = True


class Notes:
    """The owner of a connection that notes what it is told."""

    def __init__(self, *, head_only: bool = False) -> None:
        self.head_only = head_only
        self.said: list[object] = []
        self.size = 0

    def answered(self, connection: Connection, status: int) -> None:
        """Note an answer, and whether its connection may be used again."""
        self.said.append((status, connection.usable))

    def broken(self, connection: Connection, cause: str | None) -> None:
        """Note a loss."""
        assert not connection.usable
        self.said.append(cause)

    def received(self, size: int) -> None:
        """Add up."""
        self.size += size


def connected(*, head_only: bool = False) -> tuple[Connection, Notes, Wire]:
    """Return a connection that has sent a request."""
    notes, wire = Notes(head_only=head_only), Wire()
    connection = Connection(notes)
    connection.connection_made(wire)
    connection.send(b"GET / HTTP/1.1\r\n\r\n", 1.0, 2.0)
    return connection, notes, wire


def feed(connection: Connection, data: bytes, cuts: list[int]) -> None:
    """Give data to a connection in pieces."""
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    for start, end in pairwise(places):
        connection.data_received(data[start:end])


CUTS = st.lists(st.integers(min_value=1, max_value=400), max_size=8)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (LENGTH, (200, True)),
        (CHUNKED, (201, True)),
        (EMPTY, (204, True)),
        (INTERIM, (200, True)),
        (CLOSING, (200, False)),
    ],
)
@given(cuts=CUTS)
def test_an_answer_ends_once_however_its_bytes_are_split(
    answer: bytes, expected: tuple[int, bool], cuts: list[int]
) -> None:
    """Length, chunked, bodiless, interim and closing answers are each reported once, with their final status."""
    connection, notes, wire = connected()
    feed(connection, answer, cuts)
    assert notes.said == [expected]
    assert notes.size == len(answer)
    assert wire.aborted is not expected[1]


@given(cuts=CUTS)
def test_an_answer_without_length_ends_with_its_connection(cuts: list[int]) -> None:
    """Nothing is reported before the end; text in the body that looks like a header field is not one."""
    connection, notes, _wire = connected()
    feed(connection, UNTIL_CLOSE, cuts)
    assert notes.said == []
    connection.connection_lost(None)
    assert notes.said == [(200, False)]


@given(cuts=CUTS)
def test_an_answer_to_head_ends_with_its_head(cuts: list[int]) -> None:
    """The length that it names is not waited for, and the next answer is read from its beginning."""
    connection, notes, _wire = connected(head_only=True)
    feed(connection, HEAD_ANSWER, cuts)
    connection.send(b"HEAD / HTTP/1.1\r\n\r\n", 1.0, 2.0)
    feed(connection, HEAD_ANSWER, cuts)
    assert notes.said == [(200, True), (200, True)]


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, CLOSING, INTERIM])
@given(data=st.data())
def test_an_answer_that_is_cut_short_is_a_failure(answer: bytes, data: st.DataObject) -> None:
    """Wherever the connection ends before the answer does, the request has failed, once."""
    end = data.draw(st.integers(min_value=0, max_value=len(answer) - 1))
    connection, notes, _wire = connected()
    if end:
        connection.data_received(answer[:end])
    connection.connection_lost(None)
    connection.connection_lost(None)
    assert notes.said == ["connection closed"]


def test_an_answer_without_length_that_is_reset_is_a_failure() -> None:
    """A reset is no end of a body."""
    connection, notes, _wire = connected()
    connection.data_received(UNTIL_CLOSE)
    connection.connection_lost(ConnectionResetError())
    assert notes.said == ["connection closed"]


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"]
)
def test_what_is_no_answer_is_a_failure(answer: bytes) -> None:
    """Another protocol's bytes fail the request and close the connection."""
    connection, notes, wire = connected()
    connection.data_received(answer)
    assert notes.said == ["malformed answer"]
    assert wire.aborted


def test_a_head_without_end_is_a_failure() -> None:
    """The head that is kept while it is read is bounded."""
    connection, notes, _wire = connected()
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    for _ in range(400):
        if not notes.said:
            connection.data_received(b"x-field: " + b"v" * 1000 + b"\r\n")
    assert notes.said == ["malformed answer"]


def test_bytes_that_nobody_asked_for_close_the_connection_without_failing_a_request() -> None:
    """An idle connection that speaks is not used again."""
    connection, notes, wire = connected()
    connection.data_received(LENGTH)
    connection.data_received(LENGTH)
    assert notes.said == [(200, True), None]
    assert wire.aborted


def test_an_idle_connection_that_the_server_closes_is_given_up_without_failing_a_request() -> None:
    """Keep-alive time-outs of a server are its right."""
    connection, notes, _wire = connected()
    connection.data_received(LENGTH)
    connection.connection_lost(None)
    assert notes.said == [(200, True), None]


def test_a_request_that_is_given_up_is_reported_once_with_its_cause() -> None:
    """A time-out closes, and the transport's own end adds nothing."""
    connection, notes, wire = connected()
    connection.fail("timeout")
    connection.connection_lost(None)
    assert notes.said == ["timeout"]
    assert wire.aborted
