"""What keeps a release from its next step.

Responsible for: the questions that a step asks, in order, and the sentence that says why not yet.
Does not know: what follows (``ladder``), how anything was measured.

Rules: pure. What is not known holds: it is never a pass. The kind of a reason, unlike its sentence, stays the same as
long as nothing new is to be told.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from router.config.schema import Experiment
from router.events.rollout import Found
from router.rollout.observed import Observed
from router.rollout.rung import Rung

SILENT_S: Final = 300.0
"""How long there may be no traffic before that is a reason of its own."""


class Hold(Struct, frozen=True):
    """Why a release stays where it is.

    Attributes:
        kind: The kind of reason, in a word.
        reason: The reason, in a sentence.
    """

    kind: str
    reason: str


def blocked(experiment: Experiment, rung: Rung, ahead: Rung, observed: Observed) -> Hold | None:
    """Return the first reason not to take the next step; None when there is none.

    Args:
        experiment: The experiment.
        rung: Where its release is.
        ahead: The next step.
        observed: What is known.
    """
    return next(_reasons(experiment, rung, ahead, observed), None)


def barred(experiment: Experiment, ahead: Rung, share: float, observed: Observed) -> Hold | None:
    """Return why the new arm may not have what a step gives it beyond what it has; None when nothing is against it.

    Args:
        experiment: The experiment.
        ahead: The step.
        share: Share of units that the new arm has.
        observed: What is known.
    """
    if ahead.share <= share:
        return None
    if observed.smoke is not None and observed.smoke.status == "fail":
        return Hold("not ready", f"the new version is not ready: {observed.smoke.reason}")
    most, chance = experiment.allocate.max_risk, observed.risk.get("failure_probability")
    if most is None or ahead.step == "done":
        return None
    if chance is None:
        return Hold("risk", "the risk is not known yet")
    risk = chance * experiment.allocate.impact * ahead.share
    if risk > most:
        return Hold("risk", f"the risk at a share of {ahead.share:.4g} would be {risk:.4g}, more than {most:.4g}")
    return None


def hard(experiment: Experiment) -> frozenset[str]:
    """Return the names of the guardrails that roll back."""
    given = () if experiment.metrics is None else experiment.metrics.guardrails
    return frozenset(each.title for each in given if each.action == "rollback" and not each.dry_run)


def _reasons(experiment: Experiment, rung: Rung, ahead: Rung, observed: Observed) -> Iterator[Hold]:
    if observed.sample_ratio == "broken":
        yield Hold("data", f"the data may not be trusted: {observed.quality}")
    if observed.silent_s >= SILENT_S:
        yield Hold("silence", f"there was no exchange for {observed.silent_s:.0f} s")
    if observed.step_s < rung.hold:
        yield Hold("time", f"{rung.step} holds for {rung.hold:g} s")
    if not observed.acknowledged:
        yield Hold("workers", "not all workers serve the present revision yet")
    yield from _checks(rung, observed)
    if rung.step in ("stage", "bake"):
        yield from _guardrails(experiment, observed, sure="guardrails" in rung.require)
    yield from _units(experiment, rung, observed)
    if rung.require and observed.sample_ratio == "unknown":
        yield Hold("sample ratio", f"the sample ratio is not known: {observed.quality or 'the log was not read yet'}")
    if "primary" in rung.require and observed.primary != "better":
        yield Hold("primary", f"the primary metric is {observed.primary}")
    if (hold := barred(experiment, ahead, rung.share, observed)) is not None:
        yield hold


def _checks(rung: Rung, observed: Observed) -> Iterator[Hold]:
    """Yield what the steps before the first stage wait for."""
    checks = {"shadow": observed.shadow, "offline": observed.offline}
    if rung.step not in checks:
        return
    found = checks[rung.step]
    if found is None:
        yield Hold(rung.step, f"nothing is known of the {rung.step} check yet")
    elif found.status != "pass":
        yield Hold(f"{rung.step} {found.status}", f"{rung.step} check: {found.reason}")


def _guardrails(experiment: Experiment, observed: Observed, *, sure: bool) -> Iterator[Hold]:
    """Yield hard guardrails that nobody could measure, and, where it has to be sure, all that did not pass.

    What cannot be measured cannot lead back either, so it holds a stage that asks for nothing but time, too.
    """
    found = [each for each in observed.found if each.action == "rollback" and not each.dry_run]
    for status, kind in (("error", "measurement"), ("fail", "guardrails"), ("inconclusive", "guardrails")):
        open_ = [each for each in found if each.status == status]
        if open_ and (sure or status != "inconclusive"):
            yield Hold(kind, _listed(open_))
    silent = sorted(hard(experiment) - {each.name for each in found})
    if silent:
        yield Hold("guardrails", f"nothing is known of guardrail {silent[0]!r} yet")


def _listed(found: list[Found]) -> str:
    first = found[0]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"guardrail {first.name} is {first.status}{more}: {first.reason}"


def _units(experiment: Experiment, rung: Rung, observed: Observed) -> Iterator[Hold]:
    if not rung.min_units:
        return
    if observed.units is None:
        yield Hold("units", f"{rung.min_units} units of each arm are needed, and the log was not read yet")
        return
    for arm in experiment.arms:
        seen = observed.units.get(arm.name, 0)
        if seen < rung.min_units:
            yield Hold("units", f"arm {arm.name} has {seen} units of the {rung.min_units} that are needed")
