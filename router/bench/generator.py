"""The connections and the loop that sends what is due.

Responsible for: opening connections, sending each request when it is due (or as soon as a connection is free), noticing
answers that never come, and ending when everything has.
Does not know: how a time is counted (``tally``), when a request is due (``schedule``), or how an answer ends
(``connection``).

Rules: connections are open before the clock starts. One that is lost is opened again for the next request that needs
it, and that request's latency includes the opening. Connections take turns, so that all of them carry load.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import uvloop
from msgspec import Struct

from router.bench.connection import Connection
from router.bench.plan import BenchError, Plan
from router.bench.schedule import Schedule
from router.bench.tally import Tally
from router.bench.ticks import Ticker

SWEEP_S: Final = 0.05  # how exactly time-outs are kept
OPENING: Final = 128  # connections opened at a time, less than any listener's backlog
HEADSTART_S: Final = 0.02

Clock = Callable[[], float]
Progress = Callable[[float], None]


class Finished(Struct, frozen=True, kw_only=True):
    """A run that has ended: its counts, how long it took, and the share of a core that the generator used."""

    tally: Tally
    elapsed: float
    busy: float


class Generator:
    """One run; owns its connections and its timer.

    Args:
        plan: What to send.
        loop: The loop that runs it.
        clock: Monotonic seconds.
        progress: Called twice a second with the share of the requests that were sent.
    """

    def __init__(self, plan: Plan, loop: asyncio.AbstractEventLoop, clock: Clock, progress: Progress) -> None:
        self.plan = plan
        self.loop = loop
        self.clock = clock
        self.progress = progress
        self.head_only = plan.head_only
        self.tally = Tally()
        self.schedule = Schedule(plan.rate, plan.total, 0.0)
        self.free: deque[Connection | None] = deque()  # None: room for a connection that is to be opened
        self.running: set[Connection] = set()
        self.openings: set[asyncio.Task[None]] = set()
        self.blocked = False  # requests were due and no connection was free
        self.done = loop.create_future()
        self.next_report = 0.0

    async def run(self) -> Finished:
        """Send everything and wait for every end.

        Raises:
            BenchError: The target could not be reached at the start.
        """
        try:
            await self.open_all()
            gc.collect()
            gc.freeze()
            return await self.measure()
        finally:
            for task in self.openings:
                task.cancel()
            for connection in (*self.running, *self.free):
                if connection is not None:
                    connection.close()
            gc.unfreeze()
            await asyncio.sleep(0)  # lets the transports see that they are closed before the loop ends

    async def measure(self) -> Finished:
        """Run the schedule from its first request to its last answer."""
        began, used = self.clock() + HEADSTART_S, time.process_time()
        self.schedule = Schedule(self.plan.rate, self.plan.total, began)
        ticker = Ticker(self.loop, began - self.clock(), 1.0 / self.plan.rate, self.tick)
        sweeper = Ticker(self.loop, SWEEP_S, SWEEP_S, self.sweep)
        try:
            await self.done
        finally:
            ticker.stop()
            sweeper.stop()
        elapsed = self.clock() - began
        return Finished(tally=self.tally, elapsed=elapsed, busy=(time.process_time() - used) / (elapsed + HEADSTART_S))

    async def open_all(self) -> None:
        """Open every connection, some at a time."""
        for start in range(0, self.plan.connections, OPENING):
            count = min(OPENING, self.plan.connections - start)
            try:
                self.free.extend(await asyncio.gather(*(self.connect() for _ in range(count))))
            except (OSError, TimeoutError) as error:
                reason = getattr(error, "strerror", None) or str(error) or f"no answer within {self.plan.timeout:g} s"
                where = f"{self.plan.host}:{self.plan.port}"
                raise BenchError(f"{where} cannot be reached: {reason}") from error

    async def connect(self) -> Connection:
        """Open one connection, with TLS where the URL says so."""
        opening = self.loop.create_connection(
            lambda: Connection(self),
            self.plan.host,
            self.plan.port,
            ssl=self.plan.tls,
            server_hostname=self.plan.host if self.plan.tls else None,
        )
        _, connection = await asyncio.wait_for(opening, self.plan.timeout)
        return connection

    def tick(self) -> None:
        """Send what is due, and end when there is nothing left."""
        now = self.clock()
        self.pump(now)
        if now >= self.next_report:
            self.next_report = now + 0.5
            self.progress(self.schedule.taken / self.schedule.total)

    def pump(self, now: float) -> None:
        """Send every due request for which a connection is free."""
        due = self.schedule.due(now)
        while due and self.free:
            connection = self.free.popleft()
            request = self.plan.requests[self.schedule.taken % len(self.plan.requests)]
            intended = self.schedule.take()
            self.tally.sent(intended, now, waited=self.blocked)
            due -= 1
            if connection is not None:
                self.running.add(connection)
                connection.send(request, intended, now)
            else:
                task = self.loop.create_task(self.reopen(request, intended))
                self.openings.add(task)
                task.add_done_callback(self.openings.discard)
        self.blocked = due > 0

    async def reopen(self, request: bytes, intended: float) -> None:
        """Open a connection in place of a lost one, for the request that waits for it."""
        try:
            connection = await self.connect()
        except (OSError, TimeoutError):
            self.tally.failed("connection refused")
            self.release(None)
            return
        self.running.add(connection)
        connection.send(request, intended, self.clock())

    def answered(self, connection: Connection, status: int) -> None:
        """Count an answer and give its connection the next request."""
        now = self.clock()
        self.tally.answered(connection.intended, now, status)
        self.running.discard(connection)
        self.release(connection if connection.usable else None)

    def broken(self, connection: Connection, cause: str | None) -> None:
        """Count a failed request, if one was running, and make room for another connection."""
        if cause is not None:
            self.tally.failed(cause)
            self.running.discard(connection)
            self.release(None)
        else:
            self.free.remove(connection)
            self.free.append(None)

    def received(self, size: int) -> None:
        """Count bytes that came."""
        self.tally.received_bytes += size

    def release(self, connection: Connection | None) -> None:
        """Put a connection, or the room for one, back; send what waited for it; see whether that was the last."""
        self.free.append(connection)
        if self.blocked:
            self.pump(self.clock())
        if self.schedule.exhausted() and len(self.free) == self.plan.connections and not self.done.done():
            self.done.set_result(None)

    def sweep(self) -> None:
        """Fail the requests whose time is up."""
        limit = self.clock() - self.plan.timeout
        for connection in [each for each in self.running if each.sent < limit]:
            connection.fail("timeout")


def run(plan: Plan, progress: Progress) -> Finished:
    """Run a plan in an event loop of its own.

    Raises:
        BenchError: The target could not be reached at the start.
    """

    async def main() -> Finished:
        return await Generator(plan, asyncio.get_running_loop(), time.perf_counter, progress).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())
