"""What a decision about a release is made from.

Responsible for: observations and requests of people, as frozen data.
Does not know: where they come from (``router.control``), what follows from them.
"""

from typing import Literal

from msgspec import Struct

from router.events.rollout import Found
from router.rollout.fitness import EndpointNow

Ask = Literal["approve", "pause", "resume", "promote", "rollback", "abort"]


class Observed(Struct, frozen=True, kw_only=True):
    """What is known of a release at a moment.

    Attributes:
        phase: Phase of the run that all of it is about.
        revision: Number of the present revision.
        step_s: How long the step has lasted, in seconds that count: not while paused, not across a jump of the clock.
        found: What the guardrails say now.
        units: Arm to the units seen in this phase; None when the log was not read yet.
        exchanges: Arm to its exchanges in this phase.
        sample_ratio: Whether the data may be trusted: ``sound``, ``broken``, or ``unknown`` with too little data.
        quality: Why, in a sentence.
        primary: What the primary metric says of the new arm.
        shadow: What the copies say; None when there are none.
        offline: What the offline check says; None when there was none.
        control: What is known against the side that a rollback leads to: ``fail`` when it is worse than the new arm, or
            cannot serve; None when nothing is.
        smoke: What smoke tests and readiness of the new arm say; None when not asked.
        unready_s: For how long the new arm could not serve, in seconds; 0 when it can.
        tests: What the smoke tests of the endpoints that get traffic next say; None when there are none yet.
        endpoints: Arm to its endpoints as they stand, in the order of the file; empty when that is not known.
        acknowledged: Whether all workers serve the present revision.
        pre_post: What failed of the old side before it lost its last unit, and of the new one since; empty before.
        risk: Expected loss of the present share and its parts, by name; empty when not known.
        killed: Whether the experiment is killed.
        silent_s: Seconds since the last exchange of the experiment.
    """

    phase: int
    revision: int = 0
    step_s: float = 0.0
    found: tuple[Found, ...] = ()
    units: dict[str, int] | None = None
    exchanges: dict[str, int] = {}
    sample_ratio: Literal["sound", "broken", "unknown"] = "unknown"
    quality: str = ""
    primary: Literal["better", "worse", "equivalent", "inconclusive"] = "inconclusive"
    shadow: Found | None = None
    offline: Found | None = None
    control: Found | None = None
    smoke: Found | None = None
    unready_s: float = 0.0
    tests: Found | None = None
    endpoints: dict[str, tuple[EndpointNow, ...]] = {}
    acknowledged: bool = True
    pre_post: dict[str, float] = {}
    risk: dict[str, float] = {}
    killed: bool = False
    silent_s: float = 0.0


class Asked(Struct, frozen=True, kw_only=True):
    """What a person asks for.

    Attributes:
        what: What.
        by: Who.
        reason: Why, in their words.
    """

    what: Ask
    by: str
    reason: str | None = None
