"""The commands about releases: status, what people ask of them, kill and resume.

Responsible for: turning arguments into one call of the function that does the work.
Does not know: what a release is.

Rules: as in ``router.cli``. What is asked of a release goes with the tag of the experiment (``If-Match``): that of
``--seen``, so that a change since somebody looked is noticed, else that of now.
"""

# The imports inside the functions are what keeps a command from paying for the others.
# ruff: noqa: PLC0415

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Final, NoReturn

import typer

from router.options import ADMIN, AdminUrl, Json, TokenFile

Experiment = Annotated[str, typer.Argument(metavar="NAME", help="Name of the experiment.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; kept in the journal.")]
Author = Annotated[str | None, typer.Option(metavar="WHO", envvar="ROUTER_AUTHOR", help="Who asks; kept likewise.")]
Seen = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Only if it is as you saw it: the tag of [bold]router status NAME[/]; * for any."),
]
_OPTIONS: Final[dict[str, tuple[Any, Any]]] = {
    "reason": (Reason, None),
    "author": (Author, None),
    "seen": (Seen, None),
    "admin": (AdminUrl, ADMIN),
    "token_file": (TokenFile, None),
    "as_json": (Json, False),
}


def add_releases(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example: [bold]router status ranker-v2 --why[/]")(status)
    for run, example in _ASKED:
        name = run.__name__.removeprefix("_")
        app.command(name, epilog=f"Example: [bold]router {name} {example}[/]")(_command(name, run))


def status(  # noqa: PLR0913 - one parameter for each option
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this experiment, in full.")] = None,
    *,
    why: Annotated[
        bool, typer.Option("--why", help="Also why its release is where it is: evidence, decisions.")
    ] = False,
    last: Annotated[int, typer.Option(min=1, max=1000, help="With --why: how many decisions.")] = 20,
    admin: AdminUrl = ADMIN,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Show what revision a running router serves, its experiments and its targets.

    With NAME: where its release is, since when and what it waits for. With --why: what each guardrail said, with its
    numbers, and what was decided, why, and what would have been done otherwise.
    """
    from router.command import remote
    from router.command.status import show

    try:
        if why and name is None:
            _fail("router status: --why needs the NAME of an experiment")
        found = remote.connect(admin, token_file)
        if name is None:
            raise typer.Exit(remote.status(found, as_json=as_json))
        raise typer.Exit(show(found, name, last if why else 0, as_json=as_json))
    except remote.AdminError as error:
        _fail(f"router status: {error}")


def _kill(name: str) -> None:
    """Put all units of an experiment on its control arm, and wait until every worker does so.

    It holds, whatever happens to the file or the router, until [bold]router resume[/].
    """


def _drill(name: str) -> None:
    """Rehearse a kill and a rollback of an experiment on the running router, and say how long they took.

    Only while its new arm has no traffic: nobody gets another arm, and no phase begins. The last drill is in the ship
    checklist of the report.
    """


def _resume(name: str) -> None:
    """End the kill of an experiment: its arms have their weights again.

    Of a release that is not killed: end its pause, or, after a rollback or an abort, begin again at the first step.
    """


def _approve(name: str) -> None:
    """Let a release go on from the step that waits for somebody."""


def _promote(name: str) -> None:
    """Take the next step of a release now; refused while a hard guardrail fails."""


def _pause(name: str) -> None:
    """Keep a release where it is, until [bold]router resume[/]; guardrails go on guarding."""


def _rollback(name: str) -> None:
    """Put everybody on control, because the new version failed; writes a post-mortem report."""


def _abort(name: str) -> None:
    """Put everybody on control, because the release is given up; writes a post-mortem report."""


_ASKED: Final[tuple[tuple[Callable[[str], None], str], ...]] = (
    (_approve, 'ranker-v2 --author ada --reason "looks right"'),
    (_promote, 'ranker-v2 --reason "hotfix"'),
    (_pause, 'ranker-v2 --reason "on-call is asleep"'),
    (_rollback, 'ranker-v2 --reason "customers complain"'),
    (_abort, 'ranker-v2 --reason "superseded by v3"'),
    (_kill, 'ranker-v2 --reason "p99 doubled"'),
    (_resume, "ranker-v2"),
    (_drill, "ranker-v2"),
)


def _command(what: str, documented: Callable[[str], None]) -> Callable[..., None]:
    """Make a command that asks something of an experiment."""

    def command(name: str, **given: Any) -> None:
        from router.command import remote, switch

        why = switch.Why(given["author"], given["reason"], given["seen"])
        try:
            admin = remote.connect(given["admin"], given["token_file"])
            if what == "drill":
                code = switch.drill(admin, name, why, as_json=given["as_json"])
            elif what == "kill" and why.seen is None:
                code = switch.kill(admin, name, why, as_json=given["as_json"])
            else:
                code = switch.ask(admin, name, what, why, as_json=given["as_json"])
        except remote.AdminError as error:
            _fail(f"router {what}: {error}")
        raise typer.Exit(code)

    command.__doc__ = documented.__doc__
    command.__annotations__ = {"name": Experiment} | {key: kind for key, (kind, _) in _OPTIONS.items()}
    parameters = [inspect.Parameter("name", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Experiment)]
    parameters += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for key, (kind, default) in _OPTIONS.items()
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer reads options from
    return command


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
