"""The memory that all processes share: one anonymous file, inherited by descriptor.

Responsible for: making, sizing, mapping and reading it.
Does not know: what its words mean (``router.counters``), who writes them.

Layout: a header, one block for each worker and one to spare, and one for the control process, which the workers read.
"""

import mmap
import os
from collections.abc import Mapping
from typing import Final, Self

from router.counters import (
    BLOCK_SIZE,
    BLOCK_WORDS,
    HEADER_WORDS,
    IDENTITY,
    MAGIC,
    MAGIC_VALUE,
    PID,
    RELOAD_OK,
    SEATS,
    WORKERS,
    reset_gauges,
)

_OTHER_BLOCKS: Final = 2  # besides one for each worker: the spare, and the control process's
_MAP_NORESERVE: Final = 0x4000  # <asm-generic/mman-common.h>; `mmap` names it from Python 3.13


class Segment:
    """The shared words. Owns its descriptor, which is inheritable so that children can attach to it.

    Attributes:
        fd: Descriptor of the memory.
        workers: Number of workers; 0 until ``resize``.
        words: Header and blocks.
        blocks: The blocks that workers write: whoever sums over workers sums over these.
    """

    __slots__ = ("_control", "_map", "blocks", "fd", "words", "workers")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.workers = 0
        self.words = memoryview(b"").cast("q")
        self._map: mmap.mmap | None = None
        self.blocks: tuple[memoryview, ...] = ()
        self._control = memoryview(b"")

    @classmethod
    def create_empty(cls) -> Self:
        """Make a segment without blocks, to be inherited before the number of workers is known."""
        fd = os.memfd_create("router-counters", os.MFD_CLOEXEC)
        os.set_inheritable(fd, True)
        return cls(fd)

    @classmethod
    def create(cls, workers: int) -> Self:
        """Make a segment with one zeroed block for each worker."""
        segment = cls.create_empty()
        segment.resize(workers)
        return segment

    @classmethod
    def attach(cls, fd: int) -> Self:
        """Map a segment that another process made and sized; the descriptor belongs to the result.

        Raises:
            ValueError: If the descriptor is not a sized segment of this layout.
        """
        size = os.fstat(fd).st_size
        if size < HEADER_WORDS * 8:
            raise ValueError(f"descriptor {fd} holds {size} bytes: not a sized counters segment")
        segment = cls(fd)
        workers = (size // 8 - HEADER_WORDS) // BLOCK_WORDS - _OTHER_BLOCKS
        segment._map_words(workers)
        found = tuple(segment.words[MAGIC : BLOCK_SIZE + 1])
        if found != (MAGIC_VALUE, workers, BLOCK_WORDS):
            segment._unmap()
            raise ValueError(f"descriptor {fd} is not a counters segment of this version: it begins with {found}")
        return segment

    def resize(self, workers: int) -> None:
        """Give an empty segment its blocks.

        Raises:
            ValueError: If it has blocks already, or ``workers`` is not positive.
        """
        if self.workers or workers < 1:
            raise ValueError(f"cannot give {workers} blocks to a segment of {self.workers}")
        os.ftruncate(self.fd, (HEADER_WORDS + (workers + _OTHER_BLOCKS) * BLOCK_WORDS) * 8)
        self._map_words(workers)
        for worker in range(workers):
            self.words[SEATS + worker] = worker
        self.words[WORKERS] = workers
        self.words[BLOCK_SIZE] = BLOCK_WORDS
        self.words[RELOAD_OK] = 1
        self.words[IDENTITY] = int.from_bytes(os.urandom(8)) >> 1
        self.words[MAGIC] = MAGIC_VALUE

    def block(self, worker: int) -> memoryview:
        """Return the words that one worker writes now, as a view that writes through; valid until ``close``.

        ``block(workers)`` is the control process's.
        """
        return self._control if worker == self.workers else self.blocks[self.words[SEATS + worker]]

    def close(self) -> None:
        """Unmap and close the descriptor; the memory lives on while another process has it.

        Raises:
            BufferError: If a slice of the words is still in use.
        """
        self._unmap()
        os.close(self.fd)

    def _map_words(self, workers: int) -> None:
        size = (HEADER_WORDS + (workers + _OTHER_BLOCKS) * BLOCK_WORDS) * 8
        self._map = mmap.mmap(self.fd, size, flags=mmap.MAP_SHARED | _MAP_NORESERVE)
        self.words = memoryview(self._map).cast("q")
        self.workers = workers
        starts = (HEADER_WORDS + block * BLOCK_WORDS for block in range(workers + _OTHER_BLOCKS))
        *blocks, self._control = (self.words[start : start + BLOCK_WORDS] for start in starts)
        self.blocks = tuple(blocks)

    def _unmap(self) -> None:
        for block in (*self.blocks, self._control):
            block.release()
        self.words.release()
        if self._map is not None:
            self._map.close()


def fold(segment: Segment, base: int, size: int) -> list[int]:
    """Sum ``size`` words from index ``base`` of the blocks over all workers."""
    rows = (block[base : base + size].tolist() for block in segment.blocks)
    return [sum(column) for column in zip(*rows, strict=True)]


def reset_left_gauges(segment: Segment, slots: Mapping[str, int]) -> None:
    """Zero the gauges of a block that nobody writes: its last writer may have been killed."""
    seats = segment.words[SEATS : SEATS + segment.workers].tolist()
    for index, block in enumerate(segment.blocks):
        if index not in seats and not block[PID]:
            reset_gauges(block, slots)
