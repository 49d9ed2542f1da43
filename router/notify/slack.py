"""Slack's message format, to an incoming webhook.

Responsible for: blocks and their limits, and that no text of ours is taken for markup.
Does not know: how it is sent.

Formats: https://docs.slack.dev/reference/block-kit/blocks and /messaging/formatting-message-text: ``&``, ``<`` and
``>`` are escaped, so no text can mention a channel or disguise a link; a section holds at most 3,000 characters, a
header 150. ``text`` is what a phone's notification shows.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.config.terms import File, Timeout
from router.events.rollout import Found
from router.notify.notice import Notice, Post
from router.notify.webhook import Url, one_place

HEADER_MOST: Final = 150
SECTION_MOST: Final = 3000
FOUND_MOST: Final = 5
"""Guardrails that are told; all of them are in the decision log."""
Called = Annotated[str, Meta(pattern=r"^(@here|@channel|[UWS][A-Z0-9]{2,20})$")]
_MARKS: Final = {"critical": ":red_circle:", "warning": ":large_yellow_circle:", "info": ":large_blue_circle:"}


class Slack(Struct, frozen=True, kw_only=True):
    """The notifier."""

    url: Annotated[
        Url | None, Meta(description="the incoming webhook's URL; better in a file, because it is secret")
    ] = None
    url_file: Annotated[File | None, Meta(description="instead: file whose only line is the URL")] = None
    mention: Annotated[
        Called | None,
        Meta(description="who is mentioned when it is critical: `@here`, `@channel`, a user's or a group's id"),
    ] = None
    ca: Annotated[File | None, Meta(description="PEM file with the authorities to trust; default the system's")] = None
    timeout: Annotated[Timeout, Meta(description="how long one attempt may take")] = 10.0

    def __post_init__(self) -> None:
        """Refuse what could never be sent.

        Raises:
            ValueError: With a sentence.
        """
        one_place(self.url, self.url_file)

    def message(self, notice: Notice) -> Post:
        """Return the request."""
        return Post(
            body=msgspec.json.encode(self._payload(notice)),
            url=self.url,
            url_file=self.url_file,
            headers={"content-type": "application/json", "x-router-delivery": notice.id},
            ca=self.ca,
            timeout=self.timeout,
        )

    def _payload(self, notice: Notice) -> dict[str, Any]:
        title = _cut(f"{notice.event}: {notice.experiment}", HEADER_MOST)
        called = f"{_mention(self.mention)} " if self.mention and notice.severity == "critical" else ""
        said = _cut(f"{_MARKS[notice.severity]} {called}{_plain(notice.text)}", SECTION_MOST)
        blocks: list[dict[str, Any]] = [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": said}},
        ]
        telling = [found for found in notice.found if found.status == "fail"] or list(notice.found)
        if telling:
            lines = "\n".join(_line(found) for found in telling[:FOUND_MOST])
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": _cut(lines, SECTION_MOST)}})
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _where(notice)}]})
        return {"text": _cut(_plain(f"{notice.experiment}: {notice.text}"), SECTION_MOST), "blocks": blocks}


def _line(found: Found) -> str:
    dry = " (dry run)" if found.dry_run else ""
    return _cut(f"• *{_plain(found.name)}* {found.status}{dry}: {_plain(found.reason)}", SECTION_MOST // FOUND_MOST - 1)


def _where(notice: Notice) -> str:
    place = f"{notice.step} {notice.stage + 1}" if notice.step in ("stage", "batch") else notice.step
    parts = [
        f"run {notice.run}",
        place,
        notice.status,
        f"share {100 * notice.share:.4g} %",
        f"revision {notice.revision}",
    ]
    if not notice.step:
        parts = [f"revision {notice.revision}"]
    stamp = f"<!date^{int(notice.time)}^{{date_num}} {{time_secs}}|{int(notice.time)}>"
    return " · ".join([stamp, *(part for part in parts if part)])


def _mention(who: str) -> str:
    if who.startswith("@"):
        return f"<!{who[1:]}>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"


def _plain(text: str) -> str:
    """Escape what Slack takes for markup, on one line."""
    joined = " ".join(text.split())
    return joined.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
