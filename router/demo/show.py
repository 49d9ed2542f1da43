"""One show: models and router are started, users send images, a canary turns bad, a split changes, all is judged.

Responsible for: the order of events, and that everything started is ended whatever happens.
Does not know: how any of the parts does its work.

Rules: a show leaves nothing behind, neither processes nor files. The first signal ends the show early and in order,
the second at once. Traffic stops before the router does, so a failed request is always the router's or a model's, and
labels after traffic, so that none is left over. The log is analysed when the router has ended and it is whole.
"""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.live import Live

from router.demo import digits, edit
from router.demo.agree import Analysed, analyse
from router.demo.callers import Callers, follow
from router.demo.canary import CanaryTally, judge_canary
from router.demo.gateway import Gateway, Ports, configure, split
from router.demo.labels import Labels
from router.demo.process import Child
from router.demo.table import Note, checklist, conclusion, dashboard, progress_line
from router.demo.tally import Tally
from router.demo.traffic import Pace, Traffic
from router.demo.verdict import Check, Design, analysis_agrees, judge, labels_agree

CHANGED = "digits"  # the experiment whose split changes
SPLITS = ({"simple": 95.0, "better": 5.0}, {"simple": 50.0, "better": 50.0})
CHANGE_AFTER_S = 15.0  # in a show without an end
BAD_AFTER = 0.7  # of the time until the change
TRAIN_S = 60.0
FRAME_S = 0.5
LINE_S = 5.0
POLL_S = 0.05
CANARY = "canary"
CONFIGURATION = Path(__file__).with_name("demo.yaml")


