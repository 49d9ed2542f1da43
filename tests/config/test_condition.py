"""The language of conditions: what is read, how it is written again, and what is refused where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.condition import (
    Comparison,
    Condition,
    Every,
    Limit,
    Quantity,
    Some,
    canonical,
    comparisons,
    metrics_of,
    needs_control,
)
from router.config.condition_parser import MOST_LETTERS, parse, parse_bound
from router.config.condition_tokens import ConditionError

ERRORS, P99, RATE = Quantity("error_rate"), Quantity("quantile", percent=99.0), Quantity("rate")


TWICE_AND_BUSY = Every(
    (Comparison(P99, ">", Limit(2.0, of_control=True)), Comparison(RATE, ">", Limit(1000.0, "rate")))
)
CONTROLS_P99 = Quantity("quantile", percent=99.0, of_control=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("error_rate > 5% for 5m", Comparison(ERRORS, ">", Limit(0.05, "share"), for_s=300.0)),
        ("error rate > 5 % for 5 m", Comparison(ERRORS, ">", Limit(0.05, "share"), for_s=300.0)),
        ("error_rate>=0.05", Comparison(ERRORS, ">=", Limit(0.05, "share"))),
        (
            "p99 > 2 * control and rate > 1000/s",
            TWICE_AND_BUSY,
        ),
        (
            "p99 > 2 \u00d7 baseline and > 1000 requests/s",
            TWICE_AND_BUSY,
        ),
        (
            "drop > 10 % with confidence > 95 %",
            Comparison(Quantity("metric", change="drop"), ">", Limit(0.1, "share"), confidence=0.95),
        ),
        (
            "ctr drop > 10% with confidence > 95%",
            Comparison(Quantity("metric", "ctr", change="drop"), ">", Limit(0.1, "share"), confidence=0.95),
        ),
        ("rate < 60/m", Comparison(RATE, "<", Limit(1.0, "rate"))),
        ("p99.9 > 250ms", Comparison(Quantity("quantile", percent=99.9), ">", Limit(0.25, "seconds"))),
        ("error_rate > baseline", Comparison(ERRORS, ">", Limit(1.0, of_control=True))),
        ("error_rate > 2x control", Comparison(ERRORS, ">", Limit(2.0, of_control=True))),
        (
            "control.p99 < 1s",
            Comparison(CONTROLS_P99, "<", Limit(1.0, "seconds")),
        ),
        ("exchanges >= 1000", Comparison(Quantity("exchanges"), ">=", Limit(1000.0))),
        ("inflight > 64 for 1m", Comparison(Quantity("inflight"), ">", Limit(64.0), for_s=60.0)),
        ("violations > 3 per 10000", Comparison(Quantity("metric", "violations"), ">", Limit(0.0003, "share"))),
        ("`2nd` < 4", Comparison(Quantity("metric", "2nd"), "<", Limit(4.0))),
    ],
)
def test_what_is_written_is_read(text: str, expected: Condition) -> None:
    """Each form has one meaning, with units resolved."""
    assert parse(text) == expected


def test_and_binds_stronger_than_or() -> None:
    """As in every language that people come from."""
    one, two, three = (parse(f"error_rate > {share}%") for share in (1, 2, 3))
    assert parse("error_rate > 1% or error_rate > 2% and error_rate > 3%") == Some((one, Every((two, three))))
    assert parse("(error_rate > 1% or error_rate > 2%) and error_rate > 3%") == Every((Some((one, two)), three))


def test_a_modifier_after_parentheses_is_everybody_s() -> None:
    """Of those within that can have it, and have none of their own."""
    read = parse("(error_rate > 5% for 1m or p99 > 1s or exchanges > 9) for 5m with confidence > 99%")
    assert [(each.for_s, each.confidence) for each in comparisons(read)] == [(60.0, 0.99), (300.0, 0.99), (None, None)]
    assert canonical(read) == (
        "error_rate > 5% for 1m with confidence > 99% or p99 > 1s for 5m with confidence > 99% or exchanges > 9"
    )


def test_what_a_condition_needs() -> None:
    """The metrics that it names, each once, and whether it needs a control."""
    read = parse("ctr drop > 10% or cost > 0.2 and ctr < 1%")
    assert metrics_of(read) == ("ctr", "cost")
    assert needs_control(read)
    assert not needs_control(parse("error_rate > 5% or p99 > 1s"))
    assert needs_control(parse("p99 > 2 * control"))
    assert needs_control(parse("control.error_rate < 1% and error_rate > 5%"))


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, "expected a comparison such as error_rate > 5%, found the end"),
        ("error_rate", 11, "expected one of > >= < <=, found the end"),
        ("error_rate > 5% fro 5m", 17, 'found "fro"; did you mean "for"?'),
        ("error_rate > 5% for 5", 22, "expected a unit: ms, s, m, h or d, found the end"),
        ("error_rate > 5% for 5s", 21, '"for" takes 10s to 3d, not 5s'),
        ("error_rate > 5% for 4d", 21, '"for" takes 10s to 3d, not 4d'),
        ("error_rate > 5% for 5m for 6m", 24, 'a second "for"; one is enough'),
        ("error_rate > 250ms", 14, "error_rate is compared with a share such as 5%, or 2 * control"),
        ("error_rate > 150%", 14, "a share is at most 100%"),
        ("p99 > 5%", 7, "p99 is compared with a duration such as 250ms, or 2 * control"),
        ("p99 > 250", 7, "p99 is compared with a duration such as 250ms, or 2 * control"),
        ("p0 > 1s", 1, '"p0" is no quantity; write error_rate, p99, rate or a metric'),
        ("rate > 2 * control", 8, "rate is not compared with control: it depends on the arms' shares"),
        ("control.p99 > 2 * control", 15, "control.p99 is not compared with control: control is compared with itself"),
        ("error_rate > 1/d", 16, 'expected s, m or h, found "d"'),
        ("> 5%", 1, "what is compared? write error_rate, p99, rate or a metric before it"),
        ("(error_rate > 5%", 17, 'expected ")", found the end'),
        ("error_rate > 5%)", 16, 'expected and, or, for, with confidence, or the end, found ")"'),
        ("exchanges > 5 for 5m", 15, '"for" has no effect here; it is for error_rate, p99 and its like'),
        ("rate > 5/s with confidence > 95%", 12, '"with" has no effect here'),
        ("error_rate > 5% with confidence > 9%", 35, "confidence is at least 50% and below 100%"),
        ("error_rate > 5% with confidence > 100%", 35, "confidence is at least 50% and below 100%"),
        ("error_rate & 5%", 12, '"&" means nothing here'),
        ("error_rate > 3 per 0", 20, "0 has no parts"),
        ("(" * 10 + "error_rate > 5%" + ")" * 10, 9, "parentheses within parentheses, more than 8 deep"),
        ("control.ctr drop > 5%", 18, "a drop is from control's value"),
        ("for > 2", 1, '"for" is no quantity'),
        ("p99 > 9999999999d", 17, "is too long"),
        ("x" * 501, 501, "has 501 characters; the most is 500"),
    ],
)
def test_what_is_no_condition_says_where_and_what_to_write(text: str, column: int, said: str) -> None:
    """Each mistake has its column, what stands around it, and the way out."""
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert caught.value.column == column
    assert said in str(caught.value)
    assert str(caught.value).startswith(f'column {column}, at "')


def test_the_place_is_marked() -> None:
    """A caret stands before what is meant, in one line."""
    with pytest.raises(ConditionError) as caught:
        parse("p99 > 2 * control andd rate > 1000/s")
    assert str(caught.value) == (
        'column 19, at "p99 > 2 * control ^andd rate > 1000/s": expected and, or, for, with confidence, or the end, '
        'found "andd"; did you mean "and"?'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2%", Limit(0.02, "share")),
        ("250 ms", Limit(0.25, "seconds")),
        ("3 per 10000", Limit(0.0003, "share")),
        ("0.004", Limit(0.004)),
    ],
)
def test_a_bound_has_its_unit(text: str, expected: Limit) -> None:
    """A fixed value is written as in a condition."""
    assert parse_bound(text) == expected


@pytest.mark.parametrize("text", ["2 * control", "1000/s", "", "5% for 5m", "9" * 501])
def test_what_is_no_bound_is_refused(text: str) -> None:
    """Neither a multiple of control's value nor a rate is a value of a metric."""
    with pytest.raises(ConditionError):
        parse_bound(text)


