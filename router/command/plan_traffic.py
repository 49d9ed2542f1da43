"""How many units a day bring, from options or from the live traffic of a route.

Responsible for: counting a route's requests at a running router, and how many of them one unit makes.
Does not know: sizes, how the counters come about.

Rules: what is assumed is said. Requests are counted between two readings of ``/metrics``; an hour of the night says
little of a day.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from router.command.plan_question import number
from router.command.remote import Admin, AdminError, connect
from router.design.duration import Arrivals

_DAY_S: Final = 86_400.0
_RETURNING: Final = 0.75
_LINE: Final = re.compile(r"^router_requests_total\{([^}]*)\} ([0-9.eE+]+)$", re.MULTILINE)


def arrivals_of(given: Mapping[str, Any], wait: Callable[[float], None] = time.sleep) -> tuple[Arrivals, list[str]]:
    """Return how units come, and what was assumed.

    Args:
        given: The options.
        wait: Waits for some seconds.

    Raises:
        ValueError: If neither numbers nor a route are given, or both, or a number is out of range.
        AdminError: If the router cannot be asked, or the route has no traffic.
    """
    share = number("--enrolled", given["enrolled"])
    per_day, route, novelty = given["units_per_day"], given["route"], given["novelty"]
    if (per_day is None) == (route is None):
        raise ValueError("give --units-per-day N, or --route R of a running router")
    if per_day is not None:
        arrivals = Arrivals(per_day, share, 1.0 if novelty is None else novelty)
        return arrivals, [_novelty(arrivals)]
    seconds = given["sample"]
    if not 0.1 <= seconds <= 3600:
        raise ValueError(f"--sample {seconds:g}: a route is measured for 0.1 to 3600 seconds")
    admin = connect(given["admin"], given["token_file"])
    per_unit, how = given["requests_per_unit"], "as --requests-per-unit says"
    if per_unit is None:
        per_unit, how = _per_unit(admin, route)
    if not per_unit > 0:
        raise ValueError(f"--requests-per-unit {per_unit:g}: a unit makes more than 0 requests a day")
    rate = measured(admin, route, seconds, wait)
    arrivals = Arrivals(rate * _DAY_S / per_unit, share, _RETURNING if novelty is None else novelty)
    counted = f"{rate:.4g} requests a second on {route} for {seconds:g} s, the same all day"
    said = f"{counted}; {per_unit:.4g} a unit and day, {how}"
    return arrivals, [said, _novelty(arrivals)]


def measured(admin: Admin, route: str, seconds: float, wait: Callable[[float], None]) -> float:
    """Return how many requests a second a route gets.

    Raises:
        AdminError: If the router cannot be asked, knows no such route, or it has no traffic.
    """
    before, began = _requests(admin, route), time.monotonic()
    wait(seconds)
    after, ended = _requests(admin, route), time.monotonic()
    if after <= before:
        raise AdminError(f"route {route!r} got no requests within {seconds:g} s; give --units-per-day")
    return (after - before) / max(ended - began, seconds)


def _requests(admin: Admin, route: str) -> float:
    total, names = 0.0, set()
    for labels, value in _LINE.findall(admin.text("/metrics")):
        name = re.search(r'(?:^|,)route="((?:[^"\\]|\\.)*)"', labels)
        if name is not None:
            names.add(name[1])
            total += float(value) if name[1] == route else 0.0
    if route not in names:
        known = ", ".join(sorted(names)[:20])
        raise AdminError(f"no requests of a route {route!r} are counted" + (f"; there are {known}" if known else ""))
    return total


def _per_unit(admin: Admin, route: str) -> tuple[float, str]:
    """Return requests of a unit, from an experiment on the route."""
    answer, _ = admin.ask("GET", "/v1/experiments")
    for experiment in answer.get("experiments", ()):
        if experiment.get("route") != route:
            continue
        report, _ = admin.ask("GET", f"/v1/experiments/{experiment['name']}/report")
        cells = [cell for cell in report.get("results", ()) if not cell.get("slice")]
        units, exchanges = (sum(cell.get(key, 0) for cell in cells) for key in ("units", "exchanges"))
        if units and exchanges:
            return exchanges / units, f"as units of {experiment['name']} made since it began, an upper bound for a day"
    raise AdminError(f"no experiment on route {route!r} says how many requests a unit makes; give --requests-per-unit")


def _novelty(arrivals: Arrivals) -> str:
    if arrivals.novelty == 1:
        return "each day brings as many new units as the first: with returning units it takes longer, see --novelty"
    return f"D days bring D^{arrivals.novelty:g} times the units of one day, as some return; see --novelty"
