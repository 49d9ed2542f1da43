"""What ``router plan boundaries`` does: group-sequential boundaries as numbers, and as a plot of text.

Responsible for: reading the question, and showing the answer.
Does not know: how boundaries are computed (``router.inference.boundaries``).
"""

import sys
from typing import Any, Final

import msgspec
from msgspec import Struct
from rich.table import Table as Grid
from scipy.special import ndtr

from router.command.terminal import console
from router.inference.boundaries import Boundaries, Level, classical_boundaries, evenly, spending_boundaries
from router.inference.futility import Futility, with_futility
from router.inference.operating import Operating, operating
from router.inference.spending import Spending

_SPENDING: Final = ("obrien_fleming", "pocock", "kim_demets", "hwang_shih_decani")
_CLASSICAL: Final = {"classical_obrien_fleming": 0.0, "classical_pocock": 0.5}
_PLOT_Z: Final = 6.0  # higher boundaries are drawn at the top
_ROWS, _COLUMNS = 17, 61


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked for: the options of the command."""

    alpha: float
    sided: int
    spending: str
    parameter: float | None = None
    looks: int | None = None
    information: str | None = None
    futility: str | None = None
    futility_parameter: float | None = None
    binding: bool = False
    power: float = 0.8


def show_boundaries(asked: Asked, *, as_json: bool) -> int:
    """Compute boundaries and show them.

    Raises:
        ValueError: If the question is none.
    """
    found = boundaries_of(asked)
    costs = operating(found, asked.power)
    if as_json:
        answer = _document(asked, found, costs)
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(answer)).decode() + "\n")
    else:
        _show(found, costs)
    return 0


def boundaries_of(asked: Asked) -> Boundaries:
    """Return the boundaries that are asked for.

    Raises:
        ValueError: If the question is none.
    """
    level = Level(asked.alpha, asked.sided)  # type: ignore[arg-type] # it refuses other numbers of sides
    times = _information(asked)
    name = asked.spending.lower().replace("-", "_")
    rule = None
    if name in _CLASSICAL or name == "wang_tsiatis":
        if (name == "wang_tsiatis") == (asked.parameter is None):
            raise ValueError(
                "--parameter is for wang_tsiatis, from 0 (O'Brien-Fleming) to 0.5 (Pocock), and needed there"
            )
        found = classical_boundaries(level, times, _CLASSICAL.get(name, asked.parameter or 0.0))
    else:
        rule = spending_of("--spending", name, asked.parameter)
        found = spending_boundaries(level, rule, times)
    if asked.futility is None:
        if asked.binding or asked.futility_parameter is not None:
            raise ValueError("--binding and --futility-parameter say how to stop for futility; add --futility SPENDING")
        return found
    beta = spending_of("--futility", asked.futility, asked.futility_parameter)
    return with_futility(found, Futility(asked.power, beta, asked.binding), rule)


def spending_of(option: str, name: str, parameter: float | None) -> Spending:
    """Return the spending function of a name.

    Raises:
        ValueError: If there is none.
    """
    family = name.lower().replace("-", "_")
    if family not in _SPENDING:
        more = f", {', '.join(_CLASSICAL)}, wang_tsiatis" if option == "--spending" else ""
        raise ValueError(f"{option} {name!r} is none of {', '.join(_SPENDING)}{more}")
    return Spending(family, parameter)  # type: ignore[arg-type] # it is one of the names


def _information(asked: Asked) -> tuple[float, ...]:
    if asked.information is None:
        return evenly(5 if asked.looks is None else asked.looks)
    try:
        times = tuple(float(item) for item in asked.information.split(","))
    except ValueError:
        raise ValueError(f"--information {asked.information!r} is not numbers such as 0.5,0.75,1") from None
    if asked.looks is not None and asked.looks != len(times):
        raise ValueError(f"--looks {asked.looks} and --information with {len(times)} looks contradict each other")
    if times[-1] > 1:
        raise ValueError("--information is a share of what is planned: the last look is at 1, or before")
    return times


def _document(asked: Asked, found: Boundaries, costs: Operating) -> dict[str, Any]:
    planned = costs.stopping
    return {
        "z": found.upper,
        "lower": found.lower,
        "alpha_spent": found.alpha_spent,
        "beta_spent": found.beta_spent,
        "information": found.information,
        "p": _nominal(found),
        "alpha": found.level.alpha,
        "sided": found.level.sides,
        "spending": asked.spending.lower().replace("-", "_"),
        "parameter": asked.parameter,
        "binding": found.binding,
        "power": costs.power,
        "drift": costs.drift,
        "inflation": costs.inflation,
        "expected_size": costs.expected_size,
        "stopping": {
            effect: {"upper": each.upper, "lower": each.lower, "expected_information": each.expected_information}
            for effect, each in planned.items()
        },
    }


def _nominal(found: Boundaries) -> list[float | None]:
    """Return the p-value, of one look by itself, to reject at."""
    return [None if z is None else found.level.sides * float(ndtr(-z)) for z in found.upper]


def _show(found: Boundaries, costs: Operating) -> None:
    output = console()
    grid = Grid(box=None, pad_edge=False)
    lower = any(each is not None for each in found.lower)
    futility = found.beta_spent is not None
    titles = ["look", "information", "z", "p", "alpha spent"]
    titles += [("futility z" if futility else "lower z")] if lower else []
    titles += ["beta spent"] if futility else []
    for title in (*titles, "stops without effect", "stops with it"):
        grid.add_column(title, justify="right")
    none, planned = costs.stopping["none"], costs.stopping["planned"]
    nominal = _nominal(found)
    for index, t in enumerate(found.information):
        row = [str(index + 1), f"{t:.4g}", _number(found.upper[index]), _number(nominal[index], "{:.4g}")]
        row += [f"{found.alpha_spent[index]:.4g}"]
        row += [_number(found.lower[index])] if lower else []
        row += [f"{found.beta_spent[index]:.4g}"] if found.beta_spent is not None else []
        row += [f"{each.upper[index] + each.lower[index]:.4g}" for each in (none, planned)]
        grid.add_row(*row)
    output.print(grid)
    output.print("")
    for line in plot(found):
        output.print(line, soft_wrap=True)
    output.print("")
    sizes = costs.expected_size
    output.print(
        f"With a power of {costs.power:g} it takes at most {costs.inflation:.4f} times the units of one look; on "
        f"average {sizes['none']:.4f} times without effect, {sizes['half']:.4f} with half of it, "
        f"{sizes['planned']:.4f} with all of it.",
        soft_wrap=True,
    )


def _number(value: float | None, form: str = "{:.4f}") -> str:
    return "none" if value is None else form.format(value)


def plot(found: Boundaries) -> list[str]:
    """Draw boundaries over information: + to reject, - the other side or futility, = where both are."""
    last = found.information[-1]
    uppers = [_drawn(z) for z in found.upper]
    lowers = [_drawn(z) for z in found.lower]
    known = [z for z in (*uppers, *lowers) if z is not None]
    top, bottom = max(known, default=1.0), min(0.0, *known) if known else 0.0
    step = (top - bottom) / (_ROWS - 1) or 1.0
    cells = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for t, high, low in zip(found.information, uppers, lowers, strict=True):
        column = round((_COLUMNS - 1) * t / last)
        for z, mark in ((high, "+"), (low, "-")):
            if z is not None:
                row = round((top - z) / step)
                cells[row][column] = "=" if cells[row][column] not in (" ", mark) else mark
    lines = [f"{top - row * step:6.2f} |{''.join(line).rstrip()}" for row, line in enumerate(cells)]
    axis = f"       +{'-' * _COLUMNS}"
    scale = f"        0{f'{last:g}':>{_COLUMNS - 1}}  information"
    clipped = any(z is not None and abs(z) > _PLOT_Z for z in (*found.upper, *found.lower))
    note = [f"        z beyond {_PLOT_Z:g} is drawn at {_PLOT_Z:g}"] if clipped else []
    return ["     z", *lines, axis, scale, *note]


def _drawn(z: float | None) -> float | None:
    return None if z is None else max(-_PLOT_Z, min(_PLOT_Z, z))


def even_level(rate: float, sides: int, looks: int, spending: Spending) -> Boundaries:
    """Return boundaries for one of several comparisons.

    Args:
        rate: Error rate of one side of the comparison.
        sides: 1 or 2.
        looks: At even distances.
        spending: How it is spent.
    """
    level = Level(rate * sides, sides)  # type: ignore[arg-type] # 1 or 2
    return spending_boundaries(level, spending, evenly(looks))