@dataclass(frozen=True, slots=True)
class Programme:
    """How long a show is, and its users; 0 seconds is until somebody ends it."""

    seconds: float
    pace: Pace

    def change_after_s(self) -> float:
        """Return when the split changes."""
        return self.seconds / 2 if self.seconds else CHANGE_AFTER_S

    def bad_after_s(self) -> float:
        """Return when the canary turns bad."""
        return BAD_AFTER * self.change_after_s()

    def callers(self) -> Pace:
        """Return the pace of the release's callers: another application's, fewer and slower."""
        return Pace(max(1, self.pace.users * 2 // 5), self.pace.rate / 4)

    def describe(self) -> str:
        """Return the programme for people."""
        length = f"{self.seconds:g} s" if self.seconds else "until Ctrl-C"
        return f"router demo · {self.pace.users} users · up to {self.pace.rate:g} requests/s · {length}"


class Show:
    """What one show has started and seen."""

    def __init__(self, programme: Programme, console: Console) -> None:
        self.programme = programme
        self.console = console
        self.tally = Tally()
        self.canary = CanaryTally()
        self.notes: list[Note] = []
        self.children: list[Child] = []
        self.over = asyncio.Event()
        self.began = 0.0

    @property
    def interrupted(self) -> bool:
        """Whether somebody ended the show before all of it was seen."""
        return self.over.is_set() and (self.programme.seconds > 0 or self.tally.began < len(SPLITS))

    async def play(self) -> tuple[Check, ...]:
        """Run the show and return its checks; none when it was interrupted before the first request.

        Raises:
            ChildFailed: a model or the router did not start, ended, or did not apply the change.
            asyncio.CancelledError: a second signal came.
        """
        questions = digits.questions(digits.load())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(_signals(self.over))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="router-demo-")))
            gateway = await self._start(folder, stack)
            if self.over.is_set():
                return ()
            labels = Labels(gateway.admin("/v1/outcomes"))
            url = gateway.url("/v2/models/digits/infer")
            traffic = Traffic(url, self.programme.pace, questions, self.tally, labels.take)
            callers = Callers(url, self.programme.callers(), questions, self.canary)
            await self._perform(gateway, traffic, callers, labels)
            code = await gateway.child.stop()
            config = gateway.config()
            analysed = await asyncio.to_thread(analyse, gateway.events, config, time.time())
            splits = {each.name: len(SPLITS) if each.name == CHANGED else 1 for each in split(config)}
            parts = {each.name: each.segment[1] - each.segment[0] for each in split(config)}
            design = Design(self.programme.pace.users, splits, parts)
            return (
                *judge(self.tally, design),
                *judge_canary(self.canary),
                labels_agree(self.tally, labels.problems),
                analysis_agrees(self.tally, design, analysed),
                *self._router_checks(code, analysed),
            )

    async def _start(self, folder: Path, stack: AsyncExitStack) -> Gateway:
        ports = Ports.free()
        self.console.print("training three classifiers on scikit-learn's digits …")
        async with asyncio.TaskGroup() as group:
            for name, port in (("simple", ports.simple), ("better", ports.better), (CANARY, ports.canary)):
                group.create_task(self._model(name, port, folder, stack))
        path = folder / "demo.yaml"
        text = configure(CONFIGURATION.read_text(encoding="utf-8"), ports)
        edit.save(path, edit.set_weights(text, SPLITS[0]))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)))
        gateway = await Gateway.start(path, ports, session)
        self._adopt(gateway.child, stack)
        standing = await gateway.ready()
        self.console.print(f"the router listens at {gateway.url('/')} and reads {path}", soft_wrap=True)
        self.began = asyncio.get_running_loop().time()
        self.tally.begin(gateway.weights(), standing.number)
        return gateway

    async def _model(self, name: str, port: int, folder: Path, stack: AsyncExitStack) -> None:
        kind = "better" if name == CANARY else name
        command = [sys.executable, "-m", "router.demo.model", "--model", kind, "--port", str(port)]
        # One thread of linear algebra each: the machine is shared with the router and the users.
        child = await Child.start(f"model-{name}", [*command, "--until-stdin-closes"], folder, {"OMP_NUM_THREADS": "1"})
        self._adopt(child, stack)
        clock = asyncio.get_running_loop().time
        deadline = clock() + TRAIN_S
        while child.first_line() is None:
            if not child.alive():
                raise child.failed(f"ended with {child.process.returncode}")
            if clock() > deadline:
                raise child.failed(f"did not listen within {TRAIN_S:g} s")
            await asyncio.sleep(POLL_S)

    def _adopt(self, child: Child, stack: AsyncExitStack) -> None:
        self.children.append(child)
        stack.push_async_callback(child.stop)

    async def _perform(self, gateway: Gateway, traffic: Traffic, callers: Callers, labels: Labels) -> None:
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(traffic.run()), group.create_task(callers.run())]
            group.create_task(labels.run())
            screens = [group.create_task(self._screen())]
            screens.append(group.create_task(follow(gateway.session, gateway.admin(""), self.canary, self._note)))
            try:
                await self._wait_until(self.programme.bad_after_s())
                if not self.over.is_set():
                    self._turn_bad()
                await self._wait_until(self.programme.change_after_s())
                if not self.over.is_set():
                    await self._change(gateway)
                await self._wait_until(self.programme.seconds or None)
                traffic.stop()
                callers.stop()
                await asyncio.gather(*asking)
            finally:
                traffic.stop()
                callers.stop()
                labels.stop()
                for screen in screens:
                    screen.cancel()

    def _turn_bad(self) -> None:
        """Make the canary ill, as a build that leaks is after a while."""
        child = next(child for child in self.children if child.name == f"model-{CANARY}")
        child.process.send_signal(signal.SIGUSR1)
        self.canary.turn_bad(time.perf_counter())
        self._note("the canary turns bad: 3 of 5 of its answers are 503 from now on")

    async def _change(self, gateway: Gateway) -> None:
        self.tally.unsettle()
        self._note(f"saving the weights {_listed(SPLITS[1])} in {gateway.path.name}")
        standing, seconds = await gateway.change(SPLITS[1])
        self.tally.begin(gateway.weights(), standing.number)
        self._note(
            f"revision {standing.number} is served by {standing.acknowledged} of {standing.workers} workers, "
            f"{seconds:.2f} s after the save"
        )

    async def _wait_until(self, at_s: float | None) -> None:
        while not self.over.is_set() and (at_s is None or self._elapsed() < at_s):
            for child in self.children:
                if not child.alive():
                    raise child.failed(f"ended with {child.process.returncode}")
            await asyncio.sleep(POLL_S)

    async def _screen(self) -> None:
        if not self.console.is_terminal:
            while True:
                await asyncio.sleep(LINE_S)
                self.console.print(progress_line(self.tally, self._elapsed()), soft_wrap=True)
                self.console.print(f"          {self.canary.line()}", soft_wrap=True)
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(dashboard(self.tally, self.notes, self._headline(), self.canary.line()), refresh=True)
                await asyncio.sleep(FRAME_S)

    def _headline(self) -> str:
        return f"{self.programme.describe()} · {self._elapsed():.0f} s gone"

    def _note(self, text: str) -> None:
        note = Note(self._elapsed(), text)
        self.notes.append(note)
        if not self.console.is_terminal:
            self.console.print(note.line(), soft_wrap=True)

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.began

    def _router_checks(self, code: int, analysed: Analysed) -> tuple[Check, ...]:
        logged, seen = analysed.exchanges, self.tally.requests + self.canary.requests
        return (
            Check("the event log holds every exchange", logged == seen, f"{logged} exchanges logged, {seen} sent"),
            Check("the router drained and ended", code == 0, f"exit code {code}"),
        )


@asynccontextmanager
async def _signals(over: asyncio.Event) -> AsyncIterator[None]:
    """Let the first SIGINT, SIGTERM or SIGHUP end the show, and the second cancel it."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def received() -> None:
        if over.is_set() and task is not None:
            task.cancel()
        over.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, received)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _listed(weights: Mapping[str, float]) -> str:
    return " and ".join(f"{weight:g} for {arm}" for arm, weight in weights.items())


async def play(programme: Programme, console: Console) -> bool | None:
    """Play a whole show and print its summary.

    Returns:
        Whether every promise was kept; None when the show was interrupted and those that could be looked at were.
    """
    show = Show(programme, console)
    checks = await show.play()
    if not checks:
        console.print("interrupted before the first request: nothing was measured")
        return None
    console.print(dashboard(show.tally, show.notes, programme.describe(), show.canary.line()))
    console.print(checklist(checks, interrupted=show.interrupted))
    console.print(conclusion(checks, interrupted=show.interrupted))
    if show.interrupted:
        return None if all(check.kept or not check.enough for check in checks) else False
    return all(check.kept for check in checks)
