"""What ``router evaluate TARGET --requests FILE`` does.

Responsible for: who is meant by TARGET, progress on a terminal, how the result is shown, the exit status.
Does not know: how requests are sent or numbers computed (``router.evaluate``).

Rules: standard output carries the result alone. The status is 0 for pass, 1 for fail, 2 for inconclusive; 3 where the
check could not be made, which is none of these.
"""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as Grid

from router.command.terminal import console
from router.config.load import load
from router.config.mistake import ConfigError
from router.config.scalars import format_share, parse_url
from router.config.schema import Config, Endpoint
from router.evaluate.run import EvaluateError, evaluate
from router.evaluate.statistics import QUANTILES
from router.events.evaluated import Compared, Evaluated, Measured
from router.events.evaluation import Asked, Job, asked_of

STATUS: Final = {"pass": 0, "fail": 1, "inconclusive": 2}
COULD_NOT: Final = 3
_SHARES: Final = frozenset(
    {"failures", "agreement", "accuracy", "precision", "recall", "f1", "balanced_accuracy", "ece"}
)


@dataclass(frozen=True, slots=True)
class Output:
    """Where the result goes.

    Attributes:
        json: Whether standard output has the document.
        file: Where it is written as well.
    """

    json: bool
    file: Path | None


def evaluate_target(target: str, baseline: str | None, config: Path | None, job: Job, output: Output) -> int:
    """Make an offline check, show it, and return the exit status.

    Args:
        target: Name of a target, or a URL.
        baseline: What it is compared with, likewise.
        config: Configuration that names are looked up in.
        job: Everything else; its ``candidate`` is replaced.
        output: Where the result goes.
    """
    try:
        known = load(config).config if config is not None else None
        job = msgspec.structs.replace(
            job, candidate=_asked(target, known), baseline=None if baseline is None else _asked(baseline, known)
        )
        found = _evaluate(job)
        if output.file is not None:
            output.file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    except (EvaluateError, ConfigError, LookupError, ValueError) as error:
        sys.stderr.write(f"router evaluate: {error.args[0] if isinstance(error, LookupError) else error}\n")
        return COULD_NOT
    except OSError as error:
        sys.stderr.write(f"router evaluate: --out {output.file} cannot be written: {error.strerror}\n")
        return COULD_NOT
    if output.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        show(found, console())
    return STATUS[found.verdict]


def _asked(name: str, config: Config | None) -> Asked:
    if "://" in name:
        parse_url(name)
        return Asked(name=name, endpoints=(Endpoint(url=name),))
    if config is None:
        raise EvaluateError(f"{name!r} is no URL; --config names the configuration that has it as a target")
    return asked_of(config, name)


def _evaluate(job: Job) -> Evaluated:
    bar = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=bar, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"asking {job.candidate.name}", total=None)
        return asyncio.run(evaluate(job, lambda done, total: progress.update(task, completed=done, total=total)))


def show(found: Evaluated, out: Console) -> None:
    """Show a result to a person."""
    against = f", compared with {found.baseline}" if found.baseline is not None else ""
    out.print(f"{found.target}: {found.asked} recorded requests{against}, {found.seconds:.1f} s", style="bold")
    for note in found.notes:
        out.print(note)
    for who, causes in ((found.target, found.causes), (found.baseline, found.baseline_causes)):
        if causes:
            said = ", ".join(f"{cause} {count}" for cause, count in causes.items())
            out.print(f"no usable answer of {who}: {said}")
    out.print(_measured(found))
    if found.compared:
        out.print(_compared(found.compared))
    if found.calibration:
        out.print(_calibration(found))
    for required in found.required:
        out.print(f"{required.verdict.upper():<13}{required.text}: {required.reason}", soft_wrap=True)
    out.print(f"verdict: {found.verdict}", style="bold")


def _measured(found: Evaluated) -> Grid:
    grid = _grid("", "estimate", f"{format_share(found.confidence)} interval", "requests", "method")
    for each in found.measured:
        between = "" if each.low is None or each.high is None else _range(each.name, each.low, each.high)
        name = f"agreement ({found.agreement_with})" if each.name == "agreement" else each.name
        grid.add_row(name, _spoken(each), between, str(each.n), each.method or each.reason)
    return grid


def _compared(compared: tuple[Compared, ...]) -> Grid:
    grid = _grid("", "candidate", "baseline", "difference", "interval", "p (McNemar)")
    for each in compared:
        if each.candidate is None or each.baseline is None or each.difference is None:
            grid.add_row(each.name, "", "", "", each.reason, "")
            continue
        between = each.reason if each.low is None or each.high is None else _range(each.name, each.low, each.high)
        p = "" if each.p is None else f"{each.p:.3g}"
        values = (_value(each.name, number) for number in (each.candidate, each.baseline, each.difference))
        grid.add_row(each.name, *values, between, p)
    return grid


def _calibration(found: Evaluated) -> Grid:
    grid = _grid("confidence", "mean", "right", "interval", "answers")
    for each in found.calibration:
        grid.add_row(
            f"{each.low:.1f} to {each.high:.1f}",
            f"{each.confidence:.3f}",
            f"{each.right:.3f}",
            f"{each.right_low:.3f} to {each.right_high:.3f}",
            str(each.n),
        )
    return grid


def _grid(*titles: str) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        grid.add_column(title, justify="left" if title in ("", "method", "confidence") else "right")
    return grid


def _spoken(each: Measured) -> str:
    return "not known" if each.value is None else _value(each.name, each.value)


def _range(name: str, low: float, high: float) -> str:
    return f"{_value(name, low)} to {_value(name, high)}"


def _value(name: str, value: float) -> str:
    if name in QUANTILES:
        return f"{value * 1000:.2f} ms"
    if name in _SHARES or name.partition("(")[0] in _SHARES:
        return f"{100 * value:.2f} %"
    return f"{value:.4g}"
