"""The labels of the images: they come back a few seconds late, as outcomes, through ``POST /v1/outcomes``.

Responsible for: which label comes when, how often and under which key, and counting what the router says to each batch.
Does not know: what a label is of, requests, arms' names.

Rules: as in real life some labels come twice, under the same id, and some never. A batch is of one arm, so that the
router's answer to it can be told arm by arm. A batch that could not be taken comes again with the same ids. What waits
is bounded by the rate of requests and the longest delay.
"""

import asyncio
import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import aiohttp
import msgspec

from router.demo.tally import ArmTally, LabelTally, Seen

OUTCOME = "correct"
KEYS = ("request_id", "assignment", "unit")
DELAYS_S = (1.0, 3.0)  # the first label's and the last one's
AGAIN_S = 1.0  # a repeat follows that much later
PERIOD_S = 0.25
ATTEMPTS = 5
TIMEOUT_S = 5.0
# Of so many labels, in turn: which never come, and which come twice. Prime to the number of keys, so each key has both.
CYCLE = 10
NEVER = 4
TWICE = 7


class Answer(msgspec.Struct, frozen=True):
    """What the router says to a batch."""

    accepted: int
    duplicate: int
    conflicting: int
    refused: list[msgspec.Raw]


@dataclass(order=True, slots=True)
class Label:
    """A label that waits for its time."""

    due: float
    number: int
    tally: LabelTally
    body: dict[str, str | float]
    repeat: bool = False


def labels(number: int, seen: Seen, tally: LabelTally, now: float) -> Iterator[Label]:
    """Yield what comes back for one answer: once, twice, or never.

    Args:
        number: How many answers there were before.
        seen: The answer; it has a request id and an assignment.
        tally: Where its labels are counted.
        now: When the answer came, in unix seconds.
    """
    if number % CYCLE == NEVER:
        tally.never += 1
        return
    key = KEYS[number % len(KEYS)]
    value = {"request_id": seen.request_id, "assignment": seen.assignment, "unit": seen.user}[key]
    first, last = DELAYS_S
    delay = first + (last - first) * (number * 0.618 % 1)  # spread evenly, in no order
    body: dict[str, str | float] = {
        "id": f"label-{number}", "outcome": OUTCOME, "value": float(seen.right), "time": now, key: value or "",
    }  # fmt: skip
    yield Label(now + delay, number, tally, body)
    if number % CYCLE == TWICE:
        yield Label(now + delay + AGAIN_S, number, tally, body, repeat=True)


class Labels:
    """Labels on their way; ``run`` returns after ``stop``, once all have been sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.problems: list[str] = []  # the first few
        self._waiting: list[Label] = []
        self._numbers = count()
        self._stopping = False

    def take(self, seen: Seen, arm: ArmTally) -> None:
        """Take the label of an answer."""
        for label in labels(next(self._numbers), seen, arm.labels, time.time()):
            heapq.heappush(self._waiting, label)

    def stop(self) -> None:
        """Send what is left at once: no further label comes."""
        self._stopping = True

    async def run(self) -> None:
        """Send what is due, until ``stop``."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
            while not self._stopping:
                await asyncio.sleep(PERIOD_S)
                await self._send(session, self._due(time.time()))
            # First those that come for the first time, so that a repeat is one.
            rest = self._due(float("inf"))
            await self._send(session, [label for label in rest if not label.repeat])
            await self._send(session, [label for label in rest if label.repeat])

    def _due(self, now: float) -> list[Label]:
        found = []
        while self._waiting and self._waiting[0].due <= now:
            found.append(heapq.heappop(self._waiting))
        return found

    async def _send(self, session: aiohttp.ClientSession, due: list[Label]) -> None:
        batches: dict[int, list[Label]] = {}
        for label in due:
            batches.setdefault(id(label.tally), []).append(label)
        for batch in batches.values():
            problem = await self._post(session, batch)
            for attempt in range(1, ATTEMPTS):
                if problem is None:
                    break
                await asyncio.sleep(PERIOD_S * attempt)
                problem = await self._post(session, batch)
            if problem is not None and len(self.problems) < ATTEMPTS:
                self.problems.append(f"{len(batch)} labels were not taken: {problem}")

    async def _post(self, session: aiohttp.ClientSession, batch: list[Label]) -> str | None:
        try:
            async with session.post(self.url, json=[label.body for label in batch]) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return f"{type(error).__name__}: {error}"
        if response.status != 200:
            return f"status {response.status}: {body[:200]!r}"
        counted(batch, msgspec.json.decode(body, type=Answer))
        return None


def counted(batch: list[Label], answer: Answer) -> None:
    """Count what the router said to a batch of one arm's labels."""
    tally = batch[0].tally
    tally.sent += len(batch)
    tally.repeated += sum(label.repeat for label in batch)
    tally.accepted += answer.accepted
    tally.duplicates += answer.duplicate
    tally.refused += len(answer.refused) + answer.conflicting
    tally.right += sum(int(float(label.body["value"])) for label in batch if not label.repeat)
