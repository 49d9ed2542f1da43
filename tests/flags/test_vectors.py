"""The examples of flagd's testbed, asked over OFREP with the official SDK, and of the evaluation itself.

The testbed merges its flag files into one before it serves them, and so does this test. All 422 examples are run; those
that do not hold are listed here by name, and the list is asserted exactly: an example that begins to hold, or stops to,
fails the test. They do not apply because

- ``REHASHED``: flagd has changed the hash of ``fractional`` twice, and these examples (``@fractional-v1``, ``-v2``) are
  of before; those of version 3, which the core implements, all hold.
- ``DEPRECATED``: flagd marks them so: a flag without a default variant was an error FLAG_NOT_FOUND and now is the
  caller's own default, with reason DEFAULT (``@no-default-variant``, which all hold).
- ``SELECTOR``: the example asks one source of several for a flag; a router has one set of flags.
- ``NO_FLAG``: no flag file of the testbed at hand has this flag.
- ``NO_TEXT``, over OFREP only: the example's ``targetingKey`` is no text, which OFREP's document says it is.
- ``OTHER_METADATA``: the files at hand have other metadata than the example, which is of the evaluator's own files.

Two differences are of the protocol, not of single examples: OFREP's document does not have the reason DEFAULT, which is
UNKNOWN on the wire; and the type of a flag is compared by the SDK, since an OFREP request does not say which is wanted.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from router.config.flags import Flags as Section
from router.config.flags import FlagSet
from router.config.load import load_text
from router.config.mistake import ConfigError, Mistake
from router.flags.evaluate import Failed, Flags
from tests.admin.serving import served
from tests.control.desk import Desk
from tests.flags.sdk import sdk

TESTBED = Path(__file__).parent / "testbed"
VECTORS: list[dict[str, Any]] = json.loads((TESTBED / "gherkin_vectors.json").read_text())
FILES = sorted(path for path in TESTBED.glob("*.json") if path.name != "gherkin_vectors.json")


class Name(NamedTuple):
    """What an example is called here: its file, its version, its flag and whom it is for."""

    file: str
    version: str
    flag: str
    unit: str


_FRACTIONAL = {
    ("v1", "fractional-flag"): ("jack", "queen", "ten", "nine", "3"),
    ("v2", "fractional-flag"): ("jack", "queen", "nine", "3"),
    ("v1", "fractional-flag-shorthand"): ("jon@company.com",),
    ("v2", "fractional-flag-shorthand"): ("jon@company.com",),
    ("v1", "fractional-flag-A-shared-seed"): ("jack", "queen"),
    ("v2", "fractional-flag-A-shared-seed"): ("eight", "nine", "two"),
    ("v1", "fractional-flag-B-shared-seed"): ("jack", "queen"),
    ("v2", "fractional-flag-B-shared-seed"): ("eight", "nine", "two"),
}
REHASHED = {
    Name(file, version, flag, unit)
    for file in ("evaluator/gherkin/fractional.feature", "gherkin/targeting.feature")
    for (version, flag), units in _FRACTIONAL.items()
    for unit in units
}
DEPRECATED = {
    Name("gherkin/evaluation.feature", "deprecated", flag, unit)
    for flag, unit in (
        ("null-default-flag", ""),
        ("undefined-default-flag", ""),
        ("no-default-flag-null-targeting-variant", "wozniak@orange.com"),
        ("no-default-flag-undefined-targeting-variant", "wozniak@orange.com"),
    )
}
SELECTOR = {Name("gherkin/disabled.feature", "rawflags/selector-flags.json", "cross-flagset-flag", "")}
NO_FLAG = {Name("evaluator/gherkin/zero-values.feature", "", "object-zero-flag", "")}
OTHER_METADATA = {Name("evaluator/gherkin/metadata.feature", "", "metadata-flag", "")}
EXCEPTIONS = REHASHED | DEPRECATED | SELECTOR | NO_FLAG | OTHER_METADATA
NO_TEXT = {Name("gherkin/targeting.feature", "v3", "fractional-flag-shorthand", unit) for unit in ("true", "12345")}
# Asked of the evaluation itself, with no SDK that would compare types.
TYPE_MISMATCH = {Name("evaluator/gherkin/errors.feature", "", "wrong-flag", "")}


def name(vector: dict[str, Any]) -> Name:
    """Name an example."""
    version = next((tag.rpartition("-")[2] for tag in vector["tags"] if tag.startswith("@fractional-v")), "")
    if "@deprecated" in vector["tags"]:
        version = "deprecated"
    if "unparsed" in vector and "selector" in vector["unparsed"][0]:
        version = vector["unparsed"][0].rpartition("value ")[2].strip('"')
    texts = [given.get("__value", given.get("name")) for given in vector["context"].values()]
    return Name(vector["source"], version, vector["flag"], vector.get("targetingKey") or "".join(map(str, texts)))


def merged() -> FlagSet:
    """Merge the flag files as the testbed does."""
    documents = [json.loads(file.read_text()) for file in FILES]
    whole = {
        part: {key: value for document in documents for key, value in document.get(part, {}).items()}
        for part in ("flags", "$evaluators")
    }
    return FlagSet(file="testbed", text=msgspec.json.encode(whole).decode())


def typed(kind: str, text: str) -> Any:
    """Read a value of the examples, which are all text."""
    if kind == "Boolean":
        return text == "true"
    if kind == "Object":
        return json.loads(text.replace('\\"', '"'))
    return {"Integer": int, "Float": float, "String": str}[kind](text)


def context(vector: dict[str, Any]) -> dict[str, Any]:
    """Return the context of an example."""
    given = vector["context"].items()
    return {key: typed(value["__type"], value["__value"]) if "__type" in value else value for key, value in given}


class Got(NamedTuple):
    """What came of an example."""

    value: Any
    reason: str
    code: str
    metadata: dict[str, Any]


def failures(ask: Callable[[dict[str, Any]], Got]) -> Iterator[Name]:
    """Yield the examples that do not hold."""
    for vector in VECTORS:
        got, expected = ask(vector), vector["expect"]
        holds = (
            ("value" not in expected or got.value == typed(vector["type"], expected["value"]))
            and expected.get("reason", got.reason) == got.reason
            and expected.get("errorCode", got.code) == got.code
            and _metadata_holds(vector, got.metadata)
        )
        if not holds:
            yield name(vector)


def _metadata_holds(vector: dict[str, Any], got: dict[str, Any]) -> bool:
    if "the resolved metadata is empty" in vector.get("unparsed", ()):
        return not got
    (_, *rows), *_ = vector.get("tables", [[()]])
    return all(got.get(key) == typed(kind, value) for key, kind, value in rows)


def test_every_example_but_the_named_ones_holds_of_the_evaluation() -> None:
    """Value, reason, error code and metadata."""
    flags = Flags([merged()])

    def ask(vector: dict[str, Any]) -> Got:
        found = flags.evaluate(vector["flag"], vector.get("targetingKey"), context(vector))
        default = typed(vector["type"], vector["default"])
        if isinstance(found, Failed):
            return Got(default, "ERROR", found.code, {})
        return Got(default if found.variant is None else found.value, found.reason, "", dict(found.metadata))

    assert set(failures(ask)) == EXCEPTIONS | TYPE_MISMATCH


def test_every_example_but_the_named_ones_holds_over_ofrep(tmp_path: Path) -> None:
    """Asked with the official SDK and its OFREP provider, of a running admin API."""
    desk = Desk(tmp_path)

    def ask_all(url: str) -> set[Name]:
        with sdk(url) as client:

            def ask(vector: dict[str, Any]) -> Got:
                default = typed(vector["type"], vector["default"])
                found = client.ask(vector["type"], vector["flag"], default, vector.get("targetingKey"), context(vector))
                # Not every reason DEFAULT is known to be UNKNOWN on the wire: only where the example says DEFAULT.
                reason = str(found.reason)
                if vector["expect"].get("reason") == "DEFAULT" and reason == "UNKNOWN":
                    reason = "DEFAULT"
                return Got(found.value, reason, str(found.error_code or ""), dict(found.flag_metadata))

            return set(failures(ask))

    async def run() -> set[Name]:
        async with served(desk) as client:
            present = desk.control.revision
            config = msgspec.structs.replace(present.config, flags=Section(sets=(merged(),)))
            revision = msgspec.structs.replace(present, config=config)
            # The testbed has flags that are wrong on purpose, which no configuration may have.
            desk.control.state = desk.control.state.__class__(revision, desk.control.state.history)
            return await asyncio.to_thread(ask_all, str(client.make_url("/")))

    assert asyncio.run(run()) == EXCEPTIONS | NO_TEXT


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        ("custom-ops", 5),  # versions that flagd's schema does not know as such, and a number for a text
        ("disabled-flags", 0),
        ("edge-case-flags", 8),  # each wrong on purpose
        ("evaluator-refs", 1),  # a reference to nothing
        ("metadata-flags", 0),
        ("testing-flags", 0),
        ("zero-flags", 4),  # references to an evaluator of another file
    ],
)
def test_flags_of_the_testbed_that_are_wrong_are_refused(tmp_path: Path, file: str, wrong: int) -> None:
    """``router check`` says of each flag what an evaluation would only find when it is asked."""
    (tmp_path / "flags.json").write_bytes((TESTBED / f"{file}.json").read_bytes())
    text = (
        b"flags: {files: [flags.json]}\ntargets: [{name: a, endpoints: ['http://h:1']}]\nroutes: [{name: r, target: a}]"
    )
    found: tuple[Mistake, ...] = ()
    try:
        load_text(text, "router.yaml", tmp_path)
    except ConfigError as error:
        found = error.mistakes
    assert len({mistake.path.split(".")[2] for mistake in found}) == wrong
