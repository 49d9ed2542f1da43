"""Request heads: the ordinary ones in one pass, all others with care.

Responsible for: telling which heads are ordinary, and reading those.
Does not know: connections, routes, time; what is wrong with a head (``careful``).

Rules: an ordinary head matches one strict pattern: nothing in it changes framing or must not travel on. Whatever does
not match is read with care, and a test shows that both ways of reading agree on what is ordinary
(``docs/decisions/0031-ordinary-heads.md``). Bytes stay bytes: a field that is forwarded is never re-encoded, re-ordered
or merged.
"""

import re
from collections.abc import Iterable
from typing import Final

from router.proxy import careful
from router.proxy.grammar import MAX_LENGTH_DIGITS, VALUE, fields_pattern, other_lines
from router.proxy.request_head import METHODS, REQUEST_FIELDS, Refusal, RequestHead

# Fields whose presence makes a request one that is read with care.
_CAREFUL: Final = frozenset(REQUEST_FIELDS) - {b"host", b"content-length", b"connection", b"x-request-id"}


class RequestReader:
    """Reads request heads: one for each table, since the table says which fields its routes need."""

    __slots__ = ("_max_fields", "_names", "_only", "_ordinary", "_pattern")

    def __init__(self, names: Iterable[bytes], max_fields: int) -> None:
        """Compile for some lower-case field names and a number of fields that a head may have."""
        self._names = tuple(sorted(names))
        self._only = self._names[0] if len(self._names) == 1 else None
        self._pattern = fields_pattern({*REQUEST_FIELDS, *names})
        # A route that reads one of the proxy's own fields is rare enough to read all its requests with care.
        self._ordinary = None if {*names} & {*REQUEST_FIELDS} else _ordinary_pattern(self._names, max_fields)
        self._max_fields = max_fields

    def ordinary(self, data: bytes, ident: str = "", client: str = "") -> RequestHead | None:
        """Read the head of an ordinary request at the beginning of some bytes.

        Returns:
            None when there is no whole head, or one that ``read`` must judge.
        """
        match = self._ordinary.match(data) if self._ordinary is not None else None
        if match is None:
            return None
        end = match.end()
        fields: dict[bytes, bytes] = {}
        if self._only is not None:  # as the loop does, in a quarter of its time
            method, path, query, authority, host, length, request_id, keep_alive, only = match.groups()
            if only is not None:
                fields[self._only] = only.rstrip(b" \t")
        else:
            method, path, query, authority, host, length, request_id, keep_alive, *values = match.groups()
            for name, value in zip(self._names, values):  # noqa: B905  # as many by construction, and strict=True costs
                if value is not None:
                    fields[name] = value.rstrip(b" \t")
        if keep_alive is None:
            forward = data[: end - 2]
        else:
            start, stop = match.span(8)
            forward = data[: start - 2] + data[stop : end - 2]
        return RequestHead(
            ident, method, path, query or b"", host.lower(), client, fields, None, False, None, None, 0.0, None,
            authority, int(length) if length else 0, True, True, False, request_id, forward, end,
        )  # fmt: skip

    def read(self, raw: bytes, ident: str = "", client: str = "") -> RequestHead | Refusal:
        """Read a whole head, from the first byte of the request line to the empty line."""
        head = careful.read(raw, self._pattern, self._max_fields)
        if isinstance(head, RequestHead):
            head.id = ident
            head.client = client
        return head


def _ordinary_pattern(names: tuple[bytes, ...], max_fields: int) -> re.Pattern[bytes]:
    """Compile the grammar of an ordinary request; names are fields whose values are wanted.

    Each alternative of a line is either a field that is read, at most once (a group that is set already fails the
    match), or any field but those that need care.
    """
    read = {b"host", b"content-length", b"connection", b"x-request-id", *names}
    lines = [
        other_lines(_CAREFUL | read),
        rb"(?i:host):[ \t]*+(?(4)(?!))(([A-Za-z0-9._~-]++)(?::[0-9]{1,5})?)[ \t]*+",
        rb"(?i:content-length):[ \t]*+(?(6)(?!))([0-9]{1,%d})[ \t]*+" % MAX_LENGTH_DIGITS,
        rb"(?i:x-request-id):[ \t]*+(?(7)(?!))([\x21-\x7e]{1,128}+)[ \t]*+",
        rb"(?(8)(?!))((?i:connection:[ \t]*+keep-alive)[ \t]*+)",
    ]
    for group, name in enumerate(names, start=9):
        lines.append(rb"(?i:%b):[ \t]*+(?(%d)(?!))(%b)" % (re.escape(name), group, VALUE))
    return re.compile(
        rb"(%b) (/[\x21\x22\x24-\x3e\x40-\x7e]*+)(?:\?([\x21\x22\x24-\x7e]*+))? HTTP/1\.1"
        rb"(?:\r\n(?:%b)){0,%d}(?(4)|(?!))\r\n\r\n" % (b"|".join(sorted(METHODS)), b"|".join(lines), max_fields)
    )
