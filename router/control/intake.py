"""The way of configuration into the control process: read, applied or refused.

Responsible for: when the files are read, which ones are watched, and keeping what was refused for people to see.
Does not know: what a configuration makes of the present revision, how that is published.

Rules: one reading at a time, in a thread, and the lock of changes is not held meanwhile: a kill must not wait for
files. A refused configuration alters nothing but ``rejected``.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from logging import getLogger
from pathlib import Path

from router.config.load import Loaded
from router.config.mistake import ConfigError, Mistake
from router.control.seat import Rejected, Source
from router.control.state import Refusal
from router.control.watch import Watch
from router.counters import RELOAD_OK
from router.events.model import Revision
from router.segment import Segment

log = getLogger(__name__)

Apply = Callable[[Loaded], Awaitable[Refusal | None]]


class Intake:
    """Reads the configuration.

    Attributes:
        loaded: The configuration on disk that was last accepted, with the origin of each value; None after a restart
            of this process until the file could be read.
        rejected: The configuration on disk, when it is not served.
    """

    def __init__(self, source: Source, segment: Segment, apply: Apply, revision: Callable[[], Revision]) -> None:
        """Begin with nothing read.

        Args:
            source: Where it is.
            segment: The shared counters, which say whether the last reading was served.
            apply: Has a configuration served; returns why not.
            revision: Returns the present revision.
        """
        # Per process
        self.loaded: Loaded | None = None
        self.rejected: Rejected | None = None
        self._source = source
        self._segment = segment
        self._apply = apply
        self._revision = revision
        self._watch = Watch()
        self._awaited: tuple[Path, ...] = ()  # files that a refused configuration has beside those of the last good one
        self._reading = asyncio.Lock()
        self._asked = asyncio.Event()

    async def follow(self) -> bool:
        """Watch the files that matter now; return whether one of them is new here, so that it is to be read again."""
        return self._watch.follow(await asyncio.to_thread(self._followed))

    async def watch(self, changed: Callable[[frozenset[Path]], Awaitable[None]]) -> None:
        """Look at the files until cancelled.

        Args:
            changed: Awaited with the files whose content is another one.
        """
        await self._watch.run(changed)

    async def reload(self) -> None:
        """Read the configuration and apply it; a mistake changes nothing and is kept in ``rejected``."""
        async with self._reading:
            while True:
                await self._reload_once()
                if not await self.follow():
                    return

    def ask(self) -> None:
        """Have the configuration read soon; for signal handlers."""
        self._asked.set()

    async def obey(self) -> None:
        """Read whenever that was asked for, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def _reload_once(self) -> None:
        try:
            loaded = await asyncio.to_thread(self._source.load)
        except ConfigError as error:
            self._awaited = error.files
            self._reject(error.mistakes)
            return
        except Exception as error:  # whatever a file does to the loader, the old revision serves on
            log.exception("the configuration cannot be read")
            self._reject((Mistake(str(self._source.path), 0, "", f"cannot be read: {error!r}"),))
            return
        refused = await self._apply(loaded)
        if refused is not None:
            self._reject(refused.mistakes)
            return
        self.loaded, self._awaited = loaded, ()
        if self.rejected is not None:
            log.info("the configuration on disk is fine again")
        self.rejected = None
        self._segment.words[RELOAD_OK] = 1

    def _reject(self, mistakes: Iterable[Mistake]) -> None:
        self.rejected = Rejected(time.time(), tuple(mistakes))
        self._segment.words[RELOAD_OK] = 0
        log.error(
            "configuration refused, revision %d serves on mistakes=%d",
            self._revision().number,
            len(self.rejected.mistakes),
        )
        for mistake in self.rejected.mistakes:
            log.error("mistake %s", mistake)

    def _followed(self) -> set[Path]:
        known = (*self.loaded.files, *self.loaded.referenced) if self.loaded is not None else ()
        return {*self._source.watched(), *known, *self._awaited}
