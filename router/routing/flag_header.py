"""What the target of an exchange is told of flag values: members of the header ``x-router-flags``.

Responsible for: one flag and the value that an arm gives it, as the header has it.
Does not know: which experiment gives a value, how members are joined or sent, the syntax
(``router.config.structured_field``, with which ``router check`` has found that it fits).

Rules: pure, called when a table is compiled.
"""

from typing import Any

from router.config.structured_field import member


def flag_item(key: str, value: Any) -> bytes:
    """Write a flag and its value as a member of ``x-router-flags``.

    Args:
        key: Key of the flag.
        value: Its value, as JSON has it: truth value, number, text, list or map.

    Returns:
        ``KEY=VALUE``, in ASCII.

    Raises:
        ValueError: If it does not fit into the header; ``router check`` refuses such a flag.
    """
    return member(key, value)
