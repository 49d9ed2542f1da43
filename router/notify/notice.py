"""A notification, and the seam for notifiers.

Responsible for: what people are told, as frozen data; what delivering it takes; the protocol.
Does not know: notifiers, sockets, processes, files' contents.

A notifier is a frozen ``msgspec.Struct`` whose fields are its options in the YAML, with one method, ``message``. It is
pure: it says what is to be sent where, and the control process does it, with time-outs, retries and the secrets of
files. ``router.testing.check_notifier`` proves the contract.
"""

from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from router.events.rollout import Found

Severity = Literal["info", "warning", "critical"]


class Notice(Struct, frozen=True, kw_only=True):
    """Something that people are told; also the JSON that webhooks and commands get.

    Attributes:
        id: The same each time that it is tried, so that a receiver can tell repeats.
        time: When it happened, in unix seconds.
        event: ``rollback``, ``approval``, ``verdict``, … (``router.config.notify.EVENTS``).
        severity: How bad.
        text: One sentence.
        experiment: The experiment.
        run: Its run; 0 when it has none.
        step: Where its release is; empty when it has none.
        stage: Which stage or batch.
        status: ``running``, ``waiting``, ``paused`` or ``over``; empty when there is no release.
        share: Share of units that the new arm has.
        revision: Number of the present revision.
        found: What the guardrails said.
        links: Paths of the admin API with more: ``report``, ``decisions``, ``postmortems``.
    """

    id: str
    time: float
    event: str
    severity: Severity
    text: str
    experiment: str
    run: int = 0
    step: str = ""
    stage: int = 0
    status: str = ""
    share: float = 0.0
    revision: int = 0
    found: tuple[Found, ...] = ()
    links: dict[str, str] = {}


class Post(Struct, frozen=True, kw_only=True):
    """A request to be sent with POST.

    Attributes:
        body: The body.
        url: Where to; None when a file says it.
        url_file: File whose only line is the URL, for one that is a secret.
        headers: Further header fields.
        secret_file: File with the key that the body is signed with; None for no signature.
        ca: PEM file with the authorities to trust; None for those of the system.
        timeout: How long the whole may take, in seconds.
    """

    body: bytes
    url: str | None = None
    url_file: str | None = None
    headers: dict[str, str] = {}
    secret_file: str | None = None
    ca: str | None = None
    timeout: float = 10.0


class Run(Struct, frozen=True, kw_only=True):
    """A program to be run, without a shell.

    Attributes:
        argv: The program and its arguments.
        stdin: Its standard input.
        timeout: How long it may take, in seconds; then it is killed with all that it started.
    """

    argv: tuple[str, ...]
    stdin: bytes
    timeout: float = 30.0


Delivery = Post | Run


class Notifier(Protocol):
    """Where notifications go."""

    def message(self, notice: Notice) -> Delivery:
        """Return what is to be sent; the same notice gives the same answer."""


def document(notice: Notice) -> bytes:
    """Return a notification as JSON."""
    return msgspec.json.encode(notice)
