"""A route's rate in the words that workers share."""

import pytest

from router import counters
from router.config.schema import RateLimit
from router.proxy.limiter import Limiter, client_key

BASE = 4
WORDS = BASE + counters.UNITS_WORDS


def blocks(count: int = 2) -> list[memoryview]:
    """Make the words of some workers."""
    return [memoryview(bytearray(8 * WORDS)).cast("q") for _ in range(count)]


def limit(per: str = "route", requests: float = 1.0, burst: int | None = 2) -> RateLimit:
    """Write a limit."""
    return RateLimit(requests=requests, burst=burst, per=per)  # type: ignore[arg-type]


def test_workers_share_a_rate() -> None:
    """What one worker admitted is gone for the other."""
    shared = blocks()
    one, other = (Limiter(limit(), BASE, shared, worker, 0.0) for worker in range(2))
    assert one.take(None, "", 0.0) == 0.0
    assert other.take(None, "", 0.0) == 0.0
    assert one.take(None, "", 0.0) == pytest.approx(1.0)
    assert other.take(None, "", 0.5) == pytest.approx(0.5)
    assert [block[BASE + counters.RATE_ADMITTED] for block in shared] == [1, 1]


def test_a_tick_keeps_a_quiet_worker_informed() -> None:
    """What others admit is taken off when it happens, so a quiet worker has no burst of its own besides theirs."""
    shared = blocks()
    busy, quiet = (Limiter(limit(requests=10.0, burst=10), BASE, shared, worker, 0.0) for worker in range(2))
    now = 0.0
    for _ in range(100):  # at the rate, after a burst
        now += 0.05
        while busy.take(None, "", now) == 0.0:
            pass
        quiet.tick(now)
    assert quiet.take(None, "", now) > 0.0


def test_each_unit_has_its_own_rate() -> None:
    """One unit's requests leave another's alone, in every worker."""
    shared = blocks()
    one, other = (Limiter(limit("unit"), BASE, shared, worker, 0.0) for worker in range(2))
    assert [one.take(7, "", 0.0), other.take(7, "", 0.0)] == [0.0, 0.0]
    assert one.take(7, "", 0.0) > 0.0
    assert other.take(8, "", 0.0) == 0.0


def test_without_a_unit_the_address_counts() -> None:
    """Callers without a unit do not share one rate."""
    limiter = Limiter(limit("unit", burst=1), BASE, blocks(), 0, 0.0)
    assert limiter.take(None, "192.0.2.1", 0.0) == 0.0
    assert limiter.take(None, "192.0.2.1", 0.0) > 0.0
    assert limiter.take(None, "192.0.2.2", 0.0) == 0.0


def test_an_idle_unit_has_its_burst_again() -> None:
    """A bucket that nobody draws from fills up, which is all there is to expire."""
    limiter = Limiter(limit("unit"), BASE, blocks(), 0, 0.0)
    for _ in range(2):
        assert limiter.take(7, "", 0.0) == 0.0
    assert limiter.take(7, "", 0.0) > 0.0
    assert [limiter.take(7, "", 2.0) for _ in range(2)] == [0.0, 0.0]


def test_a_worker_that_replaces_another_does_not_begin_with_bursts() -> None:
    """Words outlive a worker; its successor's views begin with one request each."""
    shared = blocks()
    before = Limiter(limit("unit", burst=100), BASE, shared, 0, 0.0)
    assert before.take(7, "", 0.0) == 0.0
    after = Limiter(limit("unit", burst=100), BASE, shared, 0, 5.0)
    assert after.take(7, "", 5.0) == 0.0
    assert after.take(7, "", 5.0) > 0.0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),  # one subscriber's network
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("not:an:address", "not:another", False),
    ],
)
def test_addresses_of_one_subscriber_are_one(one: str, other: str, *, same: bool) -> None:
    """Whoever has a network of version 6 has one rate, not 2^64 of them."""
    assert (client_key(one) == client_key(other)) is same
