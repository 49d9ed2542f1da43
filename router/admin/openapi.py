"""The OpenAPI document of the admin API.

Responsible for: describing each route; a test holds it to the routes of ``router.admin.api``.
Does not know: what the routes do.
"""

from typing import Any, Final

from router.admin.ofrep_openapi import OPERATIONS

# Method and path to a line for people; the order is that of the index page.
SUMMARIES: Final[dict[tuple[str, str], str]] = {
    ("get", "/"): "this list",
    ("get", "/healthz"): "the control process is alive",
    ("get", "/readyz"): "every worker serves a revision, and the router is not shutting down",
    ("get", "/metrics"): "Prometheus metrics, summed over workers",
    ("get", "/v1/revision"): "the present revision, how many workers serve it, and what was refused since",
    ("get", "/v1/revisions"): "the last revisions, newest first, and what changed",
    ("post", "/v1/revisions/{number}/restore"): "bring an earlier revision back, as a new one",
    ("get", "/v1/config"): "the effective configuration, with the origin of each value",
    ("get", "/v1/assign"): "who would serve a request, step by step",
    ("get", "/v1/targets"): "targets with their endpoints and counts",
    ("get", "/v1/experiments"): "experiments with their arms, weights and counts",
    ("get", "/v1/experiments/{name}"): "one experiment",
    (
        "get",
        "/v1/experiments/{name}/report",
    ): "what its data say and whether they can be trusted; a page for `Accept: text/html`",
    ("post", "/v1/experiments/{name}/kill"): "put all its units on the control arm, until it is resumed",
    (
        "post",
        "/v1/experiments/{name}/resume",
    ): "end its kill; of a release that is not killed end its pause, or begin again",
    ("post", "/v1/experiments/{name}/drill"): "rehearse a kill and a rollback, of an arm that has no units",
    ("post", "/v1/experiments/{name}/approve"): "let its release go on from the step that waits",
    ("post", "/v1/experiments/{name}/promote"): "take the next step of its release now",
    ("post", "/v1/experiments/{name}/pause"): "keep its release where it is; guardrails go on guarding",
    ("post", "/v1/experiments/{name}/rollback"): "put everybody on control: the new version failed",
    ("post", "/v1/experiments/{name}/abort"): "put everybody on control: the release is given up",
    ("get", "/v1/experiments/{name}/decisions"): "what was decided about it and why, newest first",
    ("get", "/v1/experiments/{name}/postmortems"): "reports about its releases that were taken back, newest first",
    ("get", "/v1/experiments/{name}/postmortems/{id}"): "one of them; a page for `Accept: text/html`",
    ("get", "/v1/watch"): "streams that are watched: what each is like, what was usual, anomalies that last",
    ("get", "/v1/events"): "server-sent events: decisions about releases and new revisions, as they come",
    ("post", "/v1/outcomes"): "take outcomes: one, an array, or lines; acknowledged once they are on the disk",
    **{route: operation["summary"] for route, operation in OPERATIONS.items()},
    ("get", "/openapi.json"): "this API as an OpenAPI document",
}


def _parameter(name: str, place: str, description: str, **schema: object) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": {"type": "string", **schema},
    }


