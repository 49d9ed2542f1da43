"""Rules give what flagd gives: openfeature-flagd-core is asked about generated rules and contexts."""

import json
import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_logic import jsonLogic
from json_logic.builtins import op_var, to_bool
from openfeature.contrib.tools.flagd.core.model import FlagStore
from openfeature.evaluation_context import EvaluationContext

from router.config.evaluators import Evaluators
from router.config.logic import OPERATORS, Arity, check
from router.routing.logic import compile_rule

EXAMPLES = max(500, settings().max_examples)
NOW = 1_790_000_000
FLAG = "ranker-v2"
TESTBED = Path(__file__).parents[1] / "flags" / "testbed"
core: Any = import_module("openfeature.contrib.tools.flagd.core.targeting.targeting")  # its package hides it


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Keep flagd from logging every odd argument."""
    logger = logging.getLogger("openfeature.contrib")
    logger.disabled = True
    yield
    logger.disabled = False


class Theirs(NamedTuple):
    """What flagd says: a value, or that it raised, and whether an attribute without a default was not there."""

    value: Any
    raised: bool
    missed: bool


def ask_flagd(rule: Any, attributes: dict[str, Any], unit: str | None) -> Theirs:
    """Evaluate a rule with openfeature-flagd-core, at a fixed time."""
    whole: list[Any] = []
    missed = False

    def recording(data: Any, *arguments: Any) -> Any:
        nonlocal missed
        found = op_var(data, *arguments)
        missed |= len(arguments) == 1 and found is None and data is whole[0]
        return found

    def noting(logic: Any, data: Any, operations: Any) -> Any:
        whole.append(data)
        return jsonLogic(logic, data, operations)

    with (
        patch.dict(core.OPERATORS, {"var": recording}),
        patch.object(core, "jsonLogic", noting),
        patch.object(core.time, "time", lambda: NOW),
    ):
        try:
            value = core.targeting(FLAG, rule, EvaluationContext(unit, attributes))
        except Exception:  # noqa: BLE001 - whatever flagd raises, the rule has no answer
            return Theirs(None, raised=True, missed=missed)
    return Theirs(value, raised=False, missed=missed)


def whole(attributes: dict[str, Any], unit: str | None) -> dict[str, Any]:
    """Return what flagd makes of attributes and unit."""
    return {**attributes, "$flagd": {"flagKey": FLAG, "timestamp": NOW}, "targetingKey": unit}


NAMES = ["a", "b", "c", "tier", "list", "map"]
TEXTS = [
    "",
    "a",
    "gold",
    "1",
    "1.0",
    "-2",
    " 3 ",
    "1e3",
    "nan",
    "inf",
    "Infinity",
    "true",
    "null",
    "1_0",
    "0x1",
    "1.2.3",
]
TEXTS += ["v1.3.0-rc.1", "2", "x,y", "ü", "length", "\u0661"]
NUMBERS = st.sampled_from([0, 1, -1, 2, 5, 0.5, 1.0, -0.0, 1e21, 1e-7, 2**53 + 1, 2**63, 1e300, 0.1, 100])
SCALARS = st.none() | st.booleans() | NUMBERS | st.sampled_from(TEXTS) | st.text(max_size=4)
SCALARS |= st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NAMES, "0"]), inner, max_size=3),
    max_leaves=6,
)
CONTEXTS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))
PATHS = [
    *NAMES,
    "a.b",
    "map.a",
    "map.list.0",
    "list.0",
    "list.1",
    "list.length",
    "tier.0",
    "tier.length",
    "a.-1",
    "a.01",
]
PATHS += [
    "$flagd.flagKey",
    "$flagd.timestamp",
    "targetingKey",
    "",
    "current",
    "accumulator",
    "accumulator.current",
    "0",
]
VAR = st.sampled_from(PATHS).map(lambda name: {"var": name})
WITH_DEFAULT = st.tuples(st.sampled_from(PATHS), SCALARS).map(lambda pair: {"var": list(pair)})
COMPARISONS = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "^", "~", "=="])
VERSIONS = st.sampled_from(["1.0.0", "1.2", "v2", "V1.2.3-rc.1", "1.2.3-rc.2", "1.2.3+b1", "x", 1, 1.2, "1.02.0"])


SMALL = st.integers(-3, 9) | st.sampled_from([0.5, 2.0, "3", "-1", True, None])
WORDS = st.sampled_from(["", "a", "ab", "abc", "bc", "c"]) | st.sampled_from(["tier", "a"]).map(
    lambda name: {"var": name}
)
LISTS = st.lists(SMALL | st.sampled_from(TEXTS), max_size=4) | st.just({"var": "list"})
VERSION = VERSIONS | st.sampled_from(["tier", "a"]).map(lambda name: {"var": [name, "1.2.3"]})
ABOUT_ITEM = st.sampled_from(
    [{"var": ""}, {">": [{"var": ""}, 0]}, {"!": {"var": ""}}, {"==": [{"var": ""}, "1"]}, True]
)
TOTAL = {"+": [{"var": "current"}, {"var": "accumulator"}]}
STEP = st.sampled_from([TOTAL, {"var": "accumulator"}, {"var": "current"}, {"var": ""}])
FRACTION = st.tuples(st.sampled_from([True, False, "gold", None, {"var": "a"}]), st.integers(-1, 100)).map(list)
FRACTIONS = st.lists(FRACTION | FRACTION.map(lambda pair: pair[:1]), min_size=1, max_size=4)

# What arguments of an operator look like in rules that mean something.
MEANT: dict[str, st.SearchStrategy[list[Any]]] = {
    "fractional": st.tuples(st.lists(SCALARS | VAR, max_size=1), FRACTIONS).map(
        lambda both: both[0] + both[1]
    ),
    "sem_ver": st.tuples(VERSION, COMPARISONS, VERSION).map(list),
    "reduce": st.tuples(LISTS, STEP, SMALL).map(list),
    "substr": st.tuples(st.sampled_from([*TEXTS, "abcdef", {"var": "tier"}]), SMALL, SMALL).map(list),
    "missing_some": st.tuples(SMALL, st.lists(st.sampled_from(PATHS), max_size=4)).map(list),
    "missing": st.lists(st.sampled_from(PATHS), max_size=4),
    "in": st.tuples(SMALL | st.sampled_from(TEXTS) | VAR, LISTS | st.sampled_from(TEXTS)).map(list),
    **{name: st.tuples(WORDS, WORDS).map(list) for name in ("starts_with", "ends_with")},
    **{name: st.tuples(LISTS, ABOUT_ITEM).map(list) for name in ("all", "some", "none", "filter", "map")},
    **{name: st.tuples(SMALL, SMALL).map(list) for name in [*"+-*/%>", "min", "max", ">=", "==", "==="]},
    **{name: st.tuples(SMALL, SMALL, SMALL).map(list) for name in ("<", "<=")},
}  # fmt: skip


def operation(name: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return operations with arguments in the right number; now and then a single one without its list."""
    arity: Arity = OPERATORS[name]
    values = st.lists(inner, min_size=arity.least, max_size=min(arity.most, arity.least + 2))
    if name == "reduce":  # an initial value that holds an operation is refused at load
        values = st.tuples(inner, inner, SCALARS | st.lists(SCALARS, max_size=2)).map(list) | values.map(
            lambda v: v[:2]
        )
    elif name == "fractional":
        pair = st.tuples(inner, st.integers(-1, 100) | inner).map(list) | inner.map(lambda value: [value])
        values = st.tuples(st.lists(inner, max_size=1), st.lists(pair, max_size=3)).map(lambda v: v[0] + v[1] or [None])
    if name in MEANT:
        values |= MEANT[name]
    bare = inner.filter(lambda value: not isinstance(value, list)) if arity.least <= 1 else st.nothing()
    return (values | bare).map(lambda given: {name: given})


