"""What ``router schema`` does.

Responsible for: writing the JSON Schema, or the reference as Markdown, and putting the latter into a page.
Does not know: either of them.
"""

import json
import sys
from pathlib import Path

from router.config.json_schema import json_schema
from router.config.reference import reference, splice


def schema(into: Path | None, *, markdown: bool) -> int:
    """Write the JSON Schema or the reference.

    Args:
        into: page whose part between the reference's markers is replaced; None writes to standard output.
        markdown: write the reference.

    Returns:
        0; 1 when the page cannot be read or written, or has no markers.
    """
    if into is None:
        sys.stdout.write(reference() + "\n" if markdown else schema_text())
        return 0
    try:
        into.write_text(splice(into.read_text("utf-8"), reference()), "utf-8")
    except OSError as error:
        sys.stderr.write(f"router schema: {into}: {error.strerror}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"router schema: {into}: {error}\n")
        return 1
    return 0


def schema_text() -> str:
    """Give the JSON Schema as a file has it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
