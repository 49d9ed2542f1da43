"""``events.sinks``: built-ins and plug-ins, each with its own options, checked like any other key."""

import sys
from pathlib import Path

import pytest

from router.archive.kafka import Kafka
from router.archive.stdout import Stdout
from router.config import plugin
from router.config.load import ConfigError, load_text
from router.config.sink_references import make_sinks
from tests.control.build import plain


def sinks(text: str) -> dict[str, object]:
    """Load sinks as YAML flow content, and make them."""
    config = load_text(plain(f"events: {{sinks: [{text}]}}").encode(), "router.yaml").config
    return make_sinks(config.events.sinks, Path())


def mistakes(text: str) -> list[str]:
    """Load sinks that are refused; return what is said."""
    with pytest.raises(ConfigError) as caught:
        sinks(text)
    return sorted(str(mistake) for mistake in caught.value.mistakes)


def test_sinks_have_their_options_with_units() -> None:
    """Names tell those of the same kind apart."""
    made = sinks(
        "{use: stdout}, {use: kafka, servers: ['a:1', 'b:2'], topic: t, timeout: 5s}, {use: stdout, backlog: 1MiB}"
    )
    assert made == {
        "stdout": Stdout(),
        "kafka": Kafka(servers=("a:1", "b:2"), topic="t", timeout=5.0),
        "stdout#2": Stdout(backlog=1024 * 1024),
    }


def test_mistakes_are_said_with_their_place() -> None:
    """As with every other key: unknown, missing, of the wrong type, out of bounds."""
    said = mistakes("{use: kafka, servers: [], topik: t, timeout: 5}, {topic: t}")
    assert said == [
        "router.yaml:1: $.events.sinks[0].servers: needs at least 1 item",
        "router.yaml:1: $.events.sinks[0].timeout: expected a duration such as 5s, found 5",
        'router.yaml:1: $.events.sinks[0].topik: unknown key "topik"; did you mean "topic"?',
        'router.yaml:1: $.events.sinks[0]: key "topic" is missing: topic; it is not made if it does not exist',
        'router.yaml:1: $.events.sinks[1]: key "use" is missing: the name of a sink',
    ]


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        ("nats", "is not one of kafka, stdout"),
        ("no_such_package.sinks:Mine", "cannot be imported: ModuleNotFoundError"),
        ("os:nothing", "cannot be imported: AttributeError"),
        ("os:PathLike", "is not a frozen msgspec.Struct"),
        ("router.events.model:Kill", "it has no method open"),
        ("../evil:Mine", "is not one of kafka, stdout"),
        ("3", "is not one of kafka, stdout"),
    ],
)
def test_what_is_no_sink_is_refused(use: str, reason: str) -> None:
    """By name or by path."""
    (said,) = mistakes(f"{{use: {use}}}")
    assert "$.events.sinks[0].use" in said
    assert reason in said


def test_a_sink_of_your_own_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fields are its options; what its module raises is a mistake in the file."""
    (tmp_path / "my_sinks.py").write_text(
        "from msgspec import Struct\nclass Mine(Struct, frozen=True):\n    color: str\n    def open(self): ...\n"
    )
    (tmp_path / "my_broken.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = sinks("{use: 'my_sinks:Mine', color: red}")
    assert [(name, getattr(sink, "color", None)) for name, sink in made.items()] == [("my_sinks:Mine", "red")]
    assert "RuntimeError('no licence')" in mistakes("{use: 'my_broken:Mine'}")[0]
    sys.modules.pop("my_sinks")


def test_a_sink_whose_extra_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    monkeypatch.setattr(plugin, "find_spec", lambda _name: None)
    assert "needs the extra router[kafka]" in mistakes("{use: kafka, servers: [a], topic: t}")[0]
