"""What ``router status`` and ``router restore`` do, and how all commands talk to the admin API of a running router.

Responsible for: the request, the token, one clear sentence when something is in the way, and writing the answer.
Does not know: how the answers come about.

Rules: no proxy, no redirect: the token goes to the address that was named and nowhere else.
"""

import http.client
import json
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table as Grid

from router.command.terminal import console
from router.config.scalars import Url, parse_url

_TIMEOUT_S = 10.0
_ANSWER_BYTES = 16 * 1024 * 1024


class AdminError(Exception):
    """The admin API could not be asked, or said no; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Admin:
    """Where a running router listens for operators, and the token that it wants."""

    url: Url
    token: str | None

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: dict[str, Any] | None = None
    ) -> tuple[Any, str | None]:
        """Send a request.

        Args:
            method: request method.
            path: path of the admin API.
            headers: further header fields.
            body: a JSON document to send.

        Returns:
            The JSON document of the answer, and its ETag.

        Raises:
            AdminError: when there is no answer, or one of 300 and above.
        """
        fields = {"accept": "application/json", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            fields["content-type"] = "application/json"
        status_code, answer, tag = self._send(method, path, fields, data)
        try:
            document = json.loads(answer) if answer else None
        except ValueError as error:
            raise AdminError(f"{self._where} does not answer as an admin API does (status {status_code})") from error
        if status_code >= http.client.MULTIPLE_CHOICES:
            raise AdminError(_refusal(self._where, status_code, document))
        return document, tag

    def text(self, path: str) -> str:
        """Return a page of text, such as ``/metrics``.

        Raises:
            AdminError: when there is no answer, or one of 300 and above.
        """
        status_code, answer, _ = self._send("GET", path, {"accept": "text/plain"}, None)
        if status_code >= http.client.MULTIPLE_CHOICES:
            raise AdminError(_refusal(self._where, status_code, None))
        return answer.decode("utf-8", "replace")

    @property
    def _where(self) -> str:
        return f"{self.url.host}:{self.url.port}"

    def _send(
        self, method: str, path: str, fields: dict[str, str], data: bytes | None
    ) -> tuple[int, bytes, str | None]:
        if self.token is not None:
            fields["authorization"] = f"Bearer {self.token}"
        connection = self._connection()
        try:
            connection.request(method, path, body=data, headers=fields)
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_BYTES), response.getheader("etag")
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise AdminError(f"no answer from the admin API at {self._where}: {reason}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self.url.host, self.url.port, timeout=_TIMEOUT_S, context=context)
        return http.client.HTTPConnection(self.url.host, self.url.port, timeout=_TIMEOUT_S)


def connect(url: str, token_file: Path | None) -> Admin:
    """Make the address of an admin API from the command line.

    Raises:
        AdminError: when the URL or the token file cannot be used.
    """
    try:
        token = _token(token_file.read_text("ascii")) if token_file is not None else None
        return Admin(parse_url(url), token)
    except UnicodeDecodeError as error:
        raise AdminError(f"--token-file {token_file} does not hold a token") from error
    except OSError as error:
        raise AdminError(f"--token-file {token_file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise AdminError(f"--admin {error}") from error


def _token(text: str) -> str:
    """Give the token of a file: its only word, or that of its first line with a name."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return lines[0][-1] if len(lines) > 1 or (lines and len(lines[0]) == 2) else text.strip()


def status(admin: Admin, *, as_json: bool) -> int:
    """Show what revision a router serves, what it refused, its experiments and its targets.

    Raises:
        AdminError: when the router could not be asked.
    """
    revision, _ = admin.ask("GET", "/v1/revision")
    targets, _ = admin.ask("GET", "/v1/targets")
    experiments, _ = admin.ask("GET", "/v1/experiments")
    if as_json:
        document = {"revision": revision, "experiments": experiments, "targets": targets}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    output = console()
    for line in _revision(revision):
        output.print(line, soft_wrap=True)
    for experiment in experiments["experiments"]:
        for line in _experiment(experiment):
            output.print(line, soft_wrap=True)
    output.print(_targets(targets["targets"]))
    return 0


