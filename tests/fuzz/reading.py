"""A second reading of HTTP/1, strict and slow, to judge the router's by.

Responsible for: what a sequence of bytes says when RFC 9110 and 9112 are read to the letter, up to the first byte that
is not exactly right; and the further rules for what a proxy sends on.
Does not know: the router. It shares no code and no pattern with it, so that a mistake is not made twice.

Rules: a message is read byte by byte from the front. Whatever is not exactly the grammar ends the reading: nothing is
mended, skipped or guessed.
"""

import string
from typing import NamedTuple

TOKEN = frozenset((string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode())
VISIBLE = frozenset(range(0x21, 0x7F))
VALUE = frozenset({9, *range(0x20, 0x7F), *range(0x80, 0x100)})
HEX = frozenset(string.hexdigits.encode())
DIGITS = frozenset(string.digits.encode())
ONCE = (b"host", b"content-length", b"transfer-encoding")
# RFC 9110 7.6.1, and what only the router may say or has to answer itself.
NEVER_SENT_ON = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"http2-settings", b"expect"}
)
TUNNEL = frozenset({b"connection", b"upgrade"})  # RFC 9110 7.8: sent on together, and set anew, to ask for a tunnel


class Message(NamedTuple):
    """One message: its first line, its fields in order with names in lower case, and its content."""

    start: tuple[bytes, bytes, bytes]
    fields: list[tuple[bytes, bytes]]
    content: bytes
    whole: bool = True

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field."""
        return [value for found, value in self.fields if found == name]


class _OffError(Exception):
    """The bytes are not exactly the grammar."""


class _MoreError(Exception):
    """The bytes end before the message does."""


class Read(NamedTuple):
    """What was read: whole messages, and why no more; ``rest`` begins with the first message that is not whole."""

    messages: list[Message]
    off: str
    rest: bytes
    partial: Message | None = None


class Bytes:
    """Bytes with a place in them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def line(self) -> bytes:
        """Take a line that ends in CRLF and has neither CR nor LF in it."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise _MoreError
        line = self.data[self.at : end + 1]
        self.at = end + 1
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            raise _OffError(f"a line ends wrongly: {line!r}")
        return line[:-2]

    def take(self, size: int) -> bytes:
        """Take so many bytes."""
        if self.at + size > len(self.data):
            raise _MoreError
        self.at += size
        return self.data[self.at - size : self.at]


def read_requests(data: bytes, *, forwarded: bool = False) -> Read:
    """Read requests from the beginning of some bytes.

    Args:
        data: The bytes.
        forwarded: Whether they are what a proxy sent on: then without empty lines, chunk extensions and trailers.
    """
    messages: list[Message] = []
    while True:
        source = Bytes(data)
        try:
            if not forwarded:
                while source.data.startswith(b"\r\n", source.at):  # RFC 9112 2.2
                    source.at += 2
            messages.append(_request(source, forwarded=forwarded))
        except _OffError as error:
            return Read(messages, str(error), data)
        except _MoreError:
            return Read(messages, "", data)
        data = data[source.at :]


def read_responses(data: bytes, methods: list[bytes], *, ended: bool) -> Read:
    """Read the answers to requests of some methods; ``ended``: whether the connection ended in order behind them."""
    messages: list[Message] = []
    left = list(methods)
    while left and data:
        source = Bytes(data)
        kept: list[Message] = []
        try:
            message = _response(source, left[0], ended=ended, partial=kept)
        except _OffError as error:
            return Read(messages, str(error), data, kept[0] if kept else None)
        except _MoreError:
            return Read(messages, "", data, kept[0] if kept else None)
        messages.append(message)
        if int(message.start[1]) >= 200:
            left.pop(0)
        data = data[source.at :]
    return Read(messages, "", data)


def _request(source: Bytes, *, forwarded: bool) -> Message:
    line = source.line()
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[0] or not set(parts[0]) <= TOKEN or not parts[1] or not set(parts[1]) <= VISIBLE:
        raise _OffError(f"the request line is {line!r}")
    if parts[2] not in ({b"HTTP/1.1"} if forwarded else {b"HTTP/1.1", b"HTTP/1.0"}):
        raise _OffError(f"the version is {parts[2]!r}")
    fields = _fields(source)
    message = Message((parts[0], parts[1], parts[2]), fields, b"")
    if len(message.values(b"host")) != 1 and parts[2] == b"HTTP/1.1":
        raise _OffError("Host is not there once")
    coding, length = message.values(b"transfer-encoding"), message.values(b"content-length")
    if coding and (parts[2] == b"HTTP/1.0" or length or coding[0].lower() != b"chunked"):
        raise _OffError("the transfer coding is faulty framing")
    if coding:
        return message._replace(content=_chunks(source, plain=forwarded, sofar=bytearray()))
    return message._replace(content=source.take(int(length[0])) if length else b"")


def _response(source: Bytes, method: bytes, *, ended: bool, partial: list[Message]) -> Message:
    line = source.line()
    version, _, rest = line.partition(b" ")
    status, space, reason = rest.partition(b" ")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or len(status) != 3 or not set(status) <= DIGITS:
        raise _OffError(f"the status line is {line!r}")
    if not b"100" <= status <= b"599" or not set(reason) <= VALUE or (reason and not space):
        raise _OffError(f"the status line is {line!r}")
    message = Message((version, status, reason), _fields(source), b"")
    coding, length = message.values(b"transfer-encoding"), message.values(b"content-length")
    if coding and (version == b"HTTP/1.0" or length or coding[0].lower() != b"chunked"):
        raise _OffError("the transfer coding is faulty framing")
    if method == b"HEAD" or status in {b"204", b"304"} or status.startswith(b"1"):
        return message
    if coding:
        sofar = bytearray()
        try:
            return message._replace(content=_chunks(source, plain=False, sofar=sofar))
        except (_OffError, _MoreError):
            partial.append(message._replace(content=bytes(sofar), whole=False))
            raise
    if length:
        try:
            return message._replace(content=source.take(int(length[0])))
        except _MoreError:
            partial.append(message._replace(content=source.data[source.at :], whole=False))
            raise
    content = source.data[source.at :]
    if not ended:
        partial.append(message._replace(content=content, whole=False))
        raise _MoreError
    return message._replace(content=source.take(len(content)))


def _fields(source: Bytes) -> list[tuple[bytes, bytes]]:
    fields = []
    while line := source.line():
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= TOKEN or not set(value) <= VALUE:
            raise _OffError(f"a field line is {line!r}")
        fields.append((name.lower(), value.strip(b" \t")))
    for name in ONCE:
        if sum(1 for found, _ in fields if found == name) > 1:
            raise _OffError(f"{name.decode()} is there twice")
    for name, value in fields:
        if name == b"content-length" and (not value or not set(value) <= DIGITS):
            raise _OffError(f"the length is {value!r}")
    return fields


def _chunks(source: Bytes, *, plain: bool, sofar: bytearray) -> bytes:
    while True:
        line = source.line()
        size, semicolon, extension = line.partition(b";")
        if semicolon:
            size = size.rstrip(b" \t")
        if not size or not set(size) <= HEX or not set(extension) <= VALUE or (plain and semicolon):
            raise _OffError(f"a chunk's size is {line!r}")
        if not int(size, 16):
            break
        at = source.at
        try:
            sofar += source.take(int(size, 16))
        except _MoreError:
            sofar += source.data[at:]
            raise
        end = source.data[source.at : source.at + 2]
        if end != b"\r\n":
            if b"\r\n".startswith(end):
                raise _MoreError
            raise _OffError("a chunk does not end in CRLF")
        source.at += 2
    trailers = _fields(source)
    if plain and trailers:
        raise _OffError("there are trailers")
    return bytes(sofar)


def sent_on_wrongly(message: Message) -> str:
    """Say what a proxy should not have sent on of a request; empty when it is all right."""
    tunnel = [value.lower() for value in message.values(b"connection")] == [b"upgrade"]
    tunnel = tunnel and len(message.values(b"upgrade")) == 1 and message.start[0] == b"GET" and not message.content
    for name, _ in message.fields:
        if tunnel and name in TUNNEL:
            continue
        if name in NEVER_SENT_ON:
            return f"{name.decode()} belongs to one connection"
        if b"_" in name:
            return f"{name.decode()} may be read as another name"
    if not message.start[1].startswith(b"/") and message.start[:2] != (b"OPTIONS", b"*"):
        return f"the target is {message.start[1]!r}"
    if b"#" in message.start[1]:
        return "the target has a fragment"
    names = [name for name, _ in message.fields]
    for own in (b"x-forwarded-for", b"x-forwarded-proto", b"via", b"x-request-id", b"x-router-route"):
        if own not in names:
            return f"{own.decode()} is missing"
    if names.count(b"x-router-route") > 1 or names.count(b"x-forwarded-proto") > 1 or names.count(b"x-request-id") > 1:
        return "one of the router's own fields is there twice"
    return ""
