"""The migration of docs/migrations.md: its own code and flag file, with replicas that disagree about the stage.

Several replicas read and write through the data layer of the page. Each of their steps at a store may fall between
those of any other, as a seed draws it; the flag is changed in its file, reloaded by a running control process, and
asked for over OFREP with the official SDK. What must hold is that of a register: a read sees every write that was
acknowledged before it began, and whatever a read that ended before it has seen.
"""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from openfeature.evaluation_context import EvaluationContext

from tests.admin.serving import served
from tests.control.build import yaml
from tests.control.desk import Desk
from tests.flags.sdk import Sdk, sdk

REPOSITORY = Path(__file__).parents[2]
FLAG_FILE = REPOSITORY / "config" / "flags" / "migration.yaml"
STAGES = {"old": 1, "dual": 2, "read-new": 3, "new": 4}
REPLICAS = ("a", "b", "c")
KEYS = ("k1", "k2", "k3", "k4", "k5", "k6")
DEADLINE_S = 60

Version = tuple[int, str]


def page() -> dict[str, Any]:
    """Return what the code of the page defines."""
    text = (REPOSITORY / "docs" / "migrations.md").read_text()
    names: dict[str, Any] = {"EvaluationContext": EvaluationContext, "dataclass": dataclass, "field": field}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in reversed(blocks):
        exec(block, names)  # noqa: S102 - the code of our own page
    return names


