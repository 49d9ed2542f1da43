"""Steady load from callers that check every answer.

Responsible for: requests with a number each over kept connections, a bounded rate, and what became of every one.
Does not know: what goes wrong meanwhile, or how much of it may.

Rules: a request is sent once; the caller never repeats it. A connection that the router closed between two requests is
not a failure: the next request goes on a new one. What ends without an answer is *lost*, an answer other than the right
one is *wrong*, and a connection that is not accepted is *refused*.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import uvloop

from tests.e2e.running import wait_until

PAUSE_S = 0.01  # between an answer and the next request of a connection: a rate, not a wait for anything
PATIENCE_S = 10.0
CONNECTIONS = 12


@dataclass
class Outcomes:
    """What became of the requests, by number."""

    right: dict[int, str] = field(default_factory=dict)  # the target that answered
    wrong: dict[int, str] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)

    def failures(self) -> list[str]:
        """Return everything that was not right."""
        return [*self.wrong.values(), *self.lost.values(), *self.refused]


class Load:
    """Callers in a thread of their own, from ``with`` to its end."""

    def __init__(self, port: int, *, connections: int = CONNECTIONS, method: str = "POST", kept: bool = True) -> None:
        """Start nothing yet.

        Args:
            port: Of the router.
            connections: Callers at a time.
            method: Of all requests.
            kept: Whether a connection carries many requests, or one.
        """
        self.outcomes = Outcomes()
        self._port = port
        self._connections = connections
        self._method = method
        self._asks = b"" if kept else b"Connection: close\r\n"
        self._number = time.monotonic_ns() // 1000  # no two loads of a test share a number
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def answered(self) -> int:
        """Return how many requests were answered rightly so far."""
        return len(self.outcomes.right)

    def run(self, count: int = 200) -> None:
        """Wait for some more right answers."""
        least = self.answered + count
        wait_until(lambda: self.answered >= least, f"{count} more right answers")

    def served_by(self, name: str, count: int = 50) -> None:
        """Wait for some more right answers of one target."""
        least = self._by(name) + count
        wait_until(lambda: self._by(name) >= least, f"{count} more answers of {name}")

    def _by(self, name: str) -> int:
        return list(self.outcomes.right.values()).count(name)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._call())

    async def _call(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._connections):
                group.create_task(self._caller())

    async def _caller(self) -> None:
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError as error:
                self.outcomes.refused.append(repr(error))
                await asyncio.sleep(PAUSE_S)
                continue
            try:
                while not reader.at_eof() and await self._ask(reader, writer):  # noqa: ASYNC110  # a rate
                    await asyncio.sleep(PAUSE_S)
            finally:
                writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send one request, note what became of it, and return whether the connection goes on."""
        self._number += 1
        number = self._number
        body = b"%d" % number
        writer.write(
            b"%b / HTTP/1.1\r\nHost: h\r\nX-Number: %b\r\nX-User-Id: u-%d\r\n%bContent-Length: %d\r\n\r\n%b"
            % (self._method.encode(), body, number % 100, self._asks, len(body), body)
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                content = await reader.readexactly(int(fields[b"content-length"]))
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            self.outcomes.lost[number] = repr(error)
            return False
        if head.startswith(b"HTTP/1.1 200 ") and content.endswith(b" %d" % number):
            self.outcomes.right[number] = content.split(b" ")[0].decode()
        else:
            self.outcomes.wrong[number] = f"{head[:40]!r} {content[:200]!r}"
        if b"x-router-fallback" in fields:
            self.outcomes.fallbacks[fields[b"x-router-fallback"].decode()] += 1
        return fields.get(b"connection") != b"close" and not self._stop.is_set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
