"""Error budgets: burn rates over two windows, pages and tickets, and little traffic that proves nothing."""

import pytest

from router.config.schema import Burn, Guardrail
from router.events.rollout import Found
from router.guardrail.burn import burns_of
from tests.guardrail.looks import Release

CONTROL = (20, 0, 20.0)


def page(found: tuple[Found, ...]) -> Found:
    """Give what is said about pages."""
    return found[0]


def test_the_defaults_are_the_workbook_s() -> None:
    """14.4 over 1 h and 5 m, 6 over 6 h and 30 m, 1 over 3 d and 6 h, for a period of 30 days."""
    burns = burns_of(Guardrail(slo=0.999))
    assert [burn.rate for burn in burns] == pytest.approx([14.4, 6, 1])
    assert [(burn.long, burn.short) for burn in burns] == [(3600, 300), (21600, 1800), (259200, 21600)]
    assert [burn.severity for burn in burns] == ["page", "page", "ticket"]


def test_another_period_has_the_rates_that_spend_the_same_part() -> None:
    """2 % of 7 days within an hour is 3.36 times; none is below 1, and no window is longer than the period."""
    rates = [burn.rate for burn in burns_of(Guardrail(slo=0.999, period=7 * 86400.0))]
    assert rates == [pytest.approx(3.36), pytest.approx(1.4), 1.0]
    assert len(burns_of(Guardrail(slo=0.999, period=86400.0))) == 2


def test_rates_of_the_file_take_their_place() -> None:
    """Whoever writes some means them."""
    burn = Burn(rate=3, long=600.0, short=60.0)
    assert burns_of(Guardrail(slo=0.99, burn=(burn,))) == (burn,)


def test_a_budget_that_burns_too_fast_fails_its_page() -> None:
    """5 % of failures spend a budget of 0.1 % 50 times as fast as it lasts, once five minutes are known."""
    release = Release((Guardrail(slo=0.999, action="pause"),))
    looks = release.run(420, control=CONTROL, treatment=(20, 1, 20.0))
    assert [page(look).status for look in looks[:30]] == ["inconclusive"] * 30
    found, ticket = looks[-1]
    assert (found.name, found.status, found.action) == ("slo 99.9%", "fail", "pause")
    assert (ticket.name, ticket.status, ticket.action) == ("slo 99.9%, ticket", "inconclusive", "warn")
    assert found.estimate == pytest.approx(50)
    assert found.margin == pytest.approx(14.4)
    assert found.low is not None
    assert 1 < found.low < 50
    assert found.counts["burn_short_5m"] == pytest.approx(50)
    assert found.reason.startswith(
        "41 of 820 exchanges failed: the budget of 0.1% is spent 50 times as fast as it lasts"
    )


def test_what_is_over_is_no_page() -> None:
    """The short window says whether it goes on."""
    release = Release((Guardrail(slo=0.999),))
    assert page(release.run(420, control=CONTROL, treatment=(20, 1, 20.0))[-1]).status == "fail"
    later = page(release.run(400, control=CONTROL, treatment=(20, 0, 20.0))[-1])
    assert later.status == "inconclusive"
    assert later.counts["burn_long_1h"] > 14.4 > later.counts["burn_short_5m"]


def test_one_failure_of_a_few_exchanges_is_no_page() -> None:
    """It spends the budget 100 times too fast, and shows nothing."""
    release = Release((Guardrail(slo=0.999),))
    release.run(600, every=60, control=(1, 0, 20.0), treatment=(1, 0, 20.0))
    found = page(release.run(60, every=60, control=(1, 0, 20.0), treatment=(1, 1, 20.0))[-1])
    assert found.status == "inconclusive"
    assert found.counts["burn_long_1h"] > 14.4 < found.counts["burn_short_5m"]


def test_health_passes_when_it_is_shown() -> None:
    """An upper bound below the slowest rate that pages takes some thousand exchanges for 99.9 %."""
    release = Release((Guardrail(slo=0.999),))
    looks = release.run(1200, every=30, control=CONTROL, treatment=(60, 0, 20.0))
    assert [page(look).status for look in (looks[0], looks[-1])] == ["inconclusive", "pass"]
    high = page(looks[-1]).high
    assert high is not None
    assert high < 6


def test_an_objective_of_latency_counts_slow_exchanges() -> None:
    """99 % within 50 ms: 300 ms is slow, whoever else fails."""
    rails = (Guardrail(slo=0.99, within=0.05, burn=(Burn(rate=5, long=600.0, short=60.0),)),)
    slow, quick = Release(rails), Release(rails)
    found = slow.run(180, control=CONTROL, treatment=(20, 0, 300.0))[-1]
    assert [(each.name, each.status) for each in found] == [("slo 99% within 50ms", "fail")]
    assert "took longer than 50ms" in found[0].reason
    assert page(quick.run(300, control=CONTROL, treatment=(20, 20, 20.0))[-1]).status == "pass"


def test_an_empty_window_is_inconclusive() -> None:
    """No exchanges spend no budget and show nothing."""
    release = Release((Guardrail(slo=0.999),))
    found = page(release.run(420, control=CONTROL)[-1])
    assert (found.status, found.estimate) == ("inconclusive", None)
