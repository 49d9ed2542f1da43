"""Configurations that tests start from."""

from router.config.load import Loaded, load_text
from router.config.mistake import ConfigError

SMALL = """\
targets:
  - {name: a, endpoints: [http://127.0.0.1:8001]}
  - {name: b, endpoints: [http://127.0.0.1:8002]}
routes:
  - {name: r, match: {path: /v2/}, target: a, unit: [header:x-user-id]}
experiments:
  - name: e
    route: r
    arms: [{name: control, target: a, weight: 95}, {name: treatment, target: b, weight: 5}]
"""


def loaded(text: str = SMALL) -> Loaded:
    """Load a text that has no mistakes."""
    return load_text(text.encode(), "router.yaml")


def mistakes(text: str | bytes) -> list[str]:
    """Give the mistakes of a text, as users read them."""
    try:
        load_text(text.encode() if isinstance(text, str) else text, "router.yaml")
    except ConfigError as error:
        return [str(mistake) for mistake in error.mistakes]
    return []