SHARES = st.integers(0, 10_000).map(lambda n: Limit(float(f"{n}e-4"), "share"))
SECONDS = st.integers(0, 10_000_000).map(lambda n: Limit(float(f"{n}e-3"), "seconds"))
NUMBERS = st.integers(0, 10_000_000).map(lambda n: Limit(float(f"{n}e-3")))
RATES = st.integers(0, 10_000_000).map(lambda n: Limit(float(f"{n}e-3"), "rate"))
TIMES = st.integers(1, 10_000).map(lambda n: Limit(float(f"{n}e-2"), of_control=True))
FOR = st.none() | st.integers(10, 259_200).map(float)
SURE = st.none() | st.integers(50, 99).map(lambda n: float(f"{n}e-2"))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
OPERATORS = st.sampled_from([">", ">=", "<", "<="])


PERCENTS = st.integers(1, 999).map(lambda n: Quantity("quantile", percent=n / 10))
METRIC = NAMES.map(lambda name: Quantity("metric", name))
CHANGE = NAMES.map(lambda name: Quantity("metric", name, change="rise"))
NONE = st.none()
COMPARISONS = st.one_of(
    st.builds(Comparison, st.just(ERRORS), OPERATORS, SHARES | TIMES, FOR, SURE),
    st.builds(Comparison, PERCENTS, OPERATORS, SECONDS | TIMES, FOR, SURE),
    st.builds(Comparison, st.just(RATE), OPERATORS, RATES, FOR, NONE),
    st.builds(Comparison, st.just(Quantity("exchanges")), OPERATORS, NUMBERS, NONE, NONE),
    st.builds(Comparison, st.just(Quantity("inflight")), OPERATORS, NUMBERS, FOR, NONE),
    st.builds(Comparison, METRIC, OPERATORS, SHARES | SECONDS | NUMBERS | TIMES, FOR, SURE),
    st.builds(Comparison, CHANGE, OPERATORS, SHARES, NONE, SURE),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda below: (
        st.lists(below, min_size=2, max_size=3)
        .map(tuple)
        .flatmap(lambda terms: st.sampled_from([Every(terms), Some(terms)]))
    ),
    max_leaves=4,
)


@given(CONDITIONS)
def test_the_canonical_text_is_read_as_the_same_condition(condition: Condition) -> None:
    """Nothing is lost or changed on the way through text."""
    text = canonical(condition)
    if len(text) <= MOST_LETTERS:
        assert parse(text) == condition


HOSTILE = st.text(alphabet="error_rate p99><=()*%/. 0123456789andorfwithcontrol`\u00d7\n\x00\u202e", max_size=80)


@given(HOSTILE | st.text(max_size=600))
def test_any_text_is_a_condition_or_a_mistake_with_its_place(text: str) -> None:
    """Nothing else is raised, whatever is written, and what was read can be written."""
    mistake, again = None, ""
    try:
        again = canonical(parse(text))
    except ConditionError as error:
        mistake = error
    if mistake is None:
        assert len(again) > MOST_LETTERS or canonical(parse(again)) == again
    else:
        assert 1 <= mistake.column <= len(text) + 1
        assert str(mistake).isprintable()
