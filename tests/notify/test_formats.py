"""What notifications look like where people read them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.notify import EVENTS
from router.notify.command import Command
from router.notify.notice import Post
from router.notify.slack import HEADER_MOST, SECTION_MOST, Slack
from router.notify.webhook import Webhook, check_url
from router.testing import check_notifier
from tests.notify.build import FAILED, notice

HOOK = "https://hooks.example/T0/B0/secret"


@pytest.mark.parametrize(
    "notifier", [Webhook(url=HOOK), Slack(url_file="/run/slack", mention="@here"), Command(run=("cat",))], ids=repr
)
def test_the_built_in_notifiers_keep_the_contract(notifier: Any) -> None:
    """As those of anybody else must."""
    check_notifier(notifier)


def test_a_webhook_gets_all_that_is_known() -> None:
    """The document is the one in the docs, and the id is the same at each try."""
    post = Webhook(url=HOOK, headers={"x-team": "ranking"}).message(notice())
    assert (post.url, post.headers["x-router-delivery"], post.headers["x-team"]) == (HOOK, "ramp-1-00000000", "ranking")
    told = json.loads(post.body)
    assert set(told) == {
        "id", "time", "event", "severity", "text", "experiment", "run", "step", "stage", "status", "share", "revision",
        "found", "links",
    }  # fmt: skip
    assert told["event"] in EVENTS
    assert (told["found"][0]["estimate"], told["found"][0]["low"]) == (4.0, 2.1)


def payload(post: Post) -> Any:
    """Read what Slack gets."""
    return json.loads(post.body)


def test_slack_gets_blocks_and_a_text_for_phones() -> None:
    """What happened, what fired and where it was; a mention only when it is critical."""
    slack = Slack(url=HOOK, mention="S0123ABC")
    told = payload(slack.message(notice()))
    assert told["text"] == "ramp: errors doubled"
    kinds = [block["type"] for block in told["blocks"]]
    assert kinds == ["header", "section", "section", "context"]
    assert "<!subteam^S0123ABC>" in told["blocks"][1]["text"]["text"]
    assert "*errors ratio 2* fail: 8 of 100 failed" in told["blocks"][2]["text"]["text"]
    assert "run 3 · stage 2 · over · share 5 % · revision 12" in told["blocks"][3]["elements"][0]["text"]
    assert "subteam" not in json.dumps(payload(slack.message(notice(severity="warning"))))


@given(st.text(max_size=5000), st.text(max_size=300))
def test_no_text_is_markup_for_slack_or_too_long_for_it(text: str, name: str) -> None:
    """A reason that somebody typed mentions nobody and disguises no link; Slack refuses a message that is too long."""
    found = FAILED.__class__(name=name, status="fail", action="rollback", reason=text)
    told = payload(Slack(url=HOOK).message(notice(text=text, experiment=name, found=(found,) * 9)))
    assert len(told["blocks"][0]["text"]["text"]) <= HEADER_MOST
    for block in told["blocks"][1:3]:
        assert len(block["text"]["text"]) <= SECTION_MOST
        assert "<" not in block["text"]["text"]
        assert ">" not in block["text"]["text"]
    assert "<" not in told["text"]


def test_a_command_gets_json_and_no_shell() -> None:
    """Nothing of the text is on the command line."""
    run = Command(run=("/usr/bin/page", "--team", "ranking")).message(notice(text="$(rm -rf /)"))
    assert run.argv == ("/usr/bin/page", "--team", "ranking")
    assert json.loads(run.stdin)["text"] == "$(rm -rf /)"


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://h/", "http://", "http://u:p@h/", "http://h/ x", "http://h/#f", "http://h:0/", "http://h:99999/",
        "//h",
        "http://h/\n", "http://[::1", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_a_url_that_nothing_can_be_sent_to_is_refused_without_repeating_it(url: str) -> None:
    """It may hold a secret, and the sentence goes into logs."""
    with pytest.raises(ValueError, match="url is not http") as caught:
        check_url(url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"url": HOOK, "url_file": "/f"}, {"url": HOOK, "headers": {"Host": "x"}},
        {"url": HOOK, "headers": {"x": "a\r\nb: c"}}, {"url": HOOK, "headers": {"x y": "z"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_webhook_that_could_not_be_sent_is_refused(options: dict[str, Any]) -> None:
    """When the file is read, not when traffic was rolled back at night."""
    with pytest.raises(ValueError, match=r"url|headers"):
        Webhook(**options)


class Broken:
    """A notifier that is no struct."""

    def message(self, _notice: object) -> Post:
        """Return a request."""
        return Post(body=b"", url=HOOK)


class Random(Webhook, frozen=True):
    """A notifier whose requests go nowhere."""

    def message(self, notice: object) -> Post:
        """Return a request without a place."""
        del notice
        return Post(body=b"")


@pytest.mark.parametrize(
    ("notifier", "said"), [(Broken(), "not a frozen"), (Random(url=HOOK), 'one of "url"')], ids=["struct", "place"]
)
def test_the_check_says_what_is_wrong(notifier: Any, said: str) -> None:
    """A check that cannot fail would prove nothing."""
    with pytest.raises(AssertionError, match=said):
        check_notifier(notifier)
