"""What has to fit together in a blue-green switch and in a rolling replacement.

Responsible for: keys that only they have, a guard that needs no control, smoke tests that can be sent, endpoints that
can be replaced one by one.
Does not know: shapes and ranges of values, which the schema checks; how a release goes on (``router.rollout``).

Rules: those of ``references``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.config.allocate import DRIVEN
from router.config.guardrail_references import standalone
from router.config.mistake import child, show
from router.config.parts import Report, given, items, named, part
from router.config.resolve import BROKEN

SWITCHES: Final = frozenset({"blue_green", "rolling"})
# Key to the kinds of release that have it.
_OWNERS: Final[Mapping[str, frozenset[str]]] = {
    "tests": SWITCHES,
    "ready_within": SWITCHES,
    "hold": SWITCHES,
    "approve": frozenset({"blue_green"}),
    "keep_warm": frozenset({"blue_green"}),
    "batch": frozenset({"rolling"}),
}
# Fields that say where a message ends (RFC 9112 6) or belong to one connection (RFC 9110 7.6.1).
_FRAMING: Final = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_REQUESTS: Final = 10_000  # of a round: what ends within its time at 12 ms each
_CROWDED: Final = "the requests of others would crowd on the old endpoints that are left"
_PARTIAL: Final = ("segment", "coverage", "eligible", "exclude", "prerequisites")

Arms = Sequence[tuple[str, Mapping[str, Any]]]


def check_switch(path: str, experiment: Mapping[str, Any], config: Mapping[str, Any], report: Report) -> None:
    """Report what a blue-green switch or a rolling replacement cannot do with, and their keys where there is none.

    Args:
        path: Of the experiment.
        experiment: The experiment.
        config: The configuration.
        report: Takes mistakes.
    """
    allocate = part(experiment, "allocate")
    use = allocate.get("use", "fixed")
    if use is BROKEN:
        return
    for key, owners in _OWNERS.items():
        if key in allocate and use not in owners:
            report(f"{path}.allocate.{key}", f"has no effect, because only {' and '.join(sorted(owners))} have it")
    if use in DRIVEN:
        _preview(f"{path}.allocate.preview.header", part(allocate, "preview").get("header", BROKEN), report)
    if use not in SWITCHES:
        return
    arms = list(items(experiment, "arms", path))
    _sides(path, use, arms, report)
    if not standalone(experiment):
        report(
            path,
            f"{use} leaves no control to compare with, so it needs a guardrail that needs none, with action rollback: "
            "at_most, at_least, slo, or a `when` that does not name control",
        )
    _tests(path, allocate, _endpoints(arms, config), report)
    if use == "rolling" and len(arms) == 2:
        _replaced(path, experiment, arms, config, report)


def _preview(at: str, header: object, report: Report) -> None:
    if isinstance(header, str) and header.lower().startswith("x-router-"):
        report(at, f"{show(header)} is removed from requests, because the router itself sets such fields")


def _sides(path: str, use: str, arms: Arms, report: Report) -> None:
    """Report arms that are not two different targets."""
    if len(arms) != 2:
        report(f"{path}.arms", f"{use} leads from one target to another, and there are {len(arms)} arms")
    seen: dict[object, str] = {}
    for at, arm in arms:
        if "value" in arm:
            report(f"{at}.value", f"{use} needs arms that are targets")
        if given(arm, "target") and seen.setdefault(arm["target"], at) != at:
            report(f"{at}.target", "is that of the other arm, so there is nothing to release")


def _endpoints(arms: Arms, config: Mapping[str, Any]) -> list[int]:
    """Return how many endpoints each arm's target has; 0 where that is broken."""
    targets = named(config, "targets")
    found = [targets.get(arm.get("target", ""), {}).get("endpoints", ()) for _, arm in arms]
    return [len(each) if isinstance(each, list) else 0 for each in found]


def _tests(path: str, allocate: Mapping[str, Any], endpoints: Sequence[int], report: Report) -> None:
    """Report tests that cannot be sent as they are, and more of them than a round has time for."""
    requests = 0
    for at, test in items(allocate, "tests", f"{path}.allocate"):
        repeat = test.get("repeat", 1)
        requests += repeat if isinstance(repeat, int) else 0
        if "body" in test and "json" in test:
            report(f"{at}.json", "there is a body as well; send one of them")
        if test.get("method") in ("CONNECT", "TRACE"):
            report(f"{at}.method", f"{test['method']} is not for smoke tests")
        for name in part(test, "headers"):
            if name.lower() in _FRAMING:
                report(child(f"{at}.headers", name), f"{show(name)} says where a message ends; the router sets it")
    if requests * max(endpoints, default=0) > _REQUESTS:
        shown = f"{requests} requests to each of {max(endpoints)} endpoints"
        report(f"{path}.allocate.tests", f"{shown} are more than {_REQUESTS}; give the tests fewer repeats")


def _replaced(path: str, experiment: Mapping[str, Any], arms: Arms, config: Mapping[str, Any], report: Report) -> None:
    """Report endpoints that cannot be replaced one by one, and traffic that would crowd on those that are left."""
    count = _endpoints(arms, config)
    names = [arm.get("target", BROKEN) for _, arm in arms]
    if BROKEN in names:
        return
    if 0 not in count and count[0] != count[1]:
        report(
            f"{path}.allocate.use",
            f"rolling replaces each endpoint by one: target {show(names[0])} has {count[0]} and {show(names[1])} has "
            f"{count[1]}; give them as many, or use rollout",
        )
    for key in _PARTIAL:
        if key in experiment:
            report(f"{path}.{key}", f"rolling replaces a target for everybody; {_CROWDED}")
    _shared(path, experiment, names, config, report)


def _shared(
    path: str, experiment: Mapping[str, Any], names: Sequence[object], config: Mapping[str, Any], report: Report
) -> None:
    """Report what else has one of the targets."""
    for at, route in items(config, "routes"):
        if route.get("target") in names and route.get("name") != experiment.get("route"):
            report(f"{at}.target", f"is replaced by the rolling release at {path}; {_CROWDED}")
    for at, other in items(config, "experiments"):
        for place, arm in items(other, "arms", at) if at != path else ():
            if arm.get("target") in names:
                report(f"{place}.target", f"is replaced by the rolling release at {path}; {_CROWDED}")
