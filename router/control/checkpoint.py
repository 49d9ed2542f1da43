"""A small file that something is kept in over restarts, replaced as a whole now and then.

Responsible for: reading it, when it is written, half of it never being seen.
Does not know: what it says.

Rules: what is in it may be lost; who keeps what here says what that costs. It is not fsynced: it is written too often
for that, and a crash of the machine costs no more than one that came a moment earlier. One warning when it cannot be
written, until it can. What is large is packed: msgpack, compressed, with zlib's check sum.
"""

import zlib
from logging import getLogger
from pathlib import Path
from typing import Any, Final

import msgspec

log = getLogger(__name__)

MOST_BYTES: Final = 256 * 1024 * 1024
"""Of a file, when it is not packed."""


class Checkpoint:
    """Such a file.

    Attributes:
        problem: Why it cannot be written; None when it can.
        broken: Why it could not be read; None when it could, or there was none.
    """

    def __init__(self, path: Path, kind: Any, every_s: float, *, packed: bool = False) -> None:
        """Name the file; nothing is read yet.

        Args:
            path: The file.
            kind: What is in it.
            every_s: How often it is written at most, in seconds.
            packed: Whether it is packed; else it is JSON.
        """
        # Per process
        self.problem: str | None = None
        self.broken: str | None = None
        self._packed = packed
        self._path = path
        self._kind = kind
        self._every_s = every_s
        self._written = float("-inf")

    def read(self) -> Any:
        """Read it; None when there is none that can be read."""
        try:
            with self._path.open("rb") as file:
                return self._decode(file.read(MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, zlib.error, msgspec.DecodeError) as error:
            self.broken = f"{self._path.name} cannot be read ({error}), so what it kept begins anew"
            log.warning("%s cannot be read, so what it kept begins anew: %s", self._path, error)
            return None

    def due(self, monotonic: float, *, changed: bool = False) -> bool:
        """Say whether it is time to write, and take it for written.

        Args:
            monotonic: Seconds of the monotonic clock.
            changed: Whether it is time already.
        """
        if monotonic - self._written < self._every_s and not changed:
            return False
        self._written = monotonic
        return True

    def write(self, kept: Any) -> None:
        """Write it; for a thread."""
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(self._encode(kept))
            beside.replace(self._path)
        except OSError as error:
            if self.problem is None:
                log.warning("%s cannot be written: %s", self._path, error)
            self.problem = str(error)
        else:
            self.problem = None

    def _encode(self, kept: Any) -> bytes:
        return zlib.compress(msgspec.msgpack.encode(kept), 1) if self._packed else msgspec.json.encode(kept)

    def _decode(self, stored: bytes) -> Any:
        if not self._packed:
            return msgspec.json.decode(stored, type=self._kind)
        return msgspec.msgpack.decode(zlib.decompressobj().decompress(stored, MOST_BYTES), type=self._kind)
