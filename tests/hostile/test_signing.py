"""Signed headers on the wire: what callers get, and what of theirs counts."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from router import counters
from router.routing.token import Assignment, Override, bound_unit, sign, unit_hash, verify
from tests.harness import Proxy, Response, Target, revision_of
from tests.hostile.wire import OK, head

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32


class Site(NamedTuple):
    """A router in front of two targets, with an experiment whose second arm has weight 0."""

    proxy: Proxy
    old: Target
    new: Target
    keys: Path

    def send(self, *lines: bytes, user: bytes | None = b"u") -> Response:
        """Send a request of a user."""
        own = [] if user is None else [b"x-user-id: " + user]
        with self.proxy.caller() as caller:
            caller.send(head(*own, *lines))
            return caller.response()


def _write(path: Path, *keys: bytes) -> None:
    path.write_bytes(b"\n".join(base64.b64encode(key) for key in keys))


def _yaml(old: Target, new: Target, keys: Path | None, expose: str = "assignment, arm") -> str:
    signing = f"signing: {{keys_file: '{keys}'}}, " if keys is not None else ""
    return (
        f"server: {{{signing}expose: [{expose}]}}\n"
        f"targets: [{{name: old, endpoints: ['{old.url}']}}, {{name: new, endpoints: ['{new.url}']}}]\n"
        "routes: [{name: r, target: old, unit: [header:x-user-id]}]\n"
        "experiments: [{name: e, route: r, "
        "arms: [{name: c, target: old, weight: 1}, {name: t, target: new, weight: 0}]}]\n"
    )


@pytest.fixture
def site(target: Target, tmp_path: Path) -> Iterator[Site]:
    """That router; both targets answer all that comes."""
    keys = tmp_path / "keys"
    _write(keys, KEY, OLD)
    with Target() as other, Proxy(_yaml(target, other, keys)) as made:
        target.answer(OK, times=20)
        other.answer(OK, times=20)
        yield Site(made, target, other, keys)


def _override(key: bytes = KEY, *, arm: str = "t", lasting: float = 60, unit: bytes | None = None) -> bytes:
    bound = None if unit is None else bound_unit(key, unit)
    token = sign(key, Override("e", arm, int(time.time() + lasting), bound))
    return b"X-Router-Override: e=%b; %b" % (arm.encode(), token)


def test_an_assignment_is_signed_and_names_no_unit(site: Site) -> None:
    """Experiment, arm, run, phase, a hash of the unit, propensity and the minute; the same for all of a minute."""
    (line,) = site.send().field(b"x-router-assignment")
    assert b"\r" not in line
    found = verify((KEY,), line, Assignment)
    assert found is not None
    said = found[0]
    assert (said.experiment, said.arm, said.run, said.phase, said.propensity) == ("e", "c", 1, 1, 1.0)
    assert said.unit == unit_hash("e", 1, "u")
    assert said.time % 60 == 0
    assert 0 <= time.time() - said.time < 120
    again = site.send().field(b"x-router-assignment")[0]
    assert again == line or verify((KEY,), again, Assignment) is not None


def test_only_the_enrolled_are_told(site: Site) -> None:
    """Neither a request without a unit, nor one that was forced into an arm."""
    assert site.send(user=None).field(b"x-router-assignment") == []
    assert site.send(_override()).field(b"x-router-assignment") == []


def test_a_signed_override_is_honoured_although_the_arm_has_no_weight(site: Site) -> None:
    """It is served and marked, and no statistic sees it; the target gets nothing of the field."""
    response = site.send(_override())
    assert (response.status, response.field(b"x-router-arm")) == (200, [b"t"])
    (request,) = site.new.requests
    assert b"override" not in request.lower()
    assert b"x-router-experiments: e=t\r\n" in request
    event = site.proxy.event()
    assert (event.target, event.experiments[0].arm, event.experiments[0].override) == ("new", "t", True)
    row = counters.arm_key("e", 1, 1, "t")
    assert sum(site.proxy.word(row, counters.ARM_EXCHANGES + bucket) for bucket in range(256)) == 0
    assert site.send().field(b"x-router-arm") == [b"c"]  # it was not kept for the next one


def test_a_key_that_no_longer_signs_still_verifies(site: Site) -> None:
    """Keys are rotated without a gap: first added, then made the first, then taken away."""
    assert site.send(_override(OLD)).field(b"x-router-arm") == [b"t"]
    _write(site.keys, KEY)
    site.proxy.swap(_yaml(site.old, site.new, site.keys))
    assert site.send(_override(OLD)).field(b"x-router-arm") == [b"c"]
    assert site.send(_override(KEY)).field(b"x-router-arm") == [b"t"]


def test_an_override_for_a_unit_counts_for_that_unit_alone(site: Site) -> None:
    """Somebody else's header is worth nothing."""
    line = _override(unit=b"u")
    assert site.send(line).field(b"x-router-arm") == [b"t"]
    assert site.send(line, user=b"v").field(b"x-router-arm") == [b"c"]
    assert site.send(line, user=None).field(b"x-router-arm") == []


