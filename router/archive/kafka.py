"""Events to Kafka, with librdkafka.

Responsible for: one topic, an idempotent producer, and not to call anything sent before its broker has confirmed it.
Does not know: where events come from, what becomes of those that are not confirmed (``courier``).

Rules: nothing waits in librdkafka beyond the lines that were given at once, so its own queue is bounded by those. A
line is tried for ``timeout``; when one of them is not confirmed by then, all come again, to a new producer.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta, Struct

from router.archive.sink import BACKLOG_BYTES, LINES
from router.config.terms import File, Size, Timeout

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

_MARGIN_S: Final = 5.0  # beyond the time-out of a line, for its report to come
_POLL_S: Final = 0.1

logger = logging.getLogger(__name__)


class Kafka(Struct, frozen=True, kw_only=True):
    """The sink."""

    needs: ClassVar[tuple[str, str]] = ("confluent_kafka", "router[kafka]")

    servers: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(min_length=1, description="brokers to start from, `HOST:PORT`"),
    ]
    topic: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="topic; it is not made if it does not exist")
    ]
    key: Annotated[
        Literal["unit", "id"],
        Meta(description="key of a message: `unit`, so that those of a unit are in order, or `id`"),
    ] = "unit"
    timeout: Annotated[Timeout, Meta(description="how long a message is tried before all of its batch come again")] = (
        30.0
    )
    properties: Annotated[
        dict[str, str], Meta(description="further properties of librdkafka, such as `security.protocol`")
    ] = {}
    properties_file: Annotated[
        File | None, Meta(description="file with more of them, `name=value` a line, for what is secret")
    ] = None
    backlog: Annotated[Size, Meta(description="bytes of events that may wait; beyond it the oldest are dropped")] = (
        BACKLOG_BYTES
    )

    def open(self) -> "_Topic":
        """Make a producer.

        Raises:
            OSError: If the properties cannot be used.
        """
        return _Topic(self)


class _Line(Struct, frozen=True):
    id: str
    unit: str | None = None


class _Topic:
    """A producer for one topic."""

    def __init__(self, options: Kafka) -> None:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415 - it is in an extra

        self._options = options
        self._decode = msgspec.json.Decoder(_Line).decode
        self._waiting = 0
        self._failure: KafkaError | None = None
        try:
            self._producer = Producer({**self._properties(), **_fixed(options)}, logger=logger)
        except (KafkaException, ValueError) as error:
            raise OSError(f"no Kafka producer can be made: {error}") from error

    def send(self, lines: Sequence[bytes]) -> None:
        self._failure = None
        for line in lines:
            decoded = self._decode(line)
            key = decoded.id if self._options.key == "id" or decoded.unit is None else decoded.unit
            self._produce(line.rstrip(b"\n"), key.encode())
        ends = time.monotonic() + self._options.timeout + _MARGIN_S
        while self._waiting and time.monotonic() < ends:
            self._producer.poll(_POLL_S)
        if self._waiting:
            raise OSError(f"Kafka did not say in time whether {self._options.topic} has what was sent")
        self._check()

    def close(self) -> None:
        """Forget what is not confirmed; it comes again."""
        self._producer.purge()
        self._producer.flush(_MARGIN_S)

    def _check(self) -> None:
        if self._failure is not None:
            raise OSError(f"Kafka did not take what was sent to {self._options.topic}: {self._failure}")

    def _produce(self, value: bytes, key: bytes) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - it is in an extra

        try:
            self._producer.produce(self._options.topic, value, key, on_delivery=self._reported)
        except (BufferError, KafkaException) as error:
            raise OSError(f"Kafka takes no message for {self._options.topic}: {error}") from error
        self._waiting += 1
        self._producer.poll(0)

    def _reported(self, error: "KafkaError | None", _message: "Message") -> None:
        self._waiting -= 1
        if error is not None:
            self._failure = error

    def _properties(self) -> dict[str, str]:
        out = dict(self._options.properties)
        if self._options.properties_file is not None:
            for line in Path(self._options.properties_file).read_text(encoding="utf-8").splitlines():
                name, equals, value = line.partition("=")
                if equals and not line.startswith("#"):
                    out[name.strip()] = value.strip()
        return out


def _fixed(options: Kafka) -> dict[str, str | int | bool]:
    """Return the properties that make what the module promises."""
    return {
        "bootstrap.servers": ",".join(options.servers),
        "enable.idempotence": True,
        "acks": "all",
        "message.timeout.ms": int(options.timeout * 1000),
        "queue.buffering.max.messages": LINES,
        "queue.buffering.max.kbytes": 64 * 1024,
        "linger.ms": 5,
        "allow.auto.create.topics": False,
    }
