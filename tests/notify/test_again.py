"""When a delivery is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.notify.again import ASKED_S, MOST_S, again, pause_s, retry_after_s

CHANCE = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(301, False), (307, False), (400, False), (401, False), (404, False), (410, False), (408, True), (429, True),
     (500, True), (503, True)],
)  # fmt: skip
def test_only_what_may_pass_is_tried_again(status: int, expected: bool) -> None:  # noqa: FBT001 - a parameter
    """A refusal is the same the next time, and a redirect is never followed."""
    assert again(status) is expected


@given(st.integers(1, 1000), CHANCE)
def test_pauses_grow_have_jitter_and_a_bound(tries: int, chance: float) -> None:
    """Full jitter: anything between nothing and the present bound."""
    assert 0 <= pause_s(tries, chance) <= min(MOST_S, 2.0 ** min(tries, 16))
    assert pause_s(tries, 0.0) == 0


@given(st.integers(1, 20), CHANCE, st.floats(-1e9, 1e9))
def test_who_asks_to_be_left_alone_is_for_a_bounded_time(tries: int, chance: float, asked: float) -> None:
    """Never earlier than asked, and never much later than the longest that is believed."""
    pause = pause_s(tries, chance, asked)
    assert min(max(asked, 0), ASKED_S) <= pause <= max(MOST_S, ASKED_S * 1.1)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0), (" 5 ", 5.0), ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("soon", None), ("-1", None), ("", None), (None, None), ("9" * 400, 999999999.0), ("Fri, 99 Jan 2027", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """RFC 9110 10.2.3; anything else is as if it were not there."""
    assert retry_after_s(text, 1_800_000_000.0) == seconds
