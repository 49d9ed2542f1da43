"""Flag files: found, bounded, read with lines, and checked against flagd's schema and beyond it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from router.config import flag_document, flag_files, flagd_schema
from router.config.diff import differences
from router.config.flags import kind_of
from router.config.load import Loaded, load
from router.config.mistake import MAX_MISTAKES, ConfigError
from tests.config.sample import SMALL

TESTBED = Path(__file__).parents[1] / "flags" / "testbed"
GOOD = "flags:\n  a: {state: ENABLED, variants: {'on': true, 'off': false}, defaultVariant: 'on'}\n"


def configured(folder: Path, files: dict[str, str], patterns: str = "flags/*.yaml", top: str = SMALL) -> Path:
    """Write a configuration with flag files."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    main = folder / "router.yaml"
    main.write_text(f"flags: {{files: [{patterns}]}}\n{top}")
    return main


def loaded(folder: Path, files: dict[str, str], patterns: str = "flags/*.yaml", top: str = SMALL) -> Loaded:
    """Load a configuration with flag files."""
    return load(configured(folder, files, patterns, top))


def mistakes(folder: Path, files: dict[str, str], patterns: str = "flags/*.yaml", top: str = SMALL) -> list[str]:
    """Return the mistakes, with names of files relative to the folder."""
    try:
        loaded(folder, files, patterns, top)
    except ConfigError as error:
        return [str(mistake).removeprefix(f"{folder}/").replace(f"{folder}/", "") for mistake in error.mistakes]
    return []


def flag(**keys: Any) -> str:
    """Write a file with one flag ``f`` of text variants ``a`` and ``b``, as JSON on one line, which is YAML."""
    whole = {"state": "ENABLED", "variants": {"a": "A", "b": "B"}, "defaultVariant": "a", **keys}
    return json.dumps({"flags": {"f": {key: value for key, value in whole.items() if value != "absent"}}})


