"""The control journal: what was decided, in order, so that a restart continues where the router was.

Responsible for: one process at a time, records that are on the disk before ``append`` returns, telling damage from the
end of the file, bounded size, and room for one more record when the disk is full.
Does not know: what a decision means, which of them matter at a restart.

One line a record: ``{"seq":7,"crc":123,"entry":{"type":"revised",…}}`` where ``crc`` is the CRC-32 of ``7:`` and the
bytes of the entry. Numbers within a file are without gaps.

Rules: a last line without its newline was being written when the power went and is cut off. A whole line that fails its
check is damage: it is reported at each start until compaction drops it, and the rest is used, since each ``revised``
holds a whole state. An entry of a type that this version does not know is kept and passed over. An entry whose
``append`` failed may or may not be there after a restart.
"""

import errno
import fcntl
import logging
import os
import zlib
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct, json

from router.events import older
from router.events.model import Revised

KEPT: Final = 100  # records of each type that compaction leaves
KEPT_BYTES: Final = 32 * 1024 * 1024  # and how large they are together, but for the newest of each type
RESERVE_BYTES: Final = 8 * 1024 * 1024  # a revision of the largest configuration (4 MiB of YAML) fits
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


class _Line(Struct, frozen=True):
    seq: int
    crc: int
    entry: Raw


class _Typed(Struct, frozen=True):
    type: object = None


class Scan(Struct, frozen=True):
    """What the bytes of a journal hold.

    Attributes:
        entries: The sound entries as they were written, in order.
        damage: What is wrong, one sentence each; a torn tail is not.
        sound_bytes: Where the torn tail begins; the length when there is none.
        last_seq: Number of the last record, 0 when there is none.
    """

    entries: tuple[bytes, ...]
    damage: tuple[str, ...]
    sound_bytes: int
    last_seq: int


def checksum(seq: int, entry: bytes) -> int:
    """Return the CRC-32 that protects a record's number and entry."""
    return zlib.crc32(entry, zlib.crc32(b"%d:" % seq))


def encode_record(seq: int, entry: bytes) -> bytes:
    """Return the line of a record."""
    return b'{"seq":%d,"crc":%d,"entry":%b}\n' % (seq, checksum(seq, entry), entry)


def scan(content: bytes) -> Scan:
    """Read a journal as far as it is sound; never raises, whatever the bytes are."""
    decode = json.Decoder(_Line).decode
    sound_bytes = content.rfind(b"\n") + 1
    entries: list[bytes] = []
    damage: list[str] = []
    last = skipped = 0
    for number, text in enumerate(content[:sound_bytes].split(b"\n")[:-1], start=1):
        try:
            line = decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            damage.append(f"line {number} is not a record: {error}")
            skipped += 1
            continue
        entry = bytes(line.entry)
        if checksum(line.seq, entry) != line.crc or not entry.startswith(b"{"):
            damage.append(f"line {number} does not match its checksum")
            skipped += 1
            continue
        if line.seq != last + 1 + skipped:
            damage.append(f"line {number} is record {line.seq}, but follows record {last}")
        entries.append(entry)
        last, skipped = line.seq, 0
    return Scan(tuple(entries), tuple(damage), sound_bytes, last)


def compact(entries: Iterable[bytes]) -> list[bytes]:
    """Keep, in order, the last ``KEPT`` entries of each type within ``KEPT_BYTES``; the newest of each in any case."""
    decode = json.Decoder(_Typed).decode
    seen: dict[str, int] = {}
    out: deque[bytes] = deque()
    size = 0
    for entry in reversed(list(entries)):
        kind = str(decode(entry).type)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] == 1 or (seen[kind] <= KEPT and size + len(entry) <= KEPT_BYTES):
            out.appendleft(entry)
            size += len(entry)
    return list(out)


def decode_entries(entries: Iterable[bytes]) -> tuple[tuple[Revised, ...], tuple[str, ...]]:
    """Return the entries that this version knows, and a sentence on each that it should know but cannot read."""
    typed = json.Decoder(_Typed).decode
    revised = json.Decoder(Revised).decode
    known: list[Revised] = []
    problems: list[str] = []
    for entry in entries:
        try:
            if typed(entry).type == "revised":
                known.append(revised(entry))
        except msgspec.MsgspecError as error:
            problems.append(f"an entry cannot be read by this version: {error}")
    return tuple(known), tuple(problems)


