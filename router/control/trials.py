"""The smoke tests of releases: when which of them run, and what they said last.

Responsible for: one round at a time for each release whose next endpoints are ready, and again every now and then.
Does not know: what is asked and how (``router.control.smoke``), what follows from an answer.

Rules: an answer is about one run, one set of endpoints and one set of tests; for others it is none. A round that failed
is repeated after ``AGAIN_S``, one that passed after ``FRESH_S``, so that what a person approves is true still. The last
round decides, however many failed before: what is flaky is found by ``repeat``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from logging import getLogger
from time import monotonic
from typing import Final, NamedTuple

from router.config.place import place_of
from router.config.schema import Config, Experiment
from router.config.smoke import SmokeTest
from router.control.smoke import NAME, Smoke, Subject
from router.events.rollout import Found, Progress
from router.rollout.coming import coming
from router.rollout.fitness import EndpointNow, ready, sides

log = getLogger(__name__)

AGAIN_S: Final = 5.0
FRESH_S: Final = 30.0

Endpoints = Mapping[str, tuple[EndpointNow, ...]]
Ask = Callable[[Sequence[SmokeTest], Sequence[Subject]], Awaitable[Found]]


class Matter(NamedTuple):
    """What an answer is about."""

    run: int
    subjects: tuple[Subject, ...]
    tests: tuple[SmokeTest, ...]


class Answer(NamedTuple):
    """What a round said.

    Attributes:
        matter: What about.
        found: The answer.
        over: When it was over, in seconds of the monotonic clock.
    """

    matter: Matter
    found: Found
    over: float


class Trials:
    """Owns the rounds under way."""

    def __init__(self, ask: Ask | None = None) -> None:
        """Begin without any.

        Args:
            ask: Asks endpoints, in tests.
        """
        # Per process
        self._ask = ask
        self._smoke: Smoke | None = None
        self._rounds: dict[str, tuple[Matter, asyncio.Task[None]]] = {}
        self._answers: dict[str, Answer] = {}

    def look(self, experiment: Experiment, progress: Progress, endpoints: Endpoints, config: Config) -> Found | None:
        """Return what the tests of the endpoints that come next said last; begin a round if it is time.

        Args:
            experiment: The release.
            progress: Where it is.
            endpoints: Arm to its endpoints as they stand.
            config: The configuration.

        Returns:
            None when nothing is to be tested, or nothing was said yet.
        """
        name, next_ = experiment.name, coming(experiment, progress, endpoints)
        fit = ready(next_, "")
        if fit is None or fit.status != "pass":
            self.forget(name)
            return None
        matter = _matter(experiment, progress.run, next_, config)
        under_way, last = self._rounds.get(name), self._answers.get(name)
        if under_way is not None and under_way[0] != matter:
            self.forget(name)
            under_way = last = None
        if last is not None and last.matter != matter:
            del self._answers[name]
            last = None
        if under_way is None and (last is None or monotonic() - last.over >= _pause(last.found)):
            self._rounds[name] = matter, asyncio.create_task(self._round(name, matter))
        return last.found if last is not None else None

    def forget(self, name: str) -> None:
        """End what is under way for a release, and let go of what was said."""
        self._answers.pop(name, None)
        round_ = self._rounds.pop(name, None)
        if round_ is not None:
            round_[1].cancel()

    def keep(self, names: set[str]) -> None:
        """Forget all releases but some."""
        for name in {*self._rounds, *self._answers} - names:
            self.forget(name)

    async def close(self) -> None:
        """End all that is under way."""
        tasks = [task for _, task in self._rounds.values()]
        self.keep(set())
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._smoke is not None:
            await self._smoke.close()

    async def _round(self, name: str, matter: Matter) -> None:
        """Ask once."""
        try:
            found = await self._asking()(matter.tests, matter.subjects)
        except Exception as error:  # whatever a target or a library does: it is no pass, and it is said
            log.exception("smoke tests of release %r", name)
            found = Found(name=NAME, status="error", action="rollback", reason=f"they broke off: {error!r}")
        before = self._answers.get(name)
        if found.status != "pass" and (before is None or before.found.reason != found.reason):
            log.warning("release %r: smoke tests: %s", name, found.reason)
        self._answers[name] = Answer(matter, found, monotonic())
        del self._rounds[name]

    def _asking(self) -> Ask:
        if self._ask is None:
            self._smoke = Smoke()  # made here, because it belongs to the running loop
            self._ask = self._smoke.ask
        return self._ask


def _pause(found: Found) -> float:
    return FRESH_S if found.status == "pass" else AGAIN_S


def _matter(experiment: Experiment, run: int, next_: Sequence[EndpointNow], config: Config) -> Matter:
    new = sides(experiment)[1].target
    target = next(each for each in config.targets if each.name == new)
    urls = {each.url for each in next_}
    subjects = [Subject(each.url, place_of(each, target.tls)) for each in target.endpoints if each.url in urls]
    return Matter(run, tuple(subjects), experiment.allocate.tests)
