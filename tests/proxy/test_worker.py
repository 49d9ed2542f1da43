"""The worker process, run in this one: it waits for a revision, serves, follows new ones, drains, and ends."""

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import uvloop

from router import counters
from router.events.read import read
from router.proxy.worker import REVISION_FILE, Worker, main
from router.segment import Segment
from tests.harness import Connection, Target, read_response, revision_of, wait_until

if TYPE_CHECKING:
    from router.events.model import Revision

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Site:
    """What a supervisor gives to a worker, and a look at what it makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segment = Segment.create(1)
        self.words = self.segment.block(0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.lifeline, self.supervisor = os.pipe()
        self.revision: Revision | None = None

    def publish(self, yaml: str) -> None:
        """Publish a revision, as the control process does."""
        before = self.revision
        text = f"events: {{dir: '{self.folder / 'events'}', unenrolled: 100%}}\n{yaml}"
        self.revision = revision_of(text, 1 if before is None else before.number + 1, before.slots if before else None)
        self.put(msgspec.msgpack.encode(self.revision), self.revision.number)

    def put(self, data: bytes, number: int) -> None:
        """Put a file in place and say its number."""
        temporary = self.folder / "new"
        temporary.write_bytes(data)
        temporary.replace(self.folder / REVISION_FILE)
        self.segment.words[counters.PUBLISHED] = number

    def acknowledged(self, number: int) -> None:
        """Wait until the worker serves a revision."""
        wait_until(lambda: self.words[counters.ACKNOWLEDGED] == number, f"revision {number}")

    def connect(self) -> socket.socket:
        """Connect to the worker."""
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def close_lifeline(self) -> None:
        """Be gone, as a supervisor."""
        os.close(self.supervisor)
        self.supervisor = os.open(os.devnull, os.O_RDONLY)

    def run(self, story: Callable[[], None], after: Callable[[], None] | None = None) -> int:
        """Run a worker here while a thread lives the story; return its exit status.

        Args:
            story: What happens before SIGTERM.
            after: What happens after it.
        """
        failures: list[BaseException] = []

        def tell() -> None:
            try:
                story()
            except BaseException as failure:  # noqa: BLE001  # shown by the test's own thread
                failures.append(failure)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
            if after is not None and not failures:
                try:
                    after()
                except BaseException as failure:  # noqa: BLE001  # likewise
                    failures.append(failure)

        keeper = threading.Thread(target=tell)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().call_later(0.01, keeper.start)
            status = runner.run(Worker((0, 0), self.segment, self.folder).run(self.listener, self.lifeline))
        keeper.join(5)
        if failures:
            raise failures[0]
        return status

    def close(self) -> None:
        """Give everything back."""
        os.close(self.lifeline)
        os.close(self.supervisor)
        self.listener.close()
        self.words.release()
        with contextlib.suppress(BufferError):
            self.segment.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for a worker; signals are as before when it is gone."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)}
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a late one must not end the tests
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def config(target: Target, more: str = "") -> str:
    """A configuration with one target."""
    return f"{more}targets: [{{name: t, endpoints: ['{target.url}']}}]\nroutes: [{{name: all, target: t}}]\n"


def test_a_workers_life(site: Site, tmp_path: Path) -> None:
    """A worker waits for the first revision, beats, serves, drains on SIGTERM and leaves its events (DESIGN 2)."""
    with Target() as target:
        target.answer(OK)

        def story() -> None:
            wait_until(lambda: site.words[counters.HEARTBEAT], "a heartbeat before there is a revision")
            assert site.words[counters.ACKNOWLEDGED] == 0
            site.publish(config(target))
            site.acknowledged(1)
            assert site.words[counters.PID] == os.getpid()
            before = site.words[counters.HEARTBEAT]
            with site.connect() as caller:
                caller.sendall(REQUEST)
                assert read_response(caller)[0] == 200
                wait_until(lambda: site.words[counters.HEARTBEAT] > before, "a further heartbeat")
                assert site.words[counters.CONNECTIONS] == 1

        assert site.run(story) == 0
    assert site.words[counters.CONNECTIONS] == 0
    assert [event.status for event in read(tmp_path / "events")] == [200]


def test_new_revisions_are_followed(site: Site) -> None:
    """A published revision is served and acknowledged; one that cannot be used changes nothing (DESIGN 8)."""
    with Target() as first, Target() as second:
        first.answer(OK)
        second.answer(OK, times=2)

        def ask() -> int:
            with site.connect() as caller:
                caller.sendall(REQUEST)
                return read_response(caller)[0]

        def story() -> None:
            site.publish(config(first))
            site.acknowledged(1)
            assert ask() == 200
            site.publish(config(second))
            site.acknowledged(2)
            assert ask() == 200
            site.put(b"not msgpack", 3)
            before = site.words[counters.HEARTBEAT]
            wait_until(lambda: site.words[counters.HEARTBEAT] > before + 200_000_000, "some ticks")
            assert site.words[counters.ACKNOWLEDGED] == 2
            assert ask() == 200
            site.publish(config(second))
            site.put(msgspec.msgpack.encode(site.revision), 3)
            site.segment.words[counters.PUBLISHED] = 4
            site.acknowledged(3)

        assert site.run(story) == 0
        assert (len(first.requests), len(second.requests)) == (1, 2)


def test_a_drain_lets_an_exchange_end(site: Site) -> None:
    """After SIGTERM an exchange under way goes on to its end, and then the worker exits with 0 (issue, item 5)."""
    with Target() as target:
        callers: list[socket.socket] = []
        connections: list[Connection] = []

        def story() -> None:
            site.publish(config(target))
            site.acknowledged(1)
            callers.append(site.connect())
            callers[0].sendall(REQUEST)
            connections.append(target.accept())
            connections[0].read_request()

        def after() -> None:
            wait_until(lambda: not accepts(site.port), "the listener to close")
            connections[0].send(OK)
            status, top, _ = read_response(callers[0])
            assert status == 200
            assert b"connection: close" in top
            callers[0].close()

        assert site.run(story, after) == 0


def accepts(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_drain_has_an_end(site: Site) -> None:
    """An exchange that does not end within ``server.drain`` is cut (issue, item 5)."""
    with Target() as target:
        callers: list[socket.socket] = []

        def story() -> None:
            site.publish(config(target, "server: {drain: 200ms}\n"))
            site.acknowledged(1)
            callers.append(site.connect())
            callers[0].sendall(REQUEST)
            target.accept().read_request()

        assert site.run(story) == 0
        with callers[0] as caller:
            assert caller.recv(100) == b""


def test_a_drain_is_as_long_as_the_latest_revision_says(site: Site) -> None:
    """One that was published when the drain had begun shortens it, as it does for the supervisor."""
    with Target() as target:
        callers: list[socket.socket] = []

        def story() -> None:
            site.publish(config(target, "server: {drain: 600s}\n"))
            site.acknowledged(1)
            callers.append(site.connect())
            callers[0].sendall(REQUEST)
            target.accept().read_request()

        def after() -> None:
            wait_until(lambda: not accepts(site.port), "the listener to close")
            site.publish(config(target, "server: {drain: 200ms}\n"))

        assert site.run(story, after) == 0
        with callers[0] as caller:
            assert caller.recv(100) == b""


def test_main_joins_what_it_inherited(site: Site) -> None:
    """The process's entry takes descriptors and a folder, and returns the exit status (DESIGN 2)."""
    with Target() as target:

        def story() -> None:
            wait_until(lambda: site.words[counters.HEARTBEAT], "a heartbeat")
            site.publish(config(target))
            site.acknowledged(1)
            os.kill(os.getpid(), signal.SIGTERM)

        keeper = threading.Thread(target=story)
        keeper.start()
        status = main((0, 0), os.dup(site.listener.fileno()), os.dup(site.segment.fd), site.lifeline, site.folder)
        keeper.join(5)
        assert status == 0


