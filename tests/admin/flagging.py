"""Flag files for the tests of OFREP, and a desk that has them."""

import json
from pathlib import Path
from typing import Any

from router.config.flags import kind_of
from tests.control.build import yaml
from tests.control.desk import Desk

FLAGS: dict[str, Any] = {
    "metadata": {"flagSetId": "demo", "version": "7"},
    "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.com"]}},
    "flags": {
        "bool": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
        "text": {"state": "ENABLED", "variants": {"a": "A", "none": ""}, "defaultVariant": "a"},
        "whole": {"state": "ENABLED", "variants": {"one": 1, "ten": 10}, "defaultVariant": "ten"},
        "float": {"state": "ENABLED", "variants": {"one": 1, "half": 0.5}, "defaultVariant": "one"},
        "object": {"state": "ENABLED", "variants": {"x": {"k": [1, {"d": None}]}}, "defaultVariant": "x"},
        "disabled": {"state": "DISABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
        "code": {"state": "ENABLED", "variants": {"on": True, "off": False}},
        "nested/key": {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"},
        "staff": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"if": [{"$ref": "staff"}, "on"]},
            "metadata": {"team": "ranking", "version": "8"},
        },
        "split": {
            "state": "ENABLED",
            "variants": {"red": "#f00", "blue": "#00f"},
            "defaultVariant": "red",
            "targeting": {"fractional": [["red", 50], ["blue", 50]]},
        },
        "broken": {
            "state": "ENABLED",
            "variants": {"a": 1},
            "defaultVariant": "a",
            "targeting": {"if": [{"var": "x"}, {"var": "x"}, "a"]},
        },
    },
}


def flag_desk(folder: Path, flags: dict[str, Any] = FLAGS, top: str = "", keys: str = "") -> Desk:
    """Make a control process with one flag file."""
    write_flags(folder, flags)
    return Desk(folder, yaml(top=f"{top}\nflags: {{files: [flags/*.json]{keys}}}"))


def write_flags(folder: Path, flags: dict[str, Any] = FLAGS) -> Path:
    """Write the flag file of a desk."""
    file = folder / "flags" / "1.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(flags))
    return file


def changed(key: str, **keys: Any) -> dict[str, Any]:
    """Return the flags with one of them changed."""
    return {**FLAGS, "flags": {**FLAGS["flags"], key: {**FLAGS["flags"][key], **keys}}}


def kind(key: str) -> str:
    """Return the type of a flag."""
    return kind_of(FLAGS["flags"][key]["variants"].values()) or ""
