"""The slots of a target, counted over workers, and the queue of one of them."""

import asyncio
from collections.abc import Callable

from router import counters
from router.proxy.gate import Gate
from router.routing.admission import Limit

ROW = 8
WORDS = ROW + counters.TARGET_WORDS


class Guest:
    """Who asks for a slot, and takes it in the words of its worker."""

    def __init__(self, site: "Site", worker: int = 0) -> None:
        self.site = site
        self.worker = worker
        self.inside = False

    def ask(self) -> str:
        """Ask, with all the time there is."""
        verdict = self.site.gates[self.worker].enter(self, 1e9)
        if verdict == "admit":
            self.admitted()
        return verdict

    def admitted(self) -> None:
        """Take a slot."""
        self.inside = True
        self.site.blocks[self.worker][ROW + counters.TARGET_INFLIGHT] += 1

    def leave(self, seconds: float = 0.0) -> None:
        """Give it back."""
        self.inside = False
        self.site.blocks[self.worker][ROW + counters.TARGET_INFLIGHT] -= 1
        self.site.gates[self.worker].leave(seconds)


class Site:
    """Two workers at one target."""

    def __init__(self, limit: Limit) -> None:
        self.blocks = [memoryview(bytearray(8 * WORDS)).cast("q") for _ in range(2)]
        self.gates = [Gate(limit, ROW, self.blocks, block) for block in self.blocks]

    def queued(self) -> list[int]:
        """Return the gauge of each worker."""
        return [block[ROW + counters.TARGET_QUEUED] for block in self.blocks]


def run(test: Callable[["Site"], object], limit: Limit) -> None:
    """Run a test that is a coroutine function of a site."""

    async def body() -> None:
        site = Site(limit)
        await test(site)  # type: ignore[misc]
        assert site.queued() == [0, 0]

    asyncio.run(body())


def test_a_limit_holds_for_all_workers() -> None:
    """Slots that one worker's exchanges have are missing in the other's."""

    async def test(site: Site) -> None:
        first, second, third = Guest(site, 0), Guest(site, 1), Guest(site, 1)
        assert [guest.ask() for guest in (first, second, third)] == ["admit", "admit", "wait"]
        assert site.queued() == [0, 1]
        assert site.gates[0].share() == 1.0
        second.leave()
        await asyncio.sleep(0)
        assert third.inside

    run(test, Limit(2, 4, 1.0))


def test_first_come_first_served() -> None:
    """A freed slot goes to who has waited longest, and whoever comes later does not overtake."""

    async def test(site: Site) -> None:
        inside, first, second, late = (Guest(site) for _ in range(4))
        assert [guest.ask() for guest in (inside, first, second)] == ["admit", "wait", "wait"]
        inside.leave()
        assert late.ask() == "wait"  # there is a slot, but not for it
        await asyncio.sleep(0)
        assert (first.inside, second.inside, late.inside) == (True, False, False)
        first.leave()
        await asyncio.sleep(0)
        assert (second.inside, late.inside) == (True, False)
        second.leave()
        await asyncio.sleep(0)
        assert late.inside

    run(test, Limit(1, 4, 1.0))


def test_a_slot_freed_by_another_worker_is_noticed_on_the_tick() -> None:
    """Nobody tells this worker; it looks."""

    async def test(site: Site) -> None:
        there, here = Guest(site, 1), Guest(site, 0)
        assert [there.ask(), here.ask()] == ["admit", "wait"]
        there.leave()
        await asyncio.sleep(0)
        assert not here.inside
        site.gates[0].tick()
        assert here.inside

    run(test, Limit(1, 4, 1.0))


def test_the_queue_is_bounded_for_all_workers() -> None:
    """Who waits in another worker takes room in the queue too."""

    async def test(site: Site) -> None:
        guests = [Guest(site, number % 2) for number in range(4)]
        assert [guest.ask() for guest in guests] == ["admit", "wait", "wait", "queue_full"]
        for guest in guests:
            site.gates[guest.worker].withdraw(guest)

    run(test, Limit(1, 2, 1.0))


def test_who_leaves_the_queue_is_not_woken() -> None:
    """Its place goes to the next, and to have left twice is no error."""

    async def test(site: Site) -> None:
        inside, gone, stays = (Guest(site) for _ in range(3))
        for guest in (inside, gone, stays):
            guest.ask()
        site.gates[0].withdraw(gone)
        site.gates[0].withdraw(gone)
        assert site.queued() == [1, 0]
        inside.leave()
        await asyncio.sleep(0)
        assert (gone.inside, stays.inside) == (False, True)

    run(test, Limit(1, 4, 1.0))


def test_no_worker_keeps_the_others_from_their_share() -> None:
    """A worker whose queue never empties leaves a slot to one that has none, once a tick."""

    async def test(site: Site) -> None:
        busy = [Guest(site, 0) for _ in range(6)]
        for guest in busy:
            guest.ask()
        waiting = Guest(site, 1)
        assert waiting.ask() == "wait"
        site.gates[0].tick()
        busy[0].leave()
        await asyncio.sleep(0)
        assert [guest.inside for guest in busy] == [False, True, False, False, False, False]
        site.gates[1].tick()
        assert waiting.inside
        for guest in busy[1:]:
            if guest.inside:
                guest.leave()
            await asyncio.sleep(0)
        for guest in busy:
            site.gates[0].withdraw(guest)

    run(test, Limit(2, 10, 1.0))


def test_without_a_limit_all_that_wait_go_in() -> None:
    """A reload that removes the limit lets nobody wait for a slot that nobody counts any more."""

    async def test(site: Site) -> None:
        guests = [Guest(site) for _ in range(5)]
        assert [guest.ask() for guest in guests] == ["admit", *["wait"] * 4]
        site.gates[0].open()
        await asyncio.sleep(0)
        assert all(guest.inside for guest in guests)

    run(test, Limit(1, 10, 1.0))


def test_the_expected_wait_is_learned() -> None:
    """After slow exchanges a request that would wait too long is turned away at once."""

    async def test(site: Site) -> None:
        inside, waits, late = (Guest(site) for _ in range(3))
        inside.ask()
        inside.leave(seconds=2.0)
        assert [inside.ask(), waits.ask()] == ["admit", "wait"]
        assert late.ask() == "queue_timeout"
        site.gates[0].withdraw(waits)

    run(test, Limit(1, 10, 1.0))
