"""The callers of the demo's release: users of another application, on a route of their own.

Responsible for: sending their images at a steady pace, and what the router says of the release meanwhile.
Does not know: what is made of it (``router.demo.canary``), the other users.

Rules: as those of ``router.demo.traffic``: one request in flight for each user, no failure is retried or left out.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from router.demo.canary import CanaryTally, Met
from router.demo.digits import Question
from router.demo.traffic import ARM_HEADER, TIMEOUT_S, Pace

APPLICATION = "mobile"
NAME = "canary"
FALLBACK_HEADER = "x-router-fallback"
LOOK_S = 0.1


class Callers:
    """All of them; ``run`` returns after ``stop``, once every request that was sent has ended."""

    def __init__(self, url: str, pace: Pace, questions: Sequence[Question], tally: CanaryTally) -> None:
        """Make the users.

        Args:
            url: Where inference requests go.
            pace: How many users, how fast.
            questions: What they ask.
            tally: Where what they saw is counted.
        """
        self._url = url
        self._pace = pace
        self._questions = questions
        self._tally = tally
        self._stopping = False

    async def run(self) -> None:
        """Send requests until ``stop``."""
        async with asyncio.TaskGroup() as group:
            for index in range(self._pace.users):
                group.create_task(self._user(index))

    def stop(self) -> None:
        """Let no further request begin."""
        self._stopping = True

    async def _user(self, index: int) -> None:
        period = self._pace.period_s()
        due = time.perf_counter() + period * index / self._pace.users
        number = index
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        ) as session:
            while True:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                if self._stopping:
                    return
                number += 1
                question = self._questions[number % len(self._questions)]
                self._tally.record(await ask(session, self._url, f"{APPLICATION}-{index + 1:03}", question))
                due = max(due + period, time.perf_counter())


async def ask(session: aiohttp.ClientSession, url: str, user: str, question: Question) -> Met:
    """Send one image as one user and say how that went."""
    headers = {"x-user-id": user, "x-app": APPLICATION, "content-type": "application/json"}
    began = time.perf_counter()
    try:
        async with session.post(url, data=question.body, headers=headers) as response:
            arm, fallback = response.headers.get(ARM_HEADER), response.headers.get(FALLBACK_HEADER)
            body = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return Met(user, began, None, rescued=False, error=f"{type(error).__name__}: {error}")
    error_seen = None if response.status == 200 else f"status {response.status}: {body[:200]!r}"
    return Met(user, began, arm, rescued=fallback is not None and error_seen is None, error=error_seen)


async def follow(session: aiohttp.ClientSession, admin: str, tally: CanaryTally, say: Callable[[str], None]) -> None:
    """Ask the router where the release is, until cancelled, and tell what changes.

    Args:
        session: For the admin API.
        admin: Its base URL.
        tally: Where the last answer is kept.
        say: Tells people.
    """
    while True:
        release, served = await _read(session, f"{admin}/v1/experiments"), await _read(session, f"{admin}/v1/revision")
        if release is not None and served is not None:
            _note(release, served, tally, say)
        await asyncio.sleep(LOOK_S)


def _note(answer: Any, served: Any, tally: CanaryTally, say: Callable[[str], None]) -> None:
    found = next((each for each in answer["experiments"] if each["name"] == NAME), None)
    release = None if found is None else found.get("release")
    if not release or release.get("step") is None:
        return
    place = release["step"].replace("_", " ")
    if release["step"] == "stage":
        place = f"stage {release['stage'] + 1}"
    if (place, release["share"]) != (tally.place, tally.share):
        tally.place, tally.share, tally.reason = place, release["share"], release["reason"]
        say(f"canary: {place}: {tally.reason}" if place == "rolled back" else f"canary: {place}, {tally.share:.0%}")
    if place == "rolled back" and tally.back_at is None and served["acknowledged"] == served["workers"]:
        tally.back_at = time.perf_counter()


async def _read(session: aiohttp.ClientSession, url: str) -> Any:
    """Return a document of the admin API; None while it does not answer."""
    try:
        async with session.get(url) as response:
            return await response.json() if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError):
        return None
