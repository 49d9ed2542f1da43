"""The control process: built, joined to the supervisor, ended.

Responsible for: the order in which its parts start, what it does on signals and when the supervisor is gone, and
turning what cannot work into one sentence and exit code 1.
Does not know: how any of the parts works.

Order: read the configuration → lock and replay the journal → take the admin port → say the terms, wait for the answer
→ attach to the counters → write down and publish the revision → serve. Whatever can fail for a reason that a person
must mend comes before the terms, so that a start that cannot work leaves no trace.
"""

import argparse
import asyncio
import os
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from logging import getLogger
from pathlib import Path

from aiohttp import web

from router.admin import api
from router.config.load import Loaded, Site
from router.config.mistake import ConfigError
from router.config.scalars import format_listen, parse_listen
from router.config.schema import Config
from router.control.address import AddressError, unusable
from router.control.loop import Control
from router.control.publish import Publisher
from router.control.seat import Seat, Source
from router.control.state import State, replay
from router.control.terms import Agreed, Terms
from router.control.tick import with_ticks
from router.events.journal import Journal
from router.events.model import Revision
from router.events.ticks import Ticks, ticked
from router.segment import Segment

log = getLogger(__name__)

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_ADMIN_KEY = "$.admin.listen"
_CLOSE_S = 2.0
_OTHER_DESCRIPTORS = 100  # listeners, counters, the event log, libraries


def main(arguments: Sequence[str]) -> int:
    """Run the control process to its end.

    Args:
        arguments: As the supervisor gives them.

    Returns:
        The exit code; 1 says that a sentence on stderr tells why.
    """
    options = _options(arguments)
    try:
        return _run(options)
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for people, in the form that editors make clickable
    except AddressError as error:
        print(f"router: {error}", file=sys.stderr)  # noqa: T201 - for people
    return 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("router.serve control")
    parser.add_argument("path", type=Path)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--region")
    parser.add_argument("--cluster")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--segment", type=int, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    # A replacement must not depend on a file that somebody is editing: it goes on with the journal, then reads.
    source = Source(options.path, Site(options.region, options.cluster))
    loaded = None if options.resume else source.load()
    attached = Segment.attach(options.segment) if options.resume else None
    served = Publisher(options.run, attached).read() if attached is not None else None
    config = served.config if served is not None else loaded.config if loaded is not None else None
    if config is None:
        raise AddressError("nothing was published yet, so there is nothing to take over")
    journal = _open_journal(config)
    admin = bind(config)
    try:
        channel = _Channel(socket.socket(fileno=options.channel), options.workers)
        agreed = channel.agree(config)
        segment = attached if attached is not None else Segment.attach(options.segment)
        _warn_of_few_descriptors(config, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        seat = Seat(segment, Publisher(options.run, segment), channel.tell)
        folder = Path(config.events.dir) / "journal"
        control = Control(source, seat, journal, _replay(journal, folder), Ticks(folder))
        return asyncio.run(_serve(control, loaded, (channel, admin), (options.run, agreed)))
    finally:
        admin.close()
        journal.close()


async def _serve(
    control: Control,
    loaded: Loaded | None,
    sockets: "tuple[_Channel, socket.socket]",
    place: tuple[Path, Agreed],
) -> int:
    channel, admin = sockets
    run_dir, agreed = place
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(channel.socket, _watch_lifeline, channel.socket, run_dir)
    await control.begin(loaded)
    runner = web.AppRunner(api.application(control), access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_S)
    await runner.setup()
    await web.SockSite(runner, admin).start()
    host, port = admin.getsockname()[:2]
    shown = f"listen={agreed.listen} admin=http://{f'[{host}]' if ':' in host else host}:{port}/"
    work = asyncio.create_task(control.run(shown))
    loop.add_signal_handler(signal.SIGHUP, control.ask_reload)
    ending = asyncio.create_task(stop.wait())
    await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
    failed = work.done()
    for task in (work, ending):
        task.cancel()
    results = await asyncio.gather(work, ending, return_exceptions=True)
    await runner.cleanup()
    if failed:
        log.error("the control process cannot go on", exc_info=results[0])
        return 2
    return 0


def _watch_lifeline(channel: socket.socket, run_dir: Path) -> None:
    """End at once when the supervisor has gone: nobody is left to serve, or to clean up."""
    if channel.recv(4096):
        return
    log.error("the supervisor is gone")
    shutil.rmtree(run_dir, ignore_errors=True)
    os._exit(1)


class _Channel:
    """The control process's end of its conversation with the supervisor."""

    def __init__(self, channel: socket.socket, workers: int | None) -> None:
        self.socket = channel
        self._workers = workers
        self._said: Terms | None = None

    def agree(self, config: Config) -> Agreed:
        """Say the terms and wait for the answer.

        Raises:
            SystemExit: If the supervisor ends instead; it has said why.
        """
        self._say(config)
        line = b""
        while not line.endswith(b"\n"):
            data = self.socket.recv(4096)
            if not data:
                raise SystemExit(1)
            line += data
        return Agreed.read(line)

    def tell(self, revision: Revision) -> None:
        """Say the terms again if they have changed."""
        self._say(revision.config)

    def _say(self, config: Config) -> None:
        server = config.server
        workers = self._workers or (cores() if server.workers == "auto" else server.workers)
        terms = Terms(server.listen, int(workers), server.drain, server.shutdown_delay)
        if terms != self._said:
            self._said = terms
            self.socket.sendall(terms.line())


def cores() -> int:
    """Return the number of cores that this process may use: its affinity, and its cgroup's quota rounded up."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, -(-int(quota) // int(period))))


def _warn_of_few_descriptors(config: Config, allowed: int) -> None:
    """Say when the system allows fewer open files than the configured connections can need."""
    connections = config.server.limits.connections
    # All callers may have been given to one worker, and each may need a connection to a target.
    needed = 2 * connections + _OTHER_DESCRIPTORS
    if allowed < needed:
        log.warning(
            "$.server.limits.connections: %d may need %d open files in a worker, and this user may have %d; raise the "
            "limit (ulimit -Hn, LimitNOFILE) or lower the key",
            connections,
            needed,
            allowed,
        )


def _replay(journal: Journal, folder: Path) -> State:
    """Return the state that the journal tells, with the weights of the bandits' ticks since."""
    try:
        entries, unsound = ticked(folder)
    except OSError as error:
        log.warning("ticks: weights of bandits begin anew: %s", error)
        entries, unsound = (), 0
    if unsound:
        log.warning("ticks: %d lines are no entries, and are passed over", unsound)
    return with_ticks(replay(journal.entries), entries)


def _open_journal(config: Config) -> Journal:
    folder = Path(config.events.dir) / "journal"
    try:
        journal = Journal(folder)
    except OSError as error:
        raise AddressError(f"$.events.dir: {error.strerror or error}") from error
    for damage in journal.damage:
        log.warning("journal: %s", damage)
    return journal


def bind(config: Config) -> socket.socket:
    """Listen on the admin address.

    Raises:
        AddressError: If it cannot be used.
    """
    listen = parse_listen(config.admin.listen)
    try:
        family, _, _, _, place = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressError(f"{_ADMIN_KEY}: {format_listen(listen)} is not a known address") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise unusable(_ADMIN_KEY, listen, error) from error
    return listener
