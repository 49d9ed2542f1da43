"""The verdicts of all guardrails that read counters, at one look.

Responsible for: which guardrails those are, failed measurements and their budget, what is remembered for the next look.
Does not know: how a test works (``rate``, ``obvious``), where counters come from, what follows from a verdict.

Rules: pure. Meant to be called every second; nothing depends on how often. A failed measurement is an ``error``: never
a pass, never a failure. Past ``TOLERATED`` in a row, or ``SHARE`` of late looks, ``counts["past_budget"]`` is 1 and
people are told. Guardrails with ``dry_run`` are judged like others; who acts on them looks at ``Found.dry_run``.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import structs

from router.config.schema import Experiment, Guardrail, Metric
from router.events.rollout import Found
from router.guardrail import forms, latency, share
from router.guardrail.burn import TICKET
from router.guardrail.change import judge_change
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.limit import Limit
from router.guardrail.memory import Memory
from router.guardrail.obvious import NAME, judge_obvious
from router.guardrail.pace import Arms, judge_pace
from router.guardrail.rate import Guard, Levels, Place, judge_rate
from router.guardrail.seen import Business, Seen
from router.guardrail.track import Sample
from router.guardrail.windows import Windows

TOLERATED: Final = 5
"""Failed measurements in a row before people are told."""
SHARE: Final = 0.1
"""Share of late looks that may fail before people are told."""
NEGLIGIBLE: Final = 0.005
"""Difference of two error rates that is none."""


def judge(  # noqa: PLR0913, PLR0917 - the last is for the few conditions that need the log
    experiment: Experiment,
    metrics: Mapping[str, Metric],
    evidence: Evidence,
    memory: Memory,
    now: float,
    business: Business | None = None,
) -> tuple[tuple[Found, ...], Memory]:
    """Judge a release by its counters.

    Args:
        experiment: The experiment; of two arms.
        metrics: Every metric by name.
        evidence: What the counters say now.
        memory: What the look before returned; ``Memory()`` at first.
        now: Unix seconds.
        business: What the log says of metrics, for conditions on them; None where it is not read.

    Returns:
        What each guardrail says, in the order of the file after the fast path, and what is remembered.
    """
    if memory.run != evidence.run:
        memory = Memory(run=evidence.run)
    arms = arms_of(experiment)
    missing = [arm for arm in arms if arm not in evidence.arms]
    problem = evidence.problem or (f"nothing is known of arm {missing[0]!r}" if missing else None)
    guards = _guards(experiment, metrics, arms)
    if problem is not None:
        return _missed(experiment, metrics, guards, problem, memory)
    treatment, control = (evidence.arms[arm] for arm in arms)
    place = Place(evidence.phase, now)
    obvious, late = judge_obvious((treatment, control), share.fast_level(experiment), memory.late, place)
    try:
        said, memory = _against_control(guards, (treatment, control), structs.replace(memory, late=late), place)
    except ValueError as error:
        # Sums that contradict each other are of no use to the looks that follow.
        memory = structs.replace(memory, tracks={}, paces={}, late=None)
        return _missed(experiment, metrics, guards, f"{error}; evidence begins anew", memory)
    memory = structs.replace(memory, misses=memory.misses.after(failed=False))
    formed, windows = _formed(experiment, metrics, evidence, memory, business)
    found = [obvious, *said, *_logged(experiment, metrics, business), *formed]
    return _in_order(experiment, found), structs.replace(memory, windows=windows)


def arms_of(experiment: Experiment) -> tuple[str, str]:
    """Return the names of the new arm and of control."""
    control = experiment.control or experiment.arms[0].name
    return next(arm.name for arm in experiment.arms if arm.name != control), control


def reads_counters(guardrail: Guardrail, metrics: Mapping[str, Metric]) -> bool:
    """Say whether a guardrail against control is judged here, and not from the log.

    A guard looks at all exchanges, so a metric's window is for reports alone.
    """
    if not guardrail.compared or guardrail.metric is None:
        return False
    metric = metrics[guardrail.metric]
    if metric.goal != "down":
        return False
    return (metric.kind == "ratio" and metric.exchange == "failed") or (
        metric.kind == "quantile" and metric.exchange in ("duration", "first_byte")
    )


def reads_log(experiment: Experiment, metrics: Mapping[str, Metric]) -> tuple[Guardrail, ...]:
    """Return the guardrails against control that take the log."""
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    return tuple(each for each in given if each.compared and not reads_counters(each, metrics))


def _logged(experiment: Experiment, metrics: Mapping[str, Metric], business: Business | None) -> list[Found]:
    """Return what guardrails say that compare a metric of the log with control."""
    passing = share.pass_level(experiment)
    return [
        judge_change(
            guardrail,
            metrics[guardrail.metric or ""],
            business,
            Levels(share.stage_level(experiment, guardrail, metrics), passing),
        )
        for guardrail in reads_log(experiment, metrics)
    ]


def _against_control(
    guards: Sequence[tuple[Guard, Metric]], evidence: tuple[ArmEvidence, ArmEvidence], memory: Memory, place: Place
) -> tuple[list[Found], Memory]:
    """Judge what compares the new arm with control by counters.

    Raises:
        ValueError: If the sums contradict each other or those before.
    """
    treatment, control = evidence
    found: list[Found] = []
    tracks, paces = dict(memory.tracks), dict(memory.paces)
    for guard, metric in guards:
        if metric.exchange == "failed":
            sample = _sample(treatment, control)
            said, tracks[guard.name] = judge_rate(guard, tracks.get(guard.name), sample, place)
        else:
            seen = _arms(treatment, control, metric)
            said, pace = judge_pace(guard, metric.q or 0.5, paces.get(guard.name), seen, place)
            if pace is not None:
                paces[guard.name] = pace
        found.append(said)
    names = {guard.name for guard, _ in guards}
    return found, structs.replace(
        memory,
        tracks={name: track for name, track in tracks.items() if name in names},
        paces={name: pace for name, pace in paces.items() if name in names},
    )


def _guards(experiment: Experiment, metrics: Mapping[str, Metric], arms: tuple[str, str]) -> list[tuple[Guard, Metric]]:
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    found: list[tuple[Guard, Metric]] = []
    for guardrail in given:
        if guardrail.metric is None or not reads_counters(guardrail, metrics):
            continue
        metric = metrics[guardrail.metric]
        guard = Guard(
            name=guardrail.title,
            limit=Limit.of(guardrail),
            negligible=_negligible(guardrail),
            action=guardrail.action,
            dry_run=guardrail.dry_run,
            levels=Levels(share.guard_level(experiment, guardrail, metrics), share.pass_level(experiment)),
            event=metric.exchange or "",
            arms=arms,
        )
        found.append((guard, metric))
    return found


def _arms(treatment: ArmEvidence, control: ArmEvidence, metric: Metric) -> Arms:
    both = [each.latency if metric.exchange == "duration" else each.first_byte for each in (treatment, control)]
    return Arms(latency.clusters(both[0]), latency.clusters(both[1]))


def _negligible(guardrail: Guardrail) -> float | None:
    """Return the difference of two error rates that is none; None when every difference is one."""
    given = NEGLIGIBLE if guardrail.negligible is None else guardrail.negligible
    return given or None


def _sample(treatment: ArmEvidence, control: ArmEvidence) -> Sample:
    return Sample.of((treatment.exchanges, control.exchanges), (treatment.failures, control.failures))


def _formed(
    experiment: Experiment,
    metrics: Mapping[str, Metric],
    evidence: Evidence,
    memory: Memory,
    business: Business | None,
) -> tuple[list[Found], Windows]:
    """Return what guardrails say that are no comparison with control, and what was counted over time for them."""
    given = [*forms.formed(experiment)]
    if not given:
        return [], memory.windows
    windows = memory.windows.add(evidence, latency=forms.needs_latency(experiment, metrics))
    new, control = arms_of(experiment)
    seen = Seen(
        windows=windows,
        evidence=evidence,
        new=new,
        control=control,
        primary="" if experiment.metrics is None else experiment.metrics.primary,
        metrics=forms.counted_metrics(metrics),
        business=business,
    )
    found: list[Found] = []
    for guardrail in given:
        found += forms.judge_form(guardrail, seen, share.guard_level(experiment, guardrail, metrics))
    return found, windows


def _in_order(experiment: Experiment, found: list[Found]) -> tuple[Found, ...]:
    """Return what was found in the order of the file, after the fast path."""
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    places = {NAME: -1} | {guardrail.title: place for place, guardrail in enumerate(given)}
    return tuple(sorted(found, key=lambda each: places.get(each.name.removesuffix(TICKET), len(places))))


def _missed(
    experiment: Experiment,
    metrics: Mapping[str, Metric],
    guards: list[tuple[Guard, Metric]],
    problem: str,
    memory: Memory,
) -> tuple[tuple[Found, ...], Memory]:
    """Return a look that failed: an error of every guardrail."""
    misses, logged = memory.misses.after(failed=True), reads_log(experiment, metrics)
    past = misses.consecutive > TOLERATED or misses.share > SHARE
    counts = {"consecutive": float(misses.consecutive), "share": misses.share, "past_budget": float(past)}
    told = "; the release holds until it can be measured" if past else ""
    reason = f"not measured: {problem}{told}"
    found = [Found(name=NAME, status="error", action="rollback", reason=reason, counts=counts)]
    found += [
        Found(name=each.name, status="error", action=each.action, reason=reason, dry_run=each.dry_run, counts=counts)
        for each, _ in guards
    ]
    found += [said for guardrail in logged for said in forms.missed(guardrail, reason, counts)]
    found += [said for guardrail in forms.formed(experiment) for said in forms.missed(guardrail, reason, counts)]
    return _in_order(experiment, found), structs.replace(memory, misses=misses)
