"""The users of the demo: each sends images at a steady pace and checks the answers.

Responsible for: pace, connections, and turning every way a request can end into a ``Seen``.
Does not know: splits, arms' names, what the router is configured to do, what becomes of labels.

Rules: a user has one request in flight at most, and a connection of its own; every few requests it opens a new one, so
that the same user meets every worker of the router. A user whose answer is late sends the next one later, so a slow
machine lowers the rate instead of piling up requests. No failure is retried or left out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec

from router.demo.digits import Question
from router.demo.tally import ArmTally, Seen, Tally

REQUESTS_PER_CONNECTION = 8
TIMEOUT_S = 10.0
ARM_HEADER = "x-router-arm"
ASSIGNMENT_HEADER = "x-router-assignment"
ID_HEADER = "x-request-id"


class _Output(msgspec.Struct, frozen=True):
    data: list[int]


class _Answer(msgspec.Struct, frozen=True):
    outputs: tuple[_Output, ...]


_answers = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many users there are, and how many requests a second they send together at most."""

    users: int
    rate: float

    def period_s(self) -> float:
        """Return the time between two requests of one user."""
        return self.users / self.rate


class Traffic:
    """All users; ``run`` returns after ``stop``, once every request that was sent has ended."""

    def __init__(
        self,
        url: str,
        pace: Pace,
        questions: Sequence[Question],
        tally: Tally,
        labelled: Callable[[Seen, ArmTally], None],
    ) -> None:
        """Make the users.

        Args:
            url: Where inference requests go.
            pace: How many users, how fast.
            questions: What they ask.
            tally: Where what they saw is counted.
            labelled: Called with each answer whose label is to come back, and where that is counted.
        """
        self.url = url
        self.labelled = labelled
        self.pace = pace
        self.questions = questions
        self.tally = tally
        self.stopping = False

    async def run(self) -> None:
        """Send requests until ``stop``."""
        async with asyncio.TaskGroup() as group:
            for index in range(self.pace.users):
                group.create_task(self._user(index))

    def stop(self) -> None:
        """Let no further request begin."""
        self.stopping = True

    async def _user(self, index: int) -> None:
        name = f"user-{index + 1:04}"
        clock = time.perf_counter  # uvloop's own clock ticks in milliseconds
        period = self.pace.period_s()
        due = clock() + period * index / self.pace.users
        sent = 0
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        ) as session:
            while True:
                await asyncio.sleep(max(0.0, due - clock()))
                if self.stopping:
                    return
                question = self.questions[(index * len(self.questions) // self.pace.users + sent) % len(self.questions)]
                sent += 1
                began_in = self.tally.epoch()
                last = sent % REQUESTS_PER_CONNECTION == 0
                seen = await ask(session, self.url, name, question, clock, last=last)
                if (arm := self.tally.record(seen, began_in)) is not None:
                    self.labelled(seen, arm)
                due = max(due + period, clock())


async def ask(  # noqa: PLR0913 - one request is these six things
    session: aiohttp.ClientSession, url: str, user: str, question: Question, clock: Callable[[], float], *, last: bool
) -> Seen:
    """Send one image as one user and say how that went.

    Args:
        session: The user's connection.
        url: Where inference requests go.
        user: Value of ``x-user-id``.
        question: The image and its label.
        clock: Seconds, of any origin.
        last: Whether the connection ends with this request.
    """
    headers = {"x-user-id": user, "content-type": "application/json"}
    if last:
        headers["connection"] = "close"
    began = clock()
    arm = None
    try:
        async with session.post(url, data=question.body, headers=headers) as response:
            arm, request_id, token = map(response.headers.get, (ARM_HEADER, ID_HEADER, ASSIGNMENT_HEADER))
            body = await response.read()
            seconds = clock() - began
    except (aiohttp.ClientError, TimeoutError) as error:
        return Seen(user, arm, clock() - began, right=False, error=f"{type(error).__name__}: {error}")
    if response.status != 200:
        return Seen(user, arm, seconds, right=False, error=f"status {response.status}: {body[:200]!r}")
    if request_id is None or (arm is None) != (token is None):
        return Seen(user, arm, seconds, right=False, error=f"the answer lacks {ID_HEADER} or {ASSIGNMENT_HEADER}")
    try:
        label = _answers.decode(body).outputs[0].data[0]
    except (msgspec.DecodeError, IndexError) as error:
        return Seen(user, arm, seconds, right=False, error=f"not an inference answer: {error}")
    return Seen(user, arm, seconds, right=label == question.label, request_id=request_id, assignment=token)
