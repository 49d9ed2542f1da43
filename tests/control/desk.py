"""A control process in this process: real files and counters, without a supervisor and without workers."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from router.control.loop import Control
from router.control.publish import Publisher
from router.control.seat import Seat, Source
from router.control.state import State
from router.counters import ACKNOWLEDGED
from router.events.model import Revised
from router.events.ticks import Ticks
from router.segment import Segment
from tests.control.build import yaml

WORKERS = 2
DEADLINE_S = 10.0


class Notes:
    """A journal that keeps entries in a list, or has no room for them."""

    def __init__(self) -> None:
        self.entries: list[Revised] = []
        self.full = False
        self.slow = threading.Event()  # while it is cleared, the disk does not answer
        self.slow.set()

    def append(self, entry: Revised) -> None:
        """Keep an entry."""
        self.slow.wait(DEADLINE_S)
        if self.full:
            raise OSError("no space left on device")
        self.entries.append(entry)

    def earlier(self, number: int) -> Revised | None:
        """Return an entry of any age."""
        return next((entry for entry in self.entries if entry.number == number), None)


class Desk:
    """A control process without a supervisor and without workers; tests play both.

    Attributes:
        config: The configuration file.
        control: What is under test.
        notes: Its journal.
        told: The revisions that the supervisor was told of.
    """

    def __init__(self, folder: Path, text: str | None = None, source: Source | None = None) -> None:
        self.config = folder / "router.yaml"
        self.source = source if source is not None else Source(self.config)
        self.config.write_text(yaml() if text is None else text)
        self.run_dir = folder / "run"
        self.run_dir.mkdir(exist_ok=True)
        self.segment = Segment.create(WORKERS)
        self.notes = Notes()
        self.told: list[int] = []
        self.control = self.another()

    def another(self) -> Control:
        """Make a control process on the same counters and files, as a replacement would be."""
        seat = Seat(self.segment, Publisher(self.run_dir, self.segment), lambda told: self.told.append(told.number))
        return Control(self.source, seat, self.notes, State(), Ticks(self.run_dir))

    async def begin(self) -> None:
        """Publish the first revision."""
        await self.control.begin(self.source.load())

    def acknowledge(self, number: int, workers: int = WORKERS) -> None:
        """Play the workers: say that some serve a revision."""
        for worker in range(workers):
            self.segment.block(worker)[ACKNOWLEDGED] = number


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - words of shared memory do not wake anybody
            await asyncio.sleep(0.01)


def at_work(desk: Desk, use: Callable[[], Awaitable[None]]) -> None:
    """Begin, and let all of the control process's tasks run while the test acts."""

    async def run() -> None:
        await desk.begin()
        work = asyncio.create_task(desk.control.run("listen=here"))
        try:
            await use()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    asyncio.run(run())