def test_files_are_read_in_order_and_are_part_of_the_configuration(tmp_path: Path) -> None:
    """Their names are in ``files``, their folder is watched, their bytes are in the digest."""
    two = GOOD.replace("a:", "b:")
    one = loaded(tmp_path, {"flags/1.yaml": GOOD, "flags/2.yaml": two, "flags/note.txt": "no flags"})
    assert [file.name for file in one.files] == ["router.yaml", "1.yaml", "2.yaml"]
    assert tmp_path / "flags" in one.referenced
    assert [Path(each.file).name for each in one.config.flags.sets] == ["1.yaml", "2.yaml"]
    assert json.loads(one.config.flags.sets[0].text)["flags"]["a"]["variants"] == {"on": True, "off": False}
    edited = loaded(tmp_path, {"flags/2.yaml": two.replace("'on'}", "'off'}")})
    assert edited.digest != one.digest
    assert list(differences(one.config, edited.config)) == ['flag "b": defaultVariant changes from "on" to "off"']


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (flag(state="ON"), 'state: "ON" is none of ENABLED, DISABLED'),
        (flag(state="absent"), '$.flags.f: key "state" is missing'),
        (flag(variants={}), "$.flags.f.variants: is empty"),
        (flag(variants={"a": [1]}), "variants.a: a variant is true or false, text, a number or a map; this one is [1]"),
        (flag(variants={"a": None}), "variants.a: a variant is true or false"),
        (flag(variants={"a": 1, "b": "x"}), 'are of one type; here "a" is a number, "b" is text'),
        (flag(variants={"a": 1, "b": True}), 'here "a" is a number, "b" is true or false'),
        (flag(defaultVariant="c"), '$.flags.f.defaultVariant: "c" is no variant; there are: "a", "b"'),
        (flag(defaultVariant=""), '"" is no variant'),
        (flag(defaultVariant=True), "expected text or null, found true"),
        (flag(defaultVariants="a"), '$.flags.f.defaultVariants: unknown key "defaultVariants"; did you mean'),
        (flag(metadata={"a": [1]}), "$.flags.f.metadata.a: expected text or a number or true or false, found [1]"),
        (flag(targeting={"startswith": [1, 2]}), 'no operator "startswith"; did you mean "starts_with"?'),
        (flag(targeting={"if": [{"==": [1, 1, 1]}, "a"]}), 'targeting.if[0]["=="]: has 3 items; the most is 2'),
        (flag(targeting={"if": [{"var": "x"}, "c", "a"]}), 'if[1]: the rule can give "c", which is no variant'),
        (flag(targeting={"if": [{"var": "x"}, "a", {"var": "y"}, "b", "d"]}), 'if[4]: the rule can give "d"'),
        (flag(targeting={"==": [{"var": "x"}, 1]}), 'targeting["=="]: the rule can give "true"'),
        (flag(targeting={"and": [{"in": [1, [1]]}, "a"]}), 'and[0].in: the rule can give "false"'),
        (flag(targeting={"or": [{"in": [1, [1]]}, "a"]}), 'or[0].in: the rule can give "true"'),
        (flag(targeting={"fractional": [["a", 1], ["c", 1]]}), 'fractional[1][0]: the rule can give "c"'),
        (flag(targeting={"fractional": [{"var": "x"}, ["a", -1]]}), "-1 is too small; the least is 0"),
        (flag(targeting={"fractional": [["a", 2**31 - 1], ["b"]]}), "the weights add up to 2147483648"),
        (flag(targeting={"fractional": [None, ["a", 1]]}), "is not what flagd's schema allows here"),
        (flag(targeting={"sem_ver": [{"var": "v"}, "===", "1.0.0"]}), '"===" is none of =, !='),
        (flag(targeting={"sem_ver": [{"var": "v"}, "=", "1"]}), "Semantic Version String"),
        (flag(targeting={"var": ["x", "c"]}), 'var[1]: the rule can give "c"'),
        (flag(targeting={"if": [{"var": "$flagd.time"}, "a"]}), "flagd gives $flagd.timestamp and $flagd.flagKey"),
        (flag(targeting={"$ref": "nobody"}), 'there is no evaluator "nobody"'),
        (flag(targeting={"if": [{"var": "x"}, "a"], "and": [1]}), "an operation is a map of one key"),
        (flag(targeting=None), "expected a map, found null"),
        ('{"flags": {"f": 1}}', "$.flags.f: expected a flag"),
        ('{"flags": {"": {}}}', "the key of a flag has 1 to 256 characters"),
        ('{"flags": []}', "$.flags: flags is a list; name each flag by a key"),
        ("{}", '$.flags: key "flags" is missing'),
        ('{"flags": {}, "evaluators": {}}', 'unknown key "evaluators"; did you mean "$evaluators"?'),
        ('{"flags": {}, "$evaluators": []}', "expected a map of rules by their names"),
        ('{"flags": {}, "$evaluators": {"e": {"bogus": 1}}}', '$["$evaluators"].e.bogus: there is no operator'),
        ('{"flags": {}, "$evaluators": {"e": {"in": [1]}}}', "has 1 items; the least is 2"),
        ('{"flags": {}, "metadata": {"version": 2}}', "$.metadata.version: expected text, found 2"),
        ('{"flags": {}, "metadata": {"x": {}}}', "$.metadata.x: expected text or a number or true or false"),
        ('{"flags": {"f": {}}}\n---\n{}', "a second document begins here"),
        ("", "is empty; flags are needed"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, file: str, expected: str) -> None:
    """Each mistake names file, line and path, and says what would be right."""
    found = mistakes(tmp_path, {"flags/f.yaml": file})
    assert any(expected in line for line in found), found
    assert all(line.startswith("flags/f.yaml:") for line in found)


