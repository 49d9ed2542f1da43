"""The part of the schema about allocators: what produces an experiment's weights.

Responsible for: its keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: what an allocator computes (``router.bandit``), experiments.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from router.config.terms import Slot


class Allocate(Struct, frozen=True, kw_only=True):
    """What produces the weights."""

    use: Annotated[
        Literal["fixed", "switchback"],
        Meta(
            description="`fixed`: the weights of the file; `switchback`: likewise, but what is assigned to an arm is a "
            "slot of time (for each of the experiment's `unit`, if it has one)"
        ),
    ] = "fixed"
    slot: Annotated[Slot | None, Meta(description="length of a slot of time; `switchback` needs it")] = None
