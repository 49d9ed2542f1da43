"""JSONLogic: what each operator gives, and that nothing in a rule can fail or run away."""

import json
from math import inf, isnan, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.logic import MAX_DEPTH, OPERATORS, Arity, arguments, check
from router.routing.coerce import BoundError, Meter, loosely_equal, number, strictly_equal, text, truthy
from router.routing.logic import FLAGD, LAZY, compile_rule
from router.routing.loops import LOOPS
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
    ({"var": ["null", 7]}, CAKE, 7),
    ({"var": ["zero", 7]}, CAKE, 0),
    ({"var": ["a.b", "no"]}, CAKE, "no"),
    ({"var": "pie.filling.0"}, CAKE, "a"),
    ({"var": "list.length"}, CAKE, 2),
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
    ({"missing_some": [1, "gone"]}, CAKE, []),
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
    ({"==": ["", 0]}, None, False),
    ({"==": ["true", True]}, None, False),
    ({"==": [None, False]}, None, True),
    ({"==": [None, {"var": "gone"}]}, {}, True),
    ({"==": [None, {"var": ["gone", None]}]}, {}, True),
    ({"==": [[1], 1]}, None, True),
    ({"==": [[1], [1]]}, None, False),
    ({"==": [{"var": "list"}, {"var": "list"}]}, CAKE, True),
    ({"!=": [1, "1"]}, None, False),
    ({"===": [1, "1"]}, None, False),
    ({"===": [1, True]}, None, True),
    ({"===": [[1, [2]], [1, [2]]]}, None, True),
    ({"===": [{"var": "list"}, [3, 4]]}, CAKE, False),
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
    ({"<": [{"var": "gone"}, 18]}, {}, True),
    ({">": [18, {"var": "gone"}]}, {}, True),
    ({"<=": [None, None]}, {}, True),
    ({"<": [1, 2, None]}, {}, True),
    ({"<": [True, 2]}, None, True),
    ({"<": [[1], [2]]}, None, True),
    ({"<": [{"var": ""}, 1]}, {"a": 1}, False),
    # arithmetic
    ({"+": [1, 2, 3]}, None, 6),
    ({"+": "3.5"}, None, 3.5),
    ({"+": [True, "1"]}, None, 2),
    ({"-": [2, "1"]}, None, 1),
    ({"-": 2}, None, -2),
    ({"*": ["2", 3, 4]}, None, 24),
    ({"/": [1, 2]}, None, 0.5),
    ({"/": [4, 2]}, None, 2),
    ({"/": [1, 0]}, None, None),
    ({"%": [1, 0]}, None, None),
    ({"%": [7, 4]}, None, 3),
    ({"%": [-7, 4]}, None, 1),
    ({"min": [3, "1", 2]}, None, 1),
    ({"max": [3, "10", 2.5]}, None, 10),
    ({"max": [1]}, None, 1),
    # text
    ({"cat": ["a", 1, 2.0, 0.5, True, None, [1, [2, None]]]}, None, "a120.5Truenull1,2,null"),
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
    ({"in": ["", ""]}, None, True),
    ({"in": ["a", None]}, None, False),
    ({"in": [None, [None]]}, None, True),
    ({"starts_with": ["router", "rou"]}, None, True),
    ({"starts_with": ["router", "ter"]}, None, False),
    ({"starts_with": ["12", {"+": [1]}]}, None, None),
    ({"ends_with": ["router", "ter"]}, None, True),
    ({"ends_with": [{"var": "gone"}, "x"]}, {}, None),
    # flagd's own
    ({"sem_ver": [{"var": "v"}, ">=", "1.2"]}, {"v": "v1.10.0"}, True),
    ({"sem_ver": [{"var": "v"}, "<", "1.2.0"]}, {"v": "1.2.0-rc.1"}, True),
    ({"sem_ver": [{"var": "v"}, "^", "1.0.0"]}, {"v": "1.9.9"}, True),
    ({"sem_ver": [{"var": "v"}, "~", "1.0.0"]}, {"v": "1.9.9"}, False),
    ({"sem_ver": [{"var": "v"}, "!=", "1.0.0"]}, {"v": "1.0.0+build"}, False),
    ({"sem_ver": [{"var": "v"}, "=", "1.0.0"]}, {"v": "one"}, None),
    ({"sem_ver": [{"var": "v"}, "=", "1.0.0"]}, {"v": "1" * 300}, None),
    ({"fractional": ["u1", [True, 0], [False, 1]]}, None, False),
    ({"fractional": [{"var": "x"}, ["a", {"var": "n"}], ["b", 0]]}, {"x": 1, "n": 5}, "a"),
    ({"fractional": [{"var": "x"}, ["a", {"var": "n"}]]}, {"x": 1, "n": 0.5}, None),
    ({"fractional": [["a", {"-": [1]}], ["b", 1]]}, {"targetingKey": "u"}, "b"),
    ({"fractional": [["a", 1]]}, {"targetingKey": ""}, None),
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
    """Each operator gives what flagd's engine says, and the rule is one that the loader takes."""
    found = compile_rule(rule).evaluate(data)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)
    assert mistakes(rule) == []


