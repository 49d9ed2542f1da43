"""The supervisor's loop: start the control process, listen, start the workers, replace the dead, drain.

Responsible for: the order of start and shutdown, what each signal does, and when the whole gives up.
Does not know: the configuration (it is told ``Terms``), what a request is, what a revision holds.

Phases, in order; a failure jumps ahead, nothing goes back::

    BOOT     the control process reads the configuration; no socket yet
    SERVING  the dead are replaced
    DELAY    readiness is false; callers are still accepted, so that balancers can turn away first
    DRAIN    workers were told to finish; this process's copies of the sockets are closed
    CLOSING  no worker is left; the control process was told to end
    ABORT    a second signal: everything ends now
    DONE

Rules: one blocking wait per turn, at most ``_TICK_S`` long; nothing else blocks. Every child is reaped, also those that
were never ours (a PID 1 inherits orphans). The lifelines close by themselves when this process is killed.
"""

import os
import selectors
import shutil
import signal
import tempfile
import time
from logging import getLogger
from pathlib import Path

from router.config.scalars import format_listen, parse_listen
from router.control.address import AddressError
from router.control.terms import Agreed, Terms
from router.counters import CONTROL_HEARTBEAT, DRAINING, HEARTBEAT, PUBLISHED, RESTARTS, SEATS
from router.segment import Segment
from router.supervisor.channel import Channel
from router.supervisor.children import Child, Pulse, describe_end, spawn
from router.supervisor.listeners import Listeners
from router.supervisor.posts import Post, Posts
from router.supervisor.rolling import Rolling
from router.supervisor.signals import Inbox
from router.supervisor.spec import Phase, Spec

log = getLogger("router.supervisor")

