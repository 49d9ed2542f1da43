"""Why an address cannot be listened on, in one sentence that names the key.

Responsible for: that sentence.
Does not know: who listens there. Imports nothing heavy: the supervisor uses it too.
"""

import errno

from router.config.scalars import Listen, format_listen

_REASONS = {
    errno.EADDRINUSE: "is in use by another program",
    errno.EADDRNOTAVAIL: "is not an address of this machine",
    errno.EACCES: "may not be used by this user",
    errno.EPERM: "may not be used by this user",
    errno.ENOENT: "lies in a folder that does not exist",
    errno.EAFNOSUPPORT: "is of a family that this machine does not support",
}


class AddressError(ValueError):
    """An address that cannot be used; the text is one sentence that names the key."""


def unusable(key: str, listen: Listen, error: OSError) -> AddressError:
    """Say why listening failed.

    Args:
        key: The key that gave the address: ``$.server.listen``.
        listen: The address.
        error: What the system said.
    """
    reason = _REASONS.get(error.errno or 0, f"cannot be used: {error.strerror or error}")
    return AddressError(f"{key}: {format_listen(listen)} {reason}")
