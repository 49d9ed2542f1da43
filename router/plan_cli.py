"""The commands of ``router plan``: names, options, help, exit statuses.

Responsible for: turning arguments into one call of the function that does the work.
Does not know: statistics.

Rules: as in ``router.cli``. What several commands ask for is declared once, in ``_DESIGN``, and put into the signatures
from which typer makes options.
"""

# The imports inside the functions are what keeps a command from paying for the others.
# ruff: noqa: PLC0415

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from router.options import ADMIN, AdminUrl, Json, TokenFile

plan = typer.Typer(no_args_is_help=True, help="Design experiments before they run.")

Text = str | None
Number = float | None


@plan.callback()
def _plan() -> None:
    """Design experiments before they run."""


def _share(text: str) -> float:
    """Read a number or a percentage; what it may be is for the command to say."""
    bare = str(text).strip()
    try:
        return float(bare[:-1]) / 100 if bare.endswith("%") else float(bare)
    except ValueError:
        raise typer.BadParameter(f"{bare!r} is neither a number nor a percentage such as 5%") from None


def _option(kind: Any, default: Any, help_text: str, panel: str, *names: str, **more: Any) -> Any:
    return Annotated[kind, typer.Option(*names, help=help_text, rich_help_panel=panel, **more)], default


_SHARE: dict[str, Any] = {"parser": _share, "metavar": "NUMBER"}
_DESIGN: dict[str, Any] = {
    "metric": _option(str, "proportion", "proportion, mean or ratio.", "Metric"),
    "baseline": _option(Number, None, "Value without the change.", "Metric", **_SHARE),
    "sd": _option(Number, None, "Standard deviation of a unit's value; of a ratio, of its linearised value.", "Metric"),
    "denominator": _option(Number, None, "Of a ratio: mean of the denominator.", "Metric"),
    "sd_numerator": _option(Number, None, "Of a ratio: standard deviation of the numerator.", "Metric"),
    "sd_denominator": _option(Number, None, "Of a ratio: standard deviation of the denominator.", "Metric"),
    "correlation": _option(float, 0.0, "Of a ratio: between numerator and denominator.", "Metric"),
    "mde": _option(
        Text, None, "Effect to find: relative, as 2% or 0.02, or with --absolute in the metric's unit.", "Effect"
    ),
    "absolute": _option(bool, False, "The effect is in the metric's unit, percentages too.", "Effect", "--absolute"),
    "margin": _option(
        Text,
        None,
        "Test non-inferiority: how much worse does not matter, in the metric's unit, or as a percentage of the "
        "baseline. --mde is then the true difference, 0 unless given.",
        "Effect",
    ),
    "equivalence": _option(bool, False, "With --margin: test equivalence (TOST).", "Effect", "--equivalence"),
    "power": _option(float, 0.8, "With which the effect is found.", "Test", **_SHARE),
    "alpha": _option(float, 0.05, "Share of false alarms.", "Test", **_SHARE),
    "sided": _option(
        int | None, None, "1 or 2 sides; 2 unless there is a margin.", "Test", "--sided", "--sides", metavar="1|2"
    ),
    "arms": _option(int | None, None, "Arms, with control; 2 unless --split says otherwise.", "Arms"),
    "split": _option(Text, None, "Weights of the arms, control first.", "Arms", metavar="W,W,…"),
    "correction": _option(str, "bonferroni", "For several treatments: bonferroni, dunnett or none.", "Arms"),
    "rho": _option(float, 0.0, "Correlation with the covariate that the analysis adjusts for (CUPED).", "Variance"),
    "icc": _option(Number, None, "Clusters are randomised: intra-cluster correlation.", "Variance"),
    "cluster_size": _option(Number, None, "Mean number of units in a cluster.", "Variance"),
    "cluster_cv": _option(float, 0.0, "Coefficient of variation of cluster sizes.", "Variance"),
    "looks": _option(int, 1, "Looks at the data, at even distances.", "Looks"),
    "spending": _option(str, "obrien_fleming", "How alpha is spent; see router plan boundaries.", "Looks"),
    "parameter": _option(Number, None, "Of kim_demets and hwang_shih_decani.", "Looks"),
}
_SIZE: dict[str, Any] = {
    "total": _option(Number, None, "Units of all arms together.", "Size", metavar="N"),
    "per_arm": _option(Number, None, "Units of each arm.", "Size", "--per-arm", "--n", metavar="N"),
}
_TRAFFIC: dict[str, Any] = {
    "units_per_day": _option(Number, None, "Different units on one day.", "Traffic", metavar="N"),
    "enrolled": _option(str, "100%", "Share of the units that is enrolled.", "Traffic", metavar="SHARE"),
    "novelty": _option(
        Number, None, "D days bring D^novelty times the units of one; 1 when each day brings new ones.", "Traffic"
    ),
    "route": _option(Text, None, "Measure the traffic of this route of a running router.", "Traffic", metavar="R"),
    "requests_per_unit": _option(
        Number, None, "Requests of a unit a day; else from an experiment on that route.", "Traffic", metavar="N"
    ),
    "sample": _option(float, 10.0, "Seconds for which a route is measured.", "Traffic", metavar="S"),
    "admin": (AdminUrl, ADMIN),
    "token_file": (TokenFile, None),
}
_DAYS: dict[str, Any] = {
    "days": _option(Number, None, "Instead of a size: days that --units-per-day or --route bring units.", "Traffic"),
}
_WINDOW: dict[str, Any] = {
    "total": _option(Number, None, "Units of all arms together, when they are known.", "Size", metavar="N"),
    "window": _option(float, 0.0, "Days after its first exposure for which a unit's outcomes count.", "Traffic"),
}
_JSON: dict[str, Any] = {"as_json": (Json, False)}