@pytest.mark.parametrize("cause", ["second SIGTERM", "SIGQUIT", "lifeline"])
def test_ends_at_once(site: Site, monkeypatch: pytest.MonkeyPatch, cause: str) -> None:
    """A second SIGTERM, SIGQUIT, or the end of the supervisor ends the worker now, with 1 (DESIGN 2)."""
    exits: list[int] = []
    monkeypatch.setattr("os._exit", exits.append)
    with Target() as target:
        callers: list[socket.socket] = []

        def story() -> None:
            site.publish(config(target, "server: {drain: 300ms}\n"))
            site.acknowledged(1)
            callers.append(site.connect())
            callers[0].sendall(REQUEST)
            target.accept().read_request()
            if cause == "SIGQUIT":
                os.kill(os.getpid(), signal.SIGQUIT)
            elif cause == "lifeline":
                site.close_lifeline()
            else:
                return
            wait_until(lambda: exits, "the end")

        def after() -> None:
            if cause == "second SIGTERM":
                wait_until(lambda: not accepts(site.port), "the drain")
                os.kill(os.getpid(), signal.SIGTERM)
                wait_until(lambda: exits, "the end")

        site.run(story, after)
        callers[0].close()
    assert set(exits) == {1}


def test_a_unix_socket_can_be_the_listener(site: Site, tmp_path: Path) -> None:
    """A worker serves on the listener it was given, of whatever family (INTERFACES 2: unix:/path)."""
    site.listener.close()
    site.listener = socket.socket(socket.AF_UNIX)
    site.listener.bind(str(tmp_path / "router.sock"))
    site.listener.listen()
    site.listener.setblocking(False)
    with Target() as target:
        target.answer(OK)

        def story() -> None:
            site.publish(config(target))
            site.acknowledged(1)
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(5)
                caller.connect(str(tmp_path / "router.sock"))
                caller.sendall(REQUEST)
                assert read_response(caller)[0] == 200

        assert site.run(story) == 0
        assert b"x-forwarded-for" not in target.requests[0]
