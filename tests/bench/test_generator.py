"""Promises of ``router.bench.generator``: what is sent when, on a fake clock and against a real listener."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from router.bench.connection import Connection
from router.bench.generator import Finished, Generator
from router.bench.plan import BenchError, Options, make
from router.bench.schedule import Schedule

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Sent(Connection):
    """A connection that only remembers what it was given."""

    __slots__ = ("requests",)

    def __init__(self, owner: Generator) -> None:
        super().__init__(owner)
        self.requests: list[tuple[bytes, float]] = []
        self.usable = True

    def send(self, request: bytes, intended: float, now: float) -> None:
        """Remember."""
        self.busy, self.intended, self.sent = True, intended, now
        self.requests.append((request, intended))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give a loop that is never run."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def on_fake_clock(
    loop: asyncio.AbstractEventLoop, connections: int, rate: float, total: int
) -> tuple[Generator, list[float]]:
    """Return a generator with remembering connections, and its clock's hand."""
    hand = [0.0]
    plan = make("http://127.0.0.1:1/{n}", Options(rate=rate, seconds=total / rate, connections=connections))
    generator = Generator(plan, loop, lambda: hand[0], lambda _share: None)
    generator.schedule = Schedule(rate, total, 0.0)
    generator.free.extend(Sent(generator) for _ in range(connections))
    return generator, hand


def test_requests_go_out_when_due_and_over_all_connections_in_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Each tick sends what is due and no more, on the connection that rested longest."""
    generator, hand = on_fake_clock(loop, connections=3, rate=10.0, total=100)
    first, second, third = (each for each in generator.free if isinstance(each, Sent))
    for hand[0] in (0.0, 0.05, 0.1):
        generator.tick()
    assert [len(each.requests) for each in (first, second, third)] == [1, 1, 0]
    assert first.requests[0][0].startswith(b"GET /0 ")
    assert second.requests == [(generator.plan.requests[1], 0.1)]


def test_a_request_that_finds_no_connection_waits_and_its_latency_counts_from_its_intended_time(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """With the only connection stalled for a second, each waiting request keeps its own intended time."""
    generator, hand = on_fake_clock(loop, connections=1, rate=10.0, total=20)
    (only,) = (each for each in generator.free if isinstance(each, Sent))
    for tick in range(11):
        hand[0] = tick / 10
        generator.tick()
    assert len(only.requests) == 1
    for _ in range(11):
        generator.answered(only, 200)
    latency = generator.tally.latency
    assert [round(intended, 6) for _request, intended in only.requests] == [tick / 10 for tick in range(11)]
    assert latency.largest == pytest.approx(1e6)
    assert latency.total == pytest.approx(sum(tick / 10 for tick in range(11)) * 1e6)
    assert generator.tally.waited == 10
    assert generator.tally.lateness.count == 1


def test_a_request_without_an_answer_fails_when_its_time_is_up(loop: asyncio.AbstractEventLoop) -> None:
    """The time-out counts from sending, and its connection is given up."""
    generator, hand = on_fake_clock(loop, connections=1, rate=10.0, total=1)
    generator.tick()
    hand[0] = 9.99
    generator.sweep()
    assert generator.tally.failures == {}
    hand[0] = 10.01
    generator.sweep()
    assert generator.tally.failures == {"timeout": 1}
    assert list(generator.free) == [None]
    assert generator.done.done()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def measured(serve: Serve, options: Options, path: str = "/") -> Finished:
    """Run a generator against a listener in the same loop, and wait for the listener's side to end."""
    tasks = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the generator closed: that is how a run ends
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        plan = make(f"http://127.0.0.1:{port}{path}", options)
        loop = asyncio.get_running_loop()
        return await Generator(plan, loop, loop.time, lambda _share: None).run()
    finally:
        server.close()
        await asyncio.gather(*(task for task in tasks if task is not None))
        await asyncio.sleep(0)  # lets the closed transports take their leave


async def well_behaved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(ANSWER)


def test_every_planned_request_is_sent_and_answered() -> None:
    """The counts of a run against a real listener agree with its plan."""
    finished = asyncio.run(measured(well_behaved, Options(rate=500, seconds=0.2, connections=4)))
    assert finished.tally.codes == {200: 100}
    assert finished.tally.failures == {}
    assert finished.tally.latency.count == 100
    assert finished.tally.received_bytes == 100 * len(ANSWER)
    assert finished.elapsed >= 99 / 500


def test_connections_that_the_server_closes_are_opened_again() -> None:
    """A server that closes after each answer gets a new connection for each request, and none fails."""
    opened = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n"))

    finished = asyncio.run(measured(once, Options(rate=200, seconds=0.1, connections=2)))
    assert finished.tally.codes == {200: 20}
    assert finished.tally.failures == {}
    assert len(opened) >= 20


def test_a_server_that_cuts_answers_fails_those_requests_and_no_others() -> None:
    """Half an answer is a failure; the run goes on to its end."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readuntil(b"\r\n\r\n"):
            if line.startswith(b"GET /7 "):
                writer.write(ANSWER[:-1])
                break
            writer.write(ANSWER)

    finished = asyncio.run(measured(cut, Options(rate=500, seconds=0.04, connections=2), path="/{n}"))
    assert finished.tally.failures == {"connection closed": 1}
    assert finished.tally.codes == {200: 19}


def test_a_target_that_is_not_there_is_one_clear_sentence() -> None:
    """Nothing listening is said before any request is counted."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        plan = make(f"http://127.0.0.1:{taken.getsockname()[1]}/", Options())

        async def attempt() -> None:
            loop = asyncio.get_running_loop()
            await Generator(plan, loop, loop.time, lambda _share: None).run()

        with pytest.raises(BenchError, match="cannot be reached: "):
            asyncio.run(attempt())
