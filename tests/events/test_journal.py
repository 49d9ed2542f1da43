"""The journal: what append returned from is there after any crash, damage is told apart, space is bounded and held."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.events import journal as journal_module
from router.events.journal import (
    KEPT,
    RESERVE_BYTES,
    Journal,
    compact,
    decode_entries,
    encode_record,
    scan,
)
from tests.events.examples import revised

ENTRIES = [b'{"type":"revised","n":%d}' % number for number in range(4)]
CONTENT = b"".join(encode_record(seq, entry) for seq, entry in enumerate(ENTRIES, start=1))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    opened = Journal(tmp_path / "journal")
    yield opened
    opened.close()


def replay(folder: Path) -> tuple[list[int], tuple[str, ...]]:
    """Open and close a journal; return the numbers of its revisions and its damage."""
    opened = Journal(folder)
    opened.close()
    return [entry.number for entry in opened.entries], opened.damage


def test_a_restart_finds_what_was_decided(tmp_path: Path) -> None:
    """Entries come back whole and in order, and later ones follow them."""
    folder = tmp_path / "new" / "journal"
    for number in range(1, 4):
        opened = Journal(folder)
        assert opened.entries == tuple(revised(earlier) for earlier in range(1, number))
        opened.append(revised(number))
        opened.close()
    assert replay(folder) == ([1, 2, 3], ())


def test_a_journal_torn_at_any_byte_keeps_its_whole_records(tmp_path: Path) -> None:
    """Wherever a power cut ends the file, the records before are used, and the next one follows without damage."""
    folder = tmp_path / "journal"
    opened = Journal(folder)
    for number in (1, 2):
        opened.append(revised(number))
    opened.close()
    path = folder / "journal.ndjson"
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for size in (*range(0, first, 97), *range(first - 3, len(content) + 1, 31), len(content) - 1, len(content)):
        path.write_bytes(content[:size])
        whole = content[:size].count(b"\n")
        opened = Journal(folder)
        assert ([entry.number for entry in opened.entries], opened.damage) == (list(range(1, whole + 1)), ())
        opened.append(revised(9))
        opened.close()
        assert replay(folder) == ([*range(1, whole + 1), 9], ())


def test_a_scan_torn_at_any_byte_yields_the_whole_records() -> None:
    """Every prefix of a journal is a sound journal with a tail to cut off."""
    for size in range(len(CONTENT) + 1):
        found = scan(CONTENT[:size])
        whole = CONTENT[:size].count(b"\n")
        assert found.entries == tuple(ENTRIES[:whole])
        assert (found.damage, found.last_seq) == ((), whole)
        assert CONTENT[: found.sound_bytes].count(b"\n") == whole


@given(st.integers(0, len(CONTENT) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_never_taken_for_a_decision(place: int, bit: int) -> None:
    """Bit rot anywhere costs the record it is in (or tears the last one), is reported, and invents nothing."""
    rotten = bytearray(CONTENT)
    rotten[place] ^= 1 << bit
    found = scan(bytes(rotten))
    assert set(found.entries) <= set(ENTRIES)
    assert len(found.entries) >= len(ENTRIES) - 2
    assert found.damage or found.sound_bytes < len(rotten)


@given(st.sets(st.integers(0, len(ENTRIES) - 2), min_size=1))
def test_a_missing_record_is_damage(missing: set[int]) -> None:
    """A record cut out of the middle leaves a gap in the numbers."""
    lines = CONTENT.splitlines(keepends=True)
    found = scan(b"".join(line for number, line in enumerate(lines) if number not in missing))
    assert len(found.entries) == len(ENTRIES) - len(missing)
    assert found.damage


@given(st.binary(max_size=400))
def test_no_content_can_make_a_scan_fail(content: bytes) -> None:
    """Whatever bytes are in the file, the sound records are found."""
    assert scan(content + b"\n" + CONTENT).entries == tuple(ENTRIES)


def test_damage_is_reported_and_the_rest_is_used(tmp_path: Path) -> None:
    """A rotten record in the middle costs that record; the router starts and the numbers go on."""
    folder = tmp_path / "journal"
    opened = Journal(folder)
    for number in (1, 2, 3):
        opened.append(revised(number))
    opened.close()
    path = folder / "journal.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"number":2', b'"number":5'))
    opened = Journal(folder)
    assert [entry.number for entry in opened.entries] == [1, 3]
    assert opened.damage == ("line 2 does not match its checksum",)
    opened.append(revised(4))
    opened.close()
    assert replay(folder) == ([1, 3, 4], ("line 2 does not match its checksum",))


def test_entries_of_a_later_version_are_kept_and_passed_over() -> None:
    """A verdict is nothing this version acts on; a revision that it cannot read is reported."""
    sound = msgspec.json.encode(revised(1))
    known, problems = decode_entries([b'{"type":"verdict","x":1}', sound, b'{"type":"revised","number":"x"}'])
    assert known == (revised(1),)
    assert len(problems) == 1
    assert b'{"type":"verdict","x":1}' in compact([b'{"type":"verdict","x":1}', *[sound] * (2 * KEPT)])


@given(st.lists(st.sampled_from(["revised", "verdict"]), max_size=3 * KEPT))
def test_compaction_keeps_the_last_of_each_type_in_order(types: list[str]) -> None:
    """Each type keeps its newest records, up to a hundred; none is moved."""
    entries = [b'{"type":"%b","n":%d}' % (kind.encode(), number) for number, kind in enumerate(types)]
    expected = []
    for kind in (b'"revised"', b'"verdict"'):
        expected += [entry for entry in entries if kind in entry][-KEPT:]
    assert compact(entries) == sorted(expected, key=entries.index)


def test_compaction_bounds_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Huge records leave fewer of them, and always the newest."""
    monkeypatch.setattr(journal_module, "KEPT_BYTES", 100)
    entries = [b'{"type":"revised","n":"%b"}' % (bytes([65 + number]) * 40) for number in range(5)]
    assert compact(entries) == entries[-1:]
    monkeypatch.setattr(journal_module, "KEPT_BYTES", 10)
    assert compact(entries) == entries[-1:]


