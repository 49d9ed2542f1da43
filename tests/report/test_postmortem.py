"""Post-mortem reports: what is in them, and that whatever names and reasons say stays text."""

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.events.decisions import numbered
from router.events.rollout import Decided, Found, Progress
from router.report.postmortem import (
    MOST_MOMENTS,
    Ended,
    Exposed,
    Learned,
    Point,
    PostMortem,
    Reaction,
    Shown,
    Side,
    compose,
)
from router.report.postmortem_page import postmortem_page

BEGAN = 1_800_000_000.0
FIRED = Found(
    name="errors ratio 2", status="fail", action="rollback", reason="8 of 100", estimate=4.0, low=2.1, margin=2.0,
    statistic=130.0, threshold=100.0, alpha=0.005, counts={"treatment_failures": 8.0},
)  # fmt: skip
TRIED = Found(name="p99 ratio 1.5", status="fail", action="rollback", reason="slow", dry_run=True)


def decided(number: int, action: str, time: float, **more: Any) -> Decided:
    """Make a line of the decision log."""
    fields = {
        "id": "", "time": BEGAN + time, "experiment": "ramp", "run": 2, "phase": 1, "revision": 0, "step": "stage",
        "action": action, "reason": f"because {action}",
    } | more  # fmt: skip
    return numbered(Decided(**fields), number, number)  # type: ignore[arg-type] # what a test gives


RUN = (
    decided(1, "begin", 0, share=0.0),
    decided(2, "advance", 1, share=0.05, numbers={"exchanges_new": 0.0}),
    decided(3, "advance", 60, share=0.25, stage=1, phase=2, numbers={"exchanges_new": 50.0, "units_new": 20.0}),
    decided(
        4, "rollback", 90, step="rolled_back", phase=3, found=(FIRED, TRIED),
        numbers={"exchanges_new": 100.0, "exchanges_old": 300.0},
    ),
)  # fmt: skip


def composed(learned: Learned | None = None, cause: str = "errors ratio 2: 8 of 100", **more: Any) -> PostMortem:
    """Put a report together."""
    progress = Progress(
        kind="rollout", run=2, step="rolled_back", status="over", since=BEGAN + 90, began=BEGAN, reason=cause
    )
    ended = Ended(
        decided=RUN[-1], progress=progress, cause=cause, owner=more.get("owner", "ranking"),
        control=Side(arm="old", target="a"), new=Side(arm="new", target="b", version="2"),
    )  # fmt: skip
    reaction = Reaction(acknowledged_s=0.05, workers=2, acknowledged=2, last_s=0.01)
    decisions = more.get("decisions", RUN)
    return compose(ended, decisions, learned if learned is not None else Learned(missing=("no log",)), reaction)


def test_a_report_says_what_fired_where_and_what_else_was_looked_at() -> None:
    """A trial did not fire; the rest is in the order in which it happened."""
    report = composed()
    assert (report.outcome, report.place, report.share) == ("rollback", "stage 2", 0.25)
    assert (report.fired, report.looked) == ((FIRED,), (TRIED,))
    assert [each.action for each in report.timeline] == ["begin", "advance", "advance", "rollback"]
    assert report.timeline[-1].fired == ("errors ratio 2", "p99 ratio 1.5")
    assert report.missing == ("no log",)


def test_without_the_event_log_exposure_is_what_the_decisions_counted() -> None:
    """By phase, with the place in which the release was then; units only where they were known."""
    assert composed().exposed == (
        Exposed(phase=2, place="stage 1", arm="new", share=0.05, exchanges=50, units=20),
        Exposed(phase=3, place="stage 2", arm="new", share=0.25, exchanges=100),
        Exposed(phase=3, place="stage 2", arm="old", share=0.25, exchanges=300),
    )


def test_the_event_log_knows_better() -> None:
    """Its rows get the place of their phase; those of the time after are called so."""
    rows = tuple(Exposed(phase=phase, arm="new", exchanges=1) for phase in (2, 3, 4))
    places = [each.place for each in composed(Learned(exposed=rows)).exposed]
    assert places == ["stage 1", "stage 2", "afterwards"]


def test_a_timeline_has_a_bound_and_says_so() -> None:
    """A release that held for months does not make a page that no browser opens."""
    many = (*(decided(number, "hold", number / 1000, share=0.05) for number in range(1, 600)), RUN[-1])
    report = composed(decisions=many)
    assert len(report.timeline) == MOST_MOMENTS
    assert "only the last 500 of 600" in report.missing[-1]


def test_a_report_is_json_that_says_all_of_it() -> None:
    """Without NaN, and readable again."""
    assert msgspec.json.decode(msgspec.json.encode(composed()), type=PostMortem) == composed()


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take one."""
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}


def tags(page: str) -> tuple[set[str], set[str]]:
    """Return the tags of a page, and the names of their attributes."""
    found = Tags()
    found.feed(page)
    return found.tags, found.names


KNOWN = Learned(
    exposed=(Exposed(phase=2, arm="new", exchanges=50, units=20, failed=4, first=BEGAN, last=BEGAN + 5),),
    points=(Point(time=BEGAN, arm="new", exchanges=5, failed=1, p50=0.1, p99=0.2),),
    effects=(Shown(phase=2, metric="errors", role="primary", said="+3 %", value=0.03),),
)


def test_a_page_has_what_people_ask_first() -> None:
    """What happened, how fast, who was exposed, what fired, when."""
    page = postmortem_page(composed(KNOWN), {"Failed exchanges": "<svg></svg>"})
    for said in (
        "Rolled back in stage 2 at 25 % of units",
        "The last of 2 workers had the new weights after 50 ms.",
        "The last request that was given the new arm began 10 ms after the decision.",
        "50 exchanges of at most 20 units were given new, of which 4 failed.",
        "<td class=n>2.1 … ∞</td>",
        "130 of 100",
        "fail (dry run)",
        "<svg></svg>",
        "because advance",
    ):
        assert said in page


@settings(max_examples=50)
@given(st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_somebody_wrote_is_markup(one: str, other: str) -> None:
    """Names, reasons and owners are text, whatever they look like."""
    hostile = FIRED.__class__(name=one, status="fail", action="rollback", reason=other, counts={one: 1.0})
    lines = tuple(decided(4, "rollback", 90, phase=3, found=(hostile,), reason=other, by=one, share=0.1) for _ in "ab")
    known = msgspec.structs.replace(
        KNOWN, missing=(one,), effects=(Shown(phase=1, metric=one, role=other, said=other, direction=one),)
    )
    page = postmortem_page(composed(known, cause=other, owner=one, decisions=lines), {one: ""})
    plain = postmortem_page(composed(KNOWN), {"t": ""})
    assert tags(page)[0] <= tags(plain)[0] | {"ul", "li"}
    assert tags(page)[1] <= tags(plain)[1]


@pytest.mark.parametrize(
    ("reaction", "said"),
    [
        (Reaction(workers=3, acknowledged=1), "1 of 3 workers had the new weights when this was written."),
        (Reaction(workers=1, acknowledged=1, acknowledged_s=0.2), "The worker had the new weights after 200 ms."),
        (Reaction(workers=1, acknowledged=1, last_s=-1.0), "No request was given the new arm after the decision."),
    ],
    ids=["missing", "one", "none"],
)
def test_how_fast_it_went_is_said_as_far_as_it_is_known(reaction: Reaction, said: str) -> None:
    """A worker that never acknowledged is not passed over."""
    assert said in postmortem_page(msgspec.structs.replace(composed(), reaction=reaction), {})
