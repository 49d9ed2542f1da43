"""The schemas of OFREP's own OpenAPI document, to hold answers against.

Two sentences of the document cannot be meant as they stand. The six kinds of value in ``evaluationSuccess`` stand under
``oneOf``, but the schema of a flag without a value fits every object and a whole number is also a number, so that no
answer with a value fits exactly one of them: they are read as ``anyOf``. ``context`` requires ``targetingKey``, which
the official providers leave out when there is none; only answers are held against schemas here.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_FILE = Path(__file__).parents[1] / "flags" / "ofrep" / "openapi-0.3.0.yaml"


@cache
def document() -> dict[str, Any]:
    """Return the document, with the kinds of value as ``anyOf``."""
    whole: dict[str, Any] = yaml.safe_load(_FILE.read_text())
    kinds = whole["components"]["schemas"]["evaluationSuccess"]["allOf"][1]
    assert len(kinds["oneOf"]) == 6
    kinds["anyOf"] = kinds.pop("oneOf")
    return json.loads(json.dumps(whole, default=str))  # type: ignore[no-any-return] # YAML's dates are text in JSON


@cache
def _validator(name: str) -> Any:
    resource = DRAFT202012.create_resource(document())
    registry: Any = Registry().with_resource("ofrep:", resource)
    return Draft202012Validator({"$ref": f"ofrep:#/components/schemas/{name}"}, registry=registry)


def check(name: str, answer: Any) -> None:
    """Hold an answer against a schema of the document.

    Raises:
        jsonschema.ValidationError: If it does not fit.
    """
    _validator(name).validate(answer)


def check_response(path: str, status: int, answer: Any) -> None:
    """Hold an answer against what the document says of a path and a status.

    Raises:
        AssertionError: If the document does not have the status.
        jsonschema.ValidationError: If the answer does not fit.
    """
    responses = document()["paths"][path]["post"]["responses"]
    assert str(status) in responses, f"{status} is not a status of {path}"
    content = responses[str(status)].get("content")
    if content is not None:
        check(content["application/json"]["schema"]["$ref"].rpartition("/")[2], answer)
