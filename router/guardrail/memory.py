"""What guardrails remember between looks.

Responsible for: the shape of it, as frozen data that ``msgspec`` encodes.
Does not know: what is computed from it, where it is kept (``router.control``).

Rules: bounded: one track for each guardrail of the configuration, each of at most ``track.MOST`` marks, and the marks
of ``windows``.
"""

from msgspec import Struct

from router.guardrail.obvious import Late
from router.guardrail.pace import Pace
from router.guardrail.track import Track
from router.guardrail.windows import Windows


class Misses(Struct, frozen=True):
    """Failed measurements.

    Attributes:
        consecutive: How many looks in a row failed, up to the last.
        share: Share of late looks that failed; the last counts a hundredth.
    """

    consecutive: int = 0
    share: float = 0.0

    def after(self, *, failed: bool) -> "Misses":
        """Return what is known after another look."""
        return Misses(self.consecutive + 1 if failed else 0, 0.99 * self.share + (0.01 if failed else 0.0))


class Memory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of one release; a new one knows nothing.

    Attributes:
        run: The run that all of it is about.
        began: When its release began, in unix seconds; a release that begins again is judged anew.
        tracks: Guardrail to the sums of its test.
        paces: The same for guardrails on times.
        late: Counts of a minute or two ago.
        misses: Failed measurements.
        windows: What was counted over time, for guardrails that look at spans of it.
    """

    run: int = 0
    began: float = 0.0
    tracks: dict[str, Track] = {}
    paces: dict[str, Pace] = {}
    late: Late | None = None
    misses: Misses = Misses()
    windows: Windows = Windows()
