"""Configurations and states for the tests of the control plane, in few words."""

from router.config.load import Loaded, load_text
from router.control.state import Refusal, State, apply, start
from router.events.model import Revision

NOW = 1_800_000_000.0


def yaml(arms: str = "95, 5", experiment: str = "", route: str = "", target: str = "", top: str = "") -> str:
    """Write a configuration with two targets, a route and an experiment.

    Args:
        arms: Weights of the arms ``old`` and ``new``.
        experiment: Further keys of the experiment ``ramp``, as YAML flow mapping content.
        route: Likewise of the route ``r``.
        target: Likewise of the target ``b``.
        top: Further lines at the top.
    """
    old, new = arms.split(",")
    return (
        f"{top}\n"
        "targets:\n"
        "  - {name: a, endpoints: ['http://127.0.0.1:8001']}\n"
        f"  - {{name: b, endpoints: ['http://127.0.0.1:8002']{target and ', ' + target}}}\n"
        "routes:\n"
        f"  - {{name: r, target: a, unit: [header:x-user-id]{route and ', ' + route}}}\n"
        "experiments:\n"
        "  - name: ramp\n"
        "    route: r\n"
        f"    arms: [{{name: old, target: a, weight: {old}}}, {{name: new, target: b, weight: {new}}}]\n"
        + "".join(f"    {line}\n" for line in experiment.splitlines())
    )


def plain(top: str = "") -> str:
    """Write the same configuration without the experiment."""
    return yaml(top=top).partition("experiments:")[0]


def loaded(text: str) -> Loaded:
    """Load a text."""
    return load_text(text.encode(), "router.yaml")


def started(text: str | None = None) -> State:
    """Start with a configuration."""
    return start(State(), loaded(yaml() if text is None else text), NOW)[0]


def applied(state: State, text: str) -> tuple[State, Revision]:
    """Apply a configuration that is not refused."""
    outcome = apply(state, loaded(text), NOW + 1, "file")
    assert not isinstance(outcome, Refusal), outcome.mistakes
    return outcome


def refused(state: State, text: str) -> list[str]:
    """Apply a configuration that is refused; return the mistakes as people read them."""
    outcome = apply(state, loaded(text), NOW + 1, "file")
    assert isinstance(outcome, Refusal)
    return [str(mistake) for mistake in outcome.mistakes]


def present(state: State) -> Revision:
    """Return the present revision."""
    assert state.revision is not None
    return state.revision