class Journal:
    """The journal of one router, open for appending. Owns the lock on its folder.

    Attributes:
        entries: What was decided before this start, oldest first.
        damage: What could not be read of it, one sentence each.
        reserved: Whether space for a record is held, should the disk be full.
    """

    __slots__ = (
        "_fd",
        "_lock_fd",
        "_path",
        "_raw",
        "_reserve",
        "_seq",
        "_size",
        "_suspect",
        "damage",
        "entries",
        "reserved",
    )

    def __init__(self, folder: Path) -> None:
        """Lock the folder, which is made when missing, replay the journal and cut off a torn tail.

        Raises:
            BlockingIOError: If another process has it; the message is a whole sentence.
            OSError: If the folder cannot be used; likewise.
        """
        self._path = folder / "journal.ndjson"
        self._reserve = folder / "reserve"
        self._fd = -1
        self._lock_fd = -1
        self._suspect = False
        self.reserved = False
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock_fd = _lock(folder)
            content = self._path.read_bytes() if self._path.exists() else b""
            found = scan(content)
            self.entries, unknown = decode_entries(found.entries)
            self.damage = found.damage + unknown
            self._raw = list(found.entries)
            self._seq = found.last_seq
            self._size = found.sound_bytes
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
            _sync_folder(folder)
        except OSError as error:
            self.close()
            if isinstance(error, BlockingIOError):
                raise
            raise OSError(error.errno, f"the journal in {folder} cannot be used: {error.strerror}") from error
        self._hold_reserve()

    def append(self, entry: Revised) -> None:
        """Write an entry so that it survives a power cut from now on.

        Raises:
            OSError: If it cannot be written, not even in the space held in reserve.
        """
        raw = json.encode(entry)
        try:
            try:
                self._commit(raw)
            except OSError as error:
                if error.errno not in _FULL or not self.reserved:
                    raise
                self._reserve.unlink(missing_ok=True)
                self.reserved = False
                self._commit(raw)
        except OSError as error:
            raise OSError(error.errno, f"the journal {self._path} cannot be written: {error.strerror}") from error
        if len(self._raw) >= 2 * KEPT or self._size >= 2 * KEPT_BYTES:
            self._compact()
        if not self.reserved:
            self._hold_reserve()

    def earlier(self, number: int) -> Revised | None:
        """Return the entry of a revision that compaction has taken out; None when it is not kept."""
        return older.find(self._path.parent, number)

    def _compact(self) -> None:
        """Take the oldest entries out, and keep them beside the journal as far as the disk has room."""
        kept = compact(self._raw)
        try:
            staying = set(map(id, kept))
            older.keep(self._path.parent, [entry for entry in self._raw if id(entry) not in staying])
        except OSError as error:
            logger.warning("the journal %s: older entries cannot be kept: %s", self._path, error)
        try:
            self._rewrite(kept)
        except OSError as error:  # all is written; the next entry tries again
            logger.warning("the journal %s cannot be compacted: %s", self._path, error)

    def close(self) -> None:
        """Close the file and let another process have the folder."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def _commit(self, raw: bytes) -> None:
        if self._suspect:
            self._rewrite([*self._raw, raw])
            return
        line = encode_record(self._seq + 1, raw)
        self._suspect = True  # until all of it went well; a failed sync may have left pages that are not on the disk
        try:
            _write_all(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, self._size)
            self._suspect = False
            raise
        os.fsync(self._fd)
        self._suspect = False
        self._seq += 1
        self._size += len(line)
        self._raw.append(raw)

    def _rewrite(self, entries: list[bytes]) -> None:
        """Replace the file by one that holds these entries, in one step."""
        content = b"".join(encode_record(seq, entry) for seq, entry in enumerate(entries, start=1))
        fresh = self._path.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            _write_all(fd, content)
            os.fsync(fd)
            fresh.rename(self._path)
            _sync_folder(self._path.parent)
        except OSError:
            os.close(fd)
            fresh.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd = fd
        self._raw = entries
        self._seq = len(entries)
        self._size = len(content)
        self._suspect = False

    def _hold_reserve(self) -> None:
        try:
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            finally:
                os.close(fd)
        except OSError as error:
            logger.warning("no space can be held in reserve for the journal %s: %s", self._path, error)
            with suppress(OSError):
                self._reserve.unlink(missing_ok=True)
        else:
            self.reserved = True


def _lock(folder: Path) -> int:
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(fd, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise BlockingIOError(
            f"{folder} is in use by another router (process {holder}): give each router an events.dir of its own"
        ) from error
    with suppress(OSError):  # the number is for the message above; a full disk shall not keep the router from starting
        os.ftruncate(fd, 0)
        os.write(fd, b"%d\n" % os.getpid())
    return fd


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
