"""What an exchange that is in several experiments leaves behind, and when one counts as not finished."""

import base64
from pathlib import Path

import pytest

from router import counters
from router.routing.bucket import unit_bucket
from router.routing.token import Assignment, unit_hash, verify
from tests.flags.driven import SECTION
from tests.proxy.memory import OK, Plane

KEY = b"k" * 32
ARMS = "arms: [{name: small, value: 10, weight: 1}, {name: large, value: 20, weight: 1}]"
CONFIG = f"""
{SECTION}
targets:
  - {{name: t, endpoints: ['http://10.0.0.1:80'], timeouts: {{total: 90s}}}}
  - {{name: u, endpoints: ['http://10.0.0.2:80'], timeouts: {{total: 60s}}}}
routes:
  - {{name: r, target: t, unit: [header:x-user], attributes: {{tier: header:x-tier, country: header:x-country}}}}
holdouts: [{{name: untouched, segment: [0%, 100%], layers: [l], salt: h}}]
layers: [{{name: l}}]
"""
EXPERIMENTS = f"""
experiments:
  - name: model
    route: r
    strata: [tier]
    arms: [{{name: a, target: t, weight: 0}}, {{name: b, target: u, weight: 1}}]
  - {{name: size, route: r, flag: page, unit: [header:x-tenant], {ARMS}}}
  - {{name: held, route: r, flag: other, layer: l, {ARMS}}}
"""
ASK = b"GET / HTTP/1.1\r\nHost: h\r\nX-User: ann\r\nX-Tier: gold\r\nX-Tenant: acme\r\n\r\n"


def test_everything_that_an_exchange_is_in_is_logged_and_counted() -> None:
    """Each arm has its word for its own unit; strata and holdouts are those of the moment."""
    with Plane(CONFIG + EXPERIMENTS) as plane:
        target = plane.ask(plane.caller()[1], ASK)
        assert b"\r\nx-router-experiments: model=b, size=" in target.sent
        target.feed(OK)
        plane.settle()
        (event,) = plane.log.events
        assert (event.unit, event.attributes, event.holdouts, event.deadline) == (
            "ann",
            {"tier": "gold"},
            ("untouched",),
            None,
        )
        assert [(each.experiment, each.unit, each.target) for each in event.experiments] == [
            ("model", None, "u"),
            ("size", "acme", None),
        ]
        for each, unit in zip(event.experiments, ("ann", "acme"), strict=True):
            base = plane.revision.slots[counters.arm_key(each.experiment, 1, 1, each.arm)]
            assert plane.words[base + counters.ARM_EXCHANGES + unit_bucket(unit)] == 1


def test_a_caller_gets_a_token_for_each_experiment(tmp_path: Path) -> None:
    """Outcomes can be sent for all of them: each token has the unit that was assigned, hashed."""
    (tmp_path / "keys").write_bytes(base64.b64encode(KEY))
    server = f"server: {{signing: {{keys_file: '{tmp_path / 'keys'}'}}, expose: [assignment, arm]}}\n"
    with Plane(server + CONFIG + EXPERIMENTS) as plane:
        _, wire = plane.caller()
        plane.ask(wire, ASK).feed(OK)
        plane.settle()
        fields = dict(line.split(b": ", 1) for line in wire.sent.split(b"\r\n\r\n")[0].splitlines()[1:])
        tokens = [verify((KEY,), token, Assignment) for token in fields[b"x-router-assignment"].split(b", ")]
        said = [(token[0].experiment, token[0].unit) for token in tokens if token is not None]
        assert said == [("model", unit_hash("model", 1, "ann")), ("size", unit_hash("size", 1, "acme"))]
        assert fields[b"x-router-arm"].startswith(b"b, ")


@pytest.mark.parametrize(
    ("answer", "status", "deadline"),
    [(b"", 502, 60.0), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", 200, 60.0), (OK, 200, None)],
)
def test_what_did_not_finish_has_a_deadline(answer: bytes, status: int, deadline: float | None) -> None:
    """An answer that never came, or not whole, enters latencies with what the target was allowed to take."""
    with Plane(CONFIG + EXPERIMENTS) as plane:
        target = plane.ask(plane.caller()[1], ASK)
        if answer:
            target.feed(answer)
        target.end()
        plane.settle()
        (event,) = plane.log.events
        assert (event.status, event.deadline, event.failed) == (status, deadline, deadline is not None)


def test_a_caller_that_gave_up_did_not_finish() -> None:
    """Whoever waits no longer must not make the model look fast."""
    with Plane(CONFIG + EXPERIMENTS) as plane:
        _, wire = plane.caller()
        plane.ask(wire, ASK)
        wire.end()
        plane.settle()
        (event,) = plane.log.events
        assert (event.outcome_fault, event.deadline, event.failed) == ("client_gone", 60.0, False)


def test_slots_of_time_switch_with_the_clock() -> None:
    """A switchback experiment is asked with the time of the exchange."""
    allocate = "allocate: {use: switchback, slot: 1h}"
    with Plane(CONFIG + f"experiments: [{{name: size, route: r, flag: page, {allocate}, {ARMS}}}]\n") as plane:
        plane.ask(plane.caller()[1], ASK).feed(OK)
        plane.settle()
        (event,) = plane.log.events
        slot = event.experiments[0].unit
        assert slot is not None
        assert 0 <= event.time - int(slot) < 3600
        assert int(slot) % 3600 == 0
