"""Flags whose value an experiment gives, for a context that came over OFREP.

Responsible for: which arm of the experiments that drive a flag a context has, and what that makes of the flag.
Does not know: how an arm is assigned (``router.routing``), flag files (``router.flags``), HTTP.

Rules: the arm is the one that a request of the same unit and attributes gets, because the same code assigns it: the
context is put into the body of a request on the experiment's route, whose sources are made to look for it there. The
targeting key is the route's unit. The unit of an experiment with a ``unit`` of its own is the context's key of the
route's attribute that has the same source, and without such an attribute the targeting key; ``request`` is random, so
nobody has one here. What only a request has (path, headers, address) is absent, and who lacks what a rule asks for is
not eligible. Nothing is logged or counted.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from router.config.schema import Experiment, Route
from router.events.model import Revision
from router.flags.evaluate import Resolved
from router.routing.request import Request
from router.routing.source import MAX_UNIT_BYTES
from router.routing.structure import Structure, compile_structure

_KEY: Final = "/targetingKey"
_BODY_MAX: Final = 1024 * 1024  # more than a context has when it is written anew
_NOBODY: Final = "json:/targetingKey/of/a/request"  # a place that a context cannot have


class Driven:
    """The experiments of a revision that drive flags."""

    def __init__(self, revision: Revision) -> None:
        """Compile them.

        Raises:
            KeyError: If the revision lacks a run, a weight or a counter row that they need.
            ValueError: If the configuration says something that its loader refuses.
        """
        # Per revision
        self._values: dict[str, dict[str, Any]] = {}
        self._flags: dict[str, list[Experiment]] = {}
        self._structures: dict[str, Structure] = {}
        for experiment in revision.config.experiments:
            if experiment.flag is not None:
                self._flags.setdefault(experiment.flag, []).append(experiment)
                self._values[experiment.name] = {arm.name: arm.value for arm in experiment.arms}
        routes = {each.route for experiments in self._flags.values() for each in experiments}
        for route in revision.config.routes:
            structure = _compile(route, revision) if route.name in routes else None
            if structure is not None:
                self._structures[route.name] = structure

    def evaluate(self, key: str, unit: str | None, attributes: Mapping[str, Any], now: float) -> Resolved | None:
        """Return what an experiment makes of a flag; None when none drives it, or the unit is in none that does.

        Args:
            key: Key of the flag.
            unit: The targeting key; None without one.
            attributes: The rest of the context, as JSON has it.
            now: Unix seconds.
        """
        experiments = self._flags.get(key)
        if experiments is None or unit is None:
            return None
        request = _request(unit, attributes, now)
        own = unit if len(unit.encode()) <= MAX_UNIT_BYTES else None
        for experiment in experiments:
            enrolled = self._structures[experiment.route].enrol(request, own)
            for arm, _, _ in enrolled.entered:
                said = (arm.forced if enrolled.forced else arm.enrolments)[0]
                if said.experiment == experiment.name:
                    about: dict[str, str | int] = {
                        "experiment": said.experiment,
                        "run": said.run,
                        "phase": said.phase,
                        "arm": arm.name,
                    }
                    metadata = {**about, **({"override": True} if enrolled.forced else {})}
                    return Resolved(key, "SPLIT", arm.name, self._values[said.experiment][arm.name], metadata)
        return None


def _compile(route: Route, revision: Revision) -> Structure | None:
    """Compile the experiments of a route so that they find units and attributes in the body."""
    places = {source: _pointer(name) for name, source in reversed(route.attributes.items())}
    experiments = tuple(
        replace(experiment, unit=tuple(_place(source, places) for source in experiment.unit))
        for experiment in revision.config.experiments
    )
    attributes = {name: _pointer(name) for name in route.attributes}
    asked = replace(route, unit=(f"json:{_KEY}",), attributes=attributes, inspect_bytes=_BODY_MAX)
    return compile_structure(asked, replace(revision, config=replace(revision.config, experiments=experiments)))


def _place(source: str, places: Mapping[str, str]) -> str:
    if source == "request":
        return _NOBODY
    return places.get(source, f"json:{_KEY}")


def _pointer(name: str) -> str:
    """Return the place of a key of the context; names need no escapes there (RFC 6901 section 3)."""
    return f"json:/{name}"


def _request(unit: str, attributes: Mapping[str, Any], now: float) -> Request:
    return Request(
        id="0" * 32,
        method=b"",
        path=b"",
        query=b"",
        host=b"",
        client="",
        fields={},
        body=msgspec.json.encode({**attributes, "targetingKey": unit}),
        now=now,
    )
