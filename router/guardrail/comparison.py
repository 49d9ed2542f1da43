"""One comparison of a condition: whether it holds, does not hold, or is not shown either way.

Responsible for: the time that is looked at, the estimate in each part of it, evidence for and against, the sentence.
Does not know: how comparisons are joined (``condition``), tests (``stretch``, ``likelihood``).

Time: with ``for`` the comparison has to hold in *any* fifth of that time, all of it known and with exchanges, as if one
had looked again and again at a fifth of it; where it has fewer than 100 exchanges, in any longer part that has 20 on
average, or in all of it. Without ``for`` it is the last minute taken together. Time that is not known, or a part
without exchanges, is not shown either way, so ``for`` begins anew after it.

Evidence, for shares and quantiles: beside the estimate, a bound that is valid at any look has to lie beyond the value,
from a beginning at least as old as that time (``stretch``). With a multiple of control's value the bound has to exclude
that the new arm is no worse than control; ``with confidence`` it has to lie beyond the multiple. It does *not* hold
when the estimate is not beyond and the bound on the other side is not, either; failures also when the new arm has fewer
than 0.5 % of them for sure. Rates, numbers of exchanges and of those under way are what they are.
"""

from math import isfinite, log
from typing import Final

from router.config.condition import Comparison, limit_in_words, name_of
from router.config.scalars import format_duration, format_share
from router.guardrail.grounds import LAST_S, arm_of, grounds
from router.guardrail.likelihood import Side, bound
from router.guardrail.logged import compare_logged
from router.guardrail.seen import Said, Seen
from router.guardrail.stretch import Proof, failure_design, failures, proof
from router.guardrail.windows import LEVELS, Span
from router.histogram import quantile

PARTS: Final = 5
"""How long a part of the time of ``for`` is, as a part of it; each has to agree."""
ENOUGH: Final = 20
"""Exchanges that a part has on average; with fewer, parts are longer, or the whole time is one."""
NEGLIGIBLE: Final = 0.005
"""Share of failures that is too small to be a multiple of control's that matters."""

_OPPOSITE: Final[dict[Side, Side]] = {"above": "below", "below": "above"}


def compare(asked: Comparison, seen: Seen, alpha: float) -> Said:
    """Say whether a comparison holds.

    Args:
        asked: The comparison.
        seen: What is known.
        alpha: The chance of error, over all of the run; ``with confidence`` takes its place.
    """
    quantity = asked.quantity
    if quantity.kind == "metric":
        return compare_logged(asked, seen, alpha if asked.confidence is None else 1 - asked.confidence)
    if quantity.kind == "exchanges":
        return _counted(asked, seen)
    spans = _parts(asked, seen)
    if isinstance(spans, Said):
        return spans
    if quantity.kind == "inflight":
        return _plain(asked, [each.inflight(arm_of(asked, seen)) for each in spans])
    if quantity.kind == "rate":
        return _plain(asked, [each.exchanges(arm_of(asked, seen)) / each.seconds for each in spans])
    return _noisy(asked, seen, spans, alpha if asked.confidence is None else 1 - asked.confidence)