@pytest.mark.parametrize(
    "rule",
    [{"+": ["a"]}, {"-": ["a", 1]}, {"*": [{"-": ["inf"]}, 0]}, {"max": ["a", 1]}],
)
def test_what_is_no_number_is_false(rule: Any) -> None:
    """Arithmetic with what is no number gives NaN, which is false and equal to nothing."""
    assert isnan(compile_rule(rule).evaluate({}))
    assert not compile_rule(rule).holds({})
    assert not compile_rule({"==": [rule, rule]}).holds({})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" 12 ", 12), ("1e3\n", 1000), ("0x1F", nan), ("1_000", 1000), ("1 2", nan), ("", nan), ("Infinity", inf),
        ("inf", nan), ("nan", nan), (".5", 0.5), ("5.", 5), (".", nan), ("+1", 1), ("\u0661", 1), ("1e999", inf),
        (10**400, 10**400), (None, 0), (True, 1), ([], 0), ([7], 7), ([["7"]], 7), ([1, 2], nan), ({}, nan),
    ],
)  # fmt: skip
def test_number(value: Any, expected: float) -> None:
    """Values become numbers as in flagd's engine."""
    assert number(value) == expected or (isnan(number(value)) and isnan(expected))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.0, "1"), (-1.5, "-1.5"), (1e20, "1e+20"), (0.00001, "1e-05"), (123456789.125, "123456789.125"), (-0.0, "-0"),
        (nan, "nan"), (inf, "inf"), (None, "null"), (False, "False"), ([], ""), ([None, "a", [1]], "null,a,1"),
        ({}, "[object Object]"), (2**53, "9007199254740992"),
    ],
)  # fmt: skip
def test_text(value: Any, expected: str) -> None:
    """Values become text as in flagd's engine."""
    assert text(value) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"!": [{"var": "gone"}]}, False),
        ({"!=": [{"var": "gone"}, "US"]}, False),
        ({"<": [{"var": "gone"}, 18]}, False),
        ({"in": [{"var": "gone"}, ["a"]]}, False),
        ({"!": [{"in": [{"var": "gone"}, ["a"]]}]}, False),
        ({"or": [{"!": [{"var": "gone"}]}, {"==": [{"var": "here"}, 1]}]}, True),
        ({"or": [{"var": "gone"}, {"==": [{"var": "here"}, 2]}]}, False),
        ({"!": [{"or": [{"var": "gone"}, {"==": [{"var": "here"}, 2]}]}]}, False),
        ({"!": [{"and": [{"var": "gone"}, {"==": [{"var": "here"}, 2]}]}]}, True),
        ({"!": [{"and": [{"var": "gone"}, {"==": [{"var": "here"}, 1]}]}]}, False),
        ({"==": [{"or": [{"var": "gone"}, "x"]}, "x"]}, False),
        ({"if": [{"var": "gone"}, True, True]}, False),
        ({"!": [{"var": ["gone", False]}]}, True),
        ({"!=": [{"var": ["gone", None]}, "US"]}, True),
        ({"missing": ["gone", "here"]}, True),
        ({"!": [{"missing": ["here"]}]}, True),
        ({"missing_some": [1, ["gone", "here"]]}, False),
        ({"all": [[1], {"!": [{"var": "gone"}]}]}, True),
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_what_is_absent_is_unknown(rule: Any, expected: bool) -> None:  # noqa: FBT001 - expected result
    """Nothing that is made of what is absent is true, nor its opposite; what is known without it stands."""
    assert compile_rule(rule, unknown=True).holds({"here": 1}) is expected


