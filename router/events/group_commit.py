"""Group commit: outcomes of many callers in one transaction, written by one thread.

Responsible for: bounding what waits, joining what waits into one commit, telling each caller when its own is durable or
that it is not, and having old ids forgotten.
Does not know: HTTP, SQL, what outcomes mean.

Rules: nobody is told "done" before the commit that holds theirs has returned. A batch is in one commit, whole. When the
commit fails, all callers in it are told so, none of theirs counts, and the next group is tried as usual. What waits
is bounded by ``QUEUE`` outcomes; who comes beyond is turned away at once.
"""

import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from logging import getLogger
from typing import Final, Protocol

from router.events.outcomes import STEP, Fate, Outcome

QUEUE: Final = 50_000  # outcomes; 30 MB, and a second or two of writing
GROUP: Final = 10_000  # outcomes of one commit, unless one batch alone is larger
TIDY_S: Final = 60.0

log = getLogger(__name__)


class Store(Protocol):
    """What writes: ``router.events.outcomes.OutcomeStore``."""

    def append(self, outcomes: Sequence[Outcome], received: float) -> list[Fate]:
        """Write outcomes durably, or raise OSError."""

    def expire(self, before: float) -> int:
        """Forget a step's worth of old ids, or raise OSError."""

    def size(self) -> int:
        """Return bytes."""

    def close(self) -> None:
        """Let go of the file."""


class Gauges(Protocol):
    """Who is told how it stands; called from the thread."""

    def standing(self, *, failed: bool, size: int) -> None:
        """Take whether the last commit failed, and the bytes of the store."""


class Full(Exception):  # noqa: N818 - a state of the queue
    """As many outcomes wait as may."""


class _Batch:
    """Outcomes of one caller, and who waits for them."""

    __slots__ = ("done", "outcomes")

    def __init__(self, outcomes: Sequence[Outcome], done: "Future[list[Fate]]") -> None:
        self.outcomes = outcomes
        self.done = done


class OutcomeWriter:
    """Takes batches from an event loop and commits them from its own thread, until closed."""

    __slots__ = (
        "_batches", "_clock", "_closing", "_failed", "_forget_before", "_gauges", "_loop", "_some", "_store", "_thread",
        "_tidied", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        loop: AbstractEventLoop,
        store: Store,
        gauges: Gauges,
        forget_before: Callable[[float], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start the thread.

        Args:
            loop: Where callers wait.
            store: Where outcomes go.
            gauges: Who is told how it stands.
            forget_before: Given the time, returns the time before which ids may be forgotten; called from the thread.
            clock: Unix seconds.
        """
        self._loop = loop
        self._store = store
        self._gauges = gauges
        self._forget_before = forget_before
        self._clock = clock
        self._batches: deque[_Batch] = deque()
        self._waiting = 0  # outcomes in them, and in the group that is being written
        self._some = threading.Condition()  # guards the three above and below
        self._closing = False
        self._failed = False  # the thread's, like what follows
        self._tidied = float("-inf")
        self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Outcomes that are not written yet."""
        return self._waiting

    async def submit(self, outcomes: Sequence[Outcome]) -> list[Fate]:
        """Write outcomes; they are durable when this returns.

        A caller that is cancelled does not take them back.

        Raises:
            Full: If too many wait already; nothing was taken.
            OSError: If they could not be written; a repeat finds out what is there.
        """
        if not outcomes:
            return []
        done: Future[list[Fate]] = self._loop.create_future()
        with self._some:
            if self._closing or self._waiting + len(outcomes) > QUEUE:
                raise Full
            self._batches.append(_Batch(outcomes, done))
            self._waiting += len(outcomes)
            self._some.notify()
        return await done

    def close(self, timeout: float = 5.0) -> bool:
        """Write what waits, and end the thread; False if the disk does not let it end in time."""
        with self._some:
            self._closing = True
            self._some.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        more = True  # whether there is something to forget
        while True:
            group = self._take(0.0 if more else TIDY_S)
            if group is None:
                self._store.close()
                return
            if group:
                self._commit(group)
            more = self._tidy()

    def _take(self, patience_s: float) -> list[_Batch] | None:
        """Return the batches of the next commit, none when there were none for so long; None at the end."""
        with self._some:
            self._some.wait_for(lambda: self._batches or self._closing, patience_s)
            group: list[_Batch] = []
            count = 0
            while self._batches and (not group or count + len(self._batches[0].outcomes) <= GROUP):
                batch = self._batches.popleft()
                group.append(batch)
                count += len(batch.outcomes)
            return None if self._closing and not group else group

    def _commit(self, group: list[_Batch]) -> None:
        together = [outcome for batch in group for outcome in batch.outcomes]
        try:
            fates: list[Fate] | OSError = self._store.append(together, self._clock())
        except OSError as error:
            fates = error
        except Exception as error:  # whatever it is, callers must not wait for ever
            log.exception("outcomes: a commit failed in a way that is not known")
            fates = OSError(f"the outcomes cannot be written: {error!r}")
        self._note(fates)
        with self._some:
            self._waiting -= len(together)
        self._tell_gauges()
        self._loop.call_soon_threadsafe(_settle, group, fates)

    def _note(self, fates: list[Fate] | OSError) -> None:
        failed = isinstance(fates, OSError)
        if failed and not self._failed:
            log.error("outcomes: refused until they can be written: %s", fates)
        elif self._failed and not failed:
            log.warning("outcomes: can be written again")
        self._failed = failed

    def _tidy(self) -> bool:
        """Forget a step of old ids, once a minute; return whether there may be more to forget."""
        now = time.monotonic()
        if now - self._tidied < TIDY_S:
            return False
        try:
            if self._store.expire(self._forget_before(self._clock())) >= STEP:
                return True
        except OSError as error:
            log.warning("outcomes: old ids cannot be forgotten now: %s", error)
        self._tidied = now
        self._tell_gauges()
        return False

    def _tell_gauges(self) -> None:
        self._gauges.standing(failed=self._failed, size=self._store.size())


def _settle(group: list[_Batch], fates: list[Fate] | OSError) -> None:
    """Tell the callers of a group, on their loop."""
    start = 0
    for batch in group:
        end = start + len(batch.outcomes)
        if not batch.done.done():  # else its caller went away
            if isinstance(fates, OSError):
                batch.done.set_exception(fates)
            else:
                batch.done.set_result(fates[start:end])
        start = end
