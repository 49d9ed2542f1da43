"""Files beside the configuration that workers read for themselves: certificates and signing keys.

Responsible for: which they are, and saying when keys are open to others.
Does not know: what is in them; no secret passes through this process.
"""

import stat
from logging import getLogger
from pathlib import Path

from router.config.schema import Config

log = getLogger(__name__)


def worker_files(config: Config) -> set[Path]:
    """Return the files whose change workers have to be told of."""
    tls, signing = config.server.tls, config.server.signing
    names = [*((tls.cert, tls.key) if tls else ()), *(target.tls.ca for target in config.targets)]
    names += [signing.keys_file] if signing else []
    names += [config.server.jwt.keys_file] if config.server.jwt else []
    return {Path(name) for name in names if name is not None}


def warn_of_open_keys(config: Config) -> None:
    """Say when others than this user can read the signing keys; where secrets are mounted that may be meant."""
    signing = config.server.signing
    if signing is None:
        return
    try:
        mode = Path(signing.keys_file).stat().st_mode
    except OSError as error:  # of a configuration that was restored; workers go on with the keys that they have
        log.warning("$.server.signing.keys_file: %s cannot be looked at: %s", signing.keys_file, error)
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("$.server.signing.keys_file: %s can be read by other users; chmod 600 it", signing.keys_file)
