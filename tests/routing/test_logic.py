"""JSONLogic: what each operator gives, and that nothing in a rule can fail or run away."""

import json
from math import inf, isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.logic import MAX_DEPTH, OPERATORS, Arity, arguments, check
from router.routing.coerce import BoundError, leading_number, loosely_equal, number, strictly_equal, text, truthy
from router.routing.logic import LAZY, compile_rule
from router.routing.operators import EAGER

CAKE = {"pie": {"filling": "apple"}, "list": [3, {"x": "y"}], "zero": 0, "empty": "", "null": None, "a.b": "dotted"}

CASES: list[tuple[Any, Any, Any]] = [
    # values are themselves
    (True, None, True),
    ("apple", None, "apple"),
    ([1, {"+": [1, 1]}], None, [1, 2]),
    # var
    ({"var": "pie.filling"}, CAKE, "apple"),
    ({"var": ["pie.filling"]}, CAKE, "apple"),
    ({"var": "list.0"}, CAKE, 3),
    ({"var": "list.1.x"}, CAKE, "y"),
    ({"var": "list.2"}, CAKE, None),
    ({"var": "list.01"}, CAKE, None),
    ({"var": "list.-1"}, CAKE, None),
    ({"var": 1}, ["a", "b"], "b"),
    ({"var": 1}, None, None),
    ({"var": ["nothing", "default"]}, CAKE, "default"),
    ({"var": ["pie.nothing.more", 7]}, CAKE, 7),
    ({"var": ["null", 7]}, CAKE, None),
    ({"var": ["zero", 7]}, CAKE, 0),
    ({"var": "a.b"}, CAKE, "dotted"),
    ({"var": ""}, 5, 5),
    ({"var": []}, 5, 5),
    ({"var": None}, 5, 5),
    ({"var": {"if": [True, "zero", "list"]}}, CAKE, 0),
    ({"var": "filling"}, "text", None),
    # missing, missing_some
    ({"missing": ["zero", "empty", "null", "gone", "pie.no"]}, CAKE, ["empty", "null", "gone", "pie.no"]),
    ({"missing": "gone"}, CAKE, ["gone"]),
    ({"missing": []}, CAKE, []),
    ({"missing": {"merge": ["gone", {"if": [{"var": "zero"}, ["a"], ["b"]]}]}}, CAKE, ["gone", "b"]),
    ({"missing_some": [1, ["zero", "gone"]]}, CAKE, []),
    ({"missing_some": [2, ["zero", "gone", "pie.no"]]}, CAKE, ["gone", "pie.no"]),
    ({"missing_some": [1, "gone"]}, CAKE, ["gone"]),
    # if, and, or: what is not needed is not evaluated, and the value itself is the result
    ({"if": [True, 1, 2]}, None, 1),
    ({"if": [False, 1, 2]}, None, 2),
    ({"if": [False, 1]}, None, None),
    ({"if": [3]}, None, 3),
    ({"if": [False, 1, "0", 2, 3]}, None, 2),
    ({"if": [[], 1, "", 2, 3]}, None, 3),
    ({"if": [False, 1, False, 2]}, None, None),
    ({"?:": [0, 1, 2]}, None, 2),
    ({"and": [1, "", 3]}, None, ""),
    ({"and": [1, 2, 3]}, None, 3),
    ({"or": [0, [], "a", 1]}, None, "a"),
    ({"or": [0, False]}, None, False),
    ({"!": 0}, None, True),
    ({"!": ["0"]}, None, False),
    ({"!": [[]]}, None, True),
    ({"!!": [[]]}, None, False),
    ({"!!": ["0"]}, None, True),
    # equality
    ({"==": [1, "1"]}, None, True),
    ({"==": [1, 1.0]}, None, True),
    ({"==": [0, False]}, None, True),
    ({"==": ["", 0]}, None, True),
    ({"==": ["true", True]}, None, False),
    ({"==": [None, False]}, None, False),
    ({"==": [None, {"var": "gone"}]}, {}, True),
    ({"==": [[1], 1]}, None, True),
    ({"==": [[1], [1]]}, None, False),
    ({"==": [{"var": "list"}, {"var": "list"}]}, CAKE, True),
    ({"!=": [1, "1"]}, None, False),
    ({"===": [1, "1"]}, None, False),
    ({"===": [1, True]}, None, False),
    ({"===": [1, 1.0]}, None, True),
    ({"===": ["a", "a"]}, None, True),
    ({"!==": [1, "1"]}, None, True),
    # order
    ({">": [2, 1]}, None, True),
    ({">": ["18", 9]}, None, True),
    ({">": ["18", "9"]}, None, False),
    ({">": ["a", 1]}, None, False),
    ({"<": ["a", 1]}, None, False),
    ({">=": [1, 1]}, None, True),
    ({"<": [1, 2, 3]}, None, True),
    ({"<": [1, 1, 3]}, None, False),
    ({"<=": [1, 1, 3]}, None, True),
    ({"<=": [1, 4, 3]}, None, False),
    ({">": [3, 2, 1]}, None, True),
    ({">=": [3, 3, 4]}, None, False),
    ({"<": [{"var": "gone"}, 18]}, {}, False),
    ({">": [18, {"var": "gone"}]}, {}, False),
    ({"<=": [None, None]}, {}, False),
    ({"<": [True, 2]}, None, True),
    ({"<": [[1], [2]]}, None, True),
    ({"<": [{"var": ""}, 1]}, {"a": 1}, False),
    # arithmetic
    ({"+": [1, 2, 3]}, None, 6),
    ({"+": "3.5"}, None, 3.5),
    ({"+": ["12abc", "1"]}, None, 13),
    ({"-": [2, "1"]}, None, 1),
    ({"-": 2}, None, -2),
    ({"*": ["2", 3, 4]}, None, 24),
    ({"/": [1, 2]}, None, 0.5),
    ({"/": [4, 2]}, None, 2),
    ({"/": [1, 0]}, None, inf),
    ({"/": [-1, 0]}, None, -inf),
    ({"%": [7, 4]}, None, 3),
    ({"%": [-7, 4]}, None, -3),
    ({"min": [3, "1", 2]}, None, 1),
    ({"max": [3, "10", 2.5]}, None, 10),
    ({"max": [1]}, None, 1),
    # text
    ({"cat": ["a", 1, 2.0, 0.5, True, None, [1, [2, None]]]}, None, "a120.5true1,2,"),
    ({"cat": []}, None, ""),
    ({"substr": ["jsonlogic", 4]}, None, "logic"),
    ({"substr": ["jsonlogic", -5]}, None, "logic"),
    ({"substr": ["jsonlogic", -50]}, None, "jsonlogic"),
    ({"substr": ["jsonlogic", 1, 3]}, None, "son"),
    ({"substr": ["jsonlogic", 4, -2]}, None, "log"),
    ({"substr": ["jsonlogic", -5, 2]}, None, "lo"),
    ({"substr": ["jsonlogic", 4, -20]}, None, ""),
    ({"substr": [12345, 1, 2]}, None, "23"),
    ({"substr": ["abc", "x"]}, None, "abc"),
    ({"in": ["Ringo", ["John", "Ringo"]]}, None, True),
    ({"in": ["Spring", "Springfield"]}, None, True),
    ({"in": [1, ["1"]]}, None, False),
    ({"in": [1, "a1"]}, None, True),
    ({"in": ["", ""]}, None, False),
    ({"in": ["a", None]}, None, False),
    ({"in": [None, [None]]}, None, True),
    ({"starts_with": ["router", "rou"]}, None, True),
    ({"starts_with": ["router", "ter"]}, None, False),
    ({"starts_with": [12, 1]}, None, False),
    ({"ends_with": ["router", "ter"]}, None, True),
    ({"ends_with": [{"var": "gone"}, "x"]}, {}, False),
    # lists
    ({"merge": [[1, 2], [3], 4, []]}, None, [1, 2, 3, 4]),
    ({"merge": []}, None, []),
    ({"map": [{"var": "n"}, {"*": [{"var": ""}, 2]}]}, {"n": [1, 2]}, [2, 4]),
    ({"map": [{"var": "gone"}, {"var": ""}]}, {}, []),
    ({"filter": [{"var": "n"}, {">": [{"var": ""}, 1]}]}, {"n": [1, 2, 3]}, [2, 3]),
    ({"filter": [{"var": "gone"}, True]}, {}, []),
    ({"reduce": [[1, 2, 3], {"+": [{"var": "current"}, {"var": "accumulator"}]}, 10]}, None, 16),
    ({"reduce": [{"var": "gone"}, 1, 10]}, {}, 10),
    ({"reduce": [[], 1]}, {}, None),
    ({"all": [[1, 2], {">": [{"var": ""}, 0]}]}, None, True),
    ({"all": [[1, 0], {"var": ""}]}, None, False),
    ({"all": [[], True]}, None, False),
    ({"none": [[], True]}, None, True),
    ({"none": [[0, 1], {"var": ""}]}, None, False),
    ({"some": [[0, 1], {"var": ""}]}, None, True),
    ({"some": [[], True]}, None, False),
    ({"some": [{"var": "pies"}, {"==": [{"var": "filling"}, "apple"]}]}, {"pies": [{"filling": "apple"}]}, True),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "data", "expected"), CASES, ids=lambda value: json.dumps(value)[:60])