@pytest.mark.parametrize(
    "line",
    [
        b"X-Router-Override: e=t",
        b"X-Router-Override: e=t; ",
        b"X-Router-Override: e=t; a.b",
        _override(FOREIGN),
        _override(lasting=-1),
        _override(arm="nobody"),
        _override().replace(b"e=t;", b"e=c;"),
        _override().replace(b"e=t;", b"f=t;"),
        _override()[:-1],
        _override() + b"\xff",
        b"X-Router-Override: " + b"x" * 8000,
    ],
    ids=["bare", "empty", "no token", "foreign key", "expired", "no arm", "other arm", "other experiment", "cut",
         "more", "long"],
)  # fmt: skip
def test_an_override_that_nobody_allowed_changes_nothing(site: Site, line: bytes) -> None:
    """It is removed as all of ``x-router-*``, and the unit has the arm that it has."""
    response = site.send(line)
    assert (response.status, response.field(b"x-router-arm")) == (200, [b"c"])
    (request,) = site.old.requests
    assert b"override" not in request.lower()
    assert site.new.requests == []


def test_of_two_overrides_the_first_counts(site: Site) -> None:
    """What a caller adds behind another's field changes nothing, and both are removed."""
    assert site.send(b"X-Router-Override: e=t", _override()).field(b"x-router-arm") == [b"c"]
    assert b"override" not in site.old.requests[0].lower()


def test_without_keys_nothing_is_signed_and_nothing_allowed(site: Site) -> None:
    """Taking the section out of the configuration ends every override there is."""
    site.proxy.swap(_yaml(site.old, site.new, None, expose="arm"))
    response = site.send(_override())
    assert (response.field(b"x-router-arm"), response.field(b"x-router-assignment")) == ([b"c"], [])


def test_keys_that_cannot_be_read_again_hold_no_revision_up(site: Site) -> None:
    """A kill must not wait for a file: the revision is served, with the keys of before."""
    revision = revision_of(_yaml(site.old, site.new, site.keys), 2, site.proxy.revision.slots)
    site.keys.write_text("rubbish!")
    site.proxy.call(site.proxy.server.swap, revision)
    assert site.proxy.server.table.number == 2
    assert site.send(_override()).field(b"x-router-arm") == [b"t"]


def test_an_assignment_of_the_targets_own_does_not_pass(site: Site) -> None:
    """A target cannot hand out assignments: what it says under this name is removed."""
    site.old.answer(b"HTTP/1.1 200 OK\r\nX-Router-Assignment: forged\r\nX-Router-Arm: t\r\nContent-Length: 0\r\n\r\n")
    response = site.send()
    assert response.field(b"x-router-arm") in ([b"c"], [b"c"])
    assert b"forged" not in response.field(b"x-router-assignment")
