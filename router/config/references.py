"""What one part of a configuration says about another.

Responsible for: names that must be unique, listeners that are safe, files that can be read, and calling the checks of
the other nouns.
Does not know: YAML, types, units; those were resolved before. Does not check what the network would say.

Rules: works on resolved plain data in which ``BROKEN`` parts may stand, says nothing about them again, and reports by
path; the caller knows the lines. Each check is one function.
"""

import os
import ssl
import stat
from collections.abc import Mapping
from typing import Any

from router.config import scalars
from router.config.decide_references import check_decide
from router.config.evaluators import check_evaluators
from router.config.experiment_references import check_experiments, check_overrides
from router.config.guardrail_references import check_guardrails
from router.config.jwt_references import check_jwt
from router.config.keys import read_keys
from router.config.metric_references import check_metrics
from router.config.mistake import show
from router.config.notify_references import check_notify
from router.config.outcome_references import check_outcomes
from router.config.overload_references import check_overload
from router.config.parts import Report, given, items, must_exist, part, unique_names
from router.config.resolve import BROKEN
from router.config.route_references import check_matches, check_routes
from router.config.schema import Admin, Breaker, Server, TargetTimeouts
from router.config.sink_references import check_sinks
from router.config.structure_references import check_structure
from router.config.tokens import read_tokens
from router.config.watching_references import check_watching

_ANY_HOST = ("0.0.0.0", "::")


def check(config: Mapping[str, Any], report: Report) -> None:
    """Report every mistake between the parts of a configuration.

    Args:
        config: resolved plain data, in which ``BROKEN`` may stand for any part.
        report: takes each mistake.
    """
    _listeners(config, report)
    _tls_files(config, report)
    _signing(config, report)
    check_jwt(config, report)
    for key in ("targets", "routes", "metrics", "layers", "holdouts", "experiments"):
        unique_names(list(items(config, key)), report)
    _targets(config, report)
    check_evaluators(config, report)
    check_routes(config, report)
    check_matches(config, report)
    check_overload(config, report)
    check_experiments(config, report)
    check_structure(config, report)
    check_overrides(config, report)
    check_metrics(config, report)
    check_decide(config, report)
    check_guardrails(config, report)
    check_outcomes(config, report)
    check_sinks(config, report)
    check_notify(config, report)
    check_watching(config, report)
    _layered_by(config, report)


def _layered_by(config: Mapping[str, Any], report: Report) -> None:
    """Report attributes that no route has: no request would ever be told apart."""
    layered = part(config, "layered_by")
    if layered == {} and "layered_by" in config and config["layered_by"] is not BROKEN:
        report("$.layered_by", "names no attribute; give it region, cluster or both")
    known = {name: path for path, route in items(config, "routes") for name in part(route, "attributes")}
    for key in ("region", "cluster"):
        must_exist(f"$.layered_by.{key}", layered.get(key, BROKEN), known, "attribute of any route named", report)


def _listeners(config: Mapping[str, Any], report: Report) -> None:
    callers = _listen(config, "server", Server().listen)
    operators = _listen(config, "admin", Admin().listen)
    if operators is None:
        return
    shown = show(scalars.format_listen(operators))
    if operators.path:
        report("$.admin.listen", f"{shown} is a unix socket; the admin API needs HOST:PORT")
    elif not scalars.is_loopback(operators) and "token_file" not in part(config, "admin"):
        report("$.admin.listen", f"{shown} can be reached from other machines; set token_file as well")
    if callers is not None and callers.port == operators.port != 0 and _share_host(callers.host, operators.host):
        place = "admin" if "listen" in part(config, "admin") else "server"
        report(
            f"$.{place}.listen",
            f"server.listen {show(scalars.format_listen(callers))} and admin.listen {shown} are the same port",
        )


def _listen(config: Mapping[str, Any], section: str, default: str) -> scalars.Listen | None:
    """Give the address of a section; None when it is broken."""
    if config.get(section) is BROKEN:
        return None
    text = part(config, section).get("listen", default)
    return None if text is BROKEN else scalars.parse_listen(text)


def _share_host(one: str, other: str) -> bool:
    return one == other or not {one, other}.isdisjoint(_ANY_HOST)


