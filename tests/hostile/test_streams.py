"""Bytes in motion: nothing held back, nothing piled up, in either direction."""

import select
import socket
import threading
from typing import Self

import pytest

from tests.harness import Connection, Proxy, Target, wait_until
from tests.hostile.wire import CHUNKED, OK, head

MIB = 1024 * 1024


class Flood:
    """Sends without end from a thread of its own, and counts what the other side took."""

    def __init__(self, sock: socket.socket, total: int) -> None:
        self.taken = 0
        self.blocked = threading.Event()  # set while the other side takes no more
        self._socket = sock
        self._total = total
        sock.setblocking(False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        block = b"x" * 65536
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        while self.taken < self._total:
            try:
                self.taken += self._socket.send(block[: self._total - self.taken])
                self.blocked.clear()
            except BlockingIOError:
                # Full for as long as a busy machine may need to move what is under way.
                if not poll.poll(300):
                    self.blocked.set()
                    poll.poll(5000)
            except OSError:
                return

    def join(self) -> None:
        """Wait until all is sent."""
        self._thread.join(10)
        assert self.taken == self._total


def test_download_back_pressure(proxy: Proxy, target: Target) -> None:
    """Of a 64 MiB answer at most 24 MiB are taken while the caller reads nothing, then all (DESIGN 9.6)."""
    total = 64 * MIB
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        flood = Flood(connection.socket, total)
        assert flood.blocked.wait(5)
        assert flood.taken <= 24 * MIB
        top = caller.read_until(b"\r\n\r\n")
        assert b"Content-Length: %d" % total in top
        received = len(caller._data)
        while received < total:
            received += len(caller.socket.recv(MIB))
        flood.join()
        connection.socket.settimeout(5)
        caller._data = b""
        caller.send(head())
        connection.read_request()
        connection.send(OK)
        assert caller.response().body == b"ok"


def test_download_back_pressure_of_chunks(proxy: Proxy, target: Target) -> None:
    """Chunks without end stall the target, too, when the caller reads nothing (DESIGN 9.6)."""
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(CHUNKED + b"%x\r\n" % (64 * MIB))
        flood = Flood(connection.socket, 64 * MIB)
        assert flood.blocked.wait(5)
        assert flood.taken <= 24 * MIB


def test_upload_back_pressure(proxy: Proxy, target: Target) -> None:
    """Of a 64 MiB body at most 24 MiB are taken while the target reads nothing; then all of it arrives (DESIGN 9.6)."""
    total = 64 * MIB
    with proxy.caller() as caller:
        caller.send(head(b"Content-Length: %d" % total, start=b"POST / HTTP/1.1"))
        connection = target.accept()
        connection.read_until(b"\r\n\r\n")
        flood = Flood(caller.socket, total)
        assert flood.blocked.wait(5)
        assert flood.taken <= 24 * MIB
        received = len(connection.received.partition(b"\r\n\r\n")[2])
        while received < total:
            received += len(connection.socket.recv(MIB))
        flood.join()
        caller.socket.settimeout(5)
        connection.send(OK)
        assert caller.response().body == b"ok"


def test_upload_back_pressure_while_connecting() -> None:
    """While a connection is being made, what the caller sends is not piled up (DESIGN 9.6)."""
    with Stuck() as stuck, Proxy(stuck.yaml) as proxy, proxy.caller() as caller:
        caller.send(head(b"Content-Length: %d" % (64 * MIB), start=b"POST / HTTP/1.1"))
        flood = Flood(caller.socket, 64 * MIB)
        assert flood.blocked.wait(5)
        assert flood.taken <= 24 * MIB


class Stuck:
    """A port at which connecting neither succeeds nor fails: a listener whose backlog is full."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        port = self._listener.getsockname()[1]
        self._filling = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            self._filling.append(filler)
        self.yaml = (
            f"targets: [{{name: t, endpoints: ['http://127.0.0.1:{port}'], timeouts: {{connect: 60s}}}}]\n"
            "routes: [{name: all, target: t}]\n"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for filler in self._filling:
            filler.close()
        self._listener.close()


def test_pipelined_requests_of_a_caller_that_reads_nothing_are_not_all_answered(proxy: Proxy, target: Target) -> None:
    """Answers to pipelined requests do not pile up: a caller that takes none gets no more (DESIGN 9.6)."""
    size = 60_000
    count = 2_000
    served = 0

    def serve(connection: Connection) -> None:
        nonlocal served
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
        try:
            while True:
                connection.read_until(b"\r\n\r\n")
                connection.received = b""
                connection.send(answer)
                served += 1
        except (OSError, EOFError):
            return

    with proxy.caller() as caller:
        sender = threading.Thread(target=caller.send, args=(head() * count,), daemon=True)
        sender.start()
        connection = target.accept()
        connection.socket.settimeout(1)
        server = threading.Thread(target=serve, args=(connection,), daemon=True)
        server.start()
        server.join(5)  # the target ends by itself when it is asked nothing for a second
        assert served * size <= 24 * MIB
        sender.join(5)


def test_server_sent_events_pass_one_by_one(proxy: Proxy, target: Target) -> None:
    """Each event reaches the caller before the target makes the next (hardening 2.2, last row)."""
    with proxy.caller() as caller:
        caller.send(head(b"Accept: text/event-stream"))
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        caller.read_until(b"\r\n\r\n")
        for index in range(20):
            event = b"data: %d\n\n" % index
            connection.send(b"%x\r\n%b\r\n" % (len(event), event))
            assert caller.read_until(event + b"\r\n") == b"%x\r\n%b\r\n" % (len(event), event)
        connection.send(b"0\r\n\r\n")
        assert caller.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("framing", ["chunks", "length", "close"])
def test_parts_of_a_body_pass_as_they_come(proxy: Proxy, target: Target, version: bytes, framing: str) -> None:
    """However a body is framed, its parts are not held back for more (hardening 2.2, last row)."""
    top = {
        "chunks": CHUNKED,
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        "close": b"HTTP/1.1 200 OK\r\n\r\n",
    }
    with proxy.caller() as caller:
        caller.send(head(start=b"GET / HTTP/" + version))
        connection = target.accept()
        connection.read_request()
        connection.send(top[framing])
        caller.read_until(b"\r\n\r\n")
        for part in (b"a", b"b", b"c"):
            connection.send(b"1\r\n%b\r\n" % part if framing == "chunks" else part)
            assert part in caller.read_until(part)


def test_a_chunk_passes_before_it_is_whole(proxy: Proxy, target: Target) -> None:
    """Half a chunk is not held back for its other half (hardening 2.2, last row)."""
    with proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(CHUNKED + b"a\r\nhalf")
        assert caller.read_until(b"half").endswith(b"a\r\nhalf")


def test_parts_of_an_upload_pass_as_they_come(proxy: Proxy, target: Target) -> None:
    """Nor are the parts of a request body held back (DESIGN 3)."""
    with proxy.caller() as caller:
        caller.send(head(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.1"))
        connection = target.accept()
        connection.read_until(b"\r\n\r\n")
        for index in range(10):
            caller.send(b"1\r\n%d\r\n" % index)
            connection.read_until(b"1\r\n%d\r\n" % index)
        caller.send(b"0\r\n\r\n")
        connection.read_until(b"0\r\n\r\n")
        connection.send(OK)
        assert caller.response().status == 200


def test_large_bodies_arrive_whole_both_ways(proxy: Proxy, target: Target) -> None:
    """Bytes neither change nor get lost when both sides stall each other (DESIGN 3)."""
    body = bytes(range(256)) * 4096 * 3  # 3 MiB
    with proxy.caller() as caller:
        request = head(b"Content-Length: %d" % len(body), start=b"POST / HTTP/1.1") + body
        sender = threading.Thread(target=caller.send, args=(request,), daemon=True)
        sender.start()
        connection = target.accept()
        received = connection.read_request()
        assert received.partition(b"\r\n\r\n")[2] == body
        sender.join(5)
        chunks = b"".join(b"%x\r\n%b\r\n" % (9999, body[at : at + 9999]) for at in range(0, 9999 * 200, 9999))
        answer = threading.Thread(target=connection.send, args=(CHUNKED + chunks + b"0\r\n\r\n",), daemon=True)
        answer.start()
        assert caller.response().body == chunks + b"0\r\n\r\n"
        answer.join(5)
    wait_until(lambda: proxy.log.events, "the event")
    event = proxy.event()
    assert event.request_bytes == len(body)
    assert event.response_bytes == len(chunks) + 5
