"""The limits that the system sets to this process and its children.

Responsible for: allowing as many open files as this user may have.
Does not know: how many connections the configuration allows.
"""

import resource
from logging import getLogger

log = getLogger(__name__)


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system lets this user have; children inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        log.warning("the limit of open files stays as it is: %s", error)