def test_operators(rule: Any, data: Any, expected: Any) -> None:
    """Each operator gives what jsonlogic.com says, and the rule is one that the loader takes."""
    found = compile_rule(rule).evaluate(data)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)
    assert mistakes(rule) == []


@pytest.mark.parametrize(
    "rule",
    [{"/": [0, 0]}, {"%": [1, 0]}, {"%": [{"/": [1, 0]}, 2]}, {"+": ["a"]}, {"-": ["a", 1]}, {"max": [1, "a"]}],
)
def test_what_is_no_number_is_false(rule: Any) -> None:
    """Arithmetic that has no result gives NaN, which is false and equal to nothing."""
    assert isnan(compile_rule(rule).evaluate({}))
    assert not compile_rule(rule).holds({})
    assert not compile_rule({"==": [rule, rule]}).holds({})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" 12 ", 12), ("\ufeff1e3\n", 1000), ("0x1F", 31), ("0b11", 3), ("0o17", 15), ("1_000", nan), ("1 2", nan),
        ("", 0), ("  ", 0), ("Infinity", inf), ("-Infinity", -inf), ("infinity", nan), ("nan", nan), (".5", 0.5),
        ("5.", 5), (".", nan), ("+1", 1), ("\u0661", nan), ("1e999", inf),
        (10**400, inf), (-(10**400), -inf), (None, 0),
        (True, 1), ([], 0), ([7], 7), ([1, 2], nan), ({}, nan),
    ],
)  # fmt: skip
def test_number(value: Any, expected: float) -> None:
    """Values become numbers as in JavaScript."""
    assert number(value) == expected or (isnan(number(value)) and isnan(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12abc", 12), ("  -1.5e1x", -15), ("x1", nan), (None, nan), (True, nan), ([3, 4], 3), (2.5, 2.5), ("1e", 1)],
)
def test_leading_number(value: Any, expected: float) -> None:
    """The number that a text begins with counts in sums and products, as with ``parseFloat``."""
    assert leading_number(value) == expected or (isnan(leading_number(value)) and isnan(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1"), (-1.5, "-1.5"), (100.0, "100"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.5e-7, "1.5e-7"), (0.00001, "0.00001"), (123456789.125, "123456789.125"), (0.0, "0"), (-0.0, "0"),
        (nan, "NaN"), (inf, "Infinity"), (-inf, "-Infinity"), (None, "null"), (False, "false"), ([], ""),
        ([None, "a", [1]], ",a,1"), ({}, "[object Object]"), (2**53, "9007199254740992"),
    ],
)  # fmt: skip
def test_text(value: Any, expected: str) -> None:
    """Values become text as in JavaScript."""
    assert text(value) == expected


def doubling(times: int, body: Any, start: Any) -> Any:
    """Return a rule that replaces a value by something made of it, again and again."""
    return {"reduce": [[0] * times, body, start]}


ACCUMULATOR = {"var": "accumulator"}


@pytest.mark.parametrize(
    "rule",
    [
        doubling(40, {"cat": [ACCUMULATOR, ACCUMULATOR]}, "ab"),
        doubling(40, {"merge": [ACCUMULATOR, ACCUMULATOR]}, [1]),
        {"cat": [doubling(200, [ACCUMULATOR], 1)]},
        {"cat": [doubling(50, [ACCUMULATOR, ACCUMULATOR], 1)]},
        {"==": [doubling(50, [ACCUMULATOR, ACCUMULATOR], ""), 1]},
        {"map": [doubling(13, {"merge": [ACCUMULATOR, ACCUMULATOR]}, [1]), {"map": [{"var": "x"}, {"+": [1, 1]}]}]},
        {"map": [[0] * 300, {"map": [[0] * 300, 1]}]},
    ],
)
def test_a_rule_cannot_run_away(rule: Any) -> None:
    """A rule that takes too many steps, or makes too much, is false instead (DESIGN 9.6)."""
    assert compile_rule(rule).evaluate({}) is None
    assert not compile_rule(rule).holds({})


def test_a_text_is_bounded_wherever_it_is_made() -> None:
    """A list of long texts is no way around the bound of a text."""
    with pytest.raises(BoundError):
        text(["x" * 40_000, "x" * 40_000])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    SCALARS | st.sampled_from(["a.b", "0", "-1", "1e3"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3),
    max_leaves=12,
)


def operation(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return operations with arguments in the right number."""

    def make(name: str) -> st.SearchStrategy[Any]:
        arity: Arity = OPERATORS[name]
        values = st.lists(inner, min_size=arity.least, max_size=min(arity.most, arity.least + 2))
        return values.map(lambda given: {name: given})

    return st.sampled_from(list(OPERATORS)).flatmap(make)


RULES = st.recursive(
    SCALARS | st.sampled_from([{"var": ""}, {"var": "a"}]),
    lambda inner: st.lists(inner, max_size=3) | operation(inner),
    max_leaves=15,
)


@given(RULES, JSON)
def test_evaluating_never_raises_and_is_a_function(rule: Any, data: Any) -> None:
    """Whatever the rule and the data: there is a result, the same each time and for each compilation."""
    compiled = compile_rule(rule)
    before = repr(data)
    first = compiled.evaluate(data)
    assert repr(compiled.evaluate(data)) == repr(first)
    assert repr(compile_rule(rule).evaluate(data)) == repr(first)
    assert compiled.holds(data) is truthy(first)
    assert repr(data) == before
    assert mistakes(rule) == []


@given(JSON, JSON)
def test_equality_is_symmetric(one: Any, other: Any) -> None:
    """Both equalities are symmetric, and the strict one implies the other."""
    assert loosely_equal(one, other) == loosely_equal(other, one)
    assert strictly_equal(one, other) == strictly_equal(other, one)
    assert loosely_equal(one, other) or not strictly_equal(one, other)


@given(RULES)
def test_negation(rule: Any) -> None:
    """Two negations are what the rule gives, as true or false."""
    assert compile_rule({"!": [{"!": [rule]}]}).holds({}) == compile_rule({"!!": [rule]}).holds({})


# --- what is a rule -----------------------------------------------------------------------------------------------


def mistakes(rule: Any) -> list[tuple[str, str]]:
    """Return path and message of each mistake in a rule."""
    found: list[tuple[str, str]] = []
    check(rule, "$.if", lambda path, message: found.append((path, message)))
    return found


def test_every_operator_is_known_on_both_sides() -> None:
    """What the loader takes is what can be compiled, no more and no less."""
    assert set(OPERATORS) == {*LAZY, *EAGER}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"===": [1]}, [('$.if["==="]', '"===" takes 2 arguments, not 1')]),
        ({"!": []}, [('$.if["!"]', '"!" takes 1 argument, not 0')]),
        ({"<": [1, 2, 3, 4]}, [('$.if["<"]', '"<" takes 2 to 3 arguments, not 4')]),
        ({"and": []}, [("$.if.and", '"and" takes at least 1 argument, not 0')]),
        (
            {"and": [True, {"start_with": [{"vra": "a"}, 1]}]},
            [
                ("$.if.and[1].start_with", 'there is no operator "start_with"; did you mean "starts_with"?'),
                ("$.if.and[1].start_with[0].vra", 'there is no operator "vra"; did you mean "var"?'),
            ],
        ),
        ({"!": {"vra": "a"}}, [('$.if["!"].vra', 'there is no operator "vra"; did you mean "var"?')]),
        ({"a": 1, "b": 2}, [("$.if", 'an operation is a map of one key, its operator; here are "a", "b"')]),
        ({"in": [1, {}]}, [("$.if.in[1]", "an operation is a map of one key, its operator; here are none")]),
    ],
)
def test_mistakes_have_their_place(rule: Any, expected: list[tuple[str, str]]) -> None:
    """Every mistake in a rule is found, with its place and what to do."""
    assert mistakes(rule) == expected


def test_an_unknown_operator_without_a_like_is_answered_with_all() -> None:
    """When nothing is near, the message lists what there is."""
    ((_, message),) = mistakes({"xyzzy" * 10: 1})
    assert all(name in message for name in OPERATORS)


def test_a_rule_is_bounded() -> None:
    """A rule that is too deep or too large is a mistake, not a crash."""
    deep: Any = True
    for _ in range(5000):
        deep = {"!": [deep]}
    assert [message for _, message in mistakes(deep)] == [f"the rule is nested more than {MAX_DEPTH} deep"]
    assert [path for path, _ in mistakes({"or": [1] * 2000})] == ["$.if"]


@pytest.mark.parametrize("rule", [{"nothing": 1}, {"a": 1, "b": 2}, {}])
def test_what_is_no_rule_does_not_compile(rule: Any) -> None:
    """What the loader refuses is not silently taken for a value either."""
    with pytest.raises(ValueError, match="operat"):
        compile_rule(rule)


def test_further_operators() -> None:
    """Operators on values can be added without a change here, and are found after the standard ones."""
    rule = compile_rule({"twice": {"var": "n"}}, {"twice": lambda values: values[0] * 2, "!": lambda _: "never"})
    assert rule.evaluate({"n": 4}) == 8
    assert compile_rule({"!": 1}, {"!": lambda _: "never"}).evaluate({}) is False


def test_a_single_argument_needs_no_list() -> None:
    """A value that is no list is the only argument."""
    assert arguments(1) == [1]
    assert arguments([1]) == [1]
