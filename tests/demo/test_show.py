"""Whole shows, with real processes: what a person gets, and what is left when one ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DEADLINE_S = 60.0
LISTENING = "the router listens at"


@dataclass(frozen=True)
class Running:
    """A ``router demo`` without a terminal; everything it makes is below its folder."""

    folder: Path
    process: subprocess.Popen[bytes]

    def text(self) -> str:
        """Return what it has printed so far, as one line."""
        return " ".join((self.folder / "output.txt").read_text(encoding="utf-8").split())

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a text."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def finish(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(timeout=DEADLINE_S)

    def children(self) -> dict[int, str]:
        """Return the command lines of the processes that work in its folder, by process id."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if str((entry / "cwd").readlink()).startswith(f"{self.folder}/router-demo-"):
                    found[int(entry.name)] = (entry / "cmdline").read_text(encoding="utf-8").replace("\0", " ")
            except OSError:  # it ended while this looked
                continue
        return found


@contextmanager
def running(folder: Path, seconds: int) -> Iterator[Running]:
    """Start a show; end it, if the test did not, and check that it left nothing."""
    with (
        (folder / "output.txt").open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "router", "demo", "--seconds", str(seconds)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"TMPDIR": str(folder), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        ) as process,
    ):
        show = Running(folder, process)
        try:
            yield show
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=DEADLINE_S)
    assert not show.children()
    assert not list(folder.glob("router-demo-*"))


def test_a_whole_show_keeps_every_promise(tmp_path: Path) -> None:
    """Requests, stickiness, shares and the event log are right, across a split changed while traffic flows."""
    with running(tmp_path, seconds=8) as show:
        assert show.finish() == 0, show.text()
        shown = show.text()
        assert "all 18 promises kept" in shown
        assert "✘" not in shown
        assert re.search(r"revision \d+ is served by 2 of 2 workers", shown)
        assert re.search(r"digits 95/5 · revision \d+ · phase 1 · until the change", shown)
        assert re.search(r"digits 50/50 · revision \d+ · phase 2 · in force", shown)
        assert re.search(r"pilot 50/50 · revision \d+ · phase 1 · in force", shown)
        assert "the canary turns bad" in shown
        assert "canary: rolled back: in stage" in shown
        assert "✔ the canary that turned bad was rolled back by itself" in shown
        assert "✔ no request of its callers failed" in shown
        assert "✔ only its share of users met it while it was bad, and nobody after" in shown
        assert "✔ a label that came twice counted once" in shown
        assert "✔ the router's analysis of its log agrees with the users" in shown


def test_a_show_that_is_interrupted_says_what_it_measured(tmp_path: Path) -> None:
    """The first interrupt gives a summary of what was seen; what was not seen is neither kept nor broken."""
    with running(tmp_path, seconds=60) as show:
        show.wait_for(" labels")
        show.process.send_signal(signal.SIGINT)
        assert show.finish() == 130, show.text()
        shown = show.text()
        assert "✔ every request succeeded" in shown
        assert "- every user was served under each split" in shown
        assert "✔ the router's analysis of its log agrees with the users" in shown
        assert "✔ the router drained and ended" in shown
        assert "promises kept; interrupted, so" in shown
        assert "not kept" not in shown


def test_a_show_that_is_interrupted_before_it_begins_says_so(tmp_path: Path) -> None:
    """Nothing was measured, so nothing is judged."""
    with running(tmp_path, seconds=60) as show:
        show.wait_for("training")
        show.process.send_signal(signal.SIGINT)
        assert show.finish() == 130, show.text()
        assert "interrupted before the first request: nothing was measured" in show.text()


def test_a_show_whose_model_is_killed_says_so_and_fails(tmp_path: Path) -> None:
    """When a part ends by itself, the show names it and leaves nothing running."""
    with running(tmp_path, seconds=0) as show:
        show.wait_for(LISTENING)
        (model,) = [process for process, command in show.children().items() if "--model simple" in command]
        os.kill(model, signal.SIGKILL)
        assert show.finish() == 1, show.text()
        assert "model-simple ended with -9" in show.text()


def test_a_show_too_short_for_two_splits_is_refused(tmp_path: Path) -> None:
    """A length that proves nothing is an error with the way out, before anything starts."""
    with running(tmp_path, seconds=1) as show:
        assert show.finish() == 1
        assert "--seconds 1 is too short to see two splits and a rollback; 6 or more, or 0" in show.text()
