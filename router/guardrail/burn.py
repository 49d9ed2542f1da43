"""Service-level objectives: how fast the new arm spends its error budget.

Responsible for: burn rates over two windows, the default rates, the verdicts of pages and of tickets.
Does not know: how counts are kept (``windows``), tests (``stretch``).

An objective of 99.9 % leaves a budget of 0.1 % of exchanges that may be bad; a burn rate is the share of bad exchanges
divided by the budget: at 1 the budget is spent when its period is over. As in chapter 5 of Google's *Site Reliability
Workbook* a rate is too fast when it is exceeded over a long window, which says that it matters, *and* over a short one,
which says that it goes on. Spending 2 % of a budget of 30 days within an hour is a rate of 14.4, 5 % within 6 hours 6,
10 % within 3 days 1; other periods have the rates at which the same parts are spent, at least 1.

That alone would roll back a release whose second request failed: with little traffic a rate jumps. So a *failure* also
takes that the share of bad exchanges is above the budget, by a bound that is valid at any look, and a *pass* that it is
below the rate. A window that is longer than the run is what there is of the run: a new arm has no older history. A bad
exchange is one whose first attempt failed, or with ``within`` one that took longer, by whole buckets of the histogram.

Rules: pure. An empty window, a gap in it, and a run younger than the short window are inconclusive.
"""

from collections.abc import Iterator, Sequence
from math import exp, log
from typing import Final, Literal, NamedTuple

from router.config.guardrail import Burn, Guardrail
from router.config.scalars import format_duration
from router.events.rollout import Found
from router.guardrail import stretch
from router.guardrail.likelihood import Side
from router.guardrail.seen import Seen
from router.guardrail.stretch import Design, Proof, Share, Start
from router.guardrail.windows import Span

TICKET: Final = ", ticket"
"""After the name of an objective, of the verdict about tickets."""
PERIOD_S: Final = 30 * 86400.0
DEFAULTS: Final = (
    (0.02, 3600.0, 300.0, "page"),
    (0.05, 6 * 3600.0, 1800.0, "page"),
    (0.10, 3 * 86400.0, 6 * 3600.0, "ticket"),
)
"""Share of the budget, long and short window, severity: the workbook's recommendation, table 5-8."""
_LARGEST: Final = 700.0

Severity = Literal["page", "ticket"]


class Rates(NamedTuple):
    """Burn rates over the windows of one entry; None where a window is not known or empty."""

    burn: Burn
    long: float | None
    short: float | None
    share: Share

    @property
    def beyond(self) -> bool:
        """Whether both are above."""
        return self.long is not None and self.short is not None and min(self.long, self.short) > self.burn.rate


def burns_of(guardrail: Guardrail) -> tuple[Burn, ...]:
    """Return rates and windows: those of the file, or the workbook's for the period, where they fit into it."""
    if guardrail.burn:
        return guardrail.burn
    period = PERIOD_S if guardrail.period is None else guardrail.period
    return tuple(
        Burn(
            rate=max(1.0, part * period / long), long=long, short=short, severity="page" if kind == "page" else "ticket"
        )
        for part, long, short, kind in DEFAULTS
        if long <= period
    )


def judge_objective(guardrail: Guardrail, seen: Seen, alpha: float) -> tuple[Found, ...]:
    """Judge an objective: one verdict for its pages, with the guardrail's action, and one for its tickets, a warning.

    Args:
        guardrail: A guardrail with ``slo``.
        seen: What is known.
        alpha: Chance of a wrong failure, over all of the run.
    """
    burns = burns_of(guardrail)
    severities: tuple[Severity, ...] = ("page", "ticket")
    return tuple(
        _judge(guardrail, severity, [burn for burn in burns if burn.severity == severity], seen, alpha)
        for severity in severities
        if any(burn.severity == severity for burn in burns)
    )


