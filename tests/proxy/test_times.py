"""Exchanges of a release are timed by arm and cluster of units; others are not."""

import numpy as np
import numpy.typing as npt
import pytest

from router import counters
from router.routing.bucket import unit_bucket
from tests.proxy.memory import OK, Plane

CONFIG = """
targets:
  - {name: t, endpoints: ['http://10.0.0.1:80'], timeouts: {total: 90s}}
  - {name: u, endpoints: ['http://10.0.0.2:80'], timeouts: {total: 60s}}
routes: [{name: r, target: t, unit: [header:x-user]}]
"""
ARMS = "arms: [{name: a, target: t, weight: 0}, {name: b, target: u, weight: 1}]"
RELEASE = f"experiments: [{{name: model, route: r, {ARMS}, allocate: {{use: rollout}}}}]\n"
FIXED = f"experiments: [{{name: model, route: r, {ARMS}}}]\n"
ASK = b"GET / HTTP/1.1\r\nHost: h\r\nX-User: ann\r\n\r\n"


def times(plane: Plane, arm: str) -> npt.NDArray[np.int64]:
    """Return the histograms of an arm: measures x clusters x buckets."""
    row = plane.revision.slots[counters.times_key("model", arm)]
    return np.array(plane.words[row : row + counters.TIMES_WORDS].tolist()).reshape(2, 32, 240)


@pytest.mark.parametrize(("answer", "least_s"), [(OK, 0.0), (b"", 60.0)], ids=["answered", "never"])
def test_an_exchange_of_a_release_is_timed(answer: bytes, least_s: float) -> None:
    """It counts once for either measure, in the cluster of its unit; without an answer as what it was allowed."""
    with Plane(CONFIG + RELEASE) as plane:
        target = plane.ask(plane.caller()[1], ASK)
        arm = "b" if b"model=b" in target.sent else "a"
        if answer:
            target.feed(answer)
        target.end()
        plane.settle()
        found = times(plane, arm)
        duration, first_byte = found[:, unit_bucket("ann") % 32]
        assert (found.sum(), duration.sum(), first_byte.sum()) == (2, 1, 1)
        assert bool(duration[160:].sum()) == bool(first_byte[160:].sum()) == (least_s > 0)
        assert times(plane, "a" if arm == "b" else "b").sum() == 0


def test_an_experiment_that_is_no_release_has_no_row() -> None:
    """What nothing reads is not counted."""
    with Plane(CONFIG + FIXED) as plane:
        plane.ask(plane.caller()[1], ASK).feed(OK)
        plane.settle()
        assert counters.times_key("model", "b") not in plane.revision.slots
