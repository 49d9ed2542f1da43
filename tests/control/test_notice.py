"""The log says when an endpoint is left alone, and when it is back."""

import logging
from collections.abc import Iterator

import pytest

from router import counters
from router.config.schema import Breaker, Config, Endpoint, Route, Target
from router.control.notice import Notice
from router.events.model import Revision
from router.routing.breaker import HALF_OPEN, OPEN, RAMP, Register
from router.segment import Segment

URL = "http://10.0.0.1"


def revision(breaker: Breaker) -> Revision:
    """Make a revision of one endpoint."""
    config = Config(
        targets=(Target(name="t", endpoints=(Endpoint(url=URL),), breaker=breaker),),
        routes=(Route(name="r", target="t"),),
    )
    return Revision(
        number=1, time=0.0, cause="start", author="file", digest="", config=config, weights={}, runs={},
        slots=counters.allocate({}, counters.row_keys(config, {})),
    )  # fmt: skip


@pytest.fixture
def segment() -> Iterator[Segment]:
    """The counters of two workers."""
    made = Segment.create(2)
    yield made
    made.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was said since the last call."""
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def test_each_change_is_said_once(segment: Segment, caplog: pytest.LogCaptureFixture) -> None:
    """One line when it opens, whichever worker did it, and one when it is back; none for what is in between."""
    current = revision(Breaker())
    row = current.slots[counters.endpoint_key("t", URL)]
    notice = Notice(segment)
    with caplog.at_level(logging.INFO):
        notice.look(current, 99.0)
        segment.block(1)[row] = Register(100_000, OPEN, 1).word
        segment.block(1)[row + counters.ENDPOINT_OPENINGS] = 1
        for now in (100.1, 101.0):
            notice.look(current, now)
        assert said(caplog) == [f"target t: {URL} fails and is left alone for 30 s openings=1"]
        notice.look(current, 131.0)
        assert said(caplog) == []
        segment.block(0)[row] = Register(132_000, OPEN, 2).word
        segment.block(0)[row + counters.ENDPOINT_OPENINGS] = 1
        notice.look(current, 132.1)
        assert said(caplog) == [f"target t: {URL} fails and is left alone for 60 s openings=2"]
        notice.look(current, 193.0)
        segment.block(0)[row] = Register(194_000, RAMP, 2).word
        for now in (194.1, 300.0):
            notice.look(current, now)
        assert said(caplog) == [f"target t: {URL} is back"]


def test_a_successor_does_not_repeat_it(segment: Segment, caplog: pytest.LogCaptureFixture) -> None:
    """A control process that starts anew says nothing of what it finds; nor is one without rules of interest."""
    current = revision(Breaker())
    row = current.slots[counters.endpoint_key("t", URL)]
    segment.block(0)[row] = Register(100_000, HALF_OPEN, 1).word
    segment.block(0)[row + counters.ENDPOINT_OPENINGS] = 3
    with caplog.at_level(logging.INFO):
        Notice(segment).look(current, 101.0)
        Notice(segment).look(revision(Breaker(consecutive=0, ratio=0.0)), 102.0)
    assert said(caplog) == []
