"""The command line: names, options, help, exit statuses.

Responsible for: turning arguments into one call of the function that does the work, and its result into an exit status.
Does not know: how any of it is done.

Rules: each command imports what it needs when it is called, so that ``router --help`` and ``router check`` stay fast; a
user's mistake is one sentence on standard error and a status other than 0, never a traceback.
"""

# The imports inside the functions are what keeps a command from paying for the others.
# ruff: noqa: PLC0415

import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from router.options import ADMIN, AdminUrl, Json, TokenFile
from router.plan_cli import plan
from router.release_cli import add_releases

# Whether it can be read is for the loader to say, in the form of every other mistake.
Config = Annotated[
    Path,
    typer.Argument(metavar="CONFIG", help="A YAML file, or a folder with global.yaml or router.yaml.", readable=False),
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="R", envvar="ROUTER_REGION", help="Region, of a folder with regions/R.yaml."),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="C", envvar="ROUTER_CLUSTER", help="Cluster, of a folder with clusters/C.yaml."),
]

app = typer.Typer(
    name="router",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Route live traffic between model versions, and measure what each of them does.",
    epilog="Start with: [bold]router demo[/], or [bold]router check config/router.yaml[/].",
)


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has left
        sys.stderr.close()
        sys.exit(1)


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if not wanted:
        return
    try:
        version = metadata.version("router")
    except metadata.PackageNotFoundError:
        version = "(not installed; run from its source)"
    typer.echo(f"router {version}")
    raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Route live traffic between model versions, and measure what each of them does."""
    del version  # the callback has answered


@app.command(epilog="Example: [bold]router check new.yaml --diff config/router.yaml[/]")
def check(
    config: Config,
    diff: Annotated[
        Path | None, typer.Option(metavar="OLD", help="Also say what changing OLD into CONFIG would do.")
    ] = None,
    *,
    region: Annotated[str | None, typer.Option(metavar="R", help="Only this region's configuration.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="C", help="Only this cluster's configuration.")] = None,
    as_json: Json = False,
) -> None:
    """Report every mistake in a configuration as FILE:LINE: $.PATH: MESSAGE.

    Of a folder with files for regions and clusters, every combination is checked unless one is named.

    With --diff: what the change would do, the share of units that would move between each two arms, and what a running
    router would refuse.
    """
    from router.command.check import check as run
    from router.config.folder import Site

    raise typer.Exit(run(config, diff, Site(region, cluster), as_json=as_json))


@app.command(epilog="Example: [bold]router explain config/router.yaml --unit user-17[/]")
def explain(  # noqa: PLR0913 - one parameter for each option
    config: Config,
    *,
    unit: Annotated[str | None, typer.Option(metavar="U", help="The unit, put where the route reads it first.")] = None,
    route: Annotated[str | None, typer.Option(metavar="R", help="Take this route for granted.")] = None,
    attribute: Annotated[list[str] | None, typer.Option(metavar="K=V", help="An attribute; repeatable.")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K=V", help="A header field; repeatable.")] = None,
    path: Annotated[str | None, typer.Option(metavar="P", help="Path of the request, perhaps with a query.")] = None,
    method: Annotated[str | None, typer.Option(metavar="M", help="Method of the request.")] = None,
    body: Annotated[str | None, typer.Option(metavar="JSON", help="Body of the request.")] = None,
    value: Annotated[
        str | None, typer.Option(metavar="$.PATH", help="Instead: file and line of this value, and what it replaced.")
    ] = None,
    region: Region = None,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Say step by step which route, arm and target a request gets, and why."""
    from router.command.explain import explain_request
    from router.command.origin import explain_value
    from router.command.question import Facts
    from router.config.folder import Site

    site = Site(region, cluster)
    if value is not None:
        raise typer.Exit(explain_value(config, value, site, as_json=as_json))
    facts = Facts(
        unit=unit,
        route=route,
        attributes=_pairs("--attribute", attribute),
        headers=_pairs("--header", header),
        path=path,
        method=method,
        body=body,
    )
    raise typer.Exit(explain_request(config, facts, site, as_json=as_json))


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in given or ():
        key, equals, value = item.partition("=")
        if not key or not equals:
            _fail(f"{option} {item!r} is not KEY=VALUE")
        pairs[key] = value
    return pairs


@app.command(epilog="Example: [bold]router serve /etc/router --workers 4[/]")
def serve(
    config: Config,
    *,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes, whatever the configuration says.")
    ] = None,
    region: Region = None,
    cluster: Cluster = None,
) -> None:
    """Run the router. SIGTERM drains, SIGHUP reads the configuration again."""
    from router.serve import serve as run

    raise typer.Exit(run(config, workers=workers, region=region, cluster=cluster))


@app.command(epilog="Example: [bold]router demo --seconds 30[/]")
def demo(
    *,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 is until Ctrl-C.")] = 30.0,
) -> None:
    """Show real model servers, real traffic, a canary that turns bad, and a split that changes half-way."""
    from router.demo.run import run

    raise typer.Exit(run(seconds=seconds))


