"""Values of a configuration that are not shown.

Responsible for: which paths lead to what may be a credential.
Does not know: who is shown what.

Rules: header fields whose name says so are hidden, wherever a configuration names fields; keys and tokens are files,
whose names are no secret.
"""

from typing import Any, Final

HIDDEN: Final = "(hidden)"
_FIELDS: Final = ("authorization", "cookie", "proxy-authorization", "token", "secret", "key", "password")


def shown(path: str, value: Any) -> Any:
    """Give a value as people may see it.

    Args:
        path: where it stands, such as ``$.routes[0].match.headers.authorization``.
        value: plain data.
    """
    _, matched, name = path.partition(".headers")
    if matched and any(word in name.lower() for word in _FIELDS):
        return HIDDEN
    if isinstance(value, dict):
        return {key: shown(f"{path}.{key}", part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [shown(path, part) for part in value]
    return value
