"""Who may talk to the admin API, and how it says no.

Responsible for: the bearer token, the checks against pages in an operator's browser (Host, Origin), and problem
documents for every error.
Does not know: what the routes do.

Rules: a listener that other machines reach needs the token for everything but the two health checks. On loopback the
danger is a web page: it can send requests to 127.0.0.1, under its own Origin, and after DNS rebinding under its own
Host. So Host must name this machine, a change needs an Origin of this listener or none, and nothing allows another
origin to read (no CORS headers). Where a token is configured it is asked for on loopback too.
"""

import hmac
from collections.abc import Callable
from http import HTTPStatus
from logging import getLogger
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from router.config.tokens import Token, read_tokens

log = getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
KEY_PATHS = "/ofrep/"
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
# Of a request: whose token it came with, when the token has a name.
CALLER = web.RequestKey("caller", str)


class Guard:
    """Middleware of the admin application."""

    def __init__(self, host: str, token_file: Callable[[], str | None], *, loopback: bool) -> None:
        """Guard a listener.

        Args:
            host: The host that it is configured to listen on.
            token_file: Gives the file with the tokens; read at each request, so that it can be replaced.
            loopback: Whether only this machine reaches the listener.
        """
        self._hosts = _LOCAL_HOSTS | {host.lower()}
        self._token_file = token_file
        self._loopback = loopback

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or let the handler answer; every failure becomes a problem document."""
        try:
            refused = self._refuse(request)
            response = refused if refused is not None else await handler(request)
        except web.HTTPException as error:
            response = problem(error.status, error.text or error.reason)
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
        except Exception:
            log.exception("the admin API failed path=%s", request.path)
            response = problem(500, "the request failed; the log says why")
        if not response.prepared:
            response.headers.setdefault("Cache-Control", "no-store")
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["Server"] = "router"
        return response

    def _refuse(self, request: web.Request) -> web.Response | None:
        if self._loopback and _host_name(request.headers.get("Host", "")) not in self._hosts:
            return problem(421, "the Host header does not name this listener")
        file = self._token_file()
        if request.path not in OPEN_PATHS and (file is not None or not self._loopback):
            tokens = _read_tokens(file)
            if not tokens:
                return problem(503, "the token file cannot be read")
            presented = _presented(request)
            found = [token for token in tokens if hmac.compare_digest(presented, token.value)]  # each, in equal time
            if found and found[0].name is not None:
                request[CALLER] = found[0].name
            if not found:
                response = problem(401, "a bearer token is required")
                response.headers["WWW-Authenticate"] = 'Bearer realm="router"'
                return response
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
                return problem(403, "changes are not accepted from pages of another origin")
        return None


def middleware(guard: Guard) -> Middleware:
    """Make a guard what aiohttp calls a middleware, which has to be a plain function."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await guard.answer(request, handler)

    return answer


def problem(status: int, detail: str, **extra: object) -> web.Response:
    """Make a problem document (RFC 9457)."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/problem+json")


def _host_name(value: str) -> str:
    """Give the host of a Host header, without port and brackets."""
    if value.startswith("["):
        return value[1:].partition("]")[0].lower()
    return value.partition(":")[0].lower()


def _presented(request: web.Request) -> bytes:
    """Return the token that a request carries; OFREP's own key header counts where OFREP is spoken."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        given = request.headers.get("X-API-Key", "") if request.path.startswith(KEY_PATHS) else ""
    return given.strip().encode("utf-8", "surrogateescape")


def _read_tokens(file: str | None) -> tuple[Token, ...]:
    if file is None:
        return ()
    try:
        return read_tokens(file)
    except (OSError, ValueError) as error:
        log.warning("the token file cannot be read: %s", error)
        return ()
