"""``notify``: built-ins and notifiers of your own, each with its own options, checked like any other key."""

from pathlib import Path
from typing import Any

import pytest

from router.config.diff import differences
from router.config.load import ConfigError, load_text
from router.config.notify_references import Subscription, make_notifiers
from router.config.secret import HIDDEN, shown
from router.notify.command import Command
from router.notify.slack import Slack
from router.notify.webhook import Webhook
from tests.control.build import yaml


def notifiers(text: str) -> dict[str, Subscription]:
    """Load notifiers as YAML flow content, and make them."""
    config = load_text(yaml(top=f"notify: [{text}]").encode(), "router.yaml").config
    return make_notifiers(config.notify, Path())


def mistakes(text: str) -> list[str]:
    """Load notifiers that are refused; return what is said."""
    with pytest.raises(ConfigError) as caught:
        notifiers(text)
    return sorted(str(mistake) for mistake in caught.value.mistakes)


def test_notifiers_have_their_options_with_units() -> None:
    """Names tell those of the same kind apart."""
    made = notifiers(
        "{use: webhook, url: 'https://h/x', timeout: 5s, events: [rollback]}, {use: slack, url_file: /run/s},"
        "{use: command, run: [page, ops], severity: critical, experiments: [ramp]}, {use: webhook, url: 'http://i'}"
    )
    assert {name: each.notifier for name, each in made.items()} == {
        "webhook": Webhook(url="https://h/x", timeout=5.0),
        "slack": Slack(url_file="/run/s"),
        "command": Command(run=("page", "ops")),
        "webhook#2": Webhook(url="http://i"),
    }
    assert made["webhook"].wants("rollback", "info", "ramp")
    assert not made["webhook"].wants("stage", "critical", "ramp")
    assert made["command"].wants("stage", "critical", "ramp")
    assert not made["command"].wants("stage", "warning", "ramp")
    assert not made["command"].wants("stage", "critical", "other")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{url: 'http://h'}", '$.notify[0]: key "use" is missing'),
        ("{use: pager}", '$.notify[0].use: "pager" is not one of command, slack, webhook'),
        ("{use: 'router.events.model:Kill'}", "it has no method message"),
        ("{use: webhook}", 'one of "url" and "url_file" says where to'),
        ("{use: webhook, url: 'ftp://h'}", "url is not http"),
        ("{use: webhook, url: 'http://h', evnets: [rollback]}", 'unknown key "evnets"'),
        ("{use: webhook, url: 'http://h', events: [rolback]}", '$.notify[0].events[0]: there is no event "rolback"'),
        ("{use: webhook, url: 'http://h', events: rollback}", "$.notify[0].events: expected a list"),
        ("{use: webhook, url: 'http://h', severity: bad}", '"bad" is not one of info, warning, critical'),
        ("{use: webhook, url: 'http://h', severity: [x]}", "is not one of info, warning, critical"),
        ("{use: webhook, url: 'http://h', events: [[x]]}", "expected text"),
        ("{use: webhook, url: 'http://h', experiments: [rampe]}", "$.notify[0].experiments[0]: there is no experiment"),
        ("{use: webhook, url: 'http://h', headers: {Host: x}}", "'Host' is not a header field that can be set here"),
        ("{use: command, run: ''}", "$.notify[0].run"),
        ("{use: command, run: []}", "$.notify[0].run: needs at least 1 item"),
        ("{use: command, run: [x], timeout: 2h}", "$.notify[0].timeout"),
        ("{use: slack, url: 'http://h', mention: everybody}", "$.notify[0].mention"),
    ],
)
def test_a_mistake_is_said_with_its_place(text: str, said: str) -> None:
    """When the file is read, and not when something has to be told."""
    (found,) = mistakes(text)
    assert said in found
    assert found.startswith("router.yaml:1: ")


def test_the_secrets_of_notifiers_are_not_shown() -> None:
    """Neither by the API nor in what a change says; of a chat's webhook the URL itself is the credential."""
    url = "https://hooks.example/T0/very-secret"
    before = load_text(yaml().encode(), "router.yaml").config
    after = load_text(yaml(top=f"notify: [{{use: slack, url: '{url}'}}]").encode(), "router.yaml").config
    assert "very-secret" not in " ".join(differences(before, after))
    entry: dict[str, Any] = {"use": "webhook", "url": url, "headers": {"authorization": "x"}, "secret_file": "/f"}
    assert shown("$.notify", [entry]) == [
        {"use": "webhook", "url": HIDDEN, "headers": {"authorization": HIDDEN}, "secret_file": "/f"}
    ]
