"""What tokens of callers need: keys that can be read, libraries that are there, and a place that says how.

Responsible for: ``server.jwt``, and sources that need it.
Does not know: sources of other kinds, what is in a key.

Rules: those of ``references``. PyJWT is loaded only where tokens are configured.
"""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from router.config.mistake import child, show
from router.config.parts import Report, items, part
from router.config.resolve import BROKEN

_INSTALL = "install it with: pip install 'router[jwt]'"


def check_jwt(config: Mapping[str, Any], report: Report) -> None:
    """Report keys that cannot be used, and sources that read tokens which nobody verifies."""
    server = part(config, "server")
    if "jwt" not in server and config.get("server") is not BROKEN:
        for path in _sources(config):
            report(path, "reads a token, and nothing says how it is verified; set server.jwt")
    jwt = part(server, "jwt")
    file, algorithms = jwt.get("keys_file", BROKEN), jwt.get("algorithms", BROKEN)
    if BROKEN in (file, algorithms) or BROKEN in algorithms:
        return
    try:
        from router.config import jwks  # noqa: PLC0415 - an extra, and heavy
    except ImportError:
        report("$.server.jwt", f"needs PyJWT, which is not installed; {_INSTALL}")
        return
    if lacking := jwks.missing(algorithms):
        at = f"$.server.jwt.algorithms[{algorithms.index(lacking[0])}]"
        report(at, f"{show(lacking[0])} needs cryptography, which is not installed; {_INSTALL}")
        return
    _keys(file, algorithms, report)


def _keys(file: str, algorithms: list[str], report: Report) -> None:
    from router.config import jwks  # noqa: PLC0415 - as above

    try:
        if not stat.S_ISREG(Path(file).stat().st_mode):
            report("$.server.jwt.keys_file", f"file {show(file)} is not a regular file")
            return
        jwks.read_jwks(file, algorithms)
    except OSError as error:
        report("$.server.jwt.keys_file", f"cannot read file {show(file)}: {error.strerror or error}")
    except ValueError as error:
        report("$.server.jwt.keys_file", f"file {show(file)}: {error}")


def _sources(config: Mapping[str, Any]) -> Iterator[str]:
    """Give the places of sources that read a token."""
    for path, route in items(config, "routes"):
        yield from _listed(f"{path}.unit", route.get("unit"))
        for name, source in part(route, "attributes").items():
            if _token(source):
                yield child(f"{path}.attributes", name)
    for path, experiment in items(config, "experiments"):
        yield from _listed(f"{path}.unit", experiment.get("unit"))


def _listed(path: str, sources: Any) -> Iterator[str]:
    if isinstance(sources, list):
        yield from (child(path, index) for index, source in enumerate(sources) if _token(source))


def _token(source: object) -> bool:
    return isinstance(source, str) and source.startswith("jwt:")
