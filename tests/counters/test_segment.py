"""The shared segment: sized once, seen by every process, written without locks and read without tears."""

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from router import counters
from router.counters import (
    BLOCK_WORDS,
    CONNECTIONS,
    CONNECTIONS_TOTAL,
    HEADER_WORDS,
    PUBLISHED,
    RELOAD_OK,
    ROWS,
    TARGET_CONNECTS,
    TARGET_INFLIGHT,
    reset_gauges,
    route_key,
    target_key,
)
from router.segment import Segment, fold


@pytest.fixture
def segment() -> Iterator[Segment]:
    """A segment of two workers."""
    made = Segment.create(2)
    yield made
    made.close()


def test_another_process_sees_what_is_written_and_writes_what_is_seen(segment: Segment) -> None:
    """A child that inherits the descriptor has the same words, and leaves its counts behind when it is killed."""
    segment.words[PUBLISHED] = 7
    program = (
        "import os, signal, sys\n"
        "from router.counters import CONNECTIONS_TOTAL, PUBLISHED\n"
        "from router.segment import Segment\n"
        "shared = Segment.attach(int(sys.argv[1]))\n"
        "block = shared.block(1)\n"
        "for _ in range(1000): block[CONNECTIONS_TOTAL] += shared.words[PUBLISHED]\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = subprocess.run([sys.executable, "-c", program, str(segment.fd)], close_fds=False, check=False, timeout=60)
    assert child.returncode == -9
    assert segment.block(1)[CONNECTIONS_TOTAL] == 7000
    assert segment.block(0)[CONNECTIONS_TOTAL] == 0


def test_a_row_is_summed_over_workers(segment: Segment) -> None:
    """Words at the same index of all blocks add up."""
    segment.block(0)[ROWS : ROWS + 3] = memoryview(b"".join(n.to_bytes(8, sys.byteorder) for n in (1, 2, 3))).cast("q")
    segment.block(1)[ROWS + 1] = 40
    segment.block(1)[ROWS + 2] = -1
    assert fold(segment, ROWS, 4) == [1, 42, 2, 0]


def test_a_segment_can_be_sized_after_it_was_inherited() -> None:
    """The descriptor exists first; whoever attaches after the sizing finds the blocks, and nobody before."""
    empty = Segment.create_empty()
    assert os.get_inheritable(empty.fd)
    with pytest.raises(ValueError, match="not a sized"):
        Segment.attach(empty.fd)
    empty.resize(3)
    attached = Segment.attach(os.dup(empty.fd))
    assert attached.workers == 3
    attached.block(2)[BLOCK_WORDS - 1] = 5
    assert empty.block(2)[BLOCK_WORDS - 1] == 5
    attached.close()
    empty.close()


def test_a_new_segment_says_that_the_configuration_is_served_and_nothing_else(segment: Segment) -> None:
    """Everything begins at zero but the sign of a good reload."""
    assert segment.words[RELOAD_OK] == 1
    assert segment.words[PUBLISHED] == 0
    assert not any(fold(segment, 0, ROWS))


@pytest.mark.parametrize("workers", [0, -1])
def test_a_segment_has_at_least_one_block(workers: int) -> None:
    """No blocks is a mistake of the caller."""
    empty = Segment.create_empty()
    with pytest.raises(ValueError, match="blocks"):
        empty.resize(workers)
    empty.close()


def test_a_segment_is_sized_once(segment: Segment) -> None:
    """Blocks in use are never resized under their writers."""
    with pytest.raises(ValueError, match="blocks"):
        segment.resize(3)


def test_foreign_memory_is_refused() -> None:
    """A descriptor of something else, or of another version's layout, is told apart and left open."""
    fd = os.memfd_create("other")
    os.ftruncate(fd, (HEADER_WORDS + BLOCK_WORDS) * 8)
    with pytest.raises(ValueError, match="this version"):
        Segment.attach(fd)
    os.close(fd)


def test_untouched_blocks_take_no_memory() -> None:
    """64 workers of 64 MiB are address space, not memory."""
    large = Segment.create(64)
    large.block(63)[ROWS] = 1
    assert os.fstat(large.fd).st_blocks * 512 <= 4 * mmap.PAGESIZE
    large.close()


def test_gauges_of_a_killed_worker_are_reset_and_counters_are_not(segment: Segment) -> None:
    """A replacement begins without open connections and exchanges, and goes on counting."""
    slots = {target_key("v1"): ROWS, route_key("r"): ROWS + counters.TARGET_WORDS}
    block = segment.block(0)
    for word in (CONNECTIONS, CONNECTIONS_TOTAL, ROWS + TARGET_INFLIGHT, ROWS + TARGET_CONNECTS, slots[route_key("r")]):
        block[word] = 9
    reset_gauges(block, slots)
    assert (block[CONNECTIONS], block[ROWS + TARGET_INFLIGHT]) == (0, 0)
    assert (block[CONNECTIONS_TOTAL], block[ROWS + TARGET_CONNECTS], block[slots[route_key("r")]]) == (9, 9, 9)


def test_a_reader_never_sees_half_a_word(segment: Segment) -> None:
    """While a process flips every bit of a word, others read all of one value or all of the other."""
    program = (
        "import sys\n"
        "from router.counters import ROWS\n"
        "from router.segment import Segment\n"
        "block = Segment.attach(int(sys.argv[1])).block(0)\n"
        "while not block[ROWS + 1]:\n"
        "    block[ROWS] = 0x0123456789ABCDEF\n"
        "    block[ROWS] = ~0x0123456789ABCDEF\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(segment.fd)], close_fds=False) as writer:
        block = segment.block(0)
        while block[ROWS] == 0 and writer.poll() is None:
            pass
        seen = set()
        for _ in range(50_000):
            seen.add(block[ROWS])
            seen.update(fold(segment, ROWS, 1))
        block[ROWS + 1] = 1
        assert writer.wait(timeout=60) == 0
    assert seen <= {0x0123456789ABCDEF, ~0x0123456789ABCDEF}


def test_a_slice_in_use_keeps_a_segment_from_closing(segment: Segment) -> None:
    """Unmapping under a reader would crash it, so it is an error instead."""
    other = Segment.attach(os.dup(segment.fd))
    view = other.words[0:1]
    with pytest.raises(BufferError):
        other.close()
    view.release()
    os.close(other.fd)