@app.command(epilog="Example: [bold]router bench http://127.0.0.1:8080/v2/models/m/infer --rate 500 --seconds 30[/]")
def bench(  # noqa: PLR0913 - one parameter for each option
    url: Annotated[str, typer.Argument(metavar="URL", help="What to send requests to; {n} becomes 0 to 999 in turn.")],
    *,
    rate: Annotated[float, typer.Option(help="Requests per second, whether or not earlier ones were answered.")] = 1000,
    seconds: Annotated[float, typer.Option(help="Length of the run.")] = 10,
    connections: Annotated[int, typer.Option(help="Connections kept open.")] = 64,
    method: Annotated[str, typer.Option(help="Request method.")] = "GET",
    header: Annotated[list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="Header field; repeatable.")] = None,
    body: Annotated[str | None, typer.Option(help="Request body.")] = None,
    body_file: Annotated[Path | None, typer.Option(help="File with the request body.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds after which a request has failed.")] = 10,
    allow_errors: Annotated[bool, typer.Option("--allow-errors", help="Exit 0 even when requests failed.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify the certificate.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the latencies into this .svg or .png.")] = None,
    as_json: Json = False,
) -> None:
    """Measure latency at a given rate (open loop, corrected for coordinated omission)."""
    from router.bench.command import bench as run
    from router.bench.plan import Options

    options = Options(
        rate=rate,
        seconds=seconds,
        connections=connections,
        method=method,
        headers=tuple(header or ()),
        body=body,
        body_file=body_file,
        timeout=timeout,
        allow_errors=allow_errors,
        insecure=insecure,
        json=as_json,
        plot=plot,
    )
    raise typer.Exit(run(url, options))


app.add_typer(plan, name="plan")


add_releases(app)


