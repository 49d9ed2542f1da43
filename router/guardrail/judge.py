"""The verdicts of all guardrails that read counters, at one look.

Responsible for: which guardrails those are, failed measurements and their budget, what is remembered for the next look.
Does not know: how a test works (``rate``, ``obvious``), where counters come from, what follows from a verdict.

Rules: pure. Meant to be called every second; nothing depends on how often. A failed measurement is an ``error``: never
a pass, never a failure. Past ``TOLERATED`` in a row, or ``SHARE`` of late looks, ``counts["past_budget"]`` is 1 and
people are told. Guardrails with ``dry_run`` are judged like others; who acts on them looks at ``Found.dry_run``.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import structs

from router.config.schema import Experiment, Guardrail, Metric
from router.events.rollout import Found
from router.guardrail import share
from router.guardrail.evidence import ArmEvidence, Evidence
from router.guardrail.limit import Limit
from router.guardrail.memory import Memory
from router.guardrail.obvious import NAME, judge_obvious
from router.guardrail.rate import Guard, Levels, Place, judge_rate
from router.guardrail.track import Sample

TOLERATED: Final = 5
"""Failed measurements in a row before people are told."""
SHARE: Final = 0.1
"""Share of late looks that may fail before people are told."""
NEGLIGIBLE: Final = 0.005
"""Difference of two error rates that is none."""


def judge(
    experiment: Experiment, metrics: Mapping[str, Metric], evidence: Evidence, memory: Memory, now: float
) -> tuple[tuple[Found, ...], Memory]:
    """Judge a release by its counters.

    Args:
        experiment: The experiment; of two arms.
        metrics: Every metric by name.
        evidence: What the counters say now.
        memory: What the look before returned; ``Memory()`` at first.
        now: Unix seconds.

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
        return _missed(guards, problem, memory)
    treatment, control = (evidence.arms[arm] for arm in arms)
    try:
        found = [judge_obvious(treatment, control, share.fast_level(experiment))]
        tracks = {}
        for guard in guards:
            said, tracks[guard.name] = judge_rate(
                guard, memory.tracks.get(guard.name), _sample(treatment, control), Place(evidence.phase, now)
            )
            found.append(said)
    except ValueError as error:
        # Sums that contradict each other are of no use to the looks that follow.
        return _missed(guards, f"{error}; evidence begins anew", structs.replace(memory, tracks={}))
    misses = memory.misses.after(failed=False)
    return tuple(found), structs.replace(memory, tracks=tracks, misses=misses)


def arms_of(experiment: Experiment) -> tuple[str, str]:
    """Return the names of the new arm and of control."""
    control = experiment.control or experiment.arms[0].name
    return next(arm.name for arm in experiment.arms if arm.name != control), control


def reads_counters(guardrail: Guardrail, metrics: Mapping[str, Metric]) -> bool:
    """Say whether a guardrail against control is judged here, and not from the log."""
    if not guardrail.compared or guardrail.metric is None:
        return False
    metric = metrics[guardrail.metric]
    return (metric.kind, metric.exchange, metric.goal, metric.window) == ("ratio", "failed", "down", None)


def _guards(experiment: Experiment, metrics: Mapping[str, Metric], arms: tuple[str, str]) -> list[Guard]:
    levels = Levels(share.guard_level(experiment), share.pass_level(experiment))
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    return [
        Guard(
            name=guardrail.title,
            limit=Limit.of(guardrail),
            negligible=getattr(guardrail, "negligible", None) or NEGLIGIBLE,
            action=guardrail.action,
            dry_run=guardrail.dry_run,
            levels=levels,
            event="failed",
            arms=arms,
        )
        for guardrail in given
        if reads_counters(guardrail, metrics)
    ]


def _sample(treatment: ArmEvidence, control: ArmEvidence) -> Sample:
    return Sample.of((treatment.exchanges, control.exchanges), (treatment.failures, control.failures))


def _missed(guards: list[Guard], problem: str, memory: Memory) -> tuple[tuple[Found, ...], Memory]:
    """Return a look that failed: an error of every guardrail."""
    misses = memory.misses.after(failed=True)
    past = misses.consecutive > TOLERATED or misses.share > SHARE
    counts = {"consecutive": float(misses.consecutive), "share": misses.share, "past_budget": float(past)}
    told = "; the release holds until it can be measured" if past else ""
    reason = f"not measured: {problem}{told}"
    found = [Found(name=NAME, status="error", action="rollback", reason=reason, counts=counts)]
    found += [
        Found(name=each.name, status="error", action=each.action, reason=reason, dry_run=each.dry_run, counts=counts)
        for each in guards
    ]
    return tuple(found), structs.replace(memory, misses=misses)
