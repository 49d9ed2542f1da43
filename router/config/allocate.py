"""The part of the schema about allocators: what produces an experiment's weights.

Responsible for: its keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what an allocator computes (``router.bandit``), experiments.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from router.config.terms import Pointer, Slot

Patience = Annotated[float, Meta(ge=0.001, le=3600, extra={"scalar": "duration"})]
Held = Annotated[int, Meta(ge=1, le=16 * 1024**2, extra={"scalar": "size"})]


class Allocate(Struct, frozen=True, kw_only=True):
    """What produces the weights."""

    use: Annotated[
        Literal["fixed", "switchback", "interleave", "ensemble"],
        Meta(
            description="`fixed`: the weights of the file; `switchback`: likewise, but what is assigned to an arm is a "
            "slot of time (for each of the experiment's `unit`, if it has one); `interleave`: each request goes to "
            "both arms, and the answer has a merge of their ranked lists; `ensemble`: to all arms, and the answer has "
            "what their values come to (docs/interleaving.md)"
        ),
    ] = "fixed"
    slot: Annotated[Slot | None, Meta(description="length of a slot of time; `switchback` needs it")] = None
    list: Annotated[Pointer | None, Meta(description="of `interleave`: where the ranked list is in an answer")] = None
    id: Annotated[
        Pointer | None,
        Meta(description="of `interleave`: where the id is in an item of the list; default the item itself, a scalar"),
    ] = None
    merge: Annotated[
        Literal["team_draft", "balanced"],
        Meta(
            description="of `interleave`: `team_draft` (Radlinski, Kurup, Joachims 2008) or `balanced` (Joachims 2002)"
        ),
    ] = "team_draft"
    at: Annotated[Pointer | None, Meta(description="of `ensemble`: where the value is in an answer")] = None
    combine: Annotated[
        Literal["mean", "median", "vote"],
        Meta(description="of `ensemble`: what numbers come to, or `vote`: the value that most arms have"),
    ] = "mean"
    deadline: Annotated[
        Patience | None,
        Meta(
            description="of `interleave` and `ensemble`: how long after the request was sent the answer waits for all "
            "arms, as far as one has answered; default 1s",
        ),
    ] = None
    body_bytes: Annotated[
        Held | None,
        Meta(
            description="of both: longest request body that goes to several arms; a longer one goes to the unit's arm "
            "alone; default 256KiB",
        ),
    ] = None
    answer_bytes: Annotated[
        Held | None,
        Meta(
            description="of both: longest answer that is read; an arm with a longer one serves alone, or not; default "
            "256KiB",
        ),
    ] = None