def test_each_mistake_has_its_line_and_is_said_once(tmp_path: Path) -> None:
    """Every mistake of every file comes in one run, behind those of the configuration itself."""
    text = (
        "flags:\n"
        "  new:\n"
        "    state: ENABLED\n"
        "    variants:\n"
        "      a: one\n"
        "      b: 2\n"
        "    defaultVariant: c\n"
        "    targeting:\n"
        "      if:\n"
        "        - {'==': [1]}\n"
        "        - d\n"
    )
    found = mistakes(tmp_path, {"flags/1.yaml": text, "flags/2.yaml": "flags: {g: 1}"}, top=f"colour: 1\n{SMALL}")
    assert [line.partition(": ")[0] for line in found] == [
        "router.yaml:2",
        "flags/1.yaml:5",
        "flags/1.yaml:7",
        "flags/1.yaml:10",
        "flags/1.yaml:11",
        "flags/2.yaml:1",
    ]


def test_files_make_one_set_of_flags(tmp_path: Path) -> None:
    """A key or an evaluator is in one file only, and an evaluator serves all files."""
    shared = '{"flags": {}, "$evaluators": {"old": {"!!": {"$ref": "older"}}, "older": {">": [{"var": "age"}, 40]}}}'
    uses = flag(targeting={"if": [{"$ref": "old"}, "a", "b"]})
    one = loaded(tmp_path, {"flags/1.yaml": uses, "flags/2.yaml": shared})
    assert list(json.loads(one.config.flags.sets[0].text)["$evaluators"]) == ["old", "older"]
    assert mistakes(tmp_path, {"flags/3.yaml": flag(), "flags/4.yaml": shared}) == [
        'flags/3.yaml:1: $.flags.f: flag "f" is already in flags/1.yaml',
        'flags/4.yaml:1: $["$evaluators"].old: evaluator "old" is already in flags/2.yaml',
        'flags/4.yaml:1: $["$evaluators"].older: evaluator "older" is already in flags/2.yaml',
    ]


def test_evaluators_that_refer_to_themselves_are_refused(tmp_path: Path) -> None:
    """The core of flagd would leave such a reference in the rule."""
    circle = '{"flags": {}, "$evaluators": {"x": {"!": {"$ref": "y"}}, "y": {"!": {"$ref": "x"}}}}'
    found = mistakes(tmp_path, {"flags/1.yaml": circle})
    assert len(found) == 2
    assert all("refers to itself" in line for line in found)


def test_references_that_would_grow_without_bound_are_refused(tmp_path: Path) -> None:
    """Twenty evaluators that each name the one before twice would be a million operations."""
    rules: dict[str, Any] = {"e0": {"var": "x"}}
    rules |= {f"e{n}": {"and": [{"$ref": f"e{n - 1}"}, {"$ref": f"e{n - 1}"}]} for n in range(1, 21)}
    rule = {"if": [{"$ref": "e20"}, "a", "b"]}
    text = json.dumps({**json.loads(flag(targeting=rule)), "$evaluators": rules})
    assert any("references written out; the most is" in line for line in mistakes(tmp_path, {"flags/1.yaml": text}))


def test_a_pattern_that_matches_nothing_is_a_mistake(tmp_path: Path) -> None:
    """A folder that vanished must not end every flag."""
    found = mistakes(tmp_path, {}, patterns="flags/*.yaml, one.json")
    assert found == [
        'router.yaml:1: $.flags.files[0]: no file matches "flags/*.yaml"',
        'router.yaml:1: $.flags.files[1]: no file matches "one.json"',
    ]


