"""Flags whose value an experiment gives, for a context that came over OFREP.

Responsible for: which arm of the experiments that drive a flag a context has, and what that makes of the flag.
Does not know: how an arm is assigned (``router.routing``), flag files (``router.flags``), HTTP.

Rules: the arm is the one that a request of the same unit and attributes gets, because the same code assigns it: the
context is put into the body of a request, and the revision is compiled once more with routes that look for unit and
attributes there. The targeting key is the route's unit. The unit of an experiment with a ``unit`` of its own is the
context's key of the route's attribute that has the same source, and without such an attribute the targeting key;
``request`` is random, so nobody has one here. What only a request has (path, headers, address) is absent, and who
lacks what a rule asks for is not eligible. Nothing is logged or counted.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from router.config.schema import Config, Experiment, Route
from router.events.model import Revision
from router.flags.evaluate import Resolved
from router.routing.decide import RoutePlan
from router.routing.flag_header import flag_item
from router.routing.request import Request
from router.routing.table import Table, compile_table

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
        config = revision.config
        self._flags: dict[str, list[Experiment]] = {}
        for experiment in config.experiments:
            if experiment.flag is not None:
                self._flags.setdefault(experiment.flag, []).append(experiment)
        self._values = _values(
            (*config.experiments, *(each for other in config.variants for each in other.experiments))
        )
        self._table: Table | None = compile_table(_asking(revision)) if self._flags else None

    def evaluate(self, key: str, unit: str | None, attributes: Mapping[str, Any], now: float) -> Resolved | None:
        """Return what an experiment makes of a flag; None when none drives it, or the unit is in none that does.

        Args:
            key: Key of the flag.
            unit: The targeting key; None without one.
            attributes: The rest of the context, as JSON has it.
            now: Unix seconds.
        """
        experiments, table = self._flags.get(key), self._table
        if experiments is None or table is None or unit is None:
            return None
        request = _request(unit, attributes, now)
        for experiment in experiments:
            plan = table.pick(table.routes[experiment.route], request)
            if not isinstance(plan, RoutePlan) or plan.structure is None:
                continue
            enrolled = plan.enrol(request)
            for arm, _, _ in enrolled.entered:
                said = (arm.forced if enrolled.forced else arm.enrolments)[0]
                if said.experiment == experiment.name:
                    about: dict[str, str | int] = {"experiment": said.experiment, "run": said.run, "phase": said.phase}
                    metadata = {**about, "arm": arm.name, **({"override": True} if enrolled.forced else {})}
                    value = self._values[said.experiment, arm.name, arm.flag]
                    return Resolved(key, "SPLIT", arm.name, value, metadata)
        return None


def _values(experiments: Iterable[Experiment]) -> dict[tuple[str, str, bytes], Any]:
    """Return the values of arms, by experiment, arm, and how a target would be told."""
    return {
        (experiment.name, arm.name, flag_item(experiment.flag, arm.value)): arm.value
        for experiment in experiments
        if experiment.flag is not None
        for arm in experiment.arms
    }


def _asking(revision: Revision) -> Revision:
    """Return a revision whose routes and experiments find units and attributes in the body."""
    config = revision.config
    places = {
        route.name: {source: _pointer(name) for name, source in route.attributes.items()} for route in config.routes
    }
    variants = tuple(
        replace(
            variant,
            routes=tuple(map(_route, variant.routes)),
            experiments=tuple(_experiment(each, places) for each in variant.experiments),
        )
        for variant in config.variants
    )
    asking: Config = replace(
        config,
        routes=tuple(map(_route, config.routes)),
        experiments=tuple(_experiment(each, places) for each in config.experiments),
        variants=variants,
    )
    return replace(revision, config=asking)


def _route(route: Route) -> Route:
    attributes = {name: _pointer(name) for name in route.attributes}
    return replace(route, unit=(f"json:{_KEY}",), attributes=attributes, inspect_bytes=_BODY_MAX)


def _experiment(experiment: Experiment, places: Mapping[str, Mapping[str, str]]) -> Experiment:
    known = places[experiment.route]
    unit = tuple(_NOBODY if source == "request" else known.get(source, f"json:{_KEY}") for source in experiment.unit)
    return replace(experiment, unit=unit)


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
