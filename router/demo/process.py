"""Child processes of the demo: started, waited for, ended.

Responsible for: one process each, its output, and its end by its own process id.
Does not know: what the process does.

Rules: output goes to a file, so a full pipe never stops a child, and its last lines can be shown when something goes
wrong. Children get a session of their own: a Ctrl-C at the terminal reaches the demo alone, which then ends them in
order. Whoever starts a ``Child`` stops it.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

LOG_LINES_SHOWN = 20
KILL_AFTER_S = 10.0


class ChildFailed(Exception):  # noqa: N818 - says what is the case
    """A child ended or stayed silent; the message has the end of its output."""


class Child:
    """A running process."""

    def __init__(self, name: str, log: Path, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.log = log
        self.process = process

    @classmethod
    async def start(cls, name: str, command: list[str], folder: Path, environment: Mapping[str, str]) -> "Child":
        """Start a command in a folder, which also gets its log.

        Args:
            name: What people call it; also the name of its log.
            command: Program and arguments.
            folder: Where it runs.
            environment: Variables added to the demo's own.
        """
        log = folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,  # closes with the demo, however that ends
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return cls(name, log, process)

    def alive(self) -> bool:
        """Return whether it has not ended."""
        return self.process.returncode is None

    def first_line(self) -> str | None:
        """Return the first whole line of its output; None as long as there is none."""
        with self.log.open(encoding="utf-8", errors="replace") as lines:
            line = lines.readline()
        return line.rstrip("\n") if line.endswith("\n") else None

    def failed(self, what: str) -> ChildFailed:
        """Return an error that shows the end of the log."""
        tail = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        shown = "\n".join(f"    {line}" for line in tail) or "    (it printed nothing)"
        return ChildFailed(f"{self.name} {what}; the end of its log:\n{shown}")

    async def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit code; SIGKILL if that takes too long or is cancelled."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()
        finally:
            if self.alive():
                self.process.kill()