def _parts_of(asked: Comparison, seen: Seen, seconds: float) -> int:
    """Return into how many parts a time is cut: fewer where traffic is little, or marks are too far apart."""
    most = min(PARTS, max(1, int(seconds // LEVELS[0][0])))
    whole = seen.windows.over(seconds)
    if whole is None or asked.quantity.kind not in ("error_rate", "quantile"):
        return most
    arms = (seen.new, seen.control) if asked.limit.of_control else (arm_of(asked, seen),)
    return max(1, min(most, min(whole.exchanges(arm) for arm in arms) // ENOUGH))


def _time(asked: Comparison) -> float:
    return LAST_S if asked.for_s is None else asked.for_s


def _parts(asked: Comparison, seen: Seen) -> tuple[Span, ...] | Said:
    if asked.for_s is None:
        whole = seen.windows.over(LAST_S)
        spans: tuple[Span, ...] | None = None if whole is None else (whole,)
    else:
        spans = seen.windows.sliding(asked.for_s, asked.for_s / _parts_of(asked, seen, asked.for_s))
    if spans is not None:
        return spans
    known = seen.windows.age
    why = "there is a gap in it" if known >= _time(asked) else f"{known:.0f} s are known"
    last = format_duration(_time(asked))
    return Said(holds=None, reason=f"{name_of(asked.quantity)}: the last {last} are not known, {why}")


def _counted(asked: Comparison, seen: Seen) -> Said:
    return _plain(asked, [sum(seen.arm(control=asked.quantity.of_control).exchanges)])


def _plain(asked: Comparison, values: list[float] | list[int] | list[int | None] | list[float | None]) -> Said:
    """Say what needs no test: rates and numbers."""
    name, limit = name_of(asked.quantity), asked.limit.value
    known = [float(value) for value in values if value is not None]
    if len(known) < len(values) or not known:
        return Said(holds=None, reason=f"{name} is not known", margin=limit)
    holds = all(asked.beyond(value, limit) for value in known)
    shown = f"{min(known):.6g}" if min(known) == max(known) else f"{min(known):.6g} to {max(known):.6g}"
    unit = "/s" if asked.quantity.kind == "rate" else ""
    wanted = f"{asked.operator} {limit_in_words(asked.limit)}"
    reason = f"{name} is {shown}{unit}, {'' if holds else 'not '}{wanted}"
    return Said(holds=holds, reason=reason, estimate=sum(known) / len(known), margin=limit, counts={name: known[-1]})


def _noisy(asked: Comparison, seen: Seen, spans: tuple[Span, ...], alpha: float) -> Said:
    name, arm, last = name_of(asked.quantity), arm_of(asked, seen), f"the last {format_duration(_time(asked))}"
    pairs = [(_value(asked, each, arm), _limit(asked, each, seen)) for each in spans]
    whole = Span(spans[0].begin, spans[-1].end, spans[0].names)
    counts = _counts(asked, whole, seen)
    known = [(value, limit) for value, limit in pairs if value is not None and limit is not None]
    if len(known) < len(pairs):
        what = "a part of it has no exchanges" if len(pairs) > 1 else "it has no exchanges"
        return Said(holds=None, reason=f"{name} is not known over {last}: {what}", counts=counts)
    value, limit = _value(asked, whole, arm), _limit(asked, whole, seen)
    if value is None or limit is None:
        return Said(holds=None, reason=f"{name} is not known over {last}", counts=counts)
    side: Side = "above" if asked.upward else "below"
    enough = -log(alpha)
    pro = proof(*grounds(asked, seen, side, claim=True), side)
    contra = proof(*grounds(asked, seen, _OPPOSITE[side], claim=False), _OPPOSITE[side])
    holds: bool | None = None
    if all(asked.beyond(one, other) for one, other in known):
        holds = True if pro is not None and pro.log_e >= enough else None
    elif not asked.beyond(value, limit) and (_shown(contra, enough) or _tiny(asked, seen, enough)):
        holds = False
    estimate, margin = (
        (value, limit) if not asked.limit.of_control else (_ratio(value, limit, asked), asked.limit.value)
    )
    low, high = _bounds(asked, seen, pro, contra, enough)
    return Said(
        holds=holds,
        reason=f"{name} of {arm} was {_written(asked, value)} in {last}{_of(asked, counts)}"
        f"{_against(asked, limit)}: {_words(asked, known, holds=holds)}",
        estimate=estimate,
        low=low,
        high=high,
        margin=margin,
        log_e=None if pro is None else pro.log_e,
        alpha=alpha,
        counts=counts,
    )


def _shown(found: Proof | None, enough: float) -> bool:
    return found is not None and found.log_e >= enough


def _value(asked: Comparison, span: Span, arm: str) -> float | None:
    if asked.quantity.kind == "error_rate":
        return failures(span, arm).value
    found = quantile(span.latency(arm).tolist(), asked.quantity.percent / 100)
    return None if found is None else found / 1e6


def _limit(asked: Comparison, span: Span, seen: Seen) -> float | None:
    if not asked.limit.of_control:
        return asked.limit.value
    base = _value(asked, span, seen.control)
    return None if base is None else base * asked.limit.value


def _ratio(value: float, limit: float, asked: Comparison) -> float | None:
    return value / (limit / asked.limit.value) if limit > 0 and asked.limit.value > 0 else None


def _tiny(asked: Comparison, seen: Seen, enough: float) -> bool:
    """Return whether the new arm fails so seldom that no multiple of control's failures matters."""
    if asked.quantity.kind != "error_rate" or not asked.limit.of_control or not asked.upward:
        return False
    entered = seen.windows.entered
    if entered is None:
        return False
    share, design = failures(seen.windows.since(entered), seen.new), failure_design(seen.arm())
    if not share.exchanges or not isfinite(design.effect):
        return False
    high = bound(share.events / design.effect, share.exchanges / design.effect, enough, "below")
    return high is not None and high < NEGLIGIBLE


def _bounds(
    asked: Comparison, seen: Seen, pro: Proof | None, contra: Proof | None, enough: float
) -> tuple[float | None, float | None]:
    """Return bounds of what is estimated; of a quantile there is none, its share of slow exchanges is tested."""
    if asked.quantity.kind != "error_rate":
        return None, None
    above = asked.upward
    lower, upper = (pro, contra) if above else (contra, pro)
    low = None if lower is None else _as_ratio(asked, seen, lower, lower.bound(enough, "above"))
    high = None if upper is None else _as_ratio(asked, seen, upper, upper.bound(enough, "below"))
    return low, high


def _as_ratio(asked: Comparison, seen: Seen, found: Proof, share: float | None) -> float | None:
    if share is None or not asked.limit.of_control:
        return share
    ours, theirs = found.span.exchanges(seen.new), found.span.exchanges(seen.control)
    return None if share >= 1 or not ours else share / (1 - share) * theirs / ours


def _counts(asked: Comparison, span: Span, seen: Seen) -> dict[str, float]:
    counts: dict[str, float] = {}
    for label, arm in (("treatment", seen.new), ("control", seen.control)):
        if arm in span.names:
            counts[f"{label}_exchanges"] = float(span.exchanges(arm))
            if asked.quantity.kind == "error_rate":
                counts[f"{label}_failures"] = float(span.failures(arm))
    return counts


def _of(asked: Comparison, counts: dict[str, float]) -> str:
    label = "control" if asked.quantity.of_control else "treatment"
    whole = counts.get(f"{label}_exchanges", 0.0)
    if asked.quantity.kind == "error_rate":
        return f" ({counts.get(f'{label}_failures', 0.0):.0f} of {whole:.0f} exchanges)"
    return f" ({whole:.0f} exchanges)"


def _against(asked: Comparison, limit: float) -> str:
    return f" against {limit_in_words(asked.limit)}" + (
        f" = {_written(asked, limit)}" if asked.limit.of_control else ""
    )


def _words(asked: Comparison, known: list[tuple[float, float]], *, holds: bool | None) -> str:
    sure = "at any look" if asked.confidence is None else f"at {format_share(asked.confidence)}, at any look"
    if holds:
        return f"{'above' if asked.upward else 'below'} it, shown {sure}"
    if holds is False:
        return f"not {'above' if asked.upward else 'below'} it, shown {sure}"
    if all(asked.beyond(one, other) for one, other in known):
        return "beyond it, and that may still be chance"
    if len(known) > 1 and any(asked.beyond(one, other) for one, other in known):
        return "beyond it for a part of that time only"
    return "not beyond it, and it is not yet shown that it stays so"


def _written(asked: Comparison, value: float) -> str:
    if asked.quantity.kind == "error_rate":
        return f"{100 * value:.3g}%"
    return f"{1000 * value:.4g} ms" if value < 1 else f"{value:.4g} s"
