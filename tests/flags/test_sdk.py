"""The official OpenFeature SDK and its OFREP provider against a running admin API."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.admin.flagging import flag_desk
from tests.admin.serving import served
from tests.control.desk import Desk
from tests.flags.sdk import Sdk, sdk

TOKEN = "a-token-of-some-length"  # noqa: S105 - made for this test


def asked(desk: Desk, ask: Callable[[Sdk], Any], headers: dict[str, str] | None = None) -> Any:
    """Serve a desk and ask it in a thread, because the SDK blocks."""

    async def run() -> Any:
        async with served(desk) as client:
            url = str(client.make_url("/"))

            def use() -> Any:
                with sdk(url, headers) as sdk_client:
                    return ask(sdk_client)

            return await asyncio.to_thread(use)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("kind", "flag", "default", "expected"),
    [
        ("Boolean", "bool", False, (True, "STATIC", "on")),
        ("String", "text", "x", ("A", "STATIC", "a")),
        ("Integer", "whole", 0, (10, "STATIC", "ten")),
        ("Float", "float", 0.0, (1.0, "STATIC", "one")),
        ("Object", "object", {}, ({"k": [1, {"d": None}]}, "STATIC", "x")),
        ("Boolean", "disabled", True, (True, "DISABLED", "")),
        ("Boolean", "disabled", False, (False, "DISABLED", "")),
        ("Boolean", "code", True, (True, "UNKNOWN", "")),
        ("Boolean", "nested/key", False, (True, "STATIC", "on")),
    ],
)
def test_each_type_has_its_value_and_its_reason(
    tmp_path: Path, kind: str, flag: str, default: Any, expected: tuple[Any, str, str]
) -> None:
    """The caller's own default where the flag has none, is disabled, or says so."""
    found = asked(flag_desk(tmp_path), lambda client: client.ask(kind, flag, default, "user-1"))
    assert (found.value, str(found.reason), found.variant, found.error_code) == (*expected, None)
    assert type(found.value) is type(expected[0])


@pytest.mark.parametrize(
    ("kind", "flag", "default", "code"),
    [
        ("Boolean", "nobody", True, "FLAG_NOT_FOUND"),
        ("Integer", "text", 7, "TYPE_MISMATCH"),
        ("Boolean", "whole", True, "TYPE_MISMATCH"),
        ("Integer", "broken", 7, "GENERAL"),
    ],
)
def test_an_error_is_the_default_with_its_code(tmp_path: Path, kind: str, flag: str, default: Any, code: str) -> None:
    """No call raises, and each says what went wrong."""
    found = asked(flag_desk(tmp_path), lambda client: client.ask(kind, flag, default, "user-1", {"x": "y"}))
    assert (found.value, str(found.reason), str(found.error_code)) == (default, "ERROR", code)
    assert found.error_message


def test_targeting_and_metadata_reach_the_caller(tmp_path: Path) -> None:
    """Rules see the attributes of the context."""
    found = asked(
        flag_desk(tmp_path),
        lambda client: [
            client.ask("Boolean", "staff", False, "u", {"email": email}) for email in ("a@example.com", "a@example.org")
        ],
    )
    assert [(each.value, str(each.reason)) for each in found] == [(True, "TARGETING_MATCH"), (False, "UNKNOWN")]
    assert found[0].flag_metadata == {"flagSetId": "demo", "version": "8", "team": "ranking"}


def test_a_split_is_sticky_and_has_its_shares(tmp_path: Path) -> None:
    """Of 100 units about half get each value, and each unit the same value again."""

    def ask(client: Sdk) -> list[str]:
        return [client.ask("String", "split", "", f"user-{number}").value for number in range(100)]

    desk = flag_desk(tmp_path)
    first, again = asked(desk, lambda client: (ask(client), ask(client)))
    assert first == again
    assert 30 < first.count("#f00") < 70  # 4 standard deviations of 5


def test_the_token_goes_where_the_sdk_puts_it(tmp_path: Path) -> None:
    """In a header that the provider's user chooses; without it the answer is an error and the default."""
    (tmp_path / "token").write_text(TOKEN)
    desk = flag_desk(tmp_path, top=f"admin: {{token_file: {tmp_path / 'token'}}}")
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"X-API-Key": TOKEN}):
        assert asked(desk, lambda client: client.ask("Boolean", "bool", False, "u").value, headers) is True
    refused = asked(desk, lambda client: client.ask("Boolean", "bool", False, "u"))
    assert (refused.value, refused.error_message) == (False, "unauthorized")