_TICK_S = 0.25
# A turn that took this much longer than its wait means that this process was stopped, and perhaps the others with it.
_STOPPED_S = 1.0
# After `server.drain`, which workers enforce themselves; beyond it a worker is stuck.
_HARD_S = 2.0
_CLOSING_S = 5.0
_ABORT_S = 1.0
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Supervisor:
    """Runs a router until it is told to stop."""

    def __init__(self, spec: Spec) -> None:
        # Per process
        self.spec = spec
        self.phase = Phase.BOOT
        self.status = 0
        self._deadline = 0.0
        self._looked = time.monotonic()
        self._selector = selectors.PollSelector()
        self._segment = Segment.create_empty()
        self._run_dir = Path(tempfile.mkdtemp(prefix="router-"))
        self._lifeline, self._lifeline_held = os.pipe()
        self._inbox = Inbox((*_STOPPING, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD))
        # Since the control process has read the configuration
        self._terms: Terms | None = None
        self._listeners: Listeners | None = None
        self._rolling: Rolling | None = None
        # Per child
        self._posts = Posts(spec)
        self._channel: Channel | None = None

    def run(self) -> int:
        """Run to the end.

        Returns:
            The exit code: 0 after an orderly shutdown, 1 after a failure, 128 + N when a second signal N cut it short.
        """
        self._selector.register(self._inbox.socket, selectors.EVENT_READ)
        try:
            self._start_control(resume=False)
            while self.phase is not Phase.DONE:
                self._turn()
        finally:
            self._release()
        return self.status

    # --- One turn ---------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = time.monotonic()
        dues = [post.due for post in self._posts if post.due is not None]
        self._selector.select(max(0.0, min([_TICK_S, *(due - now for due in dues)])))
        now = time.monotonic()
        if now - self._looked > _TICK_S + _STOPPED_S:
            for child in self._posts.children():
                child.pulse.forgive(now)
        self._looked = now
        for number in self._inbox.take():
            self._signalled(number, now)
        self._listen_to_control(now)
        for post, child in self._posts.reap():
            self._ended(post, child, now)
        self._check_pulses(now)
        self._advance(now)
        self._start_due(now)
        if self._rolling is not None and self._terms is not None and self.phase is Phase.SERVING:
            self._rolling.step(now, self._terms.drain_s + _HARD_S)

    def _signalled(self, number: signal.Signals, now: float) -> None:
        if number == signal.SIGHUP:
            # Before its terms it has no handler yet; it reads the configuration afresh anyway.
            control = self._posts.control.child
            if control is not None and self._channel is not None and self._channel.answered:
                control.send(signal.SIGHUP)
        elif number == signal.SIGUSR2:
            if self._rolling is not None and self.phase is Phase.SERVING:
                self._rolling.begin()
        elif number in _STOPPING:
            if self.phase in (Phase.BOOT, Phase.SERVING) and number != signal.SIGQUIT:
                log.info("draining because of %s", number.name)
                self._delay(now)
            elif self.phase is not Phase.ABORT:
                log.warning("stopping now because of %s", number.name)
                self._abort(number, now)

    def _listen_to_control(self, now: float) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            said = channel.receive()
        except ValueError as error:
            log.error("%s; it is replaced", error)  # noqa: TRY400 - the text says all, a traceback nothing more
            said = None
        if said is None:
            self._drop_channel()
            if self._posts.control.child is not None:
                # It is ending; if not, it must, because without a channel it cannot know when this process ends.
                self._posts.control.child.doomed = now + _ABORT_S
            return
        for terms in said:
            if self._terms is None:
                self._begin(terms, now)
            else:
                self._terms = terms
            if not channel.answered and self._listeners is not None:
                channel.answer(Agreed(len(self._posts.workers), format_listen(self._listeners.address)))

    def _check_pulses(self, now: float) -> None:
        for post in self._posts:
            for child in post.children():
                if child.doomed is not None and now >= child.doomed:
                    child.send(signal.SIGKILL)
                if self._segment.workers == 0:
                    continue
                if post is self._posts.control:
                    value = self._segment.words[CONTROL_HEARTBEAT]
                else:
                    value = self._segment.blocks[child.block][HEARTBEAT]
                if child.pulse.stopped(value, now):
                    log.warning("%s pid=%d gives no sign of life; it is killed", post.name, child.pid)
                    child.send(signal.SIGKILL)
                    child.pulse.forgive(now)

    def _start_due(self, now: float) -> None:
        for index, post in enumerate(self._posts, start=-1):
            if post.due is None or post.due > now:
                continue
            post.due = None
            if index < 0:
                self._start_control(resume=True)
            else:
                self._start_worker(index, int(self._segment.words[SEATS + index]))

    # --- Starting -----------------------------------------------------------------------------------------------

    def _start_control(self, *, resume: bool) -> None:
        self._drop_channel()
        channel = Channel()
        theirs = channel.theirs.fileno()
        command = self.spec.control_command(theirs, self._segment.fd, self._run_dir, resume=resume)
        value = self._segment.words[CONTROL_HEARTBEAT] if self._segment.workers else 0
        now, patience = time.monotonic(), self.spec.control_patience
        self._start(self._posts.control, command, (theirs, self._segment.fd), Pulse(value, now, patience))
        channel.theirs.close()
        self._channel = channel
        self._selector.register(channel.socket, selectors.EVENT_READ)

    def _begin(self, terms: Terms, now: float) -> None:
        """Listen, size the counters and start the workers, once."""
        try:
            self._listeners = Listeners.open(parse_listen(terms.listen), terms.workers)
        except AddressError as error:
            self._fail(str(error), now)
            return
        self._terms = terms
        self._segment.resize(terms.workers)
        self._posts.add_workers(terms.workers)
        for index in range(terms.workers):
            self._start_worker(index, index)
        self._rolling = Rolling(self._segment, self._posts, self._spawn_worker)
        self.phase = Phase.SERVING

    def _start_worker(self, index: int, block: int) -> None:
        post = self._posts.workers[index]
        child = self._spawn_worker(index, block)
        if child is None:
            self._replace(post, 0.0, "cannot be started", time.monotonic())
        else:
            post.child = child

    def _spawn_worker(self, index: int, block: int) -> Child | None:
        """Start a worker on its listener, which a predecessor may still have."""
        if self._listeners is None:
            raise RuntimeError("a worker cannot start before the sockets are open")
        inherited = (self._listeners.fd(index), self._segment.fd, self._lifeline)
        command = self.spec.worker_command((index, block), inherited, self._run_dir)
        pulse = Pulse(self._segment.blocks[block][HEARTBEAT], time.monotonic(), self.spec.worker_patience)
        return self._spawn(self._posts.workers[index].name, command, inherited, pulse, block)

    def _start(self, post: Post, command: list[str], descriptors: tuple[int, ...], pulse: Pulse) -> None:
        post.child = self._spawn(post.name, command, descriptors, pulse)
        if post.child is None:
            self._replace(post, 0.0, "cannot be started", time.monotonic())

    @staticmethod
    def _spawn(
        name: str, command: list[str], descriptors: tuple[int, ...], pulse: Pulse, block: int = 0
    ) -> Child | None:
        try:
            process = spawn(command, descriptors)
        except OSError as error:
            log.error("%s cannot be started: %s", name, error.strerror)  # noqa: TRY400 - the text says all
            return None
        log.info("%s started pid=%d", name, process.pid)
        return Child(name, process, time.monotonic(), pulse, block)

    # --- Ends of children ---------------------------------------------------------------------------------------

    def _ended(self, post: Post, child: Child, now: float) -> None:
        if child is not post.child and self._rolling is not None:
            self._rolling.ended(post, child, now)
            return
        post.child = None
        code = child.process.returncode
        if post is self._posts.control:
            self._drop_channel()
            if self._terms is None or self._segment.words[PUBLISHED] == 0:
                # Exit code 1 is its word that it has already said why.
                told = code == 1
                self._fail(None if told else f"the control process ended while starting: {describe_end(code)}", now)
                return
        if self.phase in (Phase.DRAIN, Phase.CLOSING, Phase.ABORT) or (
            post is self._posts.control and self.phase is Phase.DELAY
        ):
            log.info("%s ended pid=%d: %s", post.name, child.pid, describe_end(code))
            return
        if post.successor is not None:  # it has the place as soon as it serves
            log.warning("%s ended pid=%d: %s; its successor starts already", post.name, child.pid, describe_end(code))
            return
        self._replace(post, now - child.started, f"ended pid={child.pid}: {describe_end(code)}", now)

    def _replace(self, post: Post, lived_s: float, how: str, now: float) -> None:
        if post is self._posts.control and self._terms is None:
            self._fail(f"the {post.name} {how}", now)
            return
        wait = post.restarts.died(lived_s)
        if wait is None:
            self._fail(f"{post.name} {how}; {post.restarts.deaths} quick deaths in a row, giving up", now)
            return
        log.warning("%s %s; replaced in %.1f s", post.name, how, wait)
        post.due = now + wait
        if post is not self._posts.control:
            self._segment.words[RESTARTS] += 1

    def _fail(self, sentence: str | None, now: float) -> None:
        """End everything with exit code 1; the workers that still serve may finish."""
        if self.phase in (Phase.DRAIN, Phase.CLOSING, Phase.ABORT):
            return
        if sentence is not None:
            log.error("%s", sentence)
        self.status = 1
        self._stop_workers(now)

    # --- Shutdown -----------------------------------------------------------------------------------------------

    def _advance(self, now: float) -> None:
        """Go on to the next phase of the shutdown when this one is over."""
        late = now >= self._deadline
        if self.phase is Phase.DELAY and late:
            self._stop_workers(now)
        elif self.phase is Phase.DRAIN:
            if not self._posts.working():
                self._stop_control(now)
            elif late:
                self._kill(self._posts.working(), now)
        elif self.phase in (Phase.CLOSING, Phase.ABORT):
            if not self._posts.children():
                self.phase = Phase.DONE
            elif late:
                self._kill(self._posts.children(), now)

    def _delay(self, now: float) -> None:
        if self._terms is None:
            self._stop_workers(now)
            return
        self._segment.words[DRAINING] = 1
        self.phase = Phase.DELAY
        self._deadline = now + self._terms.shutdown_delay_s

    def _stop_workers(self, now: float) -> None:
        self.phase = Phase.DRAIN
        self._deadline = now + _HARD_S + (self._terms.drain_s if self._terms is not None else 0.0)
        number = signal.SIGKILL
        if self._segment.workers:
            self._segment.words[DRAINING] = 1
            # Without a revision a worker has nothing to finish, and may be waiting for one.
            number = signal.SIGTERM if self._segment.words[PUBLISHED] else signal.SIGKILL
        for post in self._posts:
            post.due = None
        if self._listeners is not None:  # before the workers stop accepting: nothing may queue where nobody looks
            self._listeners.close()
        leaving = [post.leaving for post in self._posts.workers]
        for child in self._posts.working():
            if child not in leaving:  # that one finishes already; a second signal would cut it short
                child.send(number)
        self._advance(now)

    def _stop_control(self, now: float) -> None:
        self.phase = Phase.CLOSING
        self._deadline = now + _CLOSING_S
        if self._posts.control.child is not None:
            self._posts.control.child.send(signal.SIGTERM)
        self._advance(now)

    def _abort(self, number: signal.Signals, now: float) -> None:
        self.phase = Phase.ABORT
        self.status = 128 + number
        self._deadline = now + _ABORT_S
        for post in self._posts:
            post.due = None
            for child in post.children():
                # Time for one last write of the event log; whoever takes longer is killed.
                child.send(signal.SIGTERM if post is self._posts.control else signal.SIGQUIT)
        if self._listeners is not None:
            self._listeners.close()

    def _kill(self, children: list[Child], now: float) -> None:
        for child in children:
            log.warning("%s pid=%d did not end in time; it is killed", child.name, child.pid)
            child.send(signal.SIGKILL)
        self._deadline = now + _CLOSING_S

    def _drop_channel(self) -> None:
        if self._channel is not None:
            self._selector.unregister(self._channel.socket)
            self._channel.close()
            self._channel = None

    def _release(self) -> None:
        """Give back everything; children that an unforeseen error left are killed first."""
        for child in self._posts.children():
            child.send(signal.SIGKILL)
            child.process.wait()
        self._drop_channel()
        self._selector.close()
        self._inbox.close()
        if self._listeners is not None:
            self._listeners.close()
            self._listeners.unlink()
        os.close(self._lifeline)
        os.close(self._lifeline_held)
        self._segment.close()
        shutil.rmtree(self._run_dir, ignore_errors=True)
