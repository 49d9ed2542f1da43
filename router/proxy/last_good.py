"""The last good answer to each question, for when nobody can answer it any more.

Responsible for: keeping answers within a number of bytes and a time, the least recently used ones going first.
Does not know: requests, which answers may be kept (``question``), when one is given again (``fallback``).

Rules: each worker has its own store and its share of the bytes. Answers that are still coming in count: what is set
aside for them is a quarter of the store at most, and an answer a sixteenth, so one large answer neither empties the
store nor exceeds it. What was set aside is given back once, whatever becomes of the exchange.
"""

from typing import Final

from msgspec import Struct

ENTRY_BYTES: Final = 512  # what a key and an entry take besides the bytes of the answer
_LARGEST_PART: Final = 16
_COMING_PART: Final = 4


class Kept(Struct, frozen=True, gc=False):
    """An answer that may be given again.

    Attributes:
        lines: Status line and fields, each with its CRLF.
        body: The content.
        born: When it was made, in seconds of ``time.monotonic``: before it came, if it came with an age.
        at: When it came, likewise.
    """

    lines: bytes
    body: bytes
    born: float
    at: float

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.lines) + len(self.body) + ENTRY_BYTES


class LastGood:
    """The store of one route in one worker.

    Attributes:
        ttl: How long an answer is good, in seconds.
        size: Bytes that it may take.
        used: Bytes that its answers take.
        coming: Bytes set aside for answers that are coming in.
    """

    __slots__ = ("_kept", "coming", "size", "ttl", "used")

    def __init__(self, ttl: float, size: int) -> None:
        self._kept: dict[bytes, Kept] = {}  # least recently used first
        self.used = 0
        self.coming = 0
        self.ttl = ttl
        self.size = size

    def __len__(self) -> int:
        return len(self._kept)

    def resize(self, ttl: float, size: int) -> None:
        """Follow a change of the configuration, for the answers that are kept too."""
        self.ttl = ttl
        self.size = size
        self._evict()

    def set_aside(self, length: int) -> bool:
        """Set room aside for an answer that is coming in; False when it is too large or too many are."""
        if length + ENTRY_BYTES > self.size // _LARGEST_PART or self.coming + length > self.size // _COMING_PART:
            return False
        self.coming += length
        self._evict()
        return True

    def give_back(self, length: int) -> None:
        """Give room back that was set aside."""
        self.coming -= length

    def put(self, key: bytes, lines: bytes, body: bytes, born: float, now: float) -> None:
        """Keep an answer in place of the one before; one that is too large is not kept, and that before is dropped."""
        before = self._kept.pop(key, None)
        if before is not None:
            self.used -= before.size
        kept = Kept(lines, body, born, now)
        size = kept.size
        if size <= self.size // _LARGEST_PART:
            self._kept[key] = kept
            self.used += size
            if self.used + self.coming > self.size:
                self._evict()

    def get(self, key: bytes, now: float) -> Kept | None:
        """Return the answer to a question, unless there is none or it is too old."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        if now - kept.at >= self.ttl:
            self.used -= kept.size
            return None
        self._kept[key] = kept
        return kept

    def _evict(self) -> None:
        while self._kept and self.used + self.coming > self.size:
            self.used -= self._kept.pop(next(iter(self._kept))).size
