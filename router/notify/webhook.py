"""JSON to a URL.

Responsible for: the request.
Does not know: how it is signed and sent.
"""

from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from router.config.terms import File, Timeout
from router.notify.notice import Notice, Post, document

RESERVED: Final = frozenset(
    {"connection", "content-length", "content-type", "host", "transfer-encoding", "x-router-delivery"}
    | {"x-router-signature"}
)
Url = Annotated[str, Meta(min_length=1, max_length=4096)]


class Webhook(Struct, frozen=True, kw_only=True):
    """The notifier."""

    url: Annotated[Url | None, Meta(description="where to; http or https")] = None
    url_file: Annotated[
        File | None, Meta(description="instead: file whose only line is the URL, when it is secret")
    ] = None
    headers: Annotated[dict[str, str], Meta(description="further header fields")] = {}
    secret_file: Annotated[
        File | None, Meta(description="file with a key; then `x-router-signature` says who sent it, and when")
    ] = None
    ca: Annotated[File | None, Meta(description="PEM file with the authorities to trust; default the system's")] = None
    timeout: Annotated[Timeout, Meta(description="how long one attempt may take")] = 10.0

    def __post_init__(self) -> None:
        """Refuse what could never be sent.

        Raises:
            ValueError: With a sentence.
        """
        one_place(self.url, self.url_file)
        for name, value in self.headers.items():
            if not name.isascii() or not name.replace("-", "").isalnum() or name.lower() in RESERVED:
                raise ValueError(f"headers: {name!r} is not a header field that can be set here")
            if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
                raise ValueError(f"headers: the value of {name!r} holds a control character")

    def message(self, notice: Notice) -> Post:
        """Return the request: the notice as JSON, and its id as a header field."""
        return Post(
            body=document(notice),
            url=self.url,
            url_file=self.url_file,
            headers={**self.headers, "content-type": "application/json", "x-router-delivery": notice.id},
            secret_file=self.secret_file,
            ca=self.ca,
            timeout=self.timeout,
        )


def one_place(url: str | None, url_file: str | None) -> None:
    """Check that there is one place to send to.

    Raises:
        ValueError: If there is none, or two, or a URL is none.
    """
    if (url is None) == (url_file is None):
        raise ValueError('one of "url" and "url_file" says where to')
    if url is not None:
        check_url(url)


def check_url(url: str) -> None:
    """Check that something can be sent to a URL.

    Raises:
        ValueError: If not; the message does not hold the URL, which may be a secret.
    """
    if not (url.isascii() and url.isprintable() and " " not in url and _known(url)):
        raise ValueError("url is not http://HOST[:PORT]/PATH, or https, without user name and fragment")


def _known(url: str) -> bool:
    try:
        split = urlsplit(url)
        whole = bool(split.hostname) and split.port != 0
    except ValueError:
        return False
    return whole and split.scheme in ("http", "https") and "@" not in split.netloc and "#" not in url