def test_a_journal_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over thousands of revisions the file keeps the last hundred or two, also through restarts."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    folder = tmp_path / "journal"
    opened = Journal(folder)
    for number in range(1, 1001):
        opened.append(revised(number))
        if number % 333 == 0:
            opened.close()
            opened = Journal(folder)
    opened.close()
    numbers, damage = replay(folder)
    assert damage == ()
    assert KEPT <= len(numbers) <= 2 * KEPT
    assert numbers == list(range(1001 - len(numbers), 1001))
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("older-"))
    assert others == ["journal.ndjson", "lock", "reserve"]


def test_two_routers_cannot_share_a_journal(tmp_path: Path, journal: Journal) -> None:
    """The second one gets a sentence that names the folder, the process in the way and the way out."""
    program = (
        "import pathlib, sys\n"
        "from router.events.journal import Journal\n"
        "try: Journal(pathlib.Path(sys.argv[1]))\n"
        "except BlockingIOError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "journal")]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    who = f"{tmp_path}/journal is in use by another router (process {os.getpid()})"
    assert child.stdout == f"{who}: give each router an events.dir of its own\n"
    journal.append(revised(1))


def test_a_killed_process_leaves_its_entries_and_no_lock(tmp_path: Path) -> None:
    """After kill -9 everything that was appended is there, and the next process can open it at once."""
    program = (
        "import pathlib, sys\n"
        "from router.events.journal import Journal\n"
        "from tests.events.examples import revised\n"
        "journal = Journal(pathlib.Path(sys.argv[1]))\n"
        "for number in range(1, 10**9):\n"
        "    journal.append(revised(number))\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while child.stdout.readline() != "5\n":
            assert child.poll() is None
        child.send_signal(signal.SIGKILL)
        acknowledged = [5, *map(int, child.stdout.read().split())]
    numbers, damage = replay(tmp_path)
    assert damage == ()
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= acknowledged[-1]


class FullDisk:
    """Lets nothing be written while the reserve exists, and nothing at all once that is used up too."""

    def __init__(self, patch: pytest.MonkeyPatch, reserve: Path, room: int) -> None:
        self.reserve = reserve
        self.room = room
        self.write = os.write
        patch.setattr(os, "write", self.try_write)
        patch.setattr(os, "posix_fallocate", self.fail)

    def fail(self, *_: object) -> None:
        """Say that no space is left."""
        raise OSError(errno.ENOSPC, "No space left on device")

    def try_write(self, fd: int, data: bytes | memoryview) -> int:
        """Write as much as fits."""
        if self.reserve.exists() or self.room < len(data):
            self.write(fd, bytes(data)[: len(data) // 2])
            self.fail()
        self.room -= len(data)
        return self.write(fd, data)


def test_a_full_disk_still_takes_a_decision(tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space held in reserve is given up for it, and held again when there is space."""
    reserve = tmp_path / "journal" / "reserve"
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    journal.append(revised(1))
    with monkeypatch.context() as patch:
        FullDisk(patch, reserve, room=RESERVE_BYTES)
        journal.append(revised(2))
        assert not journal.reserved
        assert not reserve.exists()
    journal.append(revised(3))
    assert journal.reserved
    assert reserve.exists()
    journal.close()
    assert replay(tmp_path / "journal") == ([1, 2, 3], ())


def test_a_disk_without_any_space_is_an_error_that_names_the_file(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller learns that it is not written; half of a record is not left behind; later ones are written."""
    journal.append(revised(1))
    with monkeypatch.context() as patch:
        FullDisk(patch, tmp_path / "journal" / "reserve", room=0)
        with pytest.raises(OSError, match=r"journal\.ndjson cannot be written: No space left"):
            journal.append(revised(2))
    assert (tmp_path / "journal" / "journal.ndjson").read_bytes().count(b"\n") == 1
    journal.append(revised(3))
    journal.close()
    assert replay(tmp_path / "journal") == ([1, 3], ())


@pytest.mark.parametrize("broken", ["fsync", "write", "ftruncate"])
def test_after_a_failure_the_file_is_written_anew(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """When it is in doubt what the disk holds, the next decision is written to a fresh file with all before it."""
    journal.append(revised(1))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        if broken == "ftruncate":
            patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="Input/output error"):
            journal.append(revised(2))
    journal.append(revised(3))
    journal.close()
    assert replay(tmp_path / "journal") == ([1, 3], ())


def test_a_failed_compaction_costs_nothing(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The entry is written all the same, and a later one compacts."""

    def fail(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(journal_module, "KEPT", 2)
    for number in range(1, 4):
        journal.append(revised(number))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        journal.append(revised(4))
    assert "cannot be compacted" in caplog.text
    journal.append(revised(5))
    journal.close()
    assert replay(tmp_path / "journal") == ([4, 5], ())


def test_a_folder_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path) -> None:
    """The router says which folder and why, before it serves anything."""
    (tmp_path / "journal").write_text("in the way")
    with pytest.raises(OSError, match=r"the journal in .*/journal cannot be used: "):
        Journal(tmp_path / "journal")


def test_a_router_starts_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without space for the reserve the journal opens, and says that nothing is held."""
    Journal(tmp_path / "journal").close()
    (tmp_path / "journal" / "reserve").unlink()
    with monkeypatch.context() as patch:
        FullDisk(patch, tmp_path / "journal" / "reserve", room=0)
        opened = Journal(tmp_path / "journal")
    assert not opened.reserved
    opened.close()
