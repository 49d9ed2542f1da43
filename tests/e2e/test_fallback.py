"""What answers in front of a whole router when a model does not: the last good answer, rules, a second request."""

import re
import socket
from collections import Counter
from pathlib import Path

from tests.e2e.running import Router, wait_until
from tests.e2e.test_readiness import models, routed

QUICK = "breaker: {open: 1s, max_open: 1s, ramp: 0s}"
ASKED = 40  # connections after which each of two workers has had some, but once in 2**39 times


def metric(router: Router, name: str, labels: str) -> float:
    """Return the sum of the counters whose labels match."""
    text = router.ask("/metrics")[1].decode()
    return sum(map(float, re.findall(rf"^{name}\{{{labels}\}} (\S+)$", text, re.MULTILINE)))


def test_a_dead_model_goes_on_answering_what_it_was_asked(tmp_path: Path) -> None:
    """Who asked before gets the same answer again, from every worker; others get what a rule or nobody says."""
    fallback = (
        "[{cached: {ttl: 10m, size: 1MiB}}, {rules: [{if: {'==': [{var: tier}, gold]}, respond: {json: gold}}]}, "
        "{respond: {status: 503, json: sorry}}]"
    )
    route = (
        f"[{{name: r, target: t, unit: [header:x-user], attributes: {{tier: header:x-tier}}, fallback: {fallback}}}]"
    )
    with (
        models("good") as (model,),
        routed(tmp_path, f"[{{name: t, endpoints: [{model.url}], {QUICK}}}]", route) as router,
    ):
        assert {router.ask("/q", port=router.port, x_user="1") for _ in range(ASKED)} == {(200, b"good")}
        model.die()
        assert {router.ask("/q", port=router.port, x_user="1") for _ in range(ASKED)} == {(200, b"good")}
        assert router.ask("/q", port=router.port, x_user="2") == (503, b'"sorry"\n')
        assert router.ask("/other", port=router.port, x_user="1") == (503, b'"sorry"\n')
        assert router.ask("/q", port=router.port, x_user="2", x_tier="gold") == (200, b'"gold"\n')
        counted = 'cause="[a-z_]+",route="r",to="cached"'
        wait_until(lambda: metric(router, "router_fallback_total", counted) > 0, "the counters")
        model.start()
        wait_until(
            lambda: router.ask("/new", port=router.port, x_user="3") == (200, b"good"), "the model is asked again"
        )


def test_a_silent_replica_costs_nobody_its_time_out(tmp_path: Path) -> None:
    """Requests to a replica that accepts and says nothing are answered by the other, long before the time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as silent, models("good") as (model,):
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        targets = (
            f"[{{name: t, endpoints: [{url}, {model.url}], hedge: {{after: 20ms, max: 100%}}, balance: round_robin}}]"
        )
        with routed(tmp_path, targets, "[{name: r, target: t}]") as router:
            answers = Counter(router.ask("/q", port=router.port) for _ in range(ASKED))
            assert answers == {(200, b"good"): ASKED}
            wait_until(lambda: metric(router, "router_hedges_total", 'result="won",target="t"') > 0, "the counters")
