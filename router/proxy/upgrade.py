"""Who may ask for another protocol, and what counts as having got it (RFC 9110 7.8).

Responsible for: reading Upgrade in both directions, and the lines in which it travels on.
Does not know: connections; what any protocol is (``tunnel`` carries its bytes).

Rules: only a protocol that is asked for on this connection, in a request without a body, is asked for on the next. One
that would carry HTTP past the router is never asked for: requests inside it would be routed, counted and limited by
nobody. An answer switches only to what was asked.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

_PROTOCOL: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?")
# HTTP in another form, or what HTTP is spoken in: "h2c smuggling" reaches paths that no route allows.
_CARRIES_HTTP: Final = frozenset({b"h2c", b"h2", b"h3", b"http", b"tls"})


def asked(fields: Mapping[bytes, bytes], options: Iterable[bytes], length: int) -> tuple[bytes, ...]:
    """Return the protocols that a request may ask a target for, as the caller wrote them.

    Args:
        fields: The request's fields by lower-case name, lines of one name joined.
        options: What its Connection field lists, in lower case.
        length: Of its body; a request with one is carried as if it did not ask, which RFC 9110 7.8 allows.
    """
    if length != 0 or b"upgrade" not in fields or b"upgrade" not in options:
        return ()
    protocols = tuple(part for text in fields[b"upgrade"].split(b",") if (part := text.strip(b" \t")))
    if any(_PROTOCOL.fullmatch(protocol) is None for protocol in protocols):
        return ()
    return tuple(each for each in protocols if each.partition(b"/")[0].lower() not in _CARRIES_HTTP)


def upgrade_lines(protocols: Iterable[bytes]) -> bytes:
    """Write the two header lines of a head that asks for protocols, or switches to them; nothing for none."""
    value = b", ".join(protocols)
    return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % value if value else b""


def granted(fields: Mapping[bytes, bytes], options: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the protocols that a 101 answer switches to, as the target wrote them; none when it does not say."""
    if b"upgrade" not in fields or b"upgrade" not in options:
        return ()
    return tuple(part for text in fields[b"upgrade"].split(b",") if (part := text.strip(b" \t")))


def switches(given: Iterable[bytes], wanted: frozenset[bytes]) -> bool:
    """Return whether an answer that switches is one to what was asked for: to that, and to nothing else."""
    names = {protocol.lower() for protocol in given}
    return bool(names) and names <= wanted
