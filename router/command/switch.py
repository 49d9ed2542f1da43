"""What ``router kill``, ``resume``, ``approve``, ``promote``, ``pause``, ``rollback`` and ``abort`` do.

Responsible for: asking, waiting until every worker has it, and saying what became of it.
Does not know: the admin API's address and token (``remote``), what a kill or a release is.

Rules: the exit status is 0 only when every worker serves the change. A journal that could not be written is said on
standard error: the change holds now, but might not survive a restart of the whole router.
"""

import json
import sys
import time
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from router.command.remote import Admin, AdminError, place

_WAIT_S: Final = 10.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Why:
    """Who asks, why, and what they saw.

    Attributes:
        author: Who.
        reason: Why.
        seen: Tag of the experiment that they saw; None is as it is now, ``*`` that it does not matter.
    """

    author: str | None
    reason: str | None
    seen: str | None = None


def kill(admin: Admin, name: str, why: Why, *, as_json: bool) -> int:
    """Kill an experiment.

    Raises:
        AdminError: when the router could not be asked, or said no.
    """
    return _switch(admin, name, "kill", why, as_json=as_json)


def drill(admin: Admin, name: str, why: Why, *, as_json: bool) -> int:
    """Rehearse a kill and a rollback of an experiment.

    Raises:
        AdminError: when the router could not be asked, or said no, or not all workers served every step.
    """
    answer = _post(admin, name, "drill", why)
    held = answer["drill"]
    if as_json:
        sys.stdout.write(json.dumps({"experiment": name, **held}, indent=2) + "\n")
    else:
        sys.stdout.write(f"experiment {name}: {held['reason']}\n")
    if "kill_s" not in held or "resume_s" not in held:
        raise AdminError("the drill did not reach all workers in time")
    return 0


def ask(admin: Admin, name: str, what: str, why: Why, *, as_json: bool) -> int:
    """Ask something of a release: ``approve``, ``promote``, …, or ``resume``; refused when it is not what was seen.

    Raises:
        AdminError: when the router could not be asked, or said no.
    """
    seen = why.seen
    if seen is None:  # as it is now: what comes in between is still noticed
        _, tag = admin.ask("GET", f"/v1/experiments/{quote(name, safe='')}")
        seen = (tag or "*").strip('"')
    return _switch(admin, name, what, replace(why, seen=seen), as_json=as_json)


def _switch(admin: Admin, name: str, what: str, why: Why, *, as_json: bool) -> int:
    answer = _post(admin, name, what, why)
    reached = _wait(admin, answer["revision"])
    if as_json:
        sys.stdout.write(json.dumps(answer | {"revision": answer["revision"] | reached}, indent=2) + "\n")
    else:
        arms = ", ".join(f"{arm['name']} {arm['share']:.4g}" for arm in answer["arms"])
        sys.stdout.write(f"experiment {name}: {arms}; served by {reached['acknowledged']} of {reached['workers']}\n")
        release = answer.get("release")
        if release is not None and release.get("step") is not None:
            sys.stdout.write(f"{place(release)}, {release['status']}: {release['reason']}\n")
    if answer["revision"]["journal"] != "written":
        sys.stderr.write("the journal could not be written: a restart of the whole router may not know of this\n")
    if reached["acknowledged"] < reached["workers"]:
        raise AdminError(f"{reached['acknowledged']} of {reached['workers']} workers serve it after {_WAIT_S:g} s")
    return 0


def _post(admin: Admin, name: str, what: str, why: Why) -> dict[str, Any]:
    fields = None if why.seen is None else {"if-match": why.seen if why.seen == "*" else f'"{why.seen}"'}
    said = {"author": why.author, "reason": why.reason}
    body = {key: value for key, value in said.items() if value is not None}
    answer: dict[str, Any] = admin.ask("POST", f"/v1/experiments/{quote(name, safe='')}/{what}", fields, body)[0]
    return answer


def _wait(admin: Admin, reached: dict[str, Any]) -> dict[str, Any]:
    """Look until all workers serve the revision, or a later one, or the time is up."""
    number = reached["number"]
    deadline = time.monotonic() + _WAIT_S
    while reached["acknowledged"] < reached["workers"] and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        found, _ = admin.ask("GET", "/v1/revision")
        reached = {"number": number, "workers": found["workers"], "acknowledged": found["acknowledged"]}
    return {"workers": reached["workers"], "acknowledged": reached["acknowledged"]}