def _command(name: str, example: str, *options: dict[str, Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a command of a function of its parameters as one mapping."""

    def made(run: Callable[..., int]) -> Callable[..., int]:
        def command(**given: Any) -> None:
            raise typer.Exit(_run(name, run, given))

        found = {key: option for group in (*options, _JSON) for key, option in group.items()}
        command.__doc__ = run.__doc__
        command.__annotations__ = {key: annotation for key, (annotation, _) in found.items()}
        command.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what typer reads options from
            [
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
                for key, (annotation, default) in found.items()
            ]
        )
        plan.command(name, epilog=f"Example: [bold]router plan {name} {example}[/]")(command)
        return run

    return made


def _run(name: str, run: Callable[..., int], given: dict[str, Any]) -> int:
    from router.command.remote import AdminError

    try:
        return run(given)
    except ImportError as error:
        _fail(f"router plan {name}: {error.name} is not installed; pip install router[analysis]")
    except (ValueError, AdminError) as error:
        _fail(f"router plan {name}: {error}")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


@_command("sample-size", "--metric proportion --baseline 0.10 --mde 0.02 --absolute --power 0.8 --alpha 0.05", _DESIGN)
def _sample_size(given: dict[str, Any]) -> int:
    """Say how many units an experiment needs.

    Of a proportion, a mean (--sd) or a ratio; for superiority, or with --margin for non-inferiority or equivalence.
    Proportions as in R's power.prop.test, means as in its power.t.test.
    """
    from router.command.plan_design import show_sample_size

    return show_sample_size(given)


@_command("power", "--metric mean --sd 12 --mde 1 --total 4000", _DESIGN, _SIZE, _TRAFFIC, _DAYS)
def _power(given: dict[str, Any]) -> int:
    """Say with what probability an effect is found with some units."""
    from router.command.plan_design import show_power

    return show_power(given)


@_command("mde", "--metric proportion --baseline 0.10 --total 20000", _DESIGN, _SIZE, _TRAFFIC, _DAYS)
def _mde(given: dict[str, Any]) -> int:
    """Say which effect is found with some units: the minimum detectable effect."""
    from router.command.plan_design import show_mde

    return show_mde(given)


@_command(
    "duration", "--metric proportion --baseline 0.10 --mde 5% --units-per-day 8000 --enrolled 20%", _DESIGN, _WINDOW,
    _TRAFFIC,
)  # fmt: skip
def _duration(given: dict[str, Any]) -> int:
    """Say how long an experiment runs, from given numbers or the live traffic of a route.

    With --route, requests are counted for --sample seconds at a running router. The answer says what it assumes.
    """
    from router.command.plan_design import show_duration

    return show_duration(given)


@plan.command(
    epilog="Example: [bold]router plan boundaries --looks 5 --alpha 0.025 --sided 1 --spending obrien_fleming[/]"
)
def boundaries(  # noqa: PLR0913 - one parameter for each option
    *,
    looks: Annotated[int | None, typer.Option(metavar="N", help="Looks at even distances.")] = None,
    information: Annotated[
        str | None, typer.Option(metavar="T,T,…", help="Instead: each look's share of the planned information.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Share of false alarms; of two sides together.", parser=_share, metavar="NUMBER")
    ] = 0.05,
    sided: Annotated[int, typer.Option("--sided", "--sides", metavar="1|2", help="1 or 2 sides.")] = 2,
    spending: Annotated[
        str,
        typer.Option(
            help="obrien_fleming, pocock, kim_demets, hwang_shih_decani; or a classical design: "
            "classical_obrien_fleming, classical_pocock, wang_tsiatis."
        ),
    ] = "obrien_fleming",
    parameter: Annotated[
        float | None, typer.Option(metavar="G", help="Of kim_demets, hwang_shih_decani and wang_tsiatis.")
    ] = None,
    futility: Annotated[
        str | None, typer.Option(metavar="SPENDING", help="Also stop for futility: how beta is spent.")
    ] = None,
    futility_parameter: Annotated[float | None, typer.Option(metavar="G", help="Its parameter.")] = None,
    binding: Annotated[bool, typer.Option("--binding", help="The level counts on stopping for futility.")] = False,
    power: Annotated[
        float,
        typer.Option(help="For futility, inflation factor and expected sizes.", parser=_share, metavar="NUMBER"),
    ] = 0.8,
    as_json: Json = False,
) -> None:
    """Compute group-sequential boundaries, and what looking several times costs.

    z is the statistic to reject at, alpha_spent what was spent by then, over both sides; sizes are multiples of those
    of a test with one look.
    """

    def run(given: dict[str, Any]) -> int:
        from router.command.plan_boundaries import Asked, show_boundaries

        return show_boundaries(Asked(**given), as_json=as_json)

    given = {
        "looks": looks,
        "information": information,
        "alpha": alpha,
        "sided": sided,
        "spending": spending,
        "parameter": parameter,
        "futility": futility,
        "futility_parameter": futility_parameter,
        "binding": binding,
        "power": power,
    }
    raise typer.Exit(_run("boundaries", run, given))


@plan.command(
    epilog="Example: [bold]router plan salt --units users.csv --strata tier --strata country --salt ranker-v2[/]"
)
def salt(  # noqa: PLR0913 - one parameter for each option
    *,
    units: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV with a header, or NDJSON: a unit a row.", readable=False)
    ],
    strata: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Column to balance; repeatable.")] = None,
    unit: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the unit.")] = "unit",
    arms: Annotated[str, typer.Option(metavar="A=W,…", help="Arms and weights.")] = "control=50,treatment=50",
    salt: Annotated[str, typer.Option(metavar="TEXT", help="Salt to improve upon.")] = "salt",
    tries: Annotated[int, typer.Option(min=1, max=10_000, help="How many salts to compare.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the candidates.")] = 0,
    as_json: Json = False,
) -> None:
    """Find a salt that spreads the levels of strata evenly over the arms.

    Each unit of the file is assigned under each salt, as the router would; the salt with the smallest Mahalanobis
    distance is printed, with its balance before and after. The strata never enter the hash.
    """
    from router.command.plan_salt import Asked, plan_salt

    asked = Asked(units=units, unit=unit, strata=tuple(strata or ()), arms=arms, salt=salt, tries=tries, seed=seed)
    raise typer.Exit(plan_salt(asked, as_json=as_json))