def rules(variables: st.SearchStrategy[Any], names: list[str]) -> st.SearchStrategy[Any]:
    """Return rules that consist of some variables and operators."""
    anything = st.recursive(
        SCALARS | variables,
        lambda inner: st.lists(inner, max_size=3) | st.sampled_from(names).flatmap(lambda name: operation(name, inner)),
        max_leaves=12,
    )
    return st.sampled_from(names).flatmap(lambda name: operation(name, anything))


EVERY = list(OPERATORS)
RULES = rules(VAR | WITH_DEFAULT, EVERY)


UNITS = st.none() | st.just("") | st.sampled_from(["u1", "u2"])


@settings(max_examples=EXAMPLES)
@given(RULES, CONTEXTS, UNITS)
def test_rules_give_what_flagd_gives(rule: Any, attributes: dict[str, Any], unit: str | None) -> None:
    """Value for value and type for type; and where flagd raises, there is none."""
    theirs = ask_flagd(rule, attributes, unit)
    compiled = compile_rule(rule)
    ours = compiled.answer(whole(attributes, unit))
    assert (repr(ours.value), ours.why is not None) == (repr(theirs.value), theirs.raised)
    assert compiled.holds(whole(attributes, unit)) is to_bool(theirs.value)


@settings(max_examples=EXAMPLES)
@given(RULES, CONTEXTS, UNITS)
def test_eligible_is_who_flagd_takes_and_about_whom_enough_is_known(
    rule: Any, attributes: dict[str, Any], unit: str | None
) -> None:
    """Who flagd takes, where every attribute asked for is there; where one is absent, nobody that flagd refuses."""
    theirs = ask_flagd(rule, attributes, unit)
    eligible = compile_rule(rule, unknown=True).holds(whole(attributes, unit))
    if theirs.missed:
        assert not eligible or theirs.raised or to_bool(theirs.value)
    else:
        assert eligible is to_bool(theirs.value)


