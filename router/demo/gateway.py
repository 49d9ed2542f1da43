"""The router under show: its configuration in a folder of the demo's own, its process, and what it says of itself.

Responsible for: free ports, the copy of ``config/demo.yaml`` that uses them, starting ``router serve`` on it, changing
the split in the file, and waiting until every worker serves the change. Assignments are signed with a key that is made
for the show, so that labels may be keyed by them.
Does not know: models, traffic, the table.

Rules: it uses the router as an ops person does, through the command line, the YAML file and the admin API only.
"""

import asyncio
import base64
import secrets
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from router.config.load import load
from router.config.schema import Config, Experiment
from router.demo import edit
from router.demo.process import Child

KEYS = "keys"
EXPOSED = "expose: [request-id, arm, fallback]"
SIGNED = "expose: [request-id, arm, fallback, assignment]"
START_S = 30.0
CHANGE_S = 10.0
POLL_S = 0.02


class Standing(msgspec.Struct, frozen=True):
    """The part of ``/v1/revision`` that the demo needs."""

    number: int
    digest: str
    workers: int
    acknowledged: int

    def served(self) -> bool:
        """Return whether every worker serves this revision."""
        return self.acknowledged == self.workers > 0


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of one show; the defaults are those of ``config/demo.yaml``."""

    server: int = 8080
    admin: int = 9090
    simple: int = 9101
    better: int = 9102
    canary: int = 9103

    @classmethod
    def free(cls) -> "Ports":
        """Return the defaults, each replaced by a free port if something listens there."""
        wanted = cls()
        return cls(*map(_free_port, (wanted.server, wanted.admin, wanted.simple, wanted.better, wanted.canary)))


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            taken: int = probe.getsockname()[1]
            return taken
    raise OSError("no loopback port is free")


def configure(text: str, ports: Ports) -> str:
    """Return the demo's configuration with the ports and the event folder of one show.

    Raises:
        ValueError: the text is not ``config/demo.yaml`` as this demo knows it.
    """
    wanted = Ports()
    pairs = ((wanted.server, ports.server), (wanted.admin, ports.admin), (wanted.simple, ports.simple))
    for old, new in (*pairs, (wanted.better, ports.better), (wanted.canary, ports.canary)):
        text = edit.replace_once(text, f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    text = edit.replace_once(text, EXPOSED, f"signing: {{keys_file: {KEYS}}}\n  {SIGNED}")
    return edit.replace_once(text, "dir: data/demo", "dir: events")


def split(config: Config) -> tuple[Experiment, ...]:
    """Return the experiments whose weights are in the file: all but releases."""
    return tuple(each for each in config.experiments if not each.allocate.driven)


class Gateway:
    """A running ``router serve`` and its configuration file."""

    def __init__(self, child: Child, path: Path, ports: Ports, session: aiohttp.ClientSession) -> None:
        self.child = child
        self.path = path
        self.ports = ports
        self.session = session

    @classmethod
    async def start(cls, path: Path, ports: Ports, session: aiohttp.ClientSession) -> "Gateway":
        """Start ``router serve`` on a file, in the file's folder."""
        path.with_name(KEYS).write_bytes(base64.b64encode(secrets.token_bytes(32)))
        command = [sys.executable, "-m", "router", "serve", path.name]
        child = await Child.start("router", command, path.parent, {})
        return cls(child, path, ports, session)

    @property
    def events(self) -> Path:
        """The folder of the event log."""
        return self.path.parent / "events"

    def url(self, path: str) -> str:
        """Return where callers find a path."""
        return f"http://127.0.0.1:{self.ports.server}{path}"

    def admin(self, path: str) -> str:
        """Return where operators find a path."""
        return f"http://127.0.0.1:{self.ports.admin}{path}"

    def config(self) -> Config:
        """Return what the file asks for."""
        return load(self.path).config

    def weights(self) -> dict[str, dict[str, float]]:
        """Return the weights that the file asks for, by experiment and arm; releases have none."""
        return {each.name: {arm.name: arm.weight for arm in each.arms} for each in split(self.config())}

    async def ready(self) -> Standing:
        """Wait until every worker serves the first revision.

        Raises:
            ChildFailed: it ended, or took longer than ``START_S``.
        """
        return await self._served(None, within_s=START_S)

    async def change(self, weights: Mapping[str, float]) -> tuple[Standing, float]:
        """Save other weights in the file; return the revision that all workers serve, and the seconds that took.

        Raises:
            ChildFailed: the router ended, or did not apply the change within ``CHANGE_S``.
        """
        before = await self.standing()
        if before is None:
            raise self.child.failed("does not say which revision it serves")
        began = time.monotonic()
        edit.save(self.path, edit.set_weights(self.path.read_text(encoding="utf-8"), weights))
        # A release makes revisions of its own; only another file has another digest.
        standing = await self._served(before.digest, within_s=CHANGE_S)
        return standing, time.monotonic() - began

    async def standing(self) -> Standing | None:
        """Return what ``/v1/revision`` says; None while it does not answer."""
        try:
            async with self.session.get(self.admin("/v1/revision")) as response:
                if response.status != 200:
                    return None
                return msgspec.json.decode(await response.read(), type=Standing)
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _served(self, beyond: str | None, within_s: float) -> Standing:
        """Wait until every worker serves a file other than one."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if not self.child.alive():
                raise self.child.failed(f"ended with {self.child.process.returncode}")
            standing = await self.standing()
            if standing is not None and standing.digest != beyond and standing.served():
                return standing
            await asyncio.sleep(POLL_S)
        raise self.child.failed(f"did not serve the file within {within_s:g} s")
