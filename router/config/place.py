"""Where an endpoint of the configuration is, and how it is verified.

Responsible for: host, port and TLS context of a base URL, for traffic and health questions alike.
Does not know: connections.
"""

import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from router.config.schema import Endpoint, TargetTls


class Place(NamedTuple):
    """Where an endpoint is: what makes two endpoints the same across configurations."""

    host: str
    port: int
    tls: bool
    server_name: str | None
    ca: str | None


def place_of(endpoint: Endpoint, tls: TargetTls) -> Place:
    """Say where an endpoint of the configuration is."""
    url = urlsplit(endpoint.url)
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    return Place(url.hostname or "", port, secure, tls.server_name if secure else None, tls.ca if secure else None)


def client_context(place: Place) -> ssl.SSLContext:
    """Return how the endpoint's certificate is verified.

    Raises:
        OSError: The file of trusted authorities cannot be read.
    """
    context = ssl.create_default_context(cafile=place.ca)
    context.set_alpn_protocols(["http/1.1"])
    return context