def test_the_folder_of_the_configuration_may_have_any_name(tmp_path: Path) -> None:
    """Characters of a pattern in it are not one."""
    assert mistakes(tmp_path / "a[b]*", {"flags/1.yaml": GOOD}) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({f"flags/{n}.yaml": "flags: {}" for n in range(65)}, "there are more than 64 flag files"),
        ({"flags/1.yaml": "flags: {}" + " " * flag_files.MAX_BYTES}, "flags/1.yaml: is larger than 1 MiB"),
        (
            {f"flags/{n}.yaml": "flags: {}" + " " * (flag_files.MAX_BYTES - 20) for n in range(3)},
            "the flag files have more than 2 MiB together",
        ),
        (
            {"flags/1.yaml": json.dumps({"flags": dict.fromkeys(map(str, range(flag_files.MAX_FLAGS + 1)), 1)})},
            "there are 2001 flags in all; the most is 2000",
        ),
        ({"flags/1.yaml": f"flags: {'[' * 60}"}, "values are nested more than 48 deep"),
        ({"flags/1.json": f'{{"flags": {"[" * 60}{"]" * 60}}}'}, "values are nested more than 48 deep"),
        ({"flags/1.json": "[" * 100_000 + "]" * 100_000}, "values are nested more than 48 deep"),
    ],
)
def test_files_are_bounded(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    """In number, in bytes each and together, in flags, in depth."""
    assert any(expected in line for line in mistakes(tmp_path, files, "flags/*"))


def test_a_file_with_endless_mistakes_says_the_first_ones(tmp_path: Path) -> None:
    """The list of mistakes is bounded as that of the configuration is."""
    text = json.dumps({"flags": dict.fromkeys(map(str, range(1500)), 1)})
    assert len(mistakes(tmp_path, {"flags/1.yaml": text})) == MAX_MISTAKES - 1


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A folder or a pipe that the pattern matches would block or fail later."""
    (tmp_path / "flags" / "x.yaml").mkdir(parents=True)
    assert mistakes(tmp_path, {}) == ["flags/x.yaml: is not a regular file"]


def test_json_is_read_as_json(tmp_path: Path) -> None:
    """With its escapes, which YAML does not all have, and without what only YAML allows."""
    text = '{"flags": {"f": {"state": "ENABLED",\t"variants": {"a": "\\ud83d\\ude00 \\/ \\\\ud83d\\\\ude00"}}}}'
    one = loaded(tmp_path, {"f.json": text}, "f.json")
    assert json.loads(one.config.flags.sets[0].text)["flags"] == json.loads(text)["flags"]
    found = mistakes(tmp_path, {"f.json": '{"flags":\n {"f": {"state": "ENABLED", "variants": {"a": 1},}}}'}, "f.json")
    assert [line.partition(": is not JSON")[0] for line in found] == ["f.json:2"]
    assert "is not JSON" in mistakes(tmp_path, {"f.json": '{"flags": {}, "x": NaN}'}, "f.json")[0]


def test_sets_are_no_key(tmp_path: Path) -> None:
    """What the loader adds cannot be written."""
    main = configured(tmp_path, {"flags/1.yaml": GOOD})
    main.write_text(f"flags: {{files: [flags/*.yaml], sets: []}}\n{SMALL}")
    with pytest.raises(ConfigError, match='unknown key "sets"'):
        load(main)


def test_changes_are_said_flag_by_flag(tmp_path: Path) -> None:
    """What was added, removed and changed; another file or another order is no change."""
    before = loaded(
        tmp_path / "1",
        {
            "flags/1.yaml": json.dumps(
                {
                    "metadata": {"version": "1"},
                    "$evaluators": {"e": {"var": "x"}},
                    "flags": {
                        **json.loads(flag(targeting={"if": [{"$ref": "e"}, "a"]}))["flags"],
                        "g": json.loads(flag())["flags"]["f"],
                        "h": json.loads(flag(variants={"a": 1, "c": 2}))["flags"]["f"],
                    },
                }
            )
        },
    )
    after = loaded(
        tmp_path / "2",
        {
            "flags/2.yaml": json.dumps(
                {
                    "metadata": {"version": "1"},
                    "$evaluators": {"e": {"var": "y"}},
                    "flags": {
                        "h": json.loads(
                            flag(variants={"a": 1.0, "d": 2}, state="DISABLED", targeting={"if": [1, "a"]})
                        )["flags"]["f"],
                        "i": json.loads(flag())["flags"]["f"],
                        **json.loads(flag(targeting={"if": [{"$ref": "e"}, "a"]}, metadata={"team": "x"}))["flags"],
                    },
                }
            )
        },
    )
    assert list(differences(before.config, after.config)) == [
        'flag "f": targeting changes',
        'flag "f": metadata changes',
        'flag "g" is removed',
        'flag "h": is DISABLED instead of ENABLED',
        'flag "h": variant "a" changes from 1 to 1.0',
        'flag "h": variant "c" is removed',
        'flag "h": variant "d" is added: 2',
        'flag "h": targeting is added',
        'flag "i" is added',
    ]


def test_whether_a_key_is_required_is_said(tmp_path: Path) -> None:
    """The other key of the section is a difference too."""
    one = loaded(tmp_path, {"flags/1.yaml": GOOD})
    main = tmp_path / "router.yaml"
    main.write_text(main.read_text().replace("[flags/*.yaml]", "[flags/*.yaml], require_targeting_key: true"))
    expected = ["flags: require_targeting_key changes from false to true"]
    assert list(differences(one.config, load(main).config)) == expected


# --- Experiments that drive a flag ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False], "boolean"),
        (["a"], "string"),
        ([1, 2], "integer"),
        ([1, 2.5], "float"),
        ([1.0], "float"),
        ([{}], "object"),
        ([1, True], None),
        ([[1]], None),
        ([], None),
    ],
)
def test_the_type_of_a_flag_is_that_of_its_variants(values: list[Any], kind: str | None) -> None:
    """Numbers are whole unless one of them is written otherwise; true is no number."""
    assert kind_of(values) == kind


# --- The schema -----------------------------------------------------------------------------------------------------


def plain_validator() -> Any:
    """Return jsonschema's own validator of a whole flag file."""
    folder = Path(flagd_schema.__file__).parent / "flagd"
    schemas = [json.loads((folder / name).read_text()) for name in ("flags.json", "targeting.json")]
    registry: Any = Registry().with_resources([(one["$id"], DRAFT7.create_resource(one)) for one in schemas])
    return Draft7Validator({"$ref": "https://flagd.dev/schema/v0/flags.json"}, registry=registry)


PLAIN = plain_validator()
TESTBED_FLAGS = [
    one
    for name in ("custom-ops", "edge-case-flags", "evaluator-refs", "testing-flags", "zero-flags")
    for one in json.loads((TESTBED / f"{name}.json").read_text())["flags"].values()
]


def verdict(one: dict[str, Any]) -> bool:
    """Tell whether the pruned validator accepts a flag."""
    kinds = {"integer": "number", "float": "number"}
    kind = kind_of(one["variants"].values()) or "base"
    return not list(flagd_schema.flag_faults(kinds.get(kind, kind), one))


@pytest.mark.parametrize("one", TESTBED_FLAGS, ids=lambda one: json.dumps(one.get("targeting"))[:40])
def test_pruning_changes_no_verdict_on_the_testbed(one: dict[str, Any]) -> None:
    """The plain validator of flagd's schema says the same of each flag of flagd's own test flags."""
    assert verdict(one) == PLAIN.is_valid({"flags": {"f": one}})


RULE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["a", "b", "1.0.0", "$flagd.timestamp", "$flagd.x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*sorted(flagd_schema.operators()), "$ref", "bogus"]), inner, max_size=2)
        | st.builds(
            lambda name, given: {name: given}, st.sampled_from(sorted(flagd_schema.operators())), st.lists(inner)
        )
    ),
    max_leaves=12,
)


@given(RULE)
def test_pruning_changes_no_verdict_on_any_rule(rule: Any) -> None:
    """Well-formed or not, in whatever place."""
    one = {"state": "ENABLED", "variants": {"a": "A"}, "targeting": rule}
    assert verdict(one) == PLAIN.is_valid({"flags": {"f": copy.deepcopy(one)}})


def test_the_deepest_rule_allowed_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    """The bound on depth leaves the validator's recursion room."""
    rule: Any = "a"
    while True:
        deeper = {"if": [{"!": {"var": "x"}}, rule, "b"]}
        found = mistakes(tmp_path, {"flags/1.yaml": flag(targeting=deeper)})
        if found:
            break
        rule = deeper
    assert "values are nested more than" in found[0]
    assert json.dumps(rule).count("if") >= flag_document.MAX_DEPTH // 2 - 4
