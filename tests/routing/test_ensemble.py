"""Values of several models as one, and which of them stand apart."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, json

from router.routing.ensemble import Value, apart, combine_values, read_value

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6)
SCALARS = st.lists(st.sampled_from(["1", "1.0", '"1"', "true", "false", '"a"', "2"]), min_size=1, max_size=6)


def values_of(texts: list[str], how: str) -> list[Value]:
    """Read values as answers have them."""
    found = [read_value(b'{"x":%b}' % text.encode(), ("x",), how) for text in texts]
    return [value for value in found if value is not None]


@given(NUMBERS)
def test_a_mean_lies_within(numbers: list[float]) -> None:
    """Also where the sum of the numbers is beyond a double."""
    values = values_of([json.encode(number).decode() for number in numbers], "mean")
    mean = combine_values(values, "mean")
    assert isinstance(mean, float)
    exact = sum(map(Fraction, numbers)) / len(numbers)
    assert min(numbers) <= mean <= max(numbers)
    assert mean == pytest.approx(float(exact), rel=1e-9, abs=max(map(abs, numbers)) * 1e-12 + 1e-300)


@given(NUMBERS)
def test_a_median_has_as_many_on_either_side(numbers: list[float]) -> None:
    """One of them keeps the text it came in."""
    values = values_of([json.encode(number).decode() for number in numbers], "median")
    found = combine_values(values, "median")
    middle = float(bytes(found)) if isinstance(found, Raw) else found
    assert sum(number < middle for number in numbers) <= len(numbers) / 2
    assert sum(number > middle for number in numbers) <= len(numbers) / 2
    assert isinstance(found, Raw) or len(numbers) % 2 == 0
    assert min(numbers) <= middle <= max(numbers)


@given(SCALARS)
def test_a_vote_is_what_most_say(texts: list[str]) -> None:
    """Equal as JSON: 1 and 1.0 are one value, "1" and true are others; of equally many the earliest."""
    found = combine_values(values_of(texts, "vote"), "vote")
    assert isinstance(found, Raw)
    kinds = {"1.0": "1"}
    same = [kinds.get(text, text) for text in texts]
    most = max(map(same.count, same))
    assert bytes(found).decode() == texts[next(i for i, text in enumerate(same) if same.count(text) == most)]


@pytest.mark.parametrize(
    ("text", "how", "taken"),
    [
        ("1", "mean", True), ("-1e3", "median", True), ("true", "mean", False), ('"1"', "mean", False),
        ("1e999", "mean", False), ("9" * 400, "mean", False), ("null", "vote", False), ("[1]", "vote", False),
        ("{}", "mean", False), ('"yes"', "vote", True), ("false", "vote", True),
    ],
)  # fmt: skip
def test_what_can_be_combined(text: str, how: str, *, taken: bool) -> None:
    """Finite numbers, or any scalar but null."""
    assert (len(values_of([text], how)) == 1) == taken


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"x":', b"1"])
def test_what_cannot_be_read_has_no_value(body: bytes) -> None:
    """Never an error."""
    assert read_value(body, ("x",), "vote") is None


@pytest.mark.parametrize(
    ("texts", "how", "flags"),
    [
        (["1", "9"], "mean", [False, False]),
        (["1", "1.1", "9"], "mean", [False, False, True]),
        (["1", "2", "3"], "mean", [False, False, False]),
        (["5", "5.0000001", "5"], "median", [False, False, False]),
        (["5", "5.1", "5"], "median", [False, True, False]),
        (["0", "0", "1e-300"], "mean", [False, False, True]),
        (["1e308", "-1e308", "1e308"], "mean", [False, True, False]),
        (['"a"', '"a"', '"b"'], "vote", [False, False, True]),
        (['"a"', '"b"', '"c"'], "vote", [False, False, False]),
        (['"a"', '"a"', '"b"', '"b"'], "vote", [False, False, False, False]),
    ],
)
def test_which_stand_apart(texts: list[str], how: str, flags: list[bool]) -> None:
    """Five median absolute deviations from the median, or against what more than half say; of two, neither."""
    assert apart(values_of(texts, how), how) == flags


@given(NUMBERS, st.integers(-20, 20))
def test_fewer_than_half_stand_apart_whatever_the_unit(numbers: list[float], power: int) -> None:
    """The others are what they stand apart from; another unit of measurement changes nothing."""
    scaled = [number * 2.0**power for number in numbers]
    flags, others = (apart([Value(Raw(b""), number) for number in given], "mean") for given in (numbers, scaled))
    assert sum(flags) <= len(numbers) / 2
    if all(number == 0 or 1e-200 < abs(number) < 1e200 for number in numbers) and inf not in map(abs, scaled):
        assert flags == others
