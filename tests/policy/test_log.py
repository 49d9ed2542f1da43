"""Logs are columns that belong together."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from router.policy.learner import schedule
from router.policy.log import Log
from tests.policy.logs import log_of

GOOD = log_of([0, 1], [0.5, 0.5], [1.0, 2.0])


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda: replace(GOOD, reward=np.ones(3)), "of one length"),
        (lambda: replace(GOOD, context=np.ones(2)), "1 as its first feature"),
        (lambda: replace(GOOD, arm=np.array([0, 2])), "numbers from 0 to 1"),
        (lambda: replace(GOOD, reward=np.array([1.0, np.inf])), "finite numbers"),
        (lambda: replace(GOOD, time=np.array([2.0, 1.0])), "in order of their time"),
        (lambda: list(schedule(GOOD, 0)), "at least once"),
    ],
)
def test_what_does_not_belong_together_is_refused(broken: Callable[[], Log], said: str) -> None:
    """Other lengths, arms without names, rewards that are no numbers, time that runs backwards."""
    with pytest.raises(ValueError, match=said):
        broken()
