"""What a decision about a release asks of the world.

Responsible for: the effects, as frozen data.
Does not know: who carries them out (``router.control``).

Rules: traffic first: of several effects ``Shift`` is carried out before any other, and never waits for them.
"""

from typing import Literal

from msgspec import Struct

from router.events.rollout import Decided


class Shift(Struct, frozen=True, kw_only=True):
    """Another share, mirrored traffic or endpoints, in one revision.

    Attributes:
        mirror: Share of the route's units whose requests are copied to the new arm's target; None leaves it, 0 ends it.
        endpoints: Target to the base URLs of it that are in use; None leaves them; a target that is not named has all.
        cause: Cause of the revision: ``stage``, ``rollback``, ``promote``, ``pause``, ``switch``, …
        urgent: Whether it is published before it is written down.
    """

    mirror: float | None = None
    endpoints: dict[str, tuple[str, ...]] | None = None
    cause: str
    urgent: bool = False


class Say(Struct, frozen=True, kw_only=True):
    """Something that people are to be told.

    Attributes:
        event: ``rollback``, ``verdict``, ``approval``, ``deadline``, ``done``, ``anomaly``, …
        severity: How bad.
        text: One sentence.
        key: Of several with the same key only the first within a day is sent.
    """

    event: str
    severity: Literal["critical", "warning", "info"]
    text: str
    key: str


class Record(Struct, frozen=True, kw_only=True):
    """A line of the decision log; ``id`` and ``revision`` are filled in by who writes it."""

    decided: Decided


class PostMortem(Struct, frozen=True, kw_only=True):
    """A post-mortem report is to be written.

    Attributes:
        cause: What fired.
    """

    cause: str


Effect = Shift | Say | Record | PostMortem
