"""The keys about when an endpoint gets no requests: defaults, and what makes no sense together."""

import pytest

from router.config.load import load_text
from router.config.mistake import ConfigError
from router.config.schema import Breaker, Health, Target


def target(keys: str) -> Target:
    """Load a configuration whose target has some further keys."""
    text = f"targets: [{{name: t, endpoints: ['http://h'], {keys}}}]\nroutes: [{{name: r, target: t}}]\n"
    return load_text(text.encode(), "test.yaml").config.targets[0]


def test_a_breaker_is_on_and_health_is_off_by_default() -> None:
    """Who writes nothing gets a breaker, is not asked, and starts at its full share."""
    made = target("dns: 30s")
    assert (made.breaker, made.health, made.slow_start) == (Breaker(), None, 0.0)


def test_what_is_written_is_read() -> None:
    """Each key has its unit, and the others their defaults."""
    made = target(
        "health: {path: /ready, interval: 2s, status: [200, 204]}, slow_start: 30s,"
        " breaker: {consecutive: 0, ratio: 25%, slow: 2s, slow_ratio: 80%, panic: 50%}"
    )
    assert made.health == Health(path="/ready", interval=2.0, status=(200, 204))
    assert made.breaker == Breaker(consecutive=0, ratio=0.25, slow=2.0, slow_ratio=0.8, panic=0.5)
    assert made.slow_start == 30.0


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("breaker: {slow_ratio: 20%}", "$.targets[0].breaker.slow_ratio: has no effect without slow"),
        ("breaker: {max_open: 5s}", "$.targets[0].breaker.max_open: max_open 5s is shorter than open 30s"),
        ("breaker: {open: 10m}", "$.targets[0].breaker.open: max_open 5m is shorter than open 10m"),
        ("breaker: {probes: 0}", "$.targets[0].breaker.probes: 0 is too small; the least is 1"),
        ("breaker: {window: 0s}", "$.targets[0].breaker.window: "),
        ("health: {}", '$.targets[0].health: key "path" is missing'),
        ("health: {path: ready}", "$.targets[0].health.path: "),
        ("health: {path: /ready, status: []}", "$.targets[0].health.status: needs at least 1 item"),
        ("health: {path: /ready, status: [99]}", "$.targets[0].health.status[0]: 99 is too small"),
    ],
)
def test_what_makes_no_sense_is_refused(keys: str, mistake: str) -> None:
    """Each mistake is named by its path, with what would be right."""
    with pytest.raises(ConfigError) as caught:
        target(keys)
    assert mistake in str(caught.value)
