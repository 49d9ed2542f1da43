"""OFREP's routes in the OpenAPI document of the admin API.

Responsible for: describing them in the words of the protocol's own document, version 0.3.0.
Does not know: what the routes do (``ofrep``, ``stream``), the other routes (``openapi``).
"""

from typing import Any, Final

_CONTEXT: Final = {
    "type": "object",
    "required": ["context"],
    "properties": {
        "context": {
            "type": "object",
            "properties": {"targetingKey": {"type": "string", "description": "whom the evaluation is for"}},
            "additionalProperties": True,
        }
    },
}
_FAILURE: Final = {
    "type": "object",
    "required": ["errorCode"],
    "properties": {
        "key": {"type": "string"},
        "errorCode": {
            "enum": ["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"],
        },
        "errorDetails": {"type": "string"},
    },
}
_SUCCESS: Final = {
    "type": "object",
    "required": ["key", "reason", "variant"],
    "properties": {
        "key": {"type": "string"},
        "value": {"description": "of the flag's type; absent when the caller's own default is meant"},
        "reason": {"enum": ["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN"]},
        "variant": {"type": "string"},
        "metadata": {"type": "object"},
    },
}
_ALL: Final = {
    "type": "object",
    "required": ["flags"],
    "properties": {
        "flags": {"type": "array", "items": {"anyOf": [_SUCCESS, _FAILURE]}},
        "metadata": {"type": "object"},
        "eventStreams": {"type": "array", "items": {"type": "object", "required": ["type"]}},
    },
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{}, {"token": []}, {"key": []}]


def _json(description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": schema} if schema is not None else {}}
    return {"description": description, "content": content}


def _refused(more: dict[str, Any]) -> dict[str, Any]:
    problem: dict[str, Any] = {"application/problem+json": {}}
    return {
        **more,
        "401": {"description": "the token is missing or wrong, where one is configured", "content": problem},
        "403": {"description": "asked by a page of another origin", "content": problem},
    }


def _evaluation(summary: str, parameters: list[dict[str, Any]], responses: dict[str, Any]) -> dict[str, Any]:
    common = {
        "400": _json("the body is no JSON, or its context is not right; or the flag cannot be evaluated", _FAILURE),
        "500": _json("the evaluation failed; the log says why", {"type": "object"}),
    }
    return {
        "summary": summary,
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _CONTEXT}}},
        "responses": dict(sorted(_refused({**responses, **common}).items())),
        "security": _SECURITY,
    }


def _parameter(name: str, place: str, description: str) -> dict[str, Any]:
    required = place == "path"
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }


OPERATIONS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("post", "/ofrep/v1/evaluate/flags"): _evaluation(
        "evaluate all flags (OpenFeature Remote Evaluation Protocol)",
        [
            _parameter("If-None-Match", "header", "ETag of an earlier answer to the same context"),
            _parameter("flagConfigEtag", "query", "`etag` of the event that this request follows"),
            _parameter("flagConfigLastModified", "query", "`lastModified` of the event that this request follows"),
        ],
        {
            "200": _json("every flag, or why it cannot be evaluated", _ALL),
            "304": {"description": "nothing has changed"},
        },
    ),
    ("post", "/ofrep/v1/evaluate/flags/{key}"): _evaluation(
        "evaluate one flag (OpenFeature Remote Evaluation Protocol)",
        [_parameter("key", "path", "key of the flag")],
        {"200": _json("the flag", _SUCCESS), "404": _json("there is no such flag", _FAILURE)},
    ),
    ("get", "/ofrep/v1/events"): {
        "summary": "changes of the flags, as server-sent events `refetchEvaluation`",
        "responses": _refused(
            {
                "200": {"description": "events until the reader goes", "content": {"text/event-stream": {}}},
                "503": {"description": "there are too many streams", "content": {"application/problem+json": {}}},
            }
        ),
        "security": _SECURITY,
    },
}
