"""Options that several commands share.

Responsible for: their names, help and environment variables.
Does not know: the commands.
"""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
AdminUrl = Annotated[
    str, typer.Option("--admin", metavar="URL", envvar="ROUTER_ADMIN", help="Admin API of the router.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", envvar="ROUTER_TOKEN_FILE", help="File with the bearer token.")
]
ADMIN = "http://127.0.0.1:9090"
