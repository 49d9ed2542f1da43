"""One release: a scenario, a seed, a controller.

Responsible for: the simulated clock, who is sent where, what came of it.
Does not know: how a controller decides, what a scenario means.

Rules: a controller says when it looks next, and sees what came since its last look. Users who stay where they are
(``sticky``) are taken in the order of ``Users.point``, so that a growing share takes nobody back; otherwise each
request is thrown by itself. Nobody sees a request before it is over, and none is under way when a share changes: what a
controller loses by scraping late, or a proxy by draining, is not in here.
"""

from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.rollouts.scenarios import Scenario
from benchmarks.rollouts.traffic import Floats, Ints, Requests, Stream, Users
from benchmarks.rollouts.versions import Version, serve

Outcome = Literal["rolled back", "promoted", "held"]


class Part(NamedTuple):
    """The requests that one version served, in order of time: an element of each array for each.

    Attributes:
        time: Seconds since the release began.
        user: Number of the user.
        failed: Whether it failed.
        us: How many microseconds it took.
    """

    time: Floats
    user: Ints
    failed: NDArray[np.bool_]
    us: Floats

    def after(self, time: float) -> "Part":
        """Return those after a time."""
        late = slice(int(np.searchsorted(self.time, time, side="right")), None)
        return Part(self.time[late], self.user[late], self.failed[late], self.us[late])


class Seen(NamedTuple):
    """What came since a controller's last look.

    Attributes:
        new: What the new version served.
        old: What the old one did.
        broken: Whether measurements fail at this moment.
    """

    new: Part
    old: Part
    broken: bool


class Controller(Protocol):
    """What decides about a release.

    Attributes:
        share: Share of the traffic that the new version has.
        due: When it looks next, in seconds since the release began; the first look may be at 0.
        sticky: Whether users stay with the version that they were given.
        full: When the new version first got everything that it can get; None as long as it has not.
    """

    share: float
    due: float
    sticky: bool
    full: float | None

    def look(self, now: float, seen: Seen) -> Outcome | None:
        """Decide; None as long as it goes on."""
        ...


class Ended(NamedTuple):
    """How a release ended.

    Attributes:
        outcome: ``held`` where it had neither stopped nor finished when the scenario was over.
        time_s: When it ended: stopped, got everything, or the scenario was over.
        users: How many users the new version had served by then; every one of the crowd where a version that ought to
            be stopped got everything.
        failures: How many of the new version's requests had failed by then.
        looks: How often the controller looked.
    """

    outcome: Outcome
    time_s: float
    users: int
    failures: int
    looks: int


def replay(scenario: Scenario, stream: Stream, controller: Controller) -> Ended:
    """Make one release.

    Args:
        scenario: What happens.
        stream: The traffic; asked by several controllers in turn, it says the same to each.
        controller: Who decides.
    """
    touched = np.zeros(len(stream.users.point), dtype=bool)
    now, failures, looks, version = 0.0, 0, 0, scenario.new
    outcome: Outcome | None = None
    while outcome is None and controller.due <= scenario.horizon_s:
        last, now = now, controller.due
        requests = stream.between(last, now)
        where = stream.users.point[requests.user] if controller.sticky else requests.coin
        fresh = where < controller.share
        if scenario.loaded is not None and controller.share >= scenario.loaded[0]:
            version = scenario.loaded[1]
        new = _part(version, stream.users, requests, fresh)
        old = _part(scenario.old, stream.users, requests, ~fresh)
        touched[new.user] = True
        failures += int(new.failed.sum())
        looks += 1
        outcome = controller.look(now, Seen(new, old, any(start <= now < end for start, end in scenario.broken)))
    if outcome is None:
        outcome = "held" if controller.full is None else "promoted"
    time = scenario.horizon_s if outcome == "held" else now if controller.full is None else controller.full
    if outcome == "rolled back":
        time = now
    everybody = outcome == "promoted" and scenario.wanted == "stop"
    return Ended(outcome, time, len(touched) if everybody else int(touched.sum()), failures, looks)


def _part(version: Version, users: Users, requests: Requests, which: NDArray[np.bool_]) -> Part:
    chosen = requests.at(which)
    served = serve(version, users, chosen)
    return Part(chosen.time, chosen.user, served.failed, served.us)