def restore(admin: Admin, number: int, *, as_json: bool) -> int:
    """Bring back an earlier revision, as a new one; refused when another change came in between."""
    revision, tag = admin.ask("GET", "/v1/revision")
    tag = tag or f'"{revision.get("number") if isinstance(revision, dict) else ""}"'
    answer, _ = admin.ask("POST", f"/v1/revisions/{number}/restore", {"if-match": tag})
    if as_json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        made = answer.get("number", "?") if isinstance(answer, dict) else "?"
        sys.stdout.write(f"revision {made} restores revision {number}\n")
    return 0


def _refusal(where: str, status_code: int, document: object) -> str:
    if status_code == http.client.UNAUTHORIZED:
        return f"{where} wants a token; name its file with --token-file"
    detail = ""
    if isinstance(document, dict):
        detail = str(document.get("detail") or document.get("title") or document.get("error") or "")
    return f"{where} refused with status {status_code}" + (f": {detail}" if detail else "")


def _revision(found: dict[str, Any]) -> Iterator[str]:
    """Say what is served, and what is not."""
    moment = _moment(found["time"])
    yield f"revision {found['number']} since {moment}, by {found['cause']}, author {found['author']}"
    yield f"served by {found['acknowledged']} of {found['workers']} workers"
    if found["held"]:
        yield "it was restored, and holds until the file changes"
    if found["rejected"]:
        yield f"the file is refused since {_moment(found['rejected']['time'])}:"
        yield from (f"  {mistake['text']}" for mistake in found["rejected"]["mistakes"])


def _experiment(found: dict[str, Any]) -> Iterator[str]:
    """Say where an experiment is, in a line; a kill, invalid data and warnings in one more each."""
    arms = ", ".join(f"{arm['name']} {arm['share']:.4g}" for arm in found["arms"])
    yield f"experiment {found['name']} run {found['run']} phase {found['phase']}: {arms}"
    yield from _bandit(found.get("bandit"))
    release = found.get("release")
    if release is not None and release.get("step") is not None:
        yield f"  release: {place(release)}, {release['status']}: {release['reason']}"
    killed, invalid, quality = found["killed"], found.get("invalid"), found.get("quality") or {}
    if killed is not None:
        reason = f": {killed['reason']}" if killed["reason"] else ""
        yield f"  killed since {_moment(killed['time'])} by {killed['by']}{reason}"
    if invalid is not None:
        yield f"  INVALID until fixed, since {_moment(invalid['time'])}: {invalid['reason']}"
    elif quality.get("status") is not None:
        yield f"  data quality at {_moment(quality['time'])}: {quality['status']}"
    if quality.get("problem") is not None:
        yield f"  data quality is not known: {quality['problem']}"


def _bandit(found: dict[str, Any] | None) -> Iterator[str]:
    """Say what a bandit has learned of each arm, in a line; what is to come and what is wrong in one more each."""
    if found is None:
        return
    learned = found["learned"]
    if learned is None:
        yield f"  {found['policy']}: nothing learned of {found['reward']} yet"
    elif "arms" in learned:
        state = "" if learned["warm"] else ", warming up"
        known = ", ".join(
            f"{name} {arm['observations']} observations"
            + ("" if arm["reward"] is None else f" reward {arm['reward']:.4g}")
            + ("" if arm["best"] is None else f" best {arm['best']:.3g}")
            for name, arm in learned["arms"].items()
        )
        yield f"  {found['policy']} of {found['reward']} at {_moment(learned['time'])}{state}: {known}"
    if found["coming"] is not None:
        weights = ", ".join(f"{name} {weight:.4g}" for name, weight in found["coming"]["weights"].items())
        yield f"  from {_moment(found['coming']['start'])} on: {weights}"
    if found["problem"] is not None:
        yield f"  the weights in force stay: {found['problem']}"


def place(release: dict[str, Any]) -> str:
    """Say where a release is; stages and batches are counted from 1."""
    step = str(release["step"])
    return f"{step} {release['stage'] + 1}" if step in ("stage", "batch") else step.replace("_", " ")


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _targets(found: list[dict[str, Any]]) -> Grid:
    grid = Grid(box=None, pad_edge=False)
    for title in ("target", "version", "in flight", "requests", "codes", "faults", "endpoints"):
        grid.add_column(title, justify="right" if title in ("in flight", "requests") else "left", overflow="fold")
    for target in found:
        grid.add_row(
            target["name"],
            target["version"] or "",
            str(target["inflight"]),
            str(target["requests"]),
            _counts(target["codes"]),
            _counts(target["faults"]),
            " ".join(endpoint["url"] for endpoint in target["endpoints"]),
        )
    return grid


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in found.items() if count)