def _judge(guardrail: Guardrail, severity: Severity, burns: Sequence[Burn], seen: Seen, alpha: float) -> Found:
    budget = 1 - (guardrail.slo or 0.0)
    rates = [_rates(guardrail, burn, seen, budget) for burn in burns]
    fired = next((each for each in rates if each.beyond), None)
    shown = fired or rates[0]
    enough, design = -log(alpha), _design(guardrail, seen)
    above = stretch.proof(_stretches(guardrail, seen, shown.burn.short, budget), design, "above")
    slowest = min(burns, key=lambda burn: burn.rate)
    soonest, limit = min(burn.short for burn in burns), min(1.0, slowest.rate * budget)
    below = stretch.proof(_stretches(guardrail, seen, soonest, limit, "below"), design, "below")
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if fired is not None and above is not None and above.log_e >= enough:
        status = "fail"
    elif fired is None and None not in (shown.long, shown.short) and below is not None and below.log_e >= enough:
        status = "pass"
    low, high = _burning(above, enough, "above", budget), _burning(below, enough, "below", budget)
    return Found(
        name=guardrail.title if severity == "page" else f"{guardrail.title}{TICKET}",
        status=status,
        action=guardrail.action if severity == "page" else "warn",
        reason=_reason(guardrail, shown, budget, status),
        dry_run=guardrail.dry_run,
        estimate=shown.long,
        low=low,
        high=high,
        margin=shown.burn.rate,
        statistic=None if above is None else exp(min(_LARGEST, above.log_e)),
        threshold=1 / alpha,
        alpha=alpha,
        counts=_counts(rates, shown),
    )


def _rates(guardrail: Guardrail, burn: Burn, seen: Seen, budget: float) -> Rates:
    long = _window(seen, burn.long)
    short = _window(seen, burn.short) if seen.windows.age >= burn.short else None
    shares = [None if span is None else _bad(guardrail, span, seen, "above") for span in (long, short)]
    one, two = (None if share is None or share.value is None else share.value / budget for share in shares)
    return Rates(burn, one, two, shares[0] or Share(0, 0))


def _window(seen: Seen, seconds: float) -> Span | None:
    """Return a window; all of the run where that is younger."""
    windows = seen.windows
    if windows.start is not None and windows.age < seconds:
        return windows.since(windows.start)
    return windows.over(seconds)


def _bad(guardrail: Guardrail, span: Span, seen: Seen, side: Side) -> Share:
    if guardrail.within is None:
        return stretch.failures(span, seen.new)
    return stretch.slower(span, seen.new, guardrail.within, surely=side == "above")


def _design(guardrail: Guardrail, seen: Seen) -> Design:
    if guardrail.within is None:
        return stretch.failure_design(seen.arm())
    return stretch.slow_design(seen.arm(), guardrail.within)


def _stretches(
    guardrail: Guardrail, seen: Seen, least_s: float, value: float, side: Side = "above"
) -> Iterator[tuple[Start, Span, Share, float]]:
    for start in stretch.starts(seen.windows, least_s, within_phase=False):
        span = seen.windows.since(start.mark)
        yield start, span, _bad(guardrail, span, seen, side), value


def _burning(found: Proof | None, enough: float, side: Side, budget: float) -> float | None:
    share = None if found is None else found.bound(enough, side)
    return None if share is None else share / budget


def _counts(rates: Sequence[Rates], shown: Rates) -> dict[str, float]:
    counts = {"treatment_bad": float(shown.share.events), "treatment_exchanges": float(shown.share.exchanges)}
    for each in rates:
        for label, seconds, rate in (("long", each.burn.long, each.long), ("short", each.burn.short, each.short)):
            if rate is not None:
                counts[f"burn_{label}_{format_duration(seconds)}"] = rate
    return counts


def _reason(guardrail: Guardrail, shown: Rates, budget: float, status: str) -> str:
    what = "failed" if guardrail.within is None else f"took longer than {format_duration(guardrail.within)}"
    long, short = ("unknown" if rate is None else f"{rate:.3g} times" for rate in (shown.long, shown.short))
    windows = format_duration(shown.burn.long), format_duration(shown.burn.short)
    said = {
        "fail": "too fast, and above the budget at any look",
        "pass": "slower, shown at any look",
        "inconclusive": "not shown to be too fast, nor to stay slower",
    }[status]
    return (
        f"{shown.share.events:.0f} of {shown.share.exchanges:.0f} exchanges {what}: the budget of {100 * budget:.4g}% "
        f"is spent {long} as fast as it lasts over {windows[0]} and {short} over {windows[1]}, more than "
        f"{shown.burn.rate:.3g} times over both is too fast; {said}"
    )
