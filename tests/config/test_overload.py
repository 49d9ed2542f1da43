"""What the keys about too much traffic may say, and what is refused."""

import pytest

from router.config.load import ConfigError, load_text
from router.config.schema import Concurrency, Config, RateLimit

LIMITED = "concurrency: {max: 64}"


def load(route: str, target: str = LIMITED, more: str = "") -> Config:
    """Load a configuration with two targets, the second without a limit."""
    text = (
        f"targets: [{{name: t, endpoints: ['http://h'], {target}}}, {{name: free, endpoints: ['http://i']}}]\n"
        f"routes: [{{name: r, target: t, {route}}}]\n{more}"
    )
    return load_text(text.encode(), "x.yaml").config


def test_what_is_not_said_is_short() -> None:
    """A limit has a short queue, and a rate a burst that follows from it."""
    config = load("rate_limit: {requests: 600/m}")
    assert config.targets[0].concurrency == Concurrency(max=64, queue=128, queue_timeout=0.5)
    assert config.routes[0].rate_limit == RateLimit(requests=10.0, burst=None, per="route")


@pytest.mark.parametrize(
    ("route", "path", "words"),
    [
        ("rate_limit: {requests: 1000}", "$.routes[0].rate_limit.requests", "expected a rate such as 1000/s"),
        ("rate_limit: {requests: 0/s}", "$.routes[0].rate_limit.requests", "lets nothing through"),
        ("rate_limit: {requests: 1/s, burst: 0}", "$.routes[0].rate_limit.burst", "the least is 1"),
        ("rate_limit: {requests: 1/s, per: user}", "$.routes[0].rate_limit.per", "one of route, unit"),
        ("unit: [request], rate_limit: {requests: 1/s, per: unit}", "$.routes[0].rate_limit.per", "has no effect"),
        ("degrade: [{when: {inflight: 0.8}}]", "$.routes[0].degrade[0]", "does nothing"),
        ("degrade: [{shed: 1%}]", "$.routes[0].degrade[0]", 'key "when" is missing'),
        ("degrade: [{when: {inflight: 0.8}, target: no}]", "$.routes[0].degrade[0].target", 'no target "no"'),
        ("degrade: [{when: {inflight: 0.8}, drop: 10%}]", "$.routes[0].degrade[0].drop", "no features to drop"),
        ("features: {a: 1}", "$.routes[0].features", "has no effect"),
        ("features: {a: -1}", "$.routes[0].features.a", "the least is 0"),
        ("degrade: [{when: {inflight: 1}, header: {x-router-a: b}}]", ".header.x-router-a", "set by the router itself"),
        (
            "degrade: [{when: {inflight: 1}, header: {Content-Length: '1'}}]",
            ".header.Content-Length",
            "the router itself",
        ),
        ("degrade: [{when: {inflight: 1}, header: {a: ''}}]", ".header.a", "not a header value"),
        ('degrade: [{when: {inflight: 1}, header: {a: "b\\r\\nc: d"}}]', ".header.a", "a control character"),
        ("degrade: [{when: {inflight: 1}, header: {a: b, A: c}}]", ".header.A", "same header"),
    ],
)
def test_mistakes(route: str, path: str, words: str) -> None:
    """Each mistake is said at its place, with the way out."""
    with pytest.raises(ConfigError) as caught:
        load(route)
    assert any(mistake.path.endswith(path) and words in mistake.message for mistake in caught.value.mistakes), str(
        caught.value
    )


def test_a_target_without_a_limit_has_no_load_to_go_by() -> None:
    """What gives way at a load needs a limit on every target that the route's requests are assigned to."""
    arms = "{name: a, target: t, weight: 1}, {name: b, target: free, weight: 1}"
    experiments = f"experiments: [{{name: e, route: r, arms: [{arms}]}}]"
    steps = "degrade: [{when: {inflight: 0.5}, shed: 1%}]"
    steps += ", unit: [header:u]"
    load(steps)
    load("degrade: [{when: {inflight: 0.5}, target: free}]")  # who serves instead needs none
    for target, more in (("version: x", ""), (LIMITED, experiments)):
        with pytest.raises(ConfigError, match="has no concurrency"):
            load(steps, target, more)
