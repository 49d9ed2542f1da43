"""What waits for one notifier, and the task that delivers it.

Responsible for: the queue and its bound, tries and pauses, giving up.
Does not know: how a try is made (``deliver``), who is told what (``notices``).

Rules: what is critical goes first; what failed waits for its own time and lets others pass. At most ``WAITING`` wait:
then the oldest of the least severity goes, counted. A notification is tried for ``again.FOR_S``, then given up.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from logging import getLogger
from random import Random
from typing import Any, Final, Protocol

from router.config.notify import SEVERITIES
from router.control.deliver import Came
from router.notify.again import FOR_S, pause_s
from router.notify.notice import Delivery, Notice, Notifier

log = getLogger(__name__)

WAITING: Final = 256


class Delivers(Protocol):
    """Who makes a try."""

    async def deliver(self, what: Delivery) -> Came:
        """Try once."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A notification that waits; ``due`` and ``until`` are seconds of the loop's clock."""

    notice: Notice
    due: float
    until: float
    tries: int = 0

    @property
    def urgency(self) -> int:
        return SEVERITIES.index(self.notice.severity)


class Outbox:
    """The queue of one notifier.

    Attributes:
        results: What became of tries and notifications: ``sent``, ``retried``, ``failed``, ``dropped``.
    """

    def __init__(
        self, name: str, notifier: Notifier, results: Counter[str], done: Callable[[Notice, str], None]
    ) -> None:
        """Open an empty queue.

        Args:
            name: As metrics have it.
            notifier: What says how a notification is delivered.
            results: Where to count.
            done: Called with each notification that is sent, or never will be.
        """
        self.results = results
        self._name = name
        self._notifier = notifier
        self._done = done
        self._items: list[_Item] = []
        self._more = asyncio.Event()
        self._random = Random()  # noqa: S311 - jitter is no secret

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._items)

    def put(self, notice: Notice, for_s: float = FOR_S) -> None:
        """Take a notification to be delivered.

        Args:
            notice: What.
            for_s: How long to try, in seconds.
        """
        now = asyncio.get_running_loop().time()
        self._items.append(_Item(notice, now, now + for_s))
        if len(self._items) > WAITING:
            given_up = min(self._items, key=lambda item: item.urgency)  # of equals the first, which is the oldest
            self._items.remove(given_up)
            self._finish(given_up.notice, "dropped", "too many wait")
        self._more.set()

    async def run(self, deliverer: Delivers) -> None:
        """Deliver until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._more.clear()
            now = loop.time()
            ready = [item for item in self._items if item.due <= now]
            if ready:
                # Of equals the first: it waits longest.
                await self._try(max(ready, key=lambda item: item.urgency), deliverer)
                continue
            next_due = min((item.due for item in self._items), default=None)
            try:
                async with asyncio.timeout_at(next_due):
                    await self._more.wait()
            except TimeoutError:
                continue

    async def _try(self, item: _Item, deliverer: Delivers) -> None:
        came = await self._attempt(item.notice, deliverer)
        if item not in self._items:  # it made room for others meanwhile
            return
        self._items.remove(item)
        now = asyncio.get_running_loop().time()
        wait_s = pause_s(item.tries + 1, self._random.random(), came.asked_s)
        if came.good:
            self._finish(item.notice, "sent", came.said)
        elif not came.again or now + wait_s > item.until:
            self._finish(item.notice, "failed", came.said)
        else:
            self.results["retried"] += 1
            self._items.append(replace(item, due=now + wait_s, tries=item.tries + 1))
            if item.tries == 0:
                log.warning(
                    "notifier %s: %s of %s is tried again: %s",
                    self._name,
                    item.notice.event,
                    item.notice.experiment,
                    came.said,
                )

    async def _attempt(self, notice: Notice, deliverer: Delivers) -> Came:
        try:
            what: Any = self._notifier.message(notice)
        except Exception as error:  # a notifier of somebody's own
            log.exception("notifier %s cannot say what to send", self._name)
            return Came(good=False, said=f"{type(error).__name__} in the notifier")
        try:
            return await deliverer.deliver(what)
        except Exception as error:  # whatever it asks for, the others go on
            log.exception("notifier %s asks for what cannot be done", self._name)
            return Came(good=False, said=f"{type(error).__name__} in the delivery")

    def _finish(self, notice: Notice, result: str, said: str) -> None:
        self.results[result] += 1
        if result != "sent":
            log.error("notifier %s: %s of %s is %s: %s", self._name, notice.event, notice.experiment, result, said)
        self._done(notice, result)