class Turns:
    """Whose step is next: steps wait here until one is drawn."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for a turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    async def give(self) -> None:
        """Let one of those that wait take its step."""
        if self._waiting:
            self._waiting.pop(self._draw.randrange(len(self._waiting))).set_result(None)
        for _ in range(4):  # until whoever had the turn waits again, or is done
            await asyncio.sleep(0)


@dataclass
class History:
    """Reads and writes of each key, in order, and what was wrong."""

    acknowledged: dict[str, list[tuple[int, Version]]] = field(default_factory=lambda: {key: [] for key in KEYS})
    wrong: list[str] = field(default_factory=list)
    clock: int = 0
    operations: int = 0

    def tick(self) -> int:
        """Return a moment later than all before."""
        self.clock += 1
        return self.clock

    def seen(self, key: str, version: Version) -> None:
        """Note that a version was acknowledged, or read."""
        self.acknowledged[key].append((self.tick(), version))

    def known(self, key: str, moment: int) -> Version:
        """Return the latest version that somebody knew before a moment."""
        return max((version for when, version in self.acknowledged[key] if when < moment), default=(0, ""))


class World:
    """Two stores and the replicas, driven step by step."""

    def __init__(self, seed: int, client: Sdk, set_stage: Callable[[str], None]) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - a schedule, not a secret
        self.turns = Turns(self.draw)
        self.page = page()
        self.history = History()
        self.set_stage = set_stage
        self._tasks: set[asyncio.Task[None]] = set()
        self.stores = {name: self._store() for name in ("old", "new")}
        self.replicas = [self.page["Orders"](client.client, name, self.stores) for name in REPLICAS]

    def _store(self) -> Any:
        """Make a store of which each step waits for its turn."""
        turns = self.turns
        plain: Any = self.page["Store"]

        class Stepping(plain):  # type: ignore[misc] # the page's own class
            async def get(self, key: str) -> Any:
                await turns.wait()
                return await super().get(key)

            async def put(self, key: str, row: Any) -> None:
                await turns.wait()
                await super().put(key, row)

        return Stepping()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin something beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _read(self, replica: Any, key: str) -> None:
        known = self.history.known(key, self.history.tick())
        row = await replica.read(key)
        version = row.version if row is not None else (0, "")
        if version < known:
            self.history.wrong.append(f"{replica.replica} reads {key} at {version} after {known}")
        self.history.seen(key, version)

    async def _write(self, replica: Any, key: str) -> None:
        known = self.history.known(key, self.history.tick())
        row = await replica.write(key, str(self.history.operations))
        if row.version < known:
            self.history.wrong.append(f"{replica.replica} writes {key} at {row.version} after {known}")
        self.history.seen(key, row.version)

    async def work(self, steps: int) -> None:
        """Let replicas read and write for some steps."""
        for _ in range(steps):
            if len(self._tasks) < 6 and self.draw.random() < 0.4:
                replica, key = self.draw.choice(self.replicas), self.draw.choice(KEYS)
                self.history.operations += 1
                self.start((self._read if self.draw.random() < 0.5 else self._write)(replica, key))
            await self.turns.give()

    async def until(self, done: Callable[[], bool]) -> None:
        """Let everything go on until something has come to pass."""
        while not done():
            await self.work(1)

    async def step(self, stage: str) -> None:
        """Take a step as the page says: change the flag, and wait until every replica has acknowledged it."""
        self.set_stage(stage)
        late = [replica for replica in self.replicas if replica.plan["stage"] != STAGES[stage]]
        self.draw.shuffle(late)
        for replica in late:
            await self.work(self.draw.randrange(30))
            replica.refresh()
        await self.until(lambda: all(replica.acknowledged() == {STAGES[stage]} for replica in self.replicas))

    async def backfill(self, source: str, target: str) -> None:
        """Copy one store to the other while everything goes on."""
        task = self.start(self.page["backfill"](self.stores[source], self.stores[target]))
        await self.until(task.done)
        await task

    async def begin(self) -> None:
        """Have every replica take the first stage, and some rows."""
        for replica in self.replicas:
            replica.refresh()
        await self.work(60)

    async def end(self) -> None:
        """Let what is under way end, and read everything once more from every replica."""
        while self._tasks:
            await self.turns.give()
        for replica in self.replicas:
            for key in KEYS:
                task = self.start(self._read(replica, key))
                while not task.done():
                    await self.turns.give()


Script = Callable[[World], Awaitable[None]]


def played(folder: Path, script: Script, seeds: range) -> Iterator[World]:
    """Play a script with each seed, against one running control process."""
    flags = folder / "flags" / "migration.yaml"
    flags.parent.mkdir()
    flags.write_text(FLAG_FILE.read_text())
    desk = Desk(folder, yaml(top="flags: {files: [flags/*.yaml]}"))

    def use(url: str, loop: asyncio.AbstractEventLoop) -> list[World]:
        def set_stage(stage: str) -> None:
            text, count = re.subn(r"defaultVariant: .*", f'defaultVariant: "{stage}"', FLAG_FILE.read_text())
            assert count == 1
            flags.write_text(text)
            asyncio.run_coroutine_threadsafe(desk.control.reload(), loop).result()
            assert desk.control.rejected is None

        async def one(world: World) -> World:
            async with asyncio.timeout(DEADLINE_S):
                set_stage("old")
                await world.begin()
                await script(world)
                await world.end()
            return world

        with sdk(url) as client:
            return [asyncio.run(one(World(seed, client, set_stage))) for seed in seeds]

    async def run() -> list[World]:
        async with served(desk) as client:
            return await asyncio.to_thread(use, str(client.make_url("/")), asyncio.get_running_loop())

    yield from asyncio.run(run())


async def forward(world: World) -> None:
    """Go from the first stage to the last."""
    await world.step("dual")
    await world.backfill("old", "new")
    await world.work(40)
    await world.step("read-new")
    await world.work(40)
    await world.step("new")
    await world.work(40)
    world.stores["old"].rows.clear()


def test_the_file_has_the_stages_of_the_page() -> None:
    """What the page says of each stage is what the flag gives."""
    table = dict(
        re.findall(
            r"^\| [1-4] `([a-z-]+)` \| ([a-z, ]+) \|", (REPOSITORY / "docs/migrations.md").read_text(), re.MULTILINE
        )
    )
    text = FLAG_FILE.read_text()
    found = {
        name.strip('"'): ", ".join(re.findall(r"\w+", writes))
        for name, writes in re.findall(r'^ {6}("?[a-z-]+"?): \{stage: \d, write: \[(.*?)\]', text, re.MULTILINE)
    }
    assert found == table
    assert list(found) == list(STAGES)


def test_no_write_is_lost_and_no_read_is_stale_at_any_step(tmp_path: Path) -> None:
    """From old to new, one step at a time, while replicas are at two stages each time."""
    for world in played(tmp_path, forward, range(8)):
        assert world.history.wrong == []
        assert world.history.operations > 100


def test_every_step_can_be_taken_back(tmp_path: Path) -> None:
    """With the backfills that the page names."""

    async def script(world: World) -> None:
        await world.step("dual")
        await world.step("old")
        await world.work(20)
        await world.step("dual")
        await world.backfill("old", "new")
        await world.step("read-new")
        await world.work(20)
        await world.step("dual")
        await world.step("read-new")
        await world.step("new")
        await world.work(20)
        await world.step("read-new")
        await world.backfill("new", "old")
        await world.step("dual")
        await world.step("old")
        await world.work(20)

    for world in played(tmp_path, script, range(6)):
        assert world.history.wrong == []


def test_skipping_a_stage_loses_data(tmp_path: Path) -> None:
    """Replicas that would take any stage write where others do not read; this is what the guard is for."""

    async def script(world: World) -> None:
        for replica in world.replicas:
            replica.refresh = lambda replica=replica: _take(replica)
        await world.backfill("old", "new")
        await world.step("read-new")

    def _take(replica: Any) -> None:
        replica.plan = None
        type(replica).refresh(replica)

    wrong = [world.history.wrong for world in played(tmp_path, script, range(6))]
    assert sum(map(bool, wrong)) >= 3


def test_a_backfill_before_everybody_has_acknowledged_loses_data(tmp_path: Path) -> None:
    """What a replica at the first stage writes behind the backfill is never in the new store."""

    async def script(world: World) -> None:
        world.set_stage("dual")
        world.replicas[0].refresh()
        await world.backfill("old", "new")
        await world.work(60)
        await world.step("dual")
        await world.step("read-new")

    wrong = [world.history.wrong for world in played(tmp_path, script, range(12))]
    assert any(wrong)


def test_going_back_two_steps_without_the_backfill_loses_data(tmp_path: Path) -> None:
    """What was written at the last stage is not in the old store."""

    async def script(world: World) -> None:
        await forward(world)
        await world.step("read-new")
        await world.step("dual")

    assert any(world.history.wrong for world in played(tmp_path, script, range(6)))


def test_answering_before_both_stores_are_even_reads_stale(tmp_path: Path) -> None:
    """A write under way that one replica has answered with vanishes for the next, if reads compare nothing."""

    async def script(world: World) -> None:
        def take(replica: Any) -> None:
            type(replica).refresh(replica)
            replica.plan = {key: value for key, value in replica.plan.items() if key != "compare"}

        for replica in world.replicas:
            replica.refresh = lambda replica=replica: take(replica)
        await world.step("dual")
        await world.backfill("old", "new")
        for _ in range(6):
            world.set_stage("read-new")
            world.replicas[0].refresh()
            await world.work(150)  # one replica at the later stage, two at the earlier
            await world.step("read-new")
            await world.step("dual")

    assert any(world.history.wrong for world in played(tmp_path, script, range(4, 12)))


def test_a_replica_that_sees_a_stage_two_away_stops(tmp_path: Path) -> None:
    """It stays at what it knows, and says so, rather than write where nobody reads."""

    async def script(world: World) -> None:
        world.set_stage("read-new")
        for replica in world.replicas:
            with pytest.raises(SystemExit, match="from stage 1 to 3"):
                replica.refresh()
            assert replica.plan["stage"] == 1

    for world in played(tmp_path, script, range(1)):
        assert world.history.wrong == []


def test_without_an_answer_a_replica_stays_where_it_is(tmp_path: Path) -> None:
    """Nobody takes a step then, because nobody acknowledges."""

    async def script(world: World) -> None:
        await world.step("dual")
        with sdk("http://127.0.0.1:9/") as nobody:
            for replica in world.replicas:
                replica.client = nobody.client
                replica.refresh()
                assert replica.plan["stage"] == STAGES["dual"]

    for world in played(tmp_path, script, range(1)):
        assert world.history.wrong == []