_EXPERIMENT: Final = _parameter("name", "path", "name of the experiment")
_SEEN: Final = _parameter("If-Match", "header", "ETag of the experiment that you saw; 412 if it is another one now")
_NEEDED: Final = _parameter(
    "If-Match", "header", "ETag of the experiment that you saw, or *; 428 without, 412 if stale"
)
_ASKS: Final = ("approve", "promote", "pause", "rollback", "abort")
_PARAMETERS: Final[dict[str, list[dict[str, Any]]]] = {
    "/v1/revisions/{number}/restore": [
        _parameter("number", "path", "the revision to bring back", type="integer"),
        _parameter("If-Match", "header", "ETag of the revision that you saw as the present one; 412 if it is not"),
    ],
    "/v1/config": [
        _parameter("region", "query", "whose configuration, of those that layered_by tells apart; default the own"),
        _parameter("cluster", "query", "likewise"),
        _parameter("path", "query", "only values at and below this path, by names: $.experiments[ranker-v2]"),
    ],
    "/v1/assign": [
        _parameter("route", "query", "name of the route; without it, the parameters below find one"),
        _parameter("unit", "query", "the unit, as the route's first source would yield it"),
        _parameter("method", "query", "request method; default POST"),
        _parameter("path", "query", "path, with a query if any; default /"),
        _parameter("host", "query", "host name"),
        _parameter("client_ip", "query", "address of the caller"),
        _parameter("body", "query", "JSON body"),
        _parameter("claims", "query", "claims of a token, as JSON; they are not verified"),
        _parameter("header.NAME", "query", "a header field; likewise cookie.NAME and query.NAME"),
    ],
    "/v1/experiments/{name}": [_EXPERIMENT],
    "/v1/experiments/{name}/report": [_EXPERIMENT],
    "/v1/watch": [_parameter("experiment", "query", "only streams of this experiment")],
    "/v1/experiments/{name}/decisions": [
        _EXPERIMENT,
        _parameter("limit", "query", "at most so many, up to 1000; default 100", type="integer"),
        _parameter("before", "query", "only older ones than this; `before` of an answer, to go on"),
        _parameter("run", "query", "of this run of the experiment", type="integer"),
        _parameter("action", "query", "what was done: rollback, advance, …; several with commas"),
        _parameter("since", "query", "not before, in unix seconds", type="number"),
        _parameter("until", "query", "not after, in unix seconds", type="number"),
    ],
    "/v1/experiments/{name}/postmortems": [_EXPERIMENT],
    "/v1/experiments/{name}/postmortems/{id}": [_EXPERIMENT, _parameter("id", "path", "id of the report")],
    "/v1/events": [
        _parameter("experiment", "query", "only decisions about this experiment"),
        _parameter("Last-Event-ID", "header", "number of the last decision that was seen; default from now on"),
    ],
    "/v1/experiments/{name}/kill": [_EXPERIMENT, _SEEN],
    "/v1/experiments/{name}/resume": [_EXPERIMENT, _SEEN],
    "/v1/experiments/{name}/drill": [_EXPERIMENT, _SEEN],
    **{f"/v1/experiments/{{name}}/{what}": [_EXPERIMENT, _NEEDED] for what in _ASKS},
}
_TYPES: Final = {"/": "text/html", "/metrics": "text/plain", "/v1/events": "text/event-stream"}
_SWITCHED: Final = {
    "400": "the body or If-Match is not right",
    "403": "asked by a page of another origin",
    "404": "there is no such experiment",
    "412": "the experiment is not what it was",
    "503": "the workers cannot be told, or the counters have no room for another phase",
}
_ASKED: Final = {
    "409": "the release is not where that makes sense; `detail` says why",
    "428": "If-Match is missing",
}
_FAILURES: Final[dict[str, dict[str, str]]] = {
    "/readyz": {"503": "not ready; `detail` says why"},
    "/v1/revisions/{number}/restore": {
        "400": "the body or If-Match is not right",
        "403": "asked by a page of another origin",
        "404": "there is no such revision",
        "409": "only a restart could apply it",
        "412": "the present revision is another one",
    },
    "/v1/config": {"400": "the path is none", "404": "no such value, region or cluster"},
    "/v1/assign": {"400": "an unknown parameter", "404": "there is no such route"},
    "/v1/outcomes": {
        "400": "the body is no JSON; nothing was taken",
        "403": "asked by a page of another origin",
        "408": "the body did not come in time",
        "413": "the body is too long, or holds too many outcomes",
        "415": "neither application/json nor application/x-ndjson",
        "422": "every outcome was refused; `refused` says why",
        "503": "it cannot be written now, and nothing was taken; send it again after `Retry-After` seconds",
    },
    "/v1/experiments/{name}": {"404": "there is no such experiment"},
    "/v1/experiments/{name}/report": {"404": "there is no such experiment"},
    "/v1/experiments/{name}/decisions": {
        "400": "a parameter is not right",
        "404": "there is no such experiment, and nothing was decided about one",
        "503": "older ones cannot be read",
    },
    "/v1/experiments/{name}/postmortems": {"404": "there is no such experiment, and no report about one"},
    "/v1/experiments/{name}/postmortems/{id}": {"404": "there is no such report"},
    "/v1/events": {"503": "there are too many streams; `Retry-After` says when to come back"},
    "/v1/experiments/{name}/kill": _SWITCHED,
    "/v1/experiments/{name}/resume": _SWITCHED | _ASKED,
    "/v1/experiments/{name}/drill": _SWITCHED | {"409": "an arm has traffic, or it is killed; `detail` says which"},
    **{f"/v1/experiments/{{name}}/{what}": _SWITCHED | _ASKED for what in _ASKS},
}
_OUTCOME: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "outcome"],
    "properties": {
        "id": {"type": "string", "maxLength": 128, "description": "of the sender's choice; a repeat changes nothing"},
        "outcome": {"type": "string", "maxLength": 64, "description": "what happened, as metrics name it"},
        "value": {"type": ["number", "boolean"], "default": 1},
        "time": {"type": ["number", "string"], "description": "unix seconds, or RFC 3339; default now"},
        "assignment": {"type": "string", "description": "the header x-router-assignment, as received"},
        "request_id": {"type": "string", "maxLength": 128},
        "unit": {"type": ["string", "integer"]},
        "item": {"type": ["string", "integer"], "description": "id of the item of an interleaved list, if about one"},
    },
    "oneOf": [{"required": ["assignment"]}, {"required": ["request_id"]}, {"required": ["unit"]}],
    "additionalProperties": False,
}
_OUTCOMES: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {"schema": {"oneOf": [_OUTCOME, {"type": "array", "items": _OUTCOME, "maxItems": 10_000}]}},
        "application/x-ndjson": {},
    },
}
_AUTHOR: Final = {"author": {"type": "string", "description": "who asks"}}
_REASON: Final = {"reason": {"type": "string", "description": "why; kept with the author in the journal"}}


def _body(properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"required": False, "content": {"application/json": {"schema": schema}}}


def _operation(method: str, path: str, summary: str) -> dict[str, Any]:
    kind = _TYPES.get(path, "application/json")
    responses: dict[str, Any] = {"200": {"description": summary, "content": {kind: {}}}}
    failures = dict(_FAILURES.get(path, {}))
    if path not in ("/healthz", "/readyz"):
        failures["401"] = "the bearer token is missing or wrong, where one is configured"
    for status, description in sorted(failures.items()):
        responses[status] = {"description": description, "content": {"application/problem+json": {}}}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if path in _PARAMETERS:
        operation["parameters"] = _PARAMETERS[path]
    if path == "/v1/outcomes":
        operation["requestBody"] = _OUTCOMES
    elif method == "post":
        operation["requestBody"] = _body(_AUTHOR | _REASON if path.startswith("/v1/experiments/") else _AUTHOR)
    if path in ("/healthz", "/readyz"):
        operation["security"] = []
    return operation


def _document() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for (method, path), summary in SUMMARIES.items():
        paths.setdefault(path, {})[method] = OPERATIONS.get((method, path)) or _operation(method, path, summary)
    return {
        "openapi": "3.1.0",
        "info": {"title": "router admin API", "version": "1"},
        "security": [{}, {"token": []}],
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
        },
        "paths": paths,
    }


DOCUMENT: Final = _document()
