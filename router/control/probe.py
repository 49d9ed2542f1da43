"""Asking endpoints whether they are ready.

Responsible for: whom to ask and when, and telling the workers what came of it through the control process's block.
Does not know: what an answer means (``routing.readiness``), how it is asked for (``control.ask``), what workers do.

Rules: an endpoint has one question under way at most, and the router ``MOST_AT_ONCE``; the wait for a turn is not the
endpoint's. What this process's predecessor knew is gone on with. A question that the router itself could not ask, for
want of a descriptor, says nothing. Rows of endpoints that are not asked say nothing either.
"""

import asyncio
from collections.abc import Awaitable, Callable
from logging import getLogger
from random import random
from time import monotonic
from typing import Final, NamedTuple

from router import counters
from router.config.place import Place, place_of
from router.config.schema import Health
from router.events.model import Revision
from router.routing.readiness import UNHEALTHY, UNKNOWN, Judgement, Readiness

log = getLogger(__name__)

MOST_AT_ONCE: Final = 128  # of the descriptors that the control process has
LOOK_S: Final = 0.1
# Questions to many endpoints spread out within this time, or one interval.
FIRST_WITHIN_S: Final = 1.0
# Each wait is up to a tenth shorter or longer: questions of several routers, begun together, do not stay together.
JITTER: Final = 0.1


class Question(NamedTuple):
    """What is asked of one endpoint.

    Attributes:
        target: Its target.
        url: Its base URL.
        row: Where its row of counters begins.
        place: Where it is.
        health: How to ask.
        renewed: Number of the revision that last brought other certificates, for https; it is asked anew then.
    """

    target: str
    url: str
    row: int
    place: Place
    health: Health
    renewed: int


class Answer(NamedTuple):
    """What came of a question.

    Attributes:
        good: Whether the endpoint is ready; None when the router could not ask.
        said: Why, in a few words.
    """

    good: bool | None
    said: str


Ask = Callable[[Question], Awaitable[Answer]]
Pause = Callable[[float], Awaitable[object]]


class Prober:
    """Keeps one task for each endpoint that is to be asked."""

    def __init__(self, block: memoryview, ask: Ask, pause: Pause = asyncio.sleep) -> None:
        """Begin with nobody to ask.

        Args:
            block: The words that the control process writes.
            ask: Asks an endpoint.
            pause: Waits for a number of seconds.
        """
        # Per process
        self._block = block
        self._ask = ask
        self._pause = pause
        self._turn = asyncio.Semaphore(MOST_AT_ONCE)
        # Per revision
        self._renewed = 0
        self._tasks: dict[Question, asyncio.Task[None]] = {}

    async def run(self, revision: Callable[[], Revision]) -> None:
        """Ask the endpoints of the present revision until cancelled."""
        followed: Revision | None = None
        try:
            while True:
                present = revision()
                if present is not followed:
                    followed = present
                    self.follow(present)
                await asyncio.sleep(LOOK_S)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def follow(self, revision: Revision) -> None:
        """Ask the endpoints of a revision from now on; questions that stay the same go on."""
        if revision.cause == "certificate":
            self._renewed = revision.number
        wanted = dict.fromkeys(questions(revision, self._renewed))
        for question in [question for question in self._tasks if question not in wanted]:
            self._tasks.pop(question).cancel()
        asked = {question.row for question in wanted}
        for key, row in revision.slots.items():
            if key.startswith("endpoint\0") and row not in asked:
                self._block[row + counters.ENDPOINT_HEALTH] = 0
        for question in wanted:
            if question not in self._tasks:
                self._tasks[question] = asyncio.create_task(self._keep_asking(question))

    async def _keep_asking(self, question: Question) -> None:
        at = question.row + counters.ENDPOINT_HEALTH
        health = question.health
        judgement = Judgement(Readiness.of(self._block[at]))
        await self._pause(random() * min(health.interval, FIRST_WITHIN_S))  # noqa: S311 - jitter, not secrecy
        while True:
            async with self._turn:
                began = monotonic()
                answer = await self._ask(question)
            now = monotonic()
            if answer.good is None:
                log.warning("target %s: %s cannot be asked: %s", question.target, question.url, answer.said)
            else:
                before = judgement.readiness
                judgement = judgement.after(int(now * 1000), health, good=answer.good)
                if judgement.readiness != before:
                    self._block[at] = judgement.readiness.word
                    _tell(question, before, judgement.readiness, answer)
            wait = health.interval * (1 - JITTER + 2 * JITTER * random())  # noqa: S311 - jitter, not secrecy
            await self._pause(max(0.0, began + wait - now))


def questions(revision: Revision, renewed: int) -> list[Question]:
    """Return what is to be asked of whom."""
    found = []
    for target in revision.config.targets:
        if target.health is not None:
            for endpoint in target.endpoints:
                place = place_of(endpoint, target.tls)
                row = revision.slots[counters.endpoint_key(target.name, endpoint.url)]
                anew = renewed if place.tls else 0
                found.append(Question(target.name, endpoint.url, row, place, target.health, anew))
    return found


def _tell(question: Question, before: Readiness, after: Readiness, answer: Answer) -> None:
    if after.state == UNHEALTHY:
        log.warning("target %s: %s is not ready: %s", question.target, question.url, answer.said)
    elif before.state != UNKNOWN:
        log.info("target %s: %s is ready again", question.target, question.url)
