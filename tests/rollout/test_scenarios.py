"""Whole releases on a simulated clock: the benchmark's loops, and a few seeds of what it promises.

The false-alarm budget: each assertion about chance is of fixed seeds, so it does not fail by itself. With other seeds
the false rollbacks asserted here would be exceeded once in a thousand times if the promised 1 % were just kept.
"""

import numpy as np
import pytest

from benchmarks.rollouts.argo import Argo, Template
from benchmarks.rollouts.flagger import Canary, Flagger
from benchmarks.rollouts.replay import Controller, Ended, Outcome, Part, Seen, replay
from benchmarks.rollouts.run import Batch, releases
from benchmarks.rollouts.scenarios import ALL, Scenario
from benchmarks.rollouts.traffic import Crowd, Stream
from benchmarks.rollouts.versions import Version, serve, steady


def part(count: int, failures: int = 0, us: float = 100_000.0) -> Part:
    """Return requests at time 0."""
    failed = np.arange(count) < failures
    return Part(np.zeros(count), np.zeros(count, dtype=np.int64), failed, np.full(count, us))


def looked(controller: Controller, new: Part, *, broken: bool = False) -> Outcome | None:
    """Let a controller look once when it is due."""
    shown = part(new.time.size)._replace(time=np.full(new.time.size, controller.due), failed=new.failed, us=new.us)
    return controller.look(controller.due, Seen(shown, part(0), broken))


GOOD = part(100)


def test_flagger_promotes_after_a_passing_check_at_each_weight() -> None:
    """Weights are 10 to 50 %, one interval each, and the first comes without a check."""
    loop = Flagger(Canary(threshold=1, step=10, most=50))
    shares = []
    for _ in range(5):
        assert looked(loop, GOOD) is None
        shares.append(loop.share)
    assert shares == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert looked(loop, GOOD) == "promoted"


@pytest.mark.parametrize(
    ("window", "broken"),
    [(part(0), False), (part(100, failures=2), False), (part(100, us=600_000.0), False), (GOOD, True)],
    ids=["no values", "98 percent succeed", "600 ms", "query fails"],
)
def test_flagger_rolls_back_at_the_look_after_the_last_failed_check(window: Part, *, broken: bool) -> None:
    """By default one failed check is enough, whatever failed it."""
    loop = Flagger(Canary())
    looked(loop, GOOD)
    assert looked(loop, window, broken=broken) is None
    assert looked(loop, GOOD) == "rolled back"


def test_flagger_adds_up_failed_checks_over_the_whole_run() -> None:
    """Checks that pass in between forgive nothing."""
    loop = Flagger(Canary(threshold=2, step=1))
    windows = [GOOD, part(0), GOOD, GOOD, part(0), GOOD]
    assert [looked(loop, window) for window in windows] == [None] * 5 + ["rolled back"]


def test_argo_fails_at_one_measurement_more_than_its_limit() -> None:
    """No requests are NaN, which is not at least 0.95."""
    loop = Argo(Template(0.95, 60.0, 3, 60.0))
    assert [looked(loop, part(0)) for _ in range(4)] == [None, None, None, "rolled back"]


def test_argo_aborts_at_the_fifth_error_in_a_row() -> None:
    """Errors are repeated after 10 s, and one measurement in between forgives them."""
    loop = Argo(Template(0.95, 60.0, 3, 60.0))
    looked(loop, GOOD, broken=True)
    assert loop.due == 70.0
    assert [looked(loop, GOOD, broken=True) for _ in range(4)] == [None] * 3 + ["rolled back"]


def test_argo_has_all_traffic_after_its_documented_steps() -> None:
    """Four steps of ten minutes, and it is promoted when no measurement failed."""
    loop: Argo = Argo(Template())
    outcome: Outcome | None = None
    while outcome is None:
        outcome = looked(loop, GOOD)
    assert (outcome, loop.full) == ("promoted", 2400.0)


def test_a_stream_says_the_same_to_whoever_asks_in_whatever_stretches() -> None:
    """Controllers are compared on the same requests."""
    whole = Stream(3, Crowd(50), lambda _: 30.0).between(0.0, 3000.0)
    parts = [Stream(3, Crowd(50), lambda _: 30.0).between(start, start + 100.0) for start in np.arange(0, 3000, 100.0)]
    for index, values in enumerate(whole):
        np.testing.assert_array_equal(values, np.concatenate([each[index] for each in parts]))


def test_versions_fail_as_often_as_scenarios_say() -> None:
    """The share of failures is that of requests, though users differ: within five standard errors of users' scatter."""
    stream = Stream(1, Crowd(4000), lambda _: 2000.0)
    served = serve(Version(steady(0.01)), stream.users, stream.between(0.0, 6000.0))
    assert served.failed.mean() == pytest.approx(0.01, abs=0.0015)
    assert np.quantile(served.us, 0.99) == pytest.approx(250_000, rel=0.1)


def test_a_heavy_user_fails_whoever_answers() -> None:
    """All requests of one user fail with either version, and that is the share of them that was asked for."""
    stream = Stream(1, Crowd(4000, heavy=0.03), lambda _: 2000.0)
    requests = stream.between(0.0, 6000.0)
    served = serve(Version(steady(0.0)), stream.users, requests)
    assert set(requests.user[served.failed]) == {0}
    assert served.failed.mean() == pytest.approx(0.03, abs=0.005)


class Half:
    """A controller that gives half of the traffic to the new version until a time."""

    def __init__(self, until: float) -> None:
        self.share, self.due, self.sticky = 0.5, 60.0, True
        self.full: float | None = None
        self._until = until

    def look(self, now: float, seen: Seen) -> Outcome | None:
        """Stop when it is time."""
        assert seen.new.time.size
        self.due = now + 60.0
        return "rolled back" if now >= self._until else None


def test_exposed_users_are_those_whom_the_new_version_served() -> None:
    """Users who stay are about half of the crowd, and no more come after the stop."""
    scenario = Scenario("half", "", "stop", crowd=Crowd(400))
    stream = Stream(1, scenario.crowd, scenario.rate)
    ended = replay(scenario, stream, Half(7200.0))
    allowed = int((stream.users.point < 0.5).sum())
    assert (ended.outcome, ended.time_s) == ("rolled back", 7200.0)
    assert 0.9 * allowed < ended.users <= allowed


def test_scenarios_have_names_of_their_own() -> None:
    """A scenario is asked for by its name."""
    assert len({scenario.name for scenario in ALL}) == len(ALL)


def outcomes(name: str, seeds: int) -> list[Ended]:
    """Return how this router's releases of a scenario end."""
    return releases(Batch(name, tuple(range(seeds)), ("router",)))["router"]


def test_errors_that_rise_from_a_thousandth_to_a_hundredth_are_caught_within_the_hour() -> None:
    """At 100 requests a minute per arm nearly all are caught within 30 minutes; here all of ten within an hour."""
    ended = outcomes("sparse errors, halves", 10)
    assert {"rolled back"} == {each.outcome for each in ended}
    assert max(each.time_s for each in ended) <= 3600.0


def test_identical_versions_at_five_requests_a_minute_are_not_rolled_back() -> None:
    """Too little data is inconclusive: it holds."""
    assert "rolled back" not in {each.outcome for each in outcomes("low traffic, 5/min", 10)}


def test_a_measurement_that_fails_for_minutes_neither_stops_nor_promotes() -> None:
    """A failed measurement is no failure of the version."""
    assert "rolled back" not in {each.outcome for each in outcomes("broken metric", 2)}
