"""Releases and what is observed of them, in few words."""

from router.config.load import load_text
from router.config.schema import Experiment
from router.events.rollout import Found, Progress
from router.rollout import machine
from router.rollout.effect import Effect
from router.rollout.observed import Observed

NOW = 1_800_000_000.0
STAGES = "[{share: 5%, hold: 60s}, {share: 50%, hold: 60s}, {share: 100%, hold: 60s}]"
GUARDED = "metrics: {primary: errors, guardrails: [{metric: errors, ratio: 2.0}]}"


def experiment(allocate: str = f"stages: {STAGES}", more: str = GUARDED) -> Experiment:
    """Return an experiment with the arms ``old`` and ``new`` that is a staged rollout."""
    text = (
        "targets:\n"
        "  - {name: a, endpoints: ['http://127.0.0.1:8001']}\n"
        "  - {name: b, endpoints: ['http://127.0.0.1:8002']}\n"
        "routes: [{name: r, target: a, unit: [header:x-user-id]}]\n"
        "metrics: [{name: errors, kind: ratio, exchange: failed, goal: down}]\n"
        "experiments:\n"
        "  - name: ramp\n"
        "    route: r\n"
        "    arms: [{name: old, target: a}, {name: new, target: b}]\n"
        f"    allocate: {{use: rollout, {allocate}}}\n"
        f"    {more}\n"
    )
    return load_text(text.encode(), "router.yaml").config.experiments[0]


def guardrail(status: str = "pass", action: str = "rollback", *, dry_run: bool = False) -> Found:
    """Return what a guardrail says."""
    return Found(name="errors ratio 2", status=status, action=action, reason=f"is {status}", dry_run=dry_run)  # type: ignore[arg-type]


def fine(step_s: float = 60.0, **changes: object) -> Observed:
    """Return an observation against which nothing is to be said."""
    known: dict[str, object] = {
        "phase": 1,
        "step_s": step_s,
        "found": (guardrail(),),
        "units": {"old": 1000, "new": 1000},
        "exchanges": {"old": 1000, "new": 1000},
        "sample_ratio": "sound",
    }
    return Observed(**{**known, **changes})  # type: ignore[arg-type]


def begun(ramp: Experiment) -> Progress:
    """Return where a release is after its first step came into force."""
    progress, _ = machine.begin(ramp, 1, NOW)
    return machine.step(ramp, progress, fine(0.0, risk={"failure_probability": 0.001, "impact": 1.0}), NOW)[0]


def climbed(ramp: Experiment, steps: int) -> Progress:
    """Return where a release is after so many steps more."""
    progress = begun(ramp)
    for _ in range(steps):
        progress, _ = machine.step(ramp, progress, fine(3600.0), NOW)
    return progress


def kinds(effects: tuple[Effect, ...]) -> list[str]:
    """Return the kinds of effects, in order."""
    return [type(effect).__name__ for effect in effects]