def test_an_answer_says_why_there_is_none() -> None:
    """For whoever asks why a unit is not in an experiment."""
    assert compile_rule({"==": [{"var": "tier"}, 1]}, unknown=True).answer({}) == (None, '"tier" is absent')
    assert compile_rule({"/": [1, 0]}).answer({}).why == "division by zero"
    assert compile_rule({"fractional": [["a"]]}).answer(1).why is not None
    assert compile_rule({"fractional": [["a"]]}).answer({"targetingKey": "u", "$flagd": 1}).why == "$flagd is not a map"


@pytest.mark.parametrize(
    ("unit", "bucket"),
    [
        ("u1", 460), ("user-1", 333), (1, 892), (1.0, 892), (-1, 495), (2**63, 601), (0.1, 25), (True, 194),
        ({"b": 1, "a": [2.0]}, 574), (["u1"], None), ("\ud800", None),
    ],
)  # fmt: skip
def test_fractional_is_version_three_of_the_algorithm(unit: Any, bucket: int | None) -> None:
    """Golden vectors (openfeature-flagd-core 2.0.0), so that no release of a library moves anybody."""
    rule = {"fractional": [{"var": "unit"}, *([index, 2**31 // 1000] for index in range(1000))]}
    assert compile_rule(rule).evaluate({"unit": unit}) == bucket


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
        {"==": [doubling(50, [ACCUMULATOR, ACCUMULATOR], ""), "1"]},
        {"===": [doubling(50, [ACCUMULATOR, ACCUMULATOR], ""), doubling(50, [ACCUMULATOR, ACCUMULATOR], "")]},
        {"===": [doubling(100, [ACCUMULATOR], ""), doubling(100, [ACCUMULATOR], "")]},
        doubling(40, {"*": [ACCUMULATOR, ACCUMULATOR]}, 2**62),
        {"map": [[0] * 5000, {"cat": [{"var": ""}, "x" * 1000]}]},
        {"fractional": [{"cat": doubling(40, {"cat": [ACCUMULATOR, ACCUMULATOR]}, "ab")}, ["a", 1]]},
        {"fractional": [{"if": [True, doubling(20, {"var": ""}, 1)]}, ["a", 1]]},
        {"all": [[0] * 9000, {"in": [1, doubling(13, {"merge": [ACCUMULATOR, ACCUMULATOR]}, [0])]}]},
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


@given(JSON, JSON)
def test_equality_is_symmetric(one: Any, other: Any) -> None:
    """Both equalities are symmetric, and for scalars the strict one implies the other."""
    assert loosely_equal(one, other) == loosely_equal(other, one)
    assert strictly_equal(one, other, Meter()) == strictly_equal(other, one, Meter())
    scalar = not isinstance(one, list | dict)
    assert not scalar or loosely_equal(one, other) or not strictly_equal(one, other, Meter())


@given(RULES, st.booleans())
def test_negation(rule: Any, unknown: bool) -> None:  # noqa: FBT001 - drawn
    """Two negations are what the rule gives, as true or false, or not at all."""
    answer = compile_rule({"!!": [rule]}, unknown=unknown).answer({})
    assert compile_rule({"!": [{"!": [rule]}]}, unknown=unknown).answer({}) == answer


# --- what is a rule -----------------------------------------------------------------------------------------------


def mistakes(rule: Any) -> list[tuple[str, str]]:
    """Return path and message of each mistake in a rule."""
    found: list[tuple[str, str]] = []
    check(rule, "$.if", lambda path, message: found.append((path, message)))
    return found


def test_every_operator_is_known_on_both_sides() -> None:
    """What the loader takes is what can be compiled, no more and no less."""
    assert set(OPERATORS) == {*LAZY, *LOOPS, *EAGER, *FLAGD}


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
        (
            {"sem_ver": ["1.x", ">>", {"var": "v"}]},
            [
                ("$.if.sem_ver[0]", '"1.x" is not a version such as 1.2.0 (https://semver.org)'),
                ("$.if.sem_ver[1]", '">>" is not a comparison; there are: = != < <= > >= ^ ~'),
            ],
        ),
        (
            {"sem_ver": [1.2, "=", "01.0"]},
            [
                ("$.if.sem_ver[0]", "1.2 is not a version such as 1.2.0 (https://semver.org)"),
                ("$.if.sem_ver[2]", '"01.0" is not a version such as 1.2.0 (https://semver.org)'),
            ],
        ),
        (
            {"fractional": "a"},
            [("$.if.fractional", '"fractional" has nothing to choose from; write [RESULT, WEIGHT] for each choice')],
        ),
        ({"fractional": [["a", 0], ["b", 0]]}, [("$.if.fractional", "every weight is 0; one needs more")]),
        (
            {"fractional": [None, ["a", 2**31]]},
            [
                ("$.if.fractional[0]", "is null, which is nothing to hash by"),
                ("$.if.fractional", "the weights add up to 2147483648; the most is 2147483647"),
            ],
        ),
        (
            {"fractional": [["a", -1], ["b", True], ["c", 1, 2], "d"]},
            [
                ("$.if.fractional[0][1]", "-1 is not a weight; weights are whole numbers from 0 on"),
                ("$.if.fractional[1][1]", "true is not a weight; weights are whole numbers from 0 on"),
                ("$.if.fractional[2]", '["c", 1, 2] is not [RESULT, WEIGHT]'),
                ("$.if.fractional[3]", '"d" is not [RESULT, WEIGHT]'),
            ],
        ),
        ({"fractional": [{"var": "a"}, {"if": [True, ["a", 1]]}, ["b", {"+": [1]}]]}, []),
        ({"starts_with": [{"var": "a"}, 1]}, [("$.if.starts_with[1]", "1 is not text, so the answer is always null")]),
        (
            {"reduce": [{"var": "a"}, 1, [{"var": "b"}]]},
            [("$.if.reduce[2]", "holds an operation, and flagd takes what a reduce begins with as it is written")],
        ),
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
    rule = compile_rule({"twice": {"var": "n"}}, {"twice": lambda values, _: values[0] * 2, "!": lambda *_: "never"})
    assert rule.evaluate({"n": 4}) == 8
    assert compile_rule({"!": 1}, {"!": lambda *_: "never"}).evaluate({}) is False


def test_a_single_argument_needs_no_list() -> None:
    """A value that is no list is the only argument."""
    assert arguments(1) == [1]
    assert arguments([1]) == [1]


def test_a_list_is_bounded() -> None:
    """Also one that is put together of what a request brings."""
    rule = compile_rule({"!!": {"merge": [{"var": "a"}, {"var": "a"}]}})
    assert rule.holds({"a": [0] * 5000})
    assert not rule.holds({"a": [0] * 5001})
