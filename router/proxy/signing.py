"""What a worker signs and verifies: assignments to callers, overrides from them.

Responsible for: the keys of one worker, the header line of an assignment, reading the override field.
Does not know: tokens' bytes (``router.routing.token``), who may see what (``router.proxy.server``).

Rules: without keys nothing is signed and no override counts. Keys that cannot be read again stay what they were: a
revision, a kill above all, must not wait for a file. An assignment's time is that of its minute, so a unit's header
stays the same for as long and is made once: 0.3 µs instead of 5.
"""

import re
from logging import getLogger
from typing import TYPE_CHECKING, Final

from router.config.keys import read_keys
from router.routing.token import MAX_TOKEN_BYTES, Assignment, Forced, allow, sign, unit_hash

if TYPE_CHECKING:
    from router.events.model import Enrolment
    from router.routing.decide import Decision

FIELD: Final = b"x-router-override"
MINUTE_S: Final = 60
# Places for lines that were made: 2 MB when all are taken. Of two units that fall on one place the later has it.
PLACES: Final = 1 << 12

_NAME: Final = rb"([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
_OVERRIDE: Final = re.compile(rb"%b=%b[ \t]*;[ \t]*([A-Za-z0-9._-]{1,%d})" % (_NAME, _NAME, MAX_TOKEN_BYTES))

logger = getLogger(__name__)


class Signing:
    """The keys of one worker, and what it made with them of late."""

    __slots__ = ("_keys", "_places")

    def __init__(self) -> None:
        # Per process
        self._keys: tuple[bytes, ...] = ()
        self._places: list[tuple[int, str | None, tuple[Enrolment, ...], bytes] | None] = [None] * PLACES

    @property
    def usable(self) -> bool:
        """Return whether there is a key."""
        return bool(self._keys)

    def follow(self, keys_file: str | None) -> None:
        """Read the keys again; None is that there are none any more."""
        if keys_file is None:
            keys: tuple[bytes, ...] = ()
        else:
            try:
                keys = read_keys(keys_file)
            except (OSError, ValueError) as error:
                logger.error("the signing keys cannot be read again, those of before count: %s", error)  # noqa: TRY400 - the text says all
                return
        if keys != self._keys:
            self._keys = keys
            self._places = [None] * PLACES

    def line(self, decision: "Decision", now: float) -> bytes:
        """Return the header line about an assignment.

        Args:
            decision: One that enrolled its unit.
            now: Unix seconds.
        """
        minute = int(now) // MINUTE_S
        place = decision.key & (PLACES - 1)
        known = self._places[place]
        unit = decision.unit
        if known is not None and known[2] is decision.enrolments and known[1] == unit and known[0] == minute:
            return known[3]
        structure = decision.route.structure
        if structure is None or not self._keys:
            return b""
        tokens = []
        for enrolment in decision.enrolments:
            salt = structure.trials[enrolment.experiment].salt
            hashed = unit_hash(salt, enrolment.run, enrolment.unit or unit or "")
            said = Assignment(
                enrolment.experiment, enrolment.arm, enrolment.run, enrolment.phase, hashed, enrolment.propensity,
                minute * MINUTE_S,
            )  # fmt: skip
            tokens.append(sign(self._keys[0], said))
        line = b"x-router-assignment: %b\r\n" % b", ".join(tokens)
        self._places[place] = (minute, unit, decision.enrolments, line)
        return line

    def override(self, value: bytes, now: float) -> Forced | None:
        """Return the override that a field asks for, if somebody with a key allowed it.

        Args:
            value: ``EXPERIMENT=ARM; TOKEN``.
            now: Unix seconds.
        """
        found = _OVERRIDE.fullmatch(value) if self._keys else None
        forced = allow(self._keys, found[3], now) if found is not None else None
        if found is None or forced is None:
            return None
        said = forced.override
        return forced if (said.experiment.encode(), said.arm.encode()) == (found[1], found[2]) else None
