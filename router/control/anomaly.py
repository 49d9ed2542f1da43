"""What an anomaly is told as, and what follows from it.

Responsible for: the sentence, the notification, the line of the decision log, and what guardrails are told.
Does not know: detectors, when something is told.

Rules: pure. Critical anomalies of a release's new arm are failures of a guardrail that rolls back, as long as the
episode lasts; where control has one at the same time, the cause is not the release: then nothing follows but that
people are told. Warnings are told and written down, the rest is shown.
"""

from datetime import UTC, datetime

from router.control.subjects import Subject
from router.detect.stream import Said
from router.events.model import Revision
from router.events.rollout import Decided, Found
from router.rollout.effect import Say


def sentence(subject: Subject, said: Said, begun: float) -> str:
    """Say in one sentence what is unusual, and how sure that is.

    Args:
        subject: What is watched.
        said: What the detector said when the episode began.
        begun: When that was, in unix seconds.
    """
    watch = subject.watch
    when = datetime.fromtimestamp(begun, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    numbers = _numbers(watch.by, said)
    return f"{subject.whose}: {watch.what} left its usual course ({numbers}) at {when}, says {watch.by}"


def say(subject: Subject, said: Said, begun: float) -> Say:
    """Return what people are told: once a day for one stream, however often it happens."""
    watch = subject.watch
    follows = {
        "critical": "the release is rolled back" if subject.blames else "look into it now",
        "warning": "investigate",
        "info": "for information",
    }[watch.severity]
    return Say(
        event="anomaly",
        severity=watch.severity,
        text=f"{sentence(subject, said, begun)}; {follows}",
        key=f"anomaly-{subject.run}-{watch.label}-{subject.arm or subject.target}",
    )


def decided(subject: Subject, said: Said, begun: float, revision: Revision) -> Decided:
    """Return the line of the decision log."""
    progress, run = revision.rollouts.get(subject.experiment), revision.runs[subject.experiment]
    return Decided(
        id="",
        time=begun,
        experiment=subject.experiment,
        run=subject.run,
        phase=run.phase,
        revision=revision.number,
        step=progress.step if progress is not None else "",
        stage=progress.stage if progress is not None else 0,
        share=progress.share if progress is not None else 0.0,
        action="anomaly",
        alternative="nothing, within the limit",
        reason=sentence(subject, said, begun),
        found=(found(subject, said, begun, also_control=False),),
    )


def found(subject: Subject, said: Said, begun: float, *, also_control: bool) -> Found:
    """Return what an episode is for guardrails.

    Args:
        subject: What is watched.
        said: What the detector said when it began.
        begun: When that was, in unix seconds.
        also_control: Whether the same stream of control has one too.
    """
    reason = sentence(subject, said, begun)
    if also_control:
        reason += f"; {subject.against} has the same, so it is not of the release"
    return Found(
        name=f"watch {subject.watch.label}",
        status="fail" if not also_control else "inconclusive",
        action="rollback" if subject.blames else "warn",
        reason=reason,
        estimate=said.value,
        margin=said.expected,
        statistic=said.level,
        threshold=1.0,
    )


def _numbers(by: str, said: Said) -> str:
    level = "" if said.level is None else f"{said.level:.3g} of its limit"
    if by in ("psi", "ks"):
        return f"{by} {_number(said.value)} with a chance of {_number(said.score)}"
    if by in ("isolation_forest", "autoencoder") or said.expected is None:
        return level
    return f"{_number(said.value)} where {_number(said.expected)} was usual, {level}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
