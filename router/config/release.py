"""The part of the schema about releases: the steps of a staged rollout.

Responsible for: their keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what drives a release (``router.rollout``), experiments.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from router.config.terms import Share

Hold = Annotated[float, Meta(ge=0, le=31_536_000, extra={"scalar": "duration"})]
Deadline = Annotated[float, Meta(ge=1, le=31_536_000, extra={"scalar": "duration"})]

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0


class Stage(Struct, frozen=True, kw_only=True):
    """One stage of a staged rollout: a share of units, and what has to hold before the next."""

    share: Annotated[
        Share,
        Meta(description="share of units that the new arm gets; 100% leaves `keep_control` to control"),
    ]
    hold: Annotated[Hold, Meta(description="how long the stage lasts at least; only time with traffic counts")]
    min_units: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="units that each arm needs in this stage; the event log says")
    ] = 0
    require: Annotated[
        tuple[Literal["guardrails", "primary"], ...],
        Meta(
            description="what has to be shown before the next stage: `guardrails`: every one with action rollback has "
            "passed, and the sample ratio is sound; `primary`: the primary metric is better; `[]`: time alone. A "
            "guardrail that fails rolls back in any case"
        ),
    ] = ("guardrails",)
    deadline: Annotated[
        Deadline | None, Meta(description="how long the stage may take before `on_deadline` follows; default unbounded")
    ] = None
    on_deadline: Annotated[
        Literal["hold", "abort", "rollback"],
        Meta(
            description="`hold`: tell people and go on holding; `abort`: everybody back to control, undecided; "
            "`rollback`: likewise, and the version counts as failed"
        ),
    ] = "hold"
    approve: Annotated[bool, Meta(description="whether a person has to let it go on, after all else holds")] = False


RECIPE: Final = (
    Stage(share=0.01, hold=DAY_S),
    Stage(share=0.05, hold=DAY_S),
    Stage(share=0.25, hold=12 * HOUR_S),
    Stage(share=1.0, hold=HOUR_S),
)
"""The stages of a rollout that names none, from the field."""
