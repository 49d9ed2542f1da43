"""What may be a credential is not shown, and what only sounds like one is."""

from typing import Any

import pytest

from router.config.secret import HIDDEN, shown

KAFKA = {
    "use": "kafka",
    "key": "unit",
    "properties_file": "/run/secrets/kafka",
    "properties": {"sasl.username": "router", "sasl.password": "hunter2", "ssl.key.pem": "-----BEGIN"},
}


def test_credentials_of_sinks_are_hidden() -> None:
    """As a whole or one by one: properties of a client, and options of a sink of somebody's own."""
    properties = {"sasl.username": "router", "sasl.password": HIDDEN, "ssl.key.pem": HIDDEN}
    assert shown("$.events.sinks[0]", {"use": "kafka"}) == {"use": "kafka"}
    assert shown("$.events.sinks", [KAFKA]) == [{**KAFKA, "properties": properties}]
    assert shown('$.events.sinks[0].properties["sasl.password"]', "hunter2") == HIDDEN
    assert shown("$.events.sinks[1].api_token", "x") == HIDDEN
    assert shown("$.events.sinks[0].key", "unit") == "unit"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.routes[0].match.headers", {"authorization": "Bearer x"}),
        ("$.targets[0].headers.set", {"x-api-key": "x"}),
    ],
)
def test_credentials_in_header_fields_are_hidden(path: str, value: dict[str, Any]) -> None:
    """Wherever fields are named."""
    assert shown(path, value) == dict.fromkeys(value, HIDDEN)


@pytest.mark.parametrize("path", ["$.server.signing.keys_file", "$.admin.token_file", "$.experiments[0].name"])
def test_names_of_files_are_shown(path: str) -> None:
    """They say where to look, and nothing else."""
    assert shown(path, "x") == "x"
