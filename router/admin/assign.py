"""Who would serve a request, answered from the present table, step by step.

Responsible for: making the request that a person describes in a query string, and showing the decision.
Does not know: HTTP; how a decision is made (``router.routing``).

Rules: pure; nothing is counted or logged as an exchange.
"""

import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from router.routing.decide import RoutePlan
from router.routing.explain import explain
from router.routing.request import Request, pointer_tokens
from router.routing.source import text
from router.routing.table import Table
from router.routing.trial import WHOLE

_PLAIN = ("route", "unit", "method", "path", "host", "client_ip", "body", "claims")
_PREFIXES = ("header.", "cookie.", "query.")


def assign(table: Table, parameters: Iterable[tuple[str, str]], now: float) -> dict[str, Any]:
    """Say who would serve.

    Args:
        table: The compiled revision.
        parameters: ``route`` or what finds one (``path``, ``method``, ``host``, ``header.NAME``, ``query.NAME``,
            ``cookie.NAME``, ``body``, ``claims`` of a token), and ``unit`` or what it is read from.
        now: Unix seconds; what depends on the moment is answered for this one.

    Returns:
        Route, unit, target, every experiment of the route with what came of it, and the steps that led there;
        ``route`` is None when none matches. ``experiment``, ``arm``, ``propensity`` and ``override`` are those of the
        first experiment that was entered.

    Raises:
        LookupError: If there is no route of the given name.
        ValueError: If a parameter is not one of these.
    """
    given = dict(parameters)
    for name in given:
        if name not in _PLAIN and not name.startswith(_PREFIXES):
            known = ", ".join((*_PLAIN, *(f"{prefix}NAME" for prefix in _PREFIXES)))
            raise ValueError(f"{name!r} is not a parameter; there are: {known}")
    request = _request(given)
    request.now = now
    route = given.get("route")
    if route is not None and route not in table.routes:
        raise LookupError(f"there is no route {route!r}")
    plan = table.pick(table.routes[route], request) if route is not None else table.find(request)
    if isinstance(plan, RoutePlan) and given.get("unit"):
        _present(plan, request, given["unit"])
    steps = [msgspec.to_builtins(step) for step in explain(table, request, route)]
    answer: dict[str, Any] = {"revision": table.number, "route": None}
    if isinstance(plan, RoutePlan):
        decision = plan.decide(request)
        enrolment = next(iter(decision.enrolments), None)
        answer = {
            "revision": table.number,
            "route": plan.name,
            "unit": decision.unit,
            "unit_source": decision.unit_source,
            "experiment": enrolment.experiment if enrolment else None,
            "arm": decision.arm,
            "target": decision.target,
            "propensity": enrolment.propensity if enrolment else None,
            "override": enrolment.override if enrolment else False,
            "holdouts": decision.holdouts,
            "experiments": _experiments(plan, request),
        }
    return {**answer, "steps": steps}


def _experiments(plan: RoutePlan, request: Request) -> list[dict[str, Any]]:
    """Show every experiment of a route, in the order in which they are asked."""
    if plan.structure is None:
        return []
    enrolled = plan.enrol(request, told=True)
    views = []
    for seen in enrolled.seen or ():
        arm = seen.arm
        said = None if arm is None else (arm.forced if enrolled.forced else arm.enrolments)[0]
        views.append(
            {
                "experiment": seen.trial.experiment,
                "layer": seen.layer.name,
                "result": seen.result,
                "point": None if seen.point is None else seen.point / WHOLE,
                "unit": seen.unit,
                "arm": arm.name if arm else None,
                "target": arm.target if arm else None,
                "propensity": said.propensity if said else None,
                "override": said.override if said else False,
                "run": said.run if said else None,
                "phase": said.phase if said else None,
            }
        )
    return views


def _request(given: dict[str, str]) -> Request:
    fields = {
        name.removeprefix("header.").lower().encode(): value.encode()
        for name, value in given.items()
        if name.startswith("header.")
    }
    cookies = "; ".join(
        f"{name.removeprefix('cookie.')}={value}" for name, value in given.items() if name.startswith("cookie.")
    )
    if cookies:
        fields[b"cookie"] = cookies.encode()
    path, _, query = given.get("path", "/").partition("?")
    pairs = [
        f"{quote(name.removeprefix('query.'))}={quote(value)}"
        for name, value in given.items()
        if name.startswith("query.")
    ]
    return Request(
        id=secrets.token_hex(16),
        method=given.get("method", "POST").upper().encode(),
        path=path.encode(),
        query="&".join([*([query] if query else []), *pairs]).encode(),
        host=given.get("host", "").lower().encode(),
        client=given.get("client_ip", ""),
        fields=fields,
        # Without one the request has no body, rather than one that was not read yet.
        body=given.get("body", "").encode(),
        # Who asks here knows what a token would say; nothing is verified.
        claims=(lambda _: given["claims"].encode()) if "claims" in given else None,
    )


def _present(plan: RoutePlan, request: Request, unit: str) -> None:
    """Put the unit where the route looks first."""
    if not plan.sources:
        return
    kind, _, name = plan.sources[0].label.partition(":")
    data = unit.encode()
    if kind == "header":
        request.fields[name.lower().encode()] = data
    elif kind == "cookie":
        others = request.fields.get(b"cookie", b"")
        request.fields[b"cookie"] = name.encode() + b"=" + data + (b"; " + others if others else b"")
    elif kind == "query":
        request.query = b"&".join(
            part for part in (f"{quote(name)}={quote(unit, safe='')}".encode(), request.query) if part
        )
    elif kind in {"json", "jwt"}:
        document: Any = unit
        for token in reversed(pointer_tokens(name)):
            document = {token: document}
        encoded = msgspec.json.encode(document)
        if kind == "json":
            request.body, request.contents = encoded, None
        else:
            request.claims = lambda _: encoded
    elif kind == "client_ip":
        request.client = text(data)
    else:
        request.id = unit
