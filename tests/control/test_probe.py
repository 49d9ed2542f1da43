"""Health questions: who is asked, what workers are told, and what a reload changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from router import counters
from router.config.schema import Config, Endpoint, Health, Route, Target
from router.control.probe import MOST_AT_ONCE, Answer, Prober, Question, questions
from router.events.model import Revision
from router.routing.readiness import HEALTHY, RECOVERED, UNHEALTHY, UNKNOWN, Readiness

HEALTH = Health(path="/ready", interval=5.0, unhealthy_after=2, healthy_after=2)
URL = "http://10.0.0.1"


def revision(*targets: Target, number: int = 1, slots: dict[str, int] | None = None, cause: str = "file") -> Revision:
    """Make a revision with some targets."""
    config = Config(targets=targets, routes=(Route(name="r", target=targets[0].name),))
    return Revision(
        number=number, time=0.0, cause=cause, author="file", digest="", config=config, weights={}, runs={},
        slots=counters.allocate(slots or {}, counters.row_keys(config, {})),
    )  # fmt: skip


def target(*urls: str, health: Health | None = HEALTH) -> Target:
    """Make a target."""
    return Target(name="t", endpoints=tuple(Endpoint(url=url) for url in urls), health=health)


class Script:
    """Endpoints that answer as the test says, and a clock that only turns of the loop move.

    Attributes:
        answers: What each endpoint answers next, ``+`` good, ``-`` bad, ``?`` cannot be asked; then nothing more.
    """

    def __init__(self, **answers: str) -> None:
        self.block = memoryview(bytearray(8 * 8192)).cast("q")
        self.answers = answers
        self.asked: list[str] = []
        self.waits: list[float] = []
        self.prober = Prober(self.block, self._ask, self._pause)

    async def _ask(self, question: Question) -> Answer:
        host = question.url.removeprefix("http://").removeprefix("https://")
        self.asked.append(host)
        left = self.answers.get(host.replace(".", "_"), "")
        if not left:
            await asyncio.Event().wait()
        self.answers[host.replace(".", "_")] = left[1:]
        return Answer({"+": True, "-": False, "?": None}[left[0]], "as scripted")

    async def _pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)

    def state(self, current: Revision, url: str) -> int:
        """Return what workers are told of an endpoint."""
        row = current.slots[counters.endpoint_key("t", url)]
        return Readiness.of(self.block[row + counters.ENDPOINT_HEALTH]).state


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story, and end what it began."""

    async def run() -> None:
        await story()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run(run())


async def turns(count: int = 40) -> None:
    """Let the loop go on."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answers", "state"), [("", UNKNOWN), ("+", HEALTHY), ("+-", HEALTHY), ("+--", UNHEALTHY), ("+--++", RECOVERED)]
)
def test_workers_are_told_what_came_of_it(answers: str, state: int) -> None:
    """The control process's block says how each endpoint is, as soon as that is known."""

    async def story() -> None:
        script, current = Script(a=answers), revision(target("http://a"))
        script.prober.follow(current)
        await turns()
        assert script.state(current, "http://a") == state

    play(story)


def test_what_cannot_be_asked_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """When this process has no descriptor left, no endpoint is taken out for it; the log says so."""

    async def story() -> None:
        script, current = Script(a="+????"), revision(target("http://a"))
        script.prober.follow(current)
        await turns()
        assert script.state(current, "http://a") == HEALTHY

    with caplog.at_level(logging.WARNING):
        play(story)
    assert "cannot be asked" in caplog.text


def test_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Each change of readiness is one line, with the endpoint and the reason; the first good answer is none."""

    async def story() -> None:
        script = Script(a="+--++")
        script.prober.follow(revision(target("http://a")))
        await turns()

    with caplog.at_level(logging.INFO):
        play(story)
    assert [record.getMessage() for record in caplog.records] == [
        "target t: http://a is not ready: as scripted",
        "target t: http://a is ready again",
    ]


def test_a_reload_keeps_the_questions_that_stay() -> None:
    """Endpoints that stay are not asked from the beginning; those that go say nothing any more."""

    async def story() -> None:
        script, before = Script(a="--", b="--"), revision(target("http://a", "http://b"))
        script.prober.follow(before)
        await turns()
        assert script.state(before, "http://b") == UNHEALTHY
        after = revision(target("http://a"), number=2, slots=before.slots)
        script.prober.follow(after)
        await turns()
        assert script.state(before, "http://a") == UNHEALTHY
        assert script.state(before, "http://b") == UNKNOWN
        assert script.asked.count("a") == 3  # the third is under way
        script.prober.follow(revision(target("http://a", health=None), number=3, slots=before.slots))
        await turns()
        assert script.state(before, "http://a") == UNKNOWN

    play(story)


def test_a_successor_goes_on_with_what_was_known() -> None:
    """A control process that starts anew takes an endpoint that was out for out, until it knows better."""

    async def story() -> None:
        script, current = Script(a="+"), revision(target("http://a"))
        row = current.slots[counters.endpoint_key("t", "http://a")]
        script.block[row + counters.ENDPOINT_HEALTH] = Readiness(7, UNHEALTHY).word
        script.prober.follow(current)
        await turns()
        assert script.state(current, "http://a") == UNHEALTHY

    play(story)


def test_questions_at_once_are_bounded() -> None:
    """However many endpoints hang, only so many questions are under way."""

    async def story() -> None:
        urls = [f"http://h{number}" for number in range(MOST_AT_ONCE + 50)]
        script = Script()
        script.prober.follow(revision(target(*urls)))
        await turns()
        assert len(script.asked) == MOST_AT_ONCE

    play(story)


def test_questions_spread_out() -> None:
    """The first question comes within a second, and the waits between are about the interval, none like another."""

    async def story() -> None:
        script = Script(a="+" * 12)
        script.prober.follow(revision(target("http://a")))
        await turns()
        first, *others = script.waits
        assert 0 <= first <= 1
        assert all(4.4 < wait < 5.6 for wait in others)
        assert len(set(others)) > 5

    play(story)


def test_other_certificates_are_asked_with() -> None:
    """A renewed certificate begins the questions to https endpoints anew; plain ones go on."""
    current = revision(target("http://a", "https://b"))
    before, after = (questions(current, renewed) for renewed in (0, 7))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_it_follows_the_present_revision_until_it_is_cancelled() -> None:
    """A new revision is noticed, and nothing goes on after the end."""

    async def story() -> None:
        script, present = Script(a="+", b="+"), [revision(target("http://a"))]
        work = asyncio.create_task(script.prober.run(lambda: present[0]))
        await turns()
        assert script.asked == ["a", "a"]
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    play(story)
