"""The keys of experiments that send a request to several arms: what each needs, and what has no effect."""

import pytest

from router.config.allocate import Allocate
from tests.config.sample import loaded, mistakes

CONFIG = """
targets:
  - {{name: t, endpoints: ['http://h']}}
  - {{name: u, endpoints: ['http://i']}}
  - {{name: v, endpoints: ['http://j']}}
routes: [{{name: r, target: t, unit: [header:x-user]}}]
experiments: [{{name: e, route: r, arms: [{arms}], allocate: {{{allocate}}}{more}}}]
"""
ARMS = "{name: a, target: t, weight: 1}, {name: b, target: u, weight: 1}"
INTERLEAVE = "use: interleave, list: /items, id: /id"


def found(allocate: str, arms: str = ARMS, more: str = "") -> list[str]:
    """Give the mistakes of a configuration with one experiment, without the file's name and line."""
    return [line.partition(": ")[2] for line in mistakes(CONFIG.format(allocate=allocate, arms=arms, more=more))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (INTERLEAVE, Allocate(use="interleave", list="/items", id="/id")),
        ("use: interleave, list: ''", Allocate(use="interleave", list="")),
        (
            "use: interleave, list: /a/0/b, merge: balanced, deadline: 200ms, body_bytes: 1KiB, answer_bytes: 2KiB",
            Allocate(
                use="interleave", list="/a/0/b", merge="balanced", deadline=0.2, body_bytes=1024, answer_bytes=2048
            ),
        ),
        ("use: ensemble, at: /score, combine: vote", Allocate(use="ensemble", at="/score", combine="vote")),
    ],
)
def test_what_is_written_is_read(text: str, expected: Allocate) -> None:
    """Each policy has its keys, with their units resolved."""
    config = loaded(CONFIG.format(allocate=text, arms=ARMS, more="")).config
    assert config.experiments[0].allocate == expected


@pytest.mark.parametrize(
    ("allocate", "arms", "said"),
    [
        ("use: interleave", ARMS, ['$.experiments[0].allocate: key "list" is missing']),
        ("use: ensemble", ARMS, ['$.experiments[0].allocate: key "at" is missing']),
        ("list: /items", ARMS, ["$.experiments[0].allocate.list: has no effect"]),
        ("deadline: 1s", ARMS, ["$.experiments[0].allocate.deadline: has no effect"]),
        (f"{INTERLEAVE}, combine: mean", ARMS, ["$.experiments[0].allocate.combine: has no effect"]),
        ("use: ensemble, at: /x, merge: balanced", ARMS, ["$.experiments[0].allocate.merge: has no effect"]),
        (f"{INTERLEAVE}, slot: 1h", ARMS, ["$.experiments[0].allocate.slot: has no effect"]),
        (INTERLEAVE, f"{ARMS}, {{name: c, target: v, weight: 1}}", ["$.experiments[0].arms: interleave compares two"]),
        ("use: ensemble, at: /x", ARMS.replace("u,", "t,"), ['$.experiments[0].arms[1].target: target "t" already']),
        (f"{INTERLEAVE}, deadline: 0s", ARMS, ["$.experiments[0].allocate.deadline"]),
        (f"{INTERLEAVE}, answer_bytes: 17MiB", ARMS, ["$.experiments[0].allocate.answer_bytes"]),
        ("use: interleave, list: items", ARMS, ["$.experiments[0].allocate.list"]),
    ],
)
def test_what_cannot_be_is_said(allocate: str, arms: str, said: list[str]) -> None:
    """Missing keys, keys of another policy, arms that cannot be told apart, bounds."""
    lines = found(allocate, arms)
    assert len(lines) == len(said), lines
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True)), lines


def test_arms_are_targets() -> None:
    """A value of a flag is nothing that a request can be sent to."""
    arms = "{name: a, value: 1, weight: 1}, {name: b, value: 2, weight: 1}"
    lines = found(INTERLEAVE, arms, ", flag: f")
    places = [f"$.experiments[0].arms[{place}].value: interleave needs arms that are targets" for place in (0, 1)]
    assert [line for line in lines if "].value" in line] == places
