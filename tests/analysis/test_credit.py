"""Which ranker outcomes about items speak for."""

import json
from itertools import product
from typing import Any

import msgspec
import pytest

from router.analysis import credit as module
from router.analysis.aggregates import Moments
from router.analysis.credit import Credit, credit, credits_of
from router.analysis.plan import plan
from router.config.allocate import Allocate
from router.config.schema import Arm, Experiment
from router.events.model import Fanout
from router.routing.interleave import Coin, balanced
from tests.analysis.logs import Row, engine, exposure, outcome

ARMS = {"a": "combined", "b": "combined"}
NOW = 100.0


def experiment(control: str | None = None, **given: Any) -> Experiment:
    """Make an interleaved experiment."""
    arms = (Arm(name="a", target="t", weight=1), Arm(name="b", target="u", weight=1))
    return Experiment(
        name="e", route="r", arms=arms, control=control, allocate=Allocate(use="interleave", list="/i"), **given
    )


def shown(number: int, teams: dict[str, int], **given: Any) -> Row:
    """Make an impression of a drafted list: its items with their teams."""
    fanout = {"experiment": "e", "arms": ARMS, "merge": "team_draft", "items": [*teams], "teams": [*teams.values()]}
    return exposure(number, fanout=json.dumps(fanout, separators=(",", ":")), **given)


def click(number: int, request: int, item: str, **given: Any) -> Row:
    """Make a click on an item of a request's list."""
    return outcome(number, keyed="request_id", request_id=f"r{request}", item=item, **given)


def credited(exposures: list[Row], outcomes: list[Row], asked: Experiment | None = None) -> Credit:
    """Return what clicks of the only phase say."""
    ((key, found),) = credits_of(engine(exposures, outcomes), plan(asked or experiment(), ()), NOW).items()
    assert key == ((1, 1), "click")
    return found


def test_clicks_speak_for_the_team_of_their_item() -> None:
    """An impression speaks for the ranker with more clicked items, each once; a unit for that with more impressions."""
    exposures = [
        shown(1, {"p": 0, "q": 1, "s": 1}, unit="u"),
        shown(2, {"p": 0, "q": 1}, unit="u", time=2.0),
        shown(3, {"p": 0, "q": 1}, unit="v"),
        shown(4, {"p": 0, "q": -1}, unit="w"),
        shown(5, {"p": 0, "q": 1}, unit="x"),
    ]
    clicks = [(1, "q"), (1, "s"), (1, "p"), (1, "q"), (2, "q"), (3, "p"), (3, "q"), (4, "q"), (9, "p"), (5, "z")]
    outcomes = [click(number, request, item) for number, (request, item) in enumerate(clicks)]
    assert credited(exposures, outcomes) == Credit(
        arms=("a", "b"),
        shown=5,
        units=4,
        wins=(0, 2),
        ties=2,
        sums=Moments(3, 2.0, 4.0, 4.0, 6.0, 4.0),
        preferred=(0, 1),
        undecided=2,
        first=(0, 1),
        unmatched=2,
    )


def test_the_control_comes_first_whatever_the_file_says() -> None:
    """Who is compared with whom does not depend on the order of arms."""
    found = credited([shown(1, {"p": 0})], [click(1, 1, "p")], experiment(control="b"))
    assert (found.arms, found.wins, found.preferred, found.sums.y) == (("b", "a"), (0, 1), (0, 1), 1.0)


BELONGS: list[tuple[Row, tuple[int, int] | None]] = [
    (click(1, 1, "p", value=0.0), None),
    (click(1, 1, "p", time=NOW + 1), None),
    (outcome(1), None),
    (outcome(1, item="p", time=3.0), (1, 0)),
    (outcome(1, item="q", time=3.0), (0, 1)),
    (outcome(1, item="q", time=0.5), None),
    (outcome(1, keyed="assignment", experiment="e", run=1, unit_hash="1/u", item="p", time=9.0), (1, 0)),
    (outcome(1, keyed="assignment", experiment="other", run=1, unit_hash="1/u", item="p", time=9.0), None),
]


