"""The keys of blue-green switches and rolling replacements: what each needs, and what cannot work."""

import pytest

from router.config.allocate import Allocate
from router.config.preview import Preview
from router.config.smoke import SmokeTest
from tests.config.sample import loaded, mistakes

CONFIG = """
targets:
  - {{name: t, endpoints: ['http://h', 'http://i']}}
  - {{name: u, endpoints: ['http://j', 'http://k']}}
  - {{name: v, endpoints: ['http://l']}}
routes: [{{name: r, target: t, unit: [header:x-user]}}{routes}]
metrics: [{{name: errors, kind: ratio, exchange: failed, goal: down}}]
experiments:
  - name: e
    route: r
    arms: [{{name: a, target: t, weight: 1}}, {{name: b, target: {target}, weight: 1}}]
    allocate: {{{allocate}}}
    metrics: {{primary: errors, guardrails: [{guardrail}]}}{more}
"""
ALONE = "{metric: errors, at_most: 5%, action: rollback}"
ALL = (
    "use: blue_green, preview: {header: x-preview, value: qa}, approve: true, hold: 5m, keep_warm: 1h, "
    "ready_within: 2m, tests: [{path: /ready}, {path: /infer, method: POST, json: {q: 1}, status: [200, 201], "
    "headers: {x-team: a}, max_time: 250ms, expect: {/ok: true}, repeat: 5}]"
)
BESIDE = "{metric: errors, ratio: 2, action: rollback}"


def text(allocate: str, **more: str) -> str:
    """Return a configuration with one release."""
    given = {"guardrail": ALONE, "target": "u", "routes": "", "more": "", **more}
    return CONFIG.format(allocate=allocate, **given)


@pytest.mark.parametrize(
    ("allocate", "expected"),
    [
        ("use: blue_green", Allocate(use="blue_green")),
        (
            ALL,
            Allocate(
                use="blue_green",
                preview=Preview(header="x-preview", value="qa"),
                approve=True,
                hold=300.0,
                keep_warm=3600.0,
                ready_within=120.0,
                tests=(
                    SmokeTest(path="/ready"),
                    SmokeTest(
                        path="/infer", method="POST", json={"q": 1}, status=(200, 201), headers={"x-team": "a"},
                        max_time=0.25, expect={"/ok": True}, repeat=5,
                    ),
                ),
            ),
        ),
        ("use: rolling, batch: 50%, hold: 1m", Allocate(use="rolling", batch=0.5, hold=60.0)),
    ],
    ids=["plain", "all", "rolling"],
)  # fmt: skip
def test_what_is_written_is_read(allocate: str, expected: Allocate) -> None:
    """Each kind has its keys, with their units resolved."""
    assert loaded(text(allocate)).config.experiments[0].allocate == expected


def test_a_batch_holds_by_default_and_a_switch_does_not() -> None:
    """A batch is watched for 5 minutes; green may be switched to as soon as it is ready."""
    assert (Allocate(use="rolling").hold_s, Allocate(use="blue_green").hold_s) == (300.0, 0.0)


@pytest.mark.parametrize(
    ("allocate", "more", "said"),
    [
        ("use: blue_green", {"guardrail": BESIDE}, "$.experiments[0]: blue_green leaves no control"),
        ("use: rolling", {"guardrail": BESIDE}, "$.experiments[0]: rolling leaves no control"),
        ("use: blue_green", {"guardrail": ALONE.replace("rollback", "warn")}, "$.experiments[0]: blue_green leaves"),
        ("use: blue_green, batch: 10%", {}, "$.experiments[0].allocate.batch: has no effect, because only rolling"),
        ("use: rolling, keep_warm: 1m", {}, "$.experiments[0].allocate.keep_warm: has no effect"),
        ("use: rolling, approve: true", {}, "$.experiments[0].allocate.approve: has no effect"),
        ("use: fixed, preview: {header: x-preview}", {}, "$.experiments[0].allocate.preview: has no effect"),
        (
            "use: blue_green, preview: {header: X-Router-Preview}",
            {},
            '$.experiments[0].allocate.preview.header: "X-Router-Preview" is removed from requests',
        ),
        ("use: blue_green", {"target": "t"}, "$.experiments[0].arms[1].target: is that of the other arm"),
        ("use: rolling", {"target": "v"}, ".use: rolling replaces each endpoint by one: target"),
        ("use: rolling", {"more": "\n    coverage: 50%"}, "$.experiments[0].coverage: rolling replaces a target for"),
        (
            "use: rolling",
            {"routes": ", {name: s, target: u, match: {path: /s}}"},
            "$.routes[1].target: is replaced by the rolling release at $.experiments[0]",
        ),
        (
            "use: blue_green, tests: [{path: /a, body: x, json: 1}]",
            {},
            "$.experiments[0].allocate.tests[0].json: there is a body as well",
        ),
        (
            "use: blue_green, tests: [{path: /a, headers: {Content-Length: '3'}}]",
            {},
            '"Content-Length" says where a message ends',
        ),
        (
            "use: blue_green, tests: [" + ", ".join(["{path: /a, repeat: 1000}"] * 6) + "]",
            {},
            "$.experiments[0].allocate.tests: 6000 requests to each of 2 endpoints are more than 10000",
        ),
        ("use: blue_green, tests: [{path: /a, method: TRACE}]", {}, "TRACE is not for smoke tests"),
        ("use: blue_green, tests: [{path: /a, max_time: 61s}]", {}, "$.experiments[0].allocate.tests[0].max_time"),
        ("use: rolling, batch: 0%", {}, "$.experiments[0].allocate.batch"),
    ],
    ids=[
        "no-guard", "no-guard-rolling", "soft-guard", "batch", "warm", "approve", "preview", "own-header", "same",
        "unequal", "part", "other-route", "two-bodies", "framing", "too-many", "method", "slow", "nothing",
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(allocate: str, more: dict[str, str], said: str) -> None:
    """Each mistake names its place and the way out."""
    found = [line.partition(": ")[2] for line in mistakes(text(allocate, **more))]
    assert len(found) == 1
    assert said in found[0]