@app.command(epilog="Example: [bold]router revisions --last 5[/]")
def revisions(
    *,
    last: Annotated[int, typer.Option(min=1, max=100, help="How many, the newest first.")] = 10,
    admin: AdminUrl = ADMIN,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show what the last changes of a running router changed, in which file and line, when, and by whom."""
    from router.command import remote
    from router.command.revisions import revisions as run

    try:
        code = run(remote.connect(admin, token_file), last, as_json=as_json)
    except remote.AdminError as error:
        _fail(f"router revisions: {error}")
    raise typer.Exit(code)


@app.command(epilog="Example: [bold]router restore 11 --token-file /run/secrets/router[/]")
def restore(
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="Number of the earlier revision.")],
    *,
    admin: AdminUrl = ADMIN,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Bring back an earlier revision of a running router, as a new one; it holds until the file changes."""
    from router.command import remote

    try:
        code = remote.restore(remote.connect(admin, token_file), number, as_json=as_json)
    except remote.AdminError as error:
        _fail(f"router restore: {error}")
    raise typer.Exit(code)


EventsFolder = Annotated[
    Path, typer.Option("--events", metavar="DIR", help="The router's events.dir; it may be running.", file_okay=False)
]


@app.command(epilog="Example: [bold]router analyze ranker-v2 --events data/events[/]")
def analyze(  # noqa: PLR0913 - one parameter for each option
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Name of the experiment.")],
    *,
    events: EventsFolder,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page to this file.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="OTHER",
            help="Check for interference: this experiment assigns units and the other clusters, or the reverse.",
        ),
    ] = None,
    pre_post: Annotated[
        bool, typer.Option("--pre-post", help="Compare the route before and after the latest phase began.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say whether to ship an experiment, and show all that is known of its arms, from its event log.

    The decision with its reason and checklist, effects with intervals; then by phase units, exchanges, what became of
    outcomes, and each metric's estimate with its standard error.
    """
    from router.command.analyze import analyze as run
    from router.command.designs import Designs
    from router.command.evidence import EvidenceError

    try:
        code = run(name, events, html, Designs(against, pre_post), as_json=as_json)
    except EvidenceError as error:
        _fail(f"router analyze: {error}")
    raise typer.Exit(code)


@app.command(epilog="Example: [bold]router replay --events data/events --outcomes refunds.csv[/]")
def replay(  # noqa: PLR0913 - one parameter for each option
    *,
    events: EventsFolder,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take definitions of metrics from this configuration.")
    ] = None,
    outcomes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Late outcomes: .ndjson, .csv or .parquet.", exists=True)
    ] = None,
    experiment: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable.")] = None,
    now: Annotated[
        float | None, typer.Option(metavar="TIME", help="As of this unix time; nothing later is looked at.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POLICY",
            help="What would it have earned? always:ARM, weights:ARM=NUMBER,…, uniform, rule:JSON, thompson, ucb, "
            "linear_thompson, …; repeatable.",
        ),
    ] = None,
    reward: Annotated[
        str | None, typer.Option(metavar="METRIC", help="What a policy earns; default the primary metric.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(metavar="WEIGHT", help="Clip importance weights there; default √n.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute all experiments again from their event log, and say what changed definitions or late outcomes change.

    With nothing changed, the numbers are those of the running router. With [bold]--policy thompson[/] it says instead
    what another way of choosing would have earned on the logged traffic, by several estimators, and which to believe.
    """
    from router.command.evidence import EvidenceError
    from router.command.replay import Request
    from router.command.replay import replay as run

    try:
        names, policies = tuple(experiment or ()), tuple(policy or ())
        code = run(Request(events, config, outcomes, names, now, policies, reward, clip), as_json=as_json)
    except EvidenceError as error:
        _fail(f"router replay: {error}")
    raise typer.Exit(code)


@app.command(
    epilog="Example: [bold]router evaluate spam-v2 --config router.yaml --requests recorded.ndjson"
    ' --prediction /label --require "accuracy >= 90%" --baseline spam-v1 --no-worse 1%[/]'
)
def evaluate(  # noqa: PLR0913 - one parameter for each option
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A target of --config, or a URL.")],
    *,
    requests: Annotated[Path, typer.Option(metavar="FILE", help="Recorded requests, a JSON object a line.")],
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration that has TARGET.")] = None,
    baseline: Annotated[str | None, typer.Option(metavar="TARGET", help="Ask this one too, and compare.")] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="/P", help="JSON pointer to the prediction in an answer.")
    ] = None,
    probability: Annotated[
        str | None, typer.Option(metavar="/P", help="To how sure it is: a chance, or chances of all classes.")
    ] = None,
    positive: Annotated[str, typer.Option(metavar="CLASS", help="Class that a single chance is of.")] = "1",
    label: Annotated[str, typer.Option(metavar="/P", help="JSON pointer to the label in a line.")] = "/label",
    kind: Annotated[str, typer.Option(metavar="class|number|auto", help="What labels are.")] = "auto",
    tolerance: Annotated[float, typer.Option(min=0, max=1, help="Of numbers in answers that are compared.")] = 1e-6,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="/P", help="Compare nothing under this pointer; repeatable.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="R",
            help="Such as: accuracy >= 90%; p99 <= 200ms; recall(spam) >= 80%; f1 >= baseline - 1%; "
            "p99 <= 1.5 * baseline. Repeatable; default: failures <= 1%.",
        ),
    ] = None,
    no_worse: Annotated[
        str | None, typer.Option(metavar="SHARE", help="How much worse than the baseline it may be.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at once.")] = 8,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="That a request may take.")] = "10s",
    max_time: Annotated[str, typer.Option(metavar="TIME", help="That all may take; the rest is not sent.")] = "1h",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most requests; drawn from more.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Of whatever is drawn.")] = 1,
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Level of intervals.")] = "95%",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result here as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Send recorded requests to a target, and judge its answers: offline, before it has any traffic.

    A line is a JSON object: path, perhaps method, headers, json (or body, base64), and what is known: label, expected
    (the answer), status, unit. POSTs are sent, because these are recordings: the target must have no effect on anyone.

    The status is 0 for pass, 1 for fail, 2 for inconclusive, 3 when the check could not be made.
    """
    from router.command.evaluate import Output, evaluate_target
    from router.command.evaluate_options import OptionError, Texts, job_of

    try:
        texts = Texts(timeout=timeout, max_time=max_time, confidence=confidence, no_worse=no_worse, kind=kind)
        job = job_of(
            texts,
            requests=str(requests),
            prediction=prediction,
            probability=probability,
            positive=positive,
            label=label,
            tolerance=tolerance,
            ignore=tuple(ignore or ()),
            require=tuple(require or ()),
            concurrency=concurrency,
            limit=limit,
            seed=seed,
        )
    except OptionError as error:
        typer.echo(f"router evaluate: {error}", err=True)
        raise typer.Exit(3) from error
    raise typer.Exit(evaluate_target(target, baseline, config, job, Output(as_json, out)))


@app.command(epilog="Example: [bold]router sign ranker-v2=treatment --keys /run/secrets/keys --for 1h[/]")
def sign(
    override: Annotated[str, typer.Argument(metavar="EXPERIMENT=ARM", help="Experiment, and the arm to be given.")],
    *,
    keys: Annotated[Path, typer.Option(metavar="FILE", help="The router's server.signing.keys_file.", readable=False)],
    unit: Annotated[str | None, typer.Option(metavar="U", help="The only unit that may use it.")] = None,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it counts, up to 30d.")] = "1h",
    as_json: Json = False,
) -> None:
    """Write the header field that gives its sender an arm, whatever the weights.

    x-router-override: EXPERIMENT=ARM; TOKEN. The token is signed with the first key of the file, and is all that makes
    the field count: whoever has it may use it until it expires. It also works for an arm of weight 0; not while the
    experiment is killed.
    """
    from router.command import sign as command

    try:
        code = command.sign(override, keys, unit, lasting, as_json=as_json)
    except command.SignError as error:
        _fail(f"router sign: {error}")
    raise typer.Exit(code)


@app.command(epilog="Example: [bold]router schema > config/router.schema.json[/]")
def schema(
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the reference of every key as Markdown instead.")
    ] = False,
    into: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Put the reference between the markers of this page.")
    ] = None,
) -> None:
    """Write the JSON Schema of the configuration, for editors."""
    from router.command.schema import schema as run

    raise typer.Exit(run(into, markdown=markdown))