def test_an_outcome_belongs_to_the_list_that_was_there() -> None:
    """By unit, the last list before it that has the item; nothing that came later, or is not above 0."""
    exposures = [shown(1, {"p": 1, "q": 1}, time=1.0), shown(2, {"p": 0}, time=2.0)]
    exposures.append(exposure(3, time=2.5))  # served by one ranker alone: no impression
    rows = [{**row, "id": f"o{number}", "outcome": f"n{number}"} for number, (row, _) in enumerate(BELONGS)]
    found = credits_of(engine(exposures, rows), plan(experiment(), ()), NOW)
    expected = {f"n{number}": wins for number, (_, wins) in enumerate(BELONGS) if wins is not None}
    assert {name: each.wins for (_, name), each in found.items()} == expected


def test_ids_of_items_may_be_any_text() -> None:
    """Quotes, backslashes and letters beyond ASCII are found as they were shown."""
    items = ('"', "\\", 'a"b\\', "é", "1")
    fanout = Fanout("e", ARMS, merge="team_draft", items=items, teams=(0,) * len(items))
    row = exposure(1, fanout=msgspec.json.encode(fanout).decode())
    outcomes = [outcome(number, item=item, outcome=f"n{number}") for number, item in enumerate(items)]
    found = credits_of(engine([row], outcomes), plan(experiment(), ()), NOW)
    assert [each.wins for each in found.values()] == [(1, 0)] * len(items)


def test_what_does_not_count_is_no_impression() -> None:
    """Forced exposures, bots where they are left out, other experiments' lists, an experiment of another kind."""
    rows = [shown(1, {"p": 0}, override=True), shown(2, {"p": 0}, bot=True, request_id="r1")]
    assert credits_of(engine(rows, [click(1, 1, "p")]), plan(experiment(exclude=("bots",)), ()), NOW) == {}
    assert credited(rows, [click(1, 1, "p")]).shown == 1
    plain = Experiment(name="e", route="r", arms=experiment().arms)
    assert credits_of(engine(rows, [click(1, 1, "p")]), plan(plain, ()), NOW) == {}


def test_a_damaged_line_is_passed_over() -> None:
    """What an event says of its list may be cut short or of another shape; the others count."""
    rows = [shown(number, {"p": 0}, unit=f"u{number}") for number in range(4)]
    rows[1]["fanout"] = rows[1]["fanout"].replace("[0]", "[0,1]")
    rows[2]["fanout"] = rows[2]["fanout"].replace("[0]", '"merge":"p"')
    rows[3]["fanout"] = '{"merge":"p"'
    assert credited(rows, [click(number, number, "p") for number in range(4)]).wins == (1, 0)


@pytest.mark.parametrize("size", [1, 2])
def test_pages_do_not_change_sums(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """However few rows are read at once, and whatever is cut by the end of a page."""
    exposures = [shown(number, {"p": 0, "q": 1, "s": number % 2}, unit=f"u{number // 2}") for number in range(6)]
    chosen = [(number % 6, "pqs"[number % 3], ("click", "buy")[number % 5 == 0]) for number in range(17)]
    outcomes = [click(number, request, item, outcome=name) for number, (request, item, name) in enumerate(chosen)]
    whole = credits_of(engine(exposures, outcomes), plan(experiment(), ()), NOW)
    monkeypatch.setattr(module, "PAGE", size)
    assert credits_of(engine(exposures, outcomes), plan(experiment(), ()), NOW) == whole


def test_a_random_click_is_no_preference_by_team_draft_and_one_by_balanced() -> None:
    """The known bias of balanced interleaving: of a list and its rotation, two of three random clicks prefer one.

    Source: enumeration of both coins and all three clicks, for the lists of ``tests/routing/data/interleaving.json``.
    """
    lists = ("a", "b", "c"), ("b", "c", "a")
    outcomes = []
    for lead, item in product((0, 1), "abc"):
        seed = next(seed for seed in (b"%d" % number for number in range(99)) if Coin(seed).toss() == (lead == 0))
        placed = balanced(*lists, Coin(seed))
        fanout = Fanout(
            "e", ARMS, merge="balanced", items=tuple(each.item for each in placed),
            ranks=tuple(each.ranks for each in placed),
        )  # fmt: skip
        first, second = credit(fanout, [item])
        outcomes.append((second > first) - (first > second))
    assert (outcomes.count(1), outcomes.count(-1)) == (4, 2)