# What the testbed has to show what flagd does with it, and is a mistake when it is loaded here.
REFUSED = [
    '$.ends_with: "ends_with" takes 2 arguments, not 1',
    "$.fractional: every weight is 0",
    "$.fractional[0]: is null, which is nothing to hash by",
    "$.fractional[1][1]: -50 is not a weight",
    '$.if[0]["$ref"]: there is no evaluator "nonexistent_evaluator"',
    "$.if[2].if[2].if[0].ends_with[1]: 3 is not text, so the answer is always null",
    '$.if[2].if[2].if[2].if[0].sem_ver[2]: "2.0.0.0" is not a version such as 1.2.0 (https://semver.org)',
    '$.invalid: there is no operator "invalid"',
    '$.sem_ver: "sem_ver" takes 3 arguments, not 2',
    '$.sem_ver[1]: "===" is not a comparison',
    '$.starts_with: "starts_with" takes 2 arguments, not 1',
]


def mistakes(rule: Any, evaluators: Evaluators) -> list[str]:
    """Return what the loader says of a rule."""
    found: list[str] = []
    check(rule, "$", lambda path, message: found.append(f"{path}: {message}"), evaluators.rules)
    return found


def test_the_rules_of_flagds_testbed() -> None:
    """Every rule of its flag files, evaluators in place, on every context of its examples."""
    files = [json.loads(path.read_text()) for path in sorted(TESTBED.glob("*.json"))]
    documents = [document for document in files if isinstance(document, dict)]
    evaluators = Evaluators({key: rule for file in documents for key, rule in file.get("$evaluators", {}).items()})
    flags = [flag for document in documents for flag in document.get("flags", {}).values()]
    written = [flag["targeting"] for flag in flags if flag.get("targeting")]
    said = {json.dumps(rule): mistakes(rule, evaluators) for rule in written}
    refused = [text.partition(";")[0] for found in said.values() for text in found]
    assert sorted(refused) == REFUSED
    rules = [evaluators.expand(rule) for rule in written if not said[json.dumps(rule)]]
    contexts = [vector["context"] for vector in json.loads((TESTBED / "gherkin_vectors.json").read_text())]
    distinct = {json.dumps(context, sort_keys=True): context for context in contexts}.values()
    assert len(rules) > 30
    assert len(distinct) > 50
    for rule in rules:
        compiled = compile_rule(rule)
        for context in distinct:
            attributes = {name: value for name, value in context.items() if name != "targetingKey"}
            unit = context.get("targetingKey")
            theirs, ours = ask_flagd(rule, attributes, unit), compiled.answer(whole(attributes, unit))
            assert (repr(ours.value), ours.why is not None) == (repr(theirs.value), theirs.raised), (rule, context)


def test_evaluators_are_those_of_flagd() -> None:
    """In the order that flagd can follow: what refers stands before what it refers to."""
    evaluators = {
        "adult": {"and": [{"$ref": "known"}, {">=": [{"var": "age"}, 18]}]},
        "known": {"!": {"missing": ["age"]}},
    }
    targeting = {"if": [{"or": [{"$ref": "adult"}, {"==": [{"var": "tier"}, "gold"]}]}, "on", "off"]}
    flag = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off", "targeting": targeting}
    store = FlagStore()
    store.update({"flags": {FLAG: flag}, "$evaluators": evaluators})
    kept = store.get_flag(FLAG)
    assert kept is not None
    assert Evaluators(evaluators).expand(targeting) == kept.targeting
