"""The control process's own work: reload, restore, kill, certificates, and one change at a time.

Responsible for: doing what ``state`` decides, one change at a time and in order (journal, then workers).
Does not know: the admin API, the supervisor, how a change is decided.

Rules: everything runs on one loop; compiling and writing happen in threads, so that the heartbeat goes on. A refused
change alters nothing. A decision that the journal cannot take in time is published all the same, with an alarm: workers
must not wait for a disk. A kill does not even try first: it is published, then written.
"""

import asyncio
import time
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path

from router.config.load import Loaded
from router.config.mistake import ConfigError, Mistake
from router.control import drill, postmortems, schedule, switch
from router.control import state as decide
from router.control.aftermath import Aftermath
from router.control.clocks import Clocks
from router.control.counted import count
from router.control.decisions import Decisions
from router.control.drilling import Choose, Drills, Made
from router.control.driver import Decide, Driver, Scene
from router.control.fold import Fold
from router.control.intake import Intake
from router.control.keeper import Keeper
from router.control.ledger import Journal, Ledger
from router.control.mark import mark
from router.control.measure import Question, Snapshot
from router.control.notice import Notice
from router.control.notices import Notices
from router.control.postmortems import PostMortems
from router.control.private import warn_of_open_keys, worker_files
from router.control.releases import Present, Releases, stands_still
from router.control.seat import Asked, Rejected, Seat, Source, Stale
from router.control.sense import Senses
from router.control.state import Refusal, State
from router.control.streams import Streams
from router.control.switched import Switched
from router.control.tick import Allotment, tick
from router.control.ticker import Ticker
from router.control.upkeep import RETENTION_S, Upkeep
from router.counters import CONTROL_HEARTBEAT
from router.events.model import Revised, Revision
from router.events.ticks import Ticks
from router.rollout.effect import Say
from router.rollout.observed import Ask
from router.rollout.turn import Refused
from router.routing.table import Table, compile_table

log = getLogger(__name__)

_LOOK_S = 0.2  # how late an experiment may begin or end
# Of what a change does, as many sentences go into its line of the log.
_SAID = 10
# A disk that takes longer is one that cannot take the decision now; a working one takes milliseconds.
_PATIENCE_S = 0.5