def _unreadable(path: str) -> str | None:
    """Say why a file cannot be used, or None."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a string is what the configuration holds
        if not stat.S_ISREG(mode):
            return f"file {show(path)} is not a regular file"
        with open(path, "rb") as file:  # noqa: PTH123 - a string is what the configuration holds
            file.read(1)
    except (OSError, ValueError) as error:
        return f"cannot read file {show(path)}: {getattr(error, 'strerror', None) or error}"
    return None


def _tls_files(config: Mapping[str, Any], report: Report) -> None:
    server, admin = part(config, "server"), part(config, "admin")
    tls = part(server, "tls")
    usable = True
    for key in ("cert", "key"):
        if not given(tls, key):
            usable = False
        elif why := _unreadable(tls[key]):
            report(f"$.server.tls.{key}", why)
            usable = False
    if usable:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls["cert"], tls["key"], password=lambda: b"")  # never ask on a terminal
        except (ssl.SSLError, OSError, ValueError) as error:
            report("$.server.tls", f"certificate and key cannot be used: {_reason(error)}")
    if given(admin, "token_file"):
        _token(admin["token_file"], report)


def _signing(config: Mapping[str, Any], report: Report) -> None:
    server = part(config, "server")
    expose = server.get("expose", ())
    if "signing" not in server and isinstance(expose, list) and "assignment" in expose:
        report(f"$.server.expose[{expose.index('assignment')}]", "has to be signed; set server.signing.keys_file")
    file = part(server, "signing").get("keys_file", BROKEN)
    if file is BROKEN:
        return
    if why := _unreadable(file):
        report("$.server.signing.keys_file", why)
        return
    try:
        read_keys(file)
    except (OSError, ValueError) as error:
        report("$.server.signing.keys_file", f"file {show(file)}: {getattr(error, 'strerror', None) or error}")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)


def _token(path: str, report: Report) -> None:
    if why := _unreadable(path):
        report("$.admin.token_file", why)
        return
    try:
        read_tokens(path)
    except (OSError, ValueError) as error:
        report("$.admin.token_file", f"file {show(path)}: {getattr(error, 'strerror', None) or error}")


def _targets(config: Mapping[str, Any], report: Report) -> None:
    for path, target in items(config, "targets"):
        endpoints = list(items(target, "endpoints", path))
        seen: dict[str, str] = {}
        for at, endpoint in endpoints:
            url = endpoint.get("url", BROKEN)
            if url is not BROKEN and seen.setdefault(url, at) != at:
                report(f"{at}.url", f"{show(url)} is already {seen[url]}; use weight to send it more")
        urls = [endpoint.get("url", BROKEN) for _, endpoint in endpoints]
        if part(target, "tls") and BROKEN not in urls and not any(url.startswith("https:") for url in urls):
            report(f"{path}.tls", "has no effect, because no endpoint is https")
        _hedge(f"{path}.hedge", part(target, "hedge"), part(target, "timeouts"), report)
        _breaker(f"{path}.breaker", part(target, "breaker"), report)
        authorities = part(target, "tls").get("ca", BROKEN)
        if authorities is not BROKEN:
            _authorities(f"{path}.tls.ca", authorities, report)


def _hedge(path: str, hedge: Mapping[str, Any], timeouts: Mapping[str, Any], report: Report) -> None:
    after, first_byte = hedge.get("after", 0), timeouts.get("first_byte", TargetTimeouts().first_byte)
    if BROKEN not in (after, first_byte) and after >= first_byte:
        report(f"{path}.after", "has no effect, because timeouts.first_byte comes before it")


def _breaker(path: str, breaker: Mapping[str, Any], report: Report) -> None:
    if "slow_ratio" in breaker and "slow" not in breaker:
        report(f"{path}.slow_ratio", "has no effect without slow, which says what a slow answer is")
    shortest, longest = (breaker.get(key, getattr(Breaker(), key)) for key in ("open", "max_open"))
    if BROKEN not in (shortest, longest) and longest < shortest:
        key = "max_open" if "max_open" in breaker else "open"
        report(
            f"{path}.{key}",
            f"max_open {scalars.format_duration(longest)} is shorter than open {scalars.format_duration(shortest)}",
        )


def _authorities(path: str, file: str, report: Report) -> None:
    if why := _unreadable(file):
        report(path, why)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (ssl.SSLError, OSError, ValueError) as error:
        report(path, f"file {show(file)} holds no usable certificates: {_reason(error)}")
