"""An ill ranker beside a healthy one, over real sockets: every caller gets the healthy one's list.

No time is measured. A ranker that never answers cannot have been waited for to its end when every caller has an answer.
"""

import gzip
import json
import threading
from collections.abc import Iterator

import pytest

from router import counters
from tests.harness import Connection, Proxy, Target, wait_until
from tests.hostile.ill import ILLNESSES, Ill
from tests.hostile.wire import post

CALLERS = 3
EACH = 10
SIZE = 5000
YAML = """
targets:
  - {{name: t, endpoints: ['{good}'], timeouts: {times}, pool: {{idle: 30s}}}}
  - {{name: u, endpoints: ['http://127.0.0.1:{port}'], timeouts: {times}}}
routes: [{{name: r, target: t, unit: [request]}}]
experiments:
  - name: e
    route: r
    arms: [{{name: a, target: t, weight: 1}}, {{name: b, target: u, weight: 1}}]
    allocate: {{use: interleave, list: /items, deadline: 100ms}}
"""
TIMES = "{connect: 300ms, first_byte: 2s, idle: 2s, total: 5s}"


def answer(*items: str, more: bytes = b"") -> bytes:
    """Return an answer with a list."""
    body = json.dumps({"items": items}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        len(body),
        more,
        body,
    )


class Ranker(Target):
    """A target that gives each request the same answer."""

    def __init__(self, reply: bytes) -> None:
        super().__init__()
        self._reply = reply
        self._threads.append(threading.Thread(target=self._serve, daemon=True))
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._rank, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _rank(self, connection: Connection) -> None:
        try:
            while True:
                connection.read_request()
                connection.send(self._reply)
        except (OSError, EOFError):
            return


@pytest.fixture
def good() -> Iterator[Ranker]:
    """A healthy ranker."""
    with Ranker(answer("g", "h")) as made:
        yield made


def lists(proxy: Proxy) -> list[list[str]]:
    """Ask from several callers at once; return the lists that they got."""
    found: list[list[str]] = []

    def call() -> None:
        with proxy.caller() as caller:
            for number in range(EACH):
                caller.send(post(b"%d" % number * SIZE))
                response = caller.response()
                found.append(json.loads(response.body)["items"] if response.status == 200 else [str(response.status)])

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def settled(proxy: Proxy) -> None:
    """Wait until nothing is held any more for anybody."""
    wait_until(lambda: proxy.inflight("t") == proxy.inflight("u") == 0, "the targets' gauges")
    wait_until(lambda: proxy.server.fans.held == 0, "the room")


@pytest.mark.parametrize("illness", sorted(ILLNESSES))
def test_an_ill_ranker_costs_nobody_an_answer(good: Ranker, illness: str) -> None:
    """Whatever it does, each caller gets the other's list as it is, or a merge of what the ill one also has."""
    with Ill(illness) as ill, Proxy(YAML.format(good=good.url, port=ill.port, times=TIMES)) as proxy:
        assert lists(proxy) == [["g", "h"]] * (CALLERS * EACH)
        settled(proxy)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(gzip.compress(b"[]", mtime=0)), gzip.compress(b"[]", mtime=0)),
        answer(*(f"item {number}" * 20 for number in range(5000))),
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"items":',
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000,
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{"items":[\xff\xff]}',
    ],
    ids=["gzip", "huge", "cut JSON", "deep", "not UTF-8"],
)
def test_an_answer_that_cannot_be_read_is_left_out(good: Ranker, reply: bytes) -> None:
    """It is whole, and of no use: the other's list is served as it is."""
    with Ranker(reply) as other, Proxy(YAML.format(good=good.url, port=other.port, times=TIMES)) as proxy:
        assert lists(proxy) == [["g", "h"]] * (CALLERS * EACH)
        settled(proxy)


def test_two_healthy_rankers_are_merged(good: Ranker) -> None:
    """Over kept connections, pipelined turns and all: each answer is a merge, and the event says of whom."""
    with (
        Ranker(answer("x", "g")) as other,
        Proxy(YAML.format(good=good.url, port=other.port, times=TIMES)) as proxy,
    ):
        found = lists(proxy)
        assert {tuple(items) for items in found} == {("g", "x"), ("x", "g")}
        settled(proxy)
        row = counters.fan_key("e", "a")
        assert proxy.word(row, counters.FAN_COUNTS) == CALLERS * EACH
        events = [event.fanout for event in proxy.log.events]
        assert all(event is not None and event.merge == "team_draft" for event in events)


@pytest.mark.parametrize("which", ["good", "bad"])
def test_a_caller_that_takes_nothing_holds_no_more_than_its_own(which: str) -> None:
    """Two answers that are too long to read: one streams, stopped by its caller; the other is gone."""
    huge = answer("x" * 40_000_000)
    with (
        Ranker(huge) as good,
        Ranker(huge if which == "bad" else answer("y")) as other,
        Proxy(YAML.format(good=good.url, port=other.port, times=TIMES)) as proxy,
    ):
        with proxy.connect() as sock:
            sock.sendall(post(b"0"))
            wait_until(lambda: sum(proxy.inflight(name) for name in "tu") <= 1, "one of them is gone")
            assert proxy.server.fans.held < 8_000_000
        settled(proxy)
