"""What responses say of rewards: which are read, of whom, and what is a number."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.routing.request import pointer_tokens
from router.routing.reward import SAMPLE, BodyReward, RewardPlan, compile_rewards, read_bodies, unreadable
from tests.routing.build import revision

GPU = {"name": "gpu", "kind": "mean", "goal": "down", "exchange": "header:x-gpu-seconds"}
FLAGGED = {"name": "flagged", "kind": "proportion", "goal": "down", "exchange": "json:/safety/flagged"}
CLICKS = {"name": "ctr", "kind": "proportion", "goal": "up", "outcome": "click"}


def plan(
    *metrics: dict[str, Any], primary: str = "gpu", secondary: tuple[str, ...] = ("flagged",)
) -> RewardPlan | None:
    """Compile the rewards of a route with an experiment on it."""
    arms = [{"name": name, "target": name, "weight": 1} for name in ("t0", "t1")]
    measured = {"primary": primary, "secondary": list(secondary)}
    made = revision(
        [{"name": "r"}, {"name": "other"}],
        [{"name": "e", "route": "r", "arms": arms, "metrics": measured}],
        metrics=list(metrics),
    )
    assert compile_rewards("other", made.config) is None
    return compile_rewards("r", made.config)


def header(head: bytes) -> float | str:
    """Read the header reward of a head."""
    made = plan(GPU)
    assert made is not None
    return made.headers[0].read((b"HTTP/1.1 200 OK\r\n" + head).lower())


def test_only_what_a_metric_of_the_routes_experiments_names_is_read() -> None:
    """A metric that nobody uses, or that is about outcomes, costs nothing; without any there is no plan."""
    unused = {**GPU, "name": "unused", "exchange": "header:x-other"}
    made = plan(GPU, FLAGGED, unused, CLICKS)
    assert made is not None
    assert [each.source for each in made.headers] == ["header:x-gpu-seconds"]
    assert [each.source for each in made.bodies] == ["json:/safety/flagged"]
    assert plan(CLICKS, primary="ctr", secondary=()) is None


def test_a_source_that_two_metrics_name_is_read_once() -> None:
    """Whatever they make of it."""
    made = plan(GPU, {**GPU, "name": "flagged", "kind": "ratio"})
    assert made is not None
    assert len(made.headers) == 1


def test_the_largest_share_of_a_route_counts() -> None:
    """One sample serves all metrics of a route, so that rewards can be compared with each other."""
    toxic = {**FLAGGED, "name": "toxic", "exchange": "json:/safety/toxic", "sample": 0.25}
    made = plan(FLAGGED, toxic, GPU, secondary=("flagged", "toxic"))
    assert made is not None
    assert made.share == 0.25
    default = plan(FLAGGED, GPU)
    assert default is not None
    assert default.share == SAMPLE


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_units_is_exact_in_expectation(share: float) -> None:
    """None, all, and between them a binomial number (seeded by the names; 5 standard deviations)."""
    made = plan({**FLAGGED, "sample": share}, GPU)
    assert made is not None
    count = sum(made.samples(b"user-%d" % number) for number in range(10_000))
    assert abs(count - 10_000 * share) <= 5 * math.sqrt(10_000 * share * (1 - share))


def test_raising_the_share_only_adds_units() -> None:
    """Who was sampled stays so, so that a unit's record has no holes."""
    small, large = (plan({**FLAGGED, "sample": share}, GPU) for share in (0.1, 0.4))
    assert small is not None
    assert large is not None
    units = [b"user-%d" % number for number in range(2000)]
    assert {unit for unit in units if small.samples(unit)} < {unit for unit in units if large.samples(unit)}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0.25", 0.25),
        ("-1", -1.0),
        ("  7 ", 7.0),
        ("1e3", 1000.0),
        ("true", 1.0),
        ("False", 0.0),
        ("1E3", 1000.0),
        ("?1", 1.0),
        ("?0", 0.0),
        ("", "not_a_number"),
        ("nan", "not_a_number"),
        ("inf", "not_a_number"),
        ("1_000", "not_a_number"),
        ("1,5", "not_a_number"),
        ("0.2s", "not_a_number"),
        ("+1", "not_a_number"),
        ("0x10", "not_a_number"),
        ("1e999", "not_a_number"),
        ("9" * 500, "not_a_number"),
    ],
)
def test_a_header_has_a_number_or_none(value: str, read: float | str) -> None:
    """Nothing is guessed."""
    assert header(f"X-GPU-Seconds:{value}\r\n".encode()) == read


def test_a_header_counts_by_its_whole_name_and_once() -> None:
    """Another field that ends so is another field; two of them say two things."""
    assert header(b"not-x-gpu-seconds: 1\r\nserver: x-gpu-seconds: 1\r\n") == "absent"
    assert header(b"x-gpu-seconds: 1\r\nx-gpu-seconds: 1\r\n") == "not_a_number"


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ({"safety": {"flagged": True}}, 1.0),
        ({"safety": {"flagged": False}}, 0.0),
        ({"safety": {"flagged": 0.75}}, 0.75),
        ({"safety": {"flagged": "1"}}, "not_a_number"),
        ({"safety": {"flagged": None}}, "not_a_number"),
        ({"safety": {"flagged": []}}, "not_a_number"),
        ({"safety": {}}, "absent"),
        ([1], "absent"),
        (5, "absent"),
    ],
)
def test_a_body_has_a_number_at_the_pointer_or_none(body: Any, read: float | str) -> None:
    """Booleans are 1 and 0; a text that looks like a number is none."""
    rewards = (BodyReward("json:/safety/flagged", pointer_tokens("/safety/flagged")),)
    assert read_bodies(rewards, json.dumps(body).encode()) == [read]


@given(st.binary(max_size=100), st.binary(max_size=60))
def test_any_answer_is_read(body: bytes, value: bytes) -> None:
    """Whatever a target sends, the result is a finite number or why there is none."""
    rewards = (BodyReward("json:/a", ("a",)), BodyReward("json:", ()))
    line = b"x-gpu-seconds: %b\r\n" % value.replace(b"\r", b"").replace(b"\n", b"")
    for found in (*read_bodies(rewards, body), header(line)):
        assert found in ("absent", "not_a_number") or math.isfinite(float(found))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (b"content-type: application/json\r\n", None),
        (b"Content-Type: application/problem+json; charset=utf-8\r\n", None),
        (b"content-type: application/json\r\ncontent-encoding: identity\r\n", None),
        (b"content-type: application/json\r\nContent-Encoding: gzip\r\n", "encoded"),
        (b"content-type: application/json\r\nContent-Encoding: identity, gzip\r\n", "encoded"),
        (b"content-type: text/event-stream\r\n", "not_json"),
        (b"content-type: application/jsonl\r\n", "not_json"),
        (b"", "not_json"),
    ],
)
def test_only_plain_json_is_collected(fields: bytes, why: str | None) -> None:
    """A stream of events or a compressed body is not even copied."""
    assert unreadable((b"HTTP/1.1 200 OK\r\nserver: m\r\n" + fields).lower()) == why
