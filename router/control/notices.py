"""Telling people: who is told what, once.

Responsible for: a notification of each thing worth one, no second one with the same key within a day, a queue and a
task for each notifier of the configuration, and that a restart neither repeats nor forgets.
Does not know: what is worth telling (``router.rollout``), how a try is made (``deliver``), formats (``router.notify``).

Rules: ``tell`` never waits and never fails: whatever becomes of it, the traffic was moved before. Everything is
bounded: queues, keys, lines on the disk, tries. Notifiers that an edit of the file leaves as they were keep their
queues.
"""

import asyncio
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from router.config.notify_references import Subscription, make_notifiers
from router.control.deliver import Deliverer
from router.control.outbox import Delivers, Outbox
from router.events.model import Revision
from router.events.rollout import Found
from router.events.told import Over, Told, ToldFile, read_told
from router.notify.again import FOR_S
from router.notify.notice import Notice
from router.rollout.effect import Say

log = getLogger(__name__)

RESULTS: Final = ("sent", "retried", "failed", "dropped", "duplicate")
DAY_S: Final = 86400.0
KEYS: Final = 4096
LINES: Final = 1024  # that wait for the disk
_LOOK_S: Final = 1.0


class Notices:
    """The notifiers of one router.

    Attributes:
        results: Notifier to what became of its notifications, ``duplicate`` included.
        lost: Lines that were never written, because too many waited for the disk.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Name the folder of the journal; nothing is read yet.

        Args:
            folder: The folder.
            clock: Gives unix seconds.
        """
        # Per process
        self.results: dict[str, Counter[str]] = {}
        self.lost = 0
        self._folder = folder
        self._clock = clock
        self._file = ToldFile(folder)
        self._keys: dict[str, float] = {}
        self._entries: tuple[dict[str, Any], ...] | None = None
        self._to: dict[str, Subscription] = {}
        self._outboxes: dict[str, tuple[Outbox, asyncio.Task[None]]] = {}
        self._early: deque[tuple[Notice, str]] = deque(maxlen=KEYS)  # told before the notifiers were there
        self._lines: deque[Told | Over] = deque()
        self._more = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def tell(self, say: Say, experiment: str, revision: Revision, found: Sequence[Found] = ()) -> None:
        """Tell people something, if it was not told within a day.

        Args:
            say: What.
            experiment: Of which experiment.
            revision: The present revision.
            found: What the guardrails said.
        """
        now = self._clock()
        key = f"{experiment}\0{say.key}"
        told = self._keys.get(key)
        notice = noticed(say, experiment, revision, tuple(found), now)
        if told is not None and 0 <= now - told < DAY_S:
            for name, to in self._to.items():
                if to.wants(say.event, say.severity, experiment):
                    self._counts(name)["duplicate"] += 1
            return
        self._remember(key, now)
        if self._entries is None:
            self._early.append((notice, key))
        else:
            self._hand_out(notice, key)

    def waiting(self) -> dict[str, int]:
        """Return how many notifications wait for each notifier."""
        return {name: len(outbox) for name, (outbox, _) in self._outboxes.items()}

    async def run(self, revision: Callable[[], Revision], deliverer: Delivers | None = None) -> None:
        """Deliver until cancelled.

        Args:
            revision: Gives the present revision.
            deliverer: Who makes tries, in tests.
        """
        kept = await self._recall()
        async with Deliverer() as own:
            try:
                while True:
                    entries = revision().config.notify
                    if entries != self._entries:
                        await self._follow(entries, deliverer or own)
                        while self._early:
                            self._hand_out(*self._early.popleft())
                        kept = self._again(kept)
                    await self._write()
                    await self._pause()
            finally:
                for _, task in self._outboxes.values():
                    task.cancel()
                await asyncio.gather(*(task for _, task in self._outboxes.values()), return_exceptions=True)
                await self._write()  # what is being written, if anything, then the rest
                await self._write()

    # --- Notifiers --------------------------------------------------------------------------------------------

    async def _follow(self, entries: tuple[dict[str, Any], ...], deliverer: Delivers) -> None:
        """Have an outbox for each notifier; those that are as they were go on."""
        try:
            made = await asyncio.to_thread(make_notifiers, entries, Path())
        except ValueError as error:
            log.error("the notifiers stay as they were: %s", error)  # noqa: TRY400 - the reason is in the text
            made = self._to
        before, self._to, self._entries = self._to, made, entries
        for name in set(before) - set(made) | {name for name in made if before.get(name) != made[name]}:
            if name in self._outboxes and (name not in made or before[name].notifier != made[name].notifier):
                _, task = self._outboxes.pop(name)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for name, to in made.items():
            if name not in self._outboxes:
                outbox = Outbox(name, to.notifier, self._counts(name), self._over(name))
                self._outboxes[name] = (outbox, asyncio.create_task(outbox.run(deliverer)))

    def _hand_out(self, notice: Notice, key: str) -> None:
        names = [name for name, to in self._to.items() if to.wants(notice.event, notice.severity, notice.experiment)]
        raw = msgspec.Raw(msgspec.json.encode(notice))
        self._log(Told(id=notice.id, key=key, time=notice.time, to=tuple(names), notice=raw))
        for name in names:
            self._outboxes[name][0].put(notice)

    def _over(self, name: str) -> Callable[[Notice, str], None]:
        return lambda notice, result: self._log(Over(id=notice.id, to=name, result=result))

    def _counts(self, name: str) -> Counter[str]:
        return self.results.setdefault(name, Counter())

    # --- What was told ----------------------------------------------------------------------------------------

    async def _recall(self) -> tuple[tuple[Told, frozenset[str]], ...]:
        """Remember what was told within a day; return it with whom it is not over for."""
        try:
            kept = await asyncio.to_thread(read_told, self._folder)
        except OSError as error:
            log.warning("what was told before is not known, and may be told again: %s", error)
            return ()
        for told, _ in kept:
            if 0 <= self._clock() - told.time < DAY_S:
                self._remember(told.key, told.time)
        return kept

    def _again(self, kept: tuple[tuple[Told, frozenset[str]], ...]) -> tuple[tuple[Told, frozenset[str]], ...]:
        """Go on with what was not over when the process before ended."""
        now = self._clock()
        for told, left in kept:
            for name in left & set(self._outboxes):
                if now - told.time >= FOR_S:
                    continue
                try:
                    notice = msgspec.json.decode(told.notice, type=Notice)
                except msgspec.MsgspecError as error:  # of another version
                    log.warning("notification %s cannot be told any more: %s", told.id, error)
                    continue
                self._outboxes[name][0].put(notice, told.time + FOR_S - now)
        return ()

    def _remember(self, key: str, moment: float) -> None:
        self._keys.pop(key, None)
        self._keys[key] = moment
        while len(self._keys) > KEYS:
            del self._keys[next(iter(self._keys))]

    def _log(self, line: Told | Over) -> None:
        self._lines.append(line)
        if len(self._lines) > LINES:
            self._lines.popleft()
            self.lost += 1
        self._more.set()

    async def _write(self) -> None:
        """Have lines written by one task at a time, which goes on when whoever waits for it is cancelled."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._append())
        await asyncio.shield(self._writing)

    async def _append(self) -> None:
        if not self._lines:
            return
        batch, self._lines = self._lines, deque()
        try:
            await asyncio.to_thread(self._file.append, tuple(batch))
        except OSError as error:
            log.warning("what was told cannot be written down, and is tried again: %s", error)
            self._lines.extendleft(reversed(batch))

    async def _pause(self) -> None:
        """Wait until a line is to be written, but look at the configuration now and then."""
        self._more.clear()
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._more.wait()
        except TimeoutError:
            return


def noticed(say: Say, experiment: str, revision: Revision, found: tuple[Found, ...], now: float) -> Notice:
    """Return the notification of something, with where the release is."""
    progress, run = revision.rollouts.get(experiment), revision.runs.get(experiment)
    place = f"/v1/experiments/{quote(experiment, safe='')}"
    return Notice(
        id=f"{experiment}-{int(now * 1e6):x}-{zlib.crc32(say.key.encode()):08x}",
        time=now,
        event=say.event,
        severity=say.severity,
        text=say.text,
        experiment=experiment,
        run=run.number if run is not None else 0,
        step=progress.step if progress is not None else "",
        stage=progress.stage if progress is not None else 0,
        status=progress.status if progress is not None else "",
        share=progress.share if progress is not None else 0.0,
        revision=revision.number,
        found=found,
        links={name: f"{place}/{name}" for name in ("report", "decisions", "postmortems")},
    )
