"""Notices that the bytes of files have changed, whatever way they were saved.

Responsible for: telling a change of content from the many ways of saving one: written in place, renamed over, or a
symbolic link somewhere on the way that now leads elsewhere (Kubernetes' ``..data``).
Does not know: what the files say, or what a change leads to.

Rules: only content counts, never names or times: a file is compared by the digest of its bytes. The system's notices
merely say when to look early; looking also happens every ``interval_s`` of its own, because notices are lost on network
file systems, run out (``fs.inotify.max_user_watches``), and miss a link that is swapped two folders up.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterable
from logging import getLogger
from pathlib import Path

import watchfiles

log = getLogger(__name__)

INTERVAL_S = 0.5
# Beyond what the loader reads, a change makes no difference to it.
_READ_MAX = 4 * 1024 * 1024 + 1
# How long the system's notices are gathered, at most, before one look.
_GATHER_MS = 200


class Watch:
    """Follows a set of files."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        # Per process
        self._interval_s = interval_s
        self._seen: dict[Path, str] = {}
        self._notice = asyncio.Event()
        self._moved = asyncio.Event()
        self._noticed: frozenset[Path] = frozenset()

    def follow(self, paths: Iterable[Path]) -> bool:
        """Follow these files and no others; they need not exist.

        Returns:
            Whether one of them is new here: it may have changed since the caller read it, so read it again.
        """
        wanted = set(paths)
        new = wanted - self._seen.keys()
        for path in self._seen.keys() - wanted:
            del self._seen[path]
        self._seen.update((path, fingerprint(path)) for path in new)
        if new:
            self._moved.set()
        return bool(new)

    async def run(self, changed: Callable[[frozenset[Path]], Awaitable[None]]) -> None:
        """Look until cancelled.

        Args:
            changed: Awaited with the files whose content is not what it was at the last call.
        """
        notices = asyncio.create_task(self._take_notices())
        try:
            while True:
                different = await self._look()
                if different:
                    await changed(different)
                await self._pause()
        finally:
            notices.cancel()
            await asyncio.gather(notices, return_exceptions=True)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._notice.wait()
        except TimeoutError:
            pass
        self._notice.clear()

    async def _look(self) -> frozenset[Path]:
        found, folders = await asyncio.to_thread(_survey, tuple(self._seen))
        different = frozenset(path for path, digest in found.items() if self._seen.get(path) not in (None, digest))
        self._seen.update((path, found[path]) for path in different)
        if folders != self._noticed:
            self._moved.set()
        return different

    async def _take_notices(self) -> None:
        """Let the system's notices cut the pause short."""
        try:
            while True:
                self._moved.clear()
                _, self._noticed = await asyncio.to_thread(_survey, tuple(self._seen))
                if not self._noticed:
                    await self._moved.wait()
                    continue
                # Something may have been saved while nobody was noticing.
                self._notice.set()
                async for _ in watchfiles.awatch(
                    *self._noticed, watch_filter=None, debounce=_GATHER_MS, stop_event=self._moved, recursive=False
                ):
                    self._notice.set()
        except (OSError, RuntimeError) as error:
            log.warning("no notices of file changes (%s); files are looked at every %s s", error, self._interval_s)


def _survey(paths: Iterable[Path]) -> tuple[dict[Path, str], frozenset[Path]]:
    """Read the files; find the folders where a change would show: of each file, and of what it really is."""
    folders = {Path(folder) for path in paths for folder in (path.parent, Path(os.path.realpath(path)).parent)}
    return {path: fingerprint(path) for path in paths}, frozenset(folder for folder in folders if folder.is_dir())


def fingerprint(path: Path) -> str:
    """Return a digest of a file's bytes or of the names in a folder, or a text that says why there is none."""
    try:
        if path.is_dir():
            content = "\0".join(sorted(entry.name for entry in path.iterdir())).encode("utf-8", "surrogateescape")
        else:
            with path.open("rb") as stream:
                content = stream.read(_READ_MAX)
    except (OSError, ValueError) as error:
        return f"unreadable: {getattr(error, 'errno', None)}"
    return hashlib.blake2b(content, digest_size=16).hexdigest()