class Control:
    """Owns the state of the router.

    Attributes:
        state: The present revision and those before it.
        news: Set when the next revision is published; another one follows it.
        fold: What the event log says of the experiments.
        ticker: What bandits have learned of it.
        decisions: What was decided about releases.
        notices: Who is told.
        aftermath: What follows from decisions about releases, besides traffic.
        streams: What is watched, and what anomalies there are.
        driver: What is known of releases, and where they go next.
        drills: Rehearses kills and rollbacks.
    """

    def __init__(self, source: Source, seat: Seat, journal: Journal, state: State, ticks: Ticks) -> None:
        # Per process
        self.source = source
        self.state = state
        self.seat = seat
        self.ledger = Ledger(journal, seat.segment)
        self.keeper = Keeper(seat.segment)
        self.fold = Fold()
        self.ticker = Ticker()
        self.decisions = Decisions(ticks.folder)
        self.notices = Notices(ticks.folder)
        self.aftermath = Aftermath(self.decisions, self.notices)
        self.postmortems = PostMortems(self.decisions, self.aftermath)
        self._switched = Switched(seat.segment, seat.publisher, self.aftermath)
        self.drills = Drills(seat.publisher, self.make, self.aftermath, lambda: self.revision)
        self.streams = Streams(seat.segment, ticks.folder, self.decisions, self.notices)
        senses = Senses(seat.segment, ticks.folder, self.streams.found)
        self.driver = Driver(senses, Clocks(ticks.folder), self.aftermath)
        present = Present(lambda: self.state, self._commit)
        self._releases = Releases(present, self.driver, self._switched, (self.decisions, self.notices))
        self._ticks = ticks
        self._change = asyncio.Lock()  # never held while files are read: a kill must not wait for them
        self._table: Table | None = None
        self.news = asyncio.Event()
        self._upkeep = Upkeep(seat, self._change, lambda: self.revision)
        self._intake = Intake(source, seat.segment, self._apply, lambda: self.revision)

    @property
    def revision(self) -> Revision:
        """Return the present revision.

        Raises:
            RuntimeError: Before ``begin``.
        """
        if self.state.revision is None:
            raise RuntimeError("there is no revision yet")
        return self.state.revision

    @property
    def loaded(self) -> Loaded | None:
        """Return the configuration on disk that was last accepted; None after a restart until it could be read."""
        return self._intake.loaded

    @property
    def rejected(self) -> Rejected | None:
        """Return the configuration on disk, when it is not served."""
        return self._intake.rejected

    @property
    def changed(self) -> int:
        """Return the number of the present revision, or of that before the ticks of bandits since."""
        return self.state.history[-1].number

    async def begin(self, loaded: Loaded | None) -> None:
        """Publish the first revision, or take over the one that the workers already serve.

        Args:
            loaded: The configuration on disk; None to go on with what the journal and the workers know.

        Raises:
            ConfigError: If the configuration cannot be compiled.
        """
        self.seat.segment.words[CONTROL_HEARTBEAT] = time.monotonic_ns()
        await self.decisions.begin()
        if loaded is None:
            published = self.seat.publisher.read()
            known = self.state.history
            if published is not None:
                self.state = decide.resume(self.state, published)
            if self.state.history != known:  # the predecessor published it, but could not write it down
                await self.ledger.write(self.state.history[-1], _PATIENCE_S)
            self._table = await asyncio.to_thread(compile_table, self.revision)
            if self.seat.publisher.number != self.revision.number:
                self.seat.publisher.prepare(self.revision)
                self.seat.publisher.publish(self.revision)
            return
        self._intake.loaded = loaded
        before = self.state.revision
        following, revision = decide.start(self.state, loaded, time.time())
        refused = await self._commit(following, revision, known=before is not None and before.number == revision.number)
        if refused is not None:
            raise ConfigError(refused.mistakes)
        await self._turn()

    async def run(self, places: str) -> None:
        """Work until cancelled.

        Args:
            places: Where the router can be reached, for the line that says it is ready.
        """
        await self._intake.follow()
        await self.drills.clear(drill.left(self.revision))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._upkeep.beat(places))
                group.create_task(self._upkeep.retain())
                group.create_task(self.keeper.run(lambda: self.revision.config.events))
                group.create_task(self._intake.watch(self._changed))
                group.create_task(self._intake.obey())
                group.create_task(self._upkeep.probe())
                group.create_task(self._keep_time())
                group.create_task(self.fold.run(self._question, self._judge))
                group.create_task(self.ticker.run(self._learned, self._allot))
                group.create_task(self.notices.run(lambda: self.revision))
                group.create_task(self.postmortems.run(self.aftermath_scene))
                group.create_task(self.driver.run(self.scene, self.drive))
                group.create_task(self.streams.run(lambda: self.revision))
                group.create_task(Notice(self.seat.segment).run(lambda: self.revision))
                # The file may have changed between the first reading and the first look.
                self.ask_reload()
        finally:
            await self._switched.close()
            await self.ledger.close()
            await self.decisions.close()

    async def reload(self) -> None:
        """Read the configuration and apply it; a mistake changes nothing and is kept in ``rejected``."""
        await self._intake.reload()

    def ask_reload(self) -> None:
        """Have the configuration read soon; for signal handlers."""
        self._intake.ask()

    async def restore(self, number: int, author: str, present: int | None) -> Revision | Refusal | Stale:
        """Bring an earlier revision back.

        Args:
            number: Which.
            author: Who asks.
            present: The revision that the author saw as the present one; None if that does not matter.

        Raises:
            LookupError: If there is no such revision.
        """
        known = any(entry.number == number for entry in self.state.history)
        older = None if known else await asyncio.to_thread(self.ledger.earlier, number)
        async with self._change:
            if present is not None and present not in (self.revision.number, self.changed):
                return Stale()
            decided = decide.restore(self.state, number, time.time(), author, older)
            if isinstance(decided, Refusal):
                return decided
            refused = await self._commit(*decided)
            return self.revision if refused is None else refused

    async def kill(self, name: str, asked: Asked) -> Revision | Refusal | Stale:
        """Put all units of an experiment on its control arm; workers have that before the journal does.

        Raises:
            LookupError: If there is no such experiment.
        """
        async with self._change:
            decided = switch.kill(self.state, name, time.time(), asked.by, asked.reason)
            return await self._releases.switch(decided, name, asked)

    async def resume(self, name: str, asked: Asked) -> Revision | Refusal | Stale | Refused:
        """End the kill of an experiment; of a release that is not killed end its pause, or begin it again.

        Raises:
            LookupError: If there is no such experiment.
        """
        if self.stands_still(name):
            return await self.ask_release(name, "resume", asked)
        async with self._change:
            decided = switch.resume(self.state, name, time.time(), asked.by, asked.reason)
            return await self._releases.switch(decided, name, asked)

    def stands_still(self, name: str) -> bool:
        """Return whether ``resume`` is about a release: it is paused or was taken back, and is not killed."""
        return stands_still(self.revision, name)

    async def ask_release(self, name: str, what: Ask, asked: Asked) -> Revision | Refusal | Stale | Refused:
        """Do what a person asks of a release.

        Raises:
            LookupError: If there is no such experiment.
        """
        async with self._change:
            return await self._releases.ask(name, what, asked)

    async def drive(self, name: str, choose: Decide) -> str | None:
        """Decide about a release, and have it so; return why that could not be done."""
        async with self._change:
            return await self._releases.drive(name, choose)

    async def make(self, choose: Choose, *, urgent: bool) -> Made:
        """Publish what somebody decides from the present state, under the lock of changes.

        Args:
            choose: Decides; None when there is nothing to do.
            urgent: Whether it is published before it is written down.
        """
        async with self._change:
            decided = choose(self.state)
            if not isinstance(decided, tuple):
                return decided
            refused = await self._commit(*decided, urgent=urgent)
            return self.revision if refused is None else refused

    def table(self) -> Table:
        """Return the compiled form of the present revision.

        Raises:
            RuntimeError: Before ``begin``.
        """
        if self._table is None:
            raise RuntimeError("there is no revision yet")
        return self._table

    # --- Changes ----------------------------------------------------------------------------------------------

    async def _apply(self, loaded: Loaded) -> Refusal | None:
        """Have a configuration served; return why not."""
        async with self._change:
            decided = await asyncio.to_thread(decide.apply, self.state, loaded, time.time(), decide.FILE)
            if isinstance(decided, Refusal):
                return decided
            return await self._commit(*decided) if decided[1] is not self.revision else None

    async def _commit(
        self, following: State, revision: Revision, *, known: bool = False, urgent: bool = False
    ) -> Refusal | None:
        """Compile, write down, publish.

        Args:
            following: The state that follows.
            revision: Its revision.
            known: Whether the journal has it already.
            urgent: Whether to publish before it is written down.
        """
        table = await self._compile(revision)
        if isinstance(table, Refusal):
            return table
        if not known and not urgent:
            await self.ledger.write(following.history[-1], _PATIENCE_S)
        if self._table is None or self._table.config.server.signing != revision.config.server.signing:
            warn_of_open_keys(revision.config)
        self._hand_out(following, revision, table)
        if urgent:
            await self.ledger.write(following.history[-1], _PATIENCE_S)
        self.seat.tell(revision)
        log.info(
            "revision %d published cause=%s author=%s changes=%s",
            revision.number,
            revision.cause,
            revision.author,
            "continues" if known else _few(following.history[-1].changes),
        )
        return None

    async def _compile(self, revision: Revision) -> Table | Refusal:
        """Compile a revision, and lay it ready for the workers."""
        try:
            table = await asyncio.to_thread(compile_table, revision)
            await asyncio.to_thread(self.seat.publisher.prepare, revision)
        except OSError as error:
            return Refusal((Mistake(str(self.source.path), 0, "", f"cannot be handed to the workers: {error}"),))
        except Exception as error:  # a revision that workers could not compile must not reach them
            log.exception("revision %d cannot be compiled", revision.number)
            return Refusal((Mistake(str(self.source.path), 0, "", f"cannot be compiled: {error}"),))
        return table

    def _hand_out(self, following: State, revision: Revision, table: Table) -> None:
        self.seat.publisher.publish(revision)
        self.state, self._table = following, table
        news, self.news = self.news, asyncio.Event()
        news.set()

    def _learned(self) -> tuple[Revision, tuple[Revised, ...], Snapshot | None]:
        return self.revision, self.state.history, self.fold.snapshot

    async def _allot(self, found: Mapping[str, Allotment]) -> str | None:
        """Publish what allocators say; return why that could not be done, and the weights in force stay.

        Unlike a decision, a tick is not published unless it is written down: nobody would know what weights units had.
        """
        async with self._change:
            made = tick(self.state, found, time.time())
            if made is None:
                return None
            following, revision, entry = made
            table = await self._compile(revision)
            if isinstance(table, Refusal):
                return "; ".join(str(mistake) for mistake in table.mistakes)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await asyncio.to_thread(self._ticks.append, entry)
            except TimeoutError:
                return f"the disk takes longer than {_PATIENCE_S:g} s to write a tick down"
            except OSError as error:
                return f"a tick cannot be written down: {error}"
            self._hand_out(following, revision, table)
        log.debug("revision %d published cause=tick author=%s weights=%s", entry.number, entry.author, entry.weights)
        return None

    def scene(self) -> Scene:
        """Return what a look at the releases begins with."""
        publisher = self.seat.publisher
        done = publisher.acknowledged() == publisher.workers
        return Scene(self.revision, self.fold.snapshot, done, self.state.history)

    def aftermath_scene(self) -> postmortems.Scene:
        """Return what a post-mortem report is written from."""
        publisher, fold = self.seat.publisher, self.fold
        counted = publisher.acknowledged(), publisher.workers
        return postmortems.Scene(self.revision, fold.snapshot, fold.problem, *counted)

    async def _changed(self, paths: frozenset[Path]) -> None:
        """Take what the watch saw: another configuration, other certificates, or both."""
        before = self.revision
        await self.reload()
        if self.rejected is None and before is self.revision and paths & worker_files(before.config):
            async with self._change:
                await self._commit(*decide.certificate(self.state, time.time()))

    async def _keep_time(self) -> None:
        """Let experiments begin and end when they are to."""
        while True:  # noqa: ASYNC110 - nothing but the clock says when
            await asyncio.sleep(_LOOK_S if await self._turn() else RETENTION_S)

    async def _turn(self) -> bool:
        """Make the revision of a moment that has come; False when that could not be done."""
        async with self._change:
            due = schedule.pending(self.revision)
            if due is None or due > time.time():
                return True
            refused = await self._commit(*schedule.turn(self.state, time.time()))
        for mistake in refused.mistakes if refused is not None else ():
            log.error("experiments cannot begin or end as they should: %s", mistake)
        return refused is None

    def _question(self) -> Question | None:
        revision = self.revision
        if not revision.config.experiments:
            return None
        counted = count(revision, self.seat.segment)
        drills = drill.last(self.decisions.after(0))
        return Question(revision.config, revision.runs, self.state.history, counted, revision.invalid, drills)

    async def _judge(self, snapshot: Snapshot) -> None:
        """Mark the experiments whose data are invalid."""
        async with self._change:
            following, revision = mark(self.state, snapshot.invalid(self.revision.runs), time.time())
            if revision is self.revision:
                return
            for said in following.history[-1].changes:
                log.error("%s", said)
            marked = {name: why for name, why in revision.invalid.items() if self.revision.invalid.get(name) != why}
            refused = await self._commit(following, revision)
        for name, why in marked.items() if refused is None else ():
            text = f"the data are invalid until this is fixed: {why.reason}"
            self.notices.tell(Say(event="quality", severity="warning", text=text, key=text), name, revision)
        for mistake in refused.mistakes if refused is not None else ():
            log.error("a mark of invalid data cannot be published, and is tried again: %s", mistake)


def _few(changes: tuple[str, ...]) -> str:
    """Say what changed in one readable line; ``/v1/revisions`` has it in full."""
    more = f"; {len(changes) - _SAID} more in /v1/revisions" if len(changes) > _SAID else ""
    return ("; ".join(changes[:_SAID]) or "none") + more
