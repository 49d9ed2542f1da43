"""What ``router explain`` does.

Responsible for: compiling the configuration as a router that has just started would, and writing the steps.
Does not know: how a decision is made (``router.routing.explain``).

Rules: nothing is written to disk or sent; weights are those of the file, which is what ``allocate: fixed`` serves.
"""

import sys
import time
from pathlib import Path

import msgspec
from rich.table import Table as Grid

from router.command.check import report
from router.command.question import Facts, ask
from router.command.terminal import console
from router.config.load import Loaded, Site, load
from router.config.mistake import ConfigError
from router.control.kill import written
from router.counters import CountersFull, allocate, row_keys
from router.events.model import Revision, Run
from router.routing.explain import Step, explain
from router.routing.table import Table, compile_table

_HERE = Site()


def explain_request(path: Path, facts: Facts, site: Site = _HERE, *, as_json: bool) -> int:
    """Explain where a request goes and why.

    Returns:
        0; 1 when the configuration has mistakes, the facts do not fit it, or no route takes the request.
    """
    try:
        table = compiled(load(path, site))
        request = ask(table, facts)
        request.now = time.time()
        steps = explain(table, request, facts.route)
    except ConfigError as error:
        report(error, as_json=as_json)
        return 1
    except (ValueError, CountersFull) as error:
        sys.stderr.write(f"router explain: {error}\n")
        return 1
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(steps)).decode() + "\n")
    else:
        _show(steps)
    if not any(step.kind == "target" for step in steps):
        sys.stderr.write("router explain: no route takes this request\n")
        return 1
    return 0


def compiled(loaded: Loaded) -> Table:
    """Compile what a router would serve right after its first start."""
    config = loaded.config
    runs = {experiment.name: Run(number=1, phase=1, epoch=0) for experiment in config.experiments}
    revision = Revision(
        number=1,
        time=time.time(),  # of experiments that begin and end, those that run now
        cause="explain",
        author="",
        digest=loaded.digest,
        config=config,
        weights={item.name: written(item) for item in config.experiments},
        runs=runs,
        slots=allocate({}, row_keys(config, runs)),
    )
    return compile_table(revision)


def _show(steps: list[Step]) -> None:
    grid = Grid(box=None, pad_edge=False)
    grid.add_column("")
    grid.add_column("step")
    grid.add_column("name")
    grid.add_column("what came of it", overflow="fold")
    grid.add_column("u", justify="right")
    grid.add_column("-ln(u)/weight", justify="right")
    for step in steps:
        u = "" if step.u is None else f"{step.u:.6f}"
        score = "" if step.score is None else f"{step.score:.6g}"
        grid.add_row("→" if step.chosen else "", step.kind, step.name, step.result, u, score)
    console().print(grid)
