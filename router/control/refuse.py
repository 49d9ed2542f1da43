"""What may not change while the router runs, and what makes an experiment another one.

Responsible for: the identity of an experiment's run, and the mistakes of a change that a running router cannot apply.
Does not know: revisions, history, what happens to a change that is fine.

Rules: pure; each mistake has the place of its key in the file and says the way out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from router.config.allocate import Allocate
from router.config.mistake import Mistake
from router.config.schema import Arm, Config, Experiment

if TYPE_CHECKING:
    from router.config.load import Loaded

_RESTART_ONLY = ("server.listen", "server.workers", "admin.listen", "events.dir")
_WAY_OUT = (
    "experiment {name!r} is running; its {what} may not change in place ({before} -> {after}). Give the changed "
    "experiment another name, or remove it, save, and add it again, which begins a new run"
)


def identity(config: Config, experiment: Experiment) -> dict[str, object]:
    """Give what is fixed within a run, by the words that a refusal uses."""
    versions = {target.name: target.version for target in config.targets}
    return {
        "salt": experiment.salt if experiment.salt is not None else experiment.name,
        "route": experiment.route,
        "hash_version": experiment.hash_version,
        **{key: value for key, value in _chosen(experiment).items() if value},
        **{f"arm {arm.name!r}": _choice(arm) for arm in experiment.arms},
        **{f"version of target {name!r}": versions.get(name) for arm in experiment.arms if (name := arm.target)},
    }


def _chosen(experiment: Experiment) -> dict[str, object]:
    """Give what few experiments say, so that the others have the identity that they had without it."""
    return {
        "unit": list(experiment.unit),
        "flag": experiment.flag,
        "slot": experiment.allocate.slot,
        "period": experiment.allocate.period,
        "merging": _merging(experiment.allocate),
    }


def _merging(allocate: Allocate) -> str:
    """Say what is made of the answers of several arms; nothing where a request goes to one."""
    if allocate.use == "interleave":
        return f"{allocate.merge} of {allocate.list} by {allocate.id or 'the item itself'}"
    return f"{allocate.combine} at {allocate.at}" if allocate.use == "ensemble" else ""


def _choice(arm: Arm) -> str:
    if arm.target is None:
        return f"value {msgspec.json.encode(arm.value, order='deterministic').decode()}"
    return f"target {arm.target!r}"


def file_of(loaded: "Loaded") -> str:
    """Give the name of the configuration, for a mistake that belongs to no line."""
    return str(loaded.files[0]) if loaded.files else "configuration"


def _mistake(loaded: "Loaded", path: str, message: str) -> Mistake:
    """Place a mistake at the line of its key, or of the nearest key around it; of an arm, at that of its choice."""
    choices = (f"{path}.{key}" for key in ("target", "value"))
    near = next((choice for choice in choices if choice in loaded.origins), path)
    while near not in loaded.origins:
        cut = max(near.rfind("."), near.rfind("["))
        if cut < 0:
            return Mistake(file_of(loaded), 0, path, message)
        near = near[:cut]
    origin = loaded.origins[near]
    return Mistake(origin.file, origin.line, path, message)


def restart_differences(current: Config, coming: Config) -> Iterator[tuple[str, object, object]]:
    """Yield key, present and coming value of each difference that only a restart can apply."""
    for key in _RESTART_ONLY:
        section, _, name = key.partition(".")
        before, after = (getattr(getattr(config, section), name) for config in (current, coming))
        if before != after:
            yield key, before, after
    # Other certificates are no difference; a listener that begins or ceases to speak TLS is another listener.
    tls, coming_tls = ("absent" if config.server.tls is None else "present" for config in (current, coming))
    if tls != coming_tls:
        yield "server.tls", tls, coming_tls


def restart_only(current: Config, loaded: "Loaded") -> Iterator[Mistake]:
    """Yield a mistake for each such difference."""
    for key, before, after in restart_differences(current, loaded.config):
        yield _mistake(
            loaded,
            f"$.{key}",
            f"cannot change from {before!r} to {after!r} without a restart of the router; nothing of this change is "
            "applied",
        )


def in_place(current: Config, loaded: "Loaded") -> Iterator[Mistake]:
    """Yield a mistake for each change of a running experiment that would make it another one."""
    running = {experiment.name: experiment for experiment in current.experiments}
    for index, experiment in enumerate(loaded.config.experiments):
        old = running.get(experiment.name)
        if old is None:
            continue
        before, after = identity(current, old), identity(loaded.config, experiment)
        released = old.allocate.driven and experiment.allocate.driven
        for what in _changed(before, after):
            if released and what.startswith("version"):
                continue  # another version is what a release is for: it begins a new run at the first step
            yield _mistake(
                loaded,
                _path_of(loaded.config, index, what),
                _WAY_OUT.format(
                    name=experiment.name,
                    what=what,
                    before=before.get(what, "absent"),
                    after=after.get(what, "absent"),
                ),
            )


def _changed(before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    """Yield what makes an experiment another one."""
    for what in {**before, **after}:
        # An arm that moved to another target is one mistake, not three: versions count for targets of both.
        gone = (what in before) != (what in after)
        if (gone and not what.startswith("version")) or (not gone and before[what] != after[what]):
            yield what


def across(loaded: "Loaded") -> Iterator[Mistake]:
    """Yield a mistake for each experiment that is another one for a region or cluster that is served as well."""
    own = {experiment.name: identity(loaded.config, experiment) for experiment in loaded.config.experiments}
    seen: set[tuple[str, int, str]] = set()
    for other in loaded.others:
        for index, experiment in enumerate(other.config.experiments):
            before, after = own[experiment.name], identity(other.config, experiment)
            for what in _changed(before, after):
                message = f"experiment {experiment.name!r} has another {what} for {other.site}; all need the same"
                mistake = _mistake(other, _path_of(other.config, index, what), message)
                if (mistake.file, mistake.line, what) not in seen:
                    seen.add((mistake.file, mistake.line, what))
                    yield mistake


def _path_of(config: Config, index: int, what: str) -> str:
    """Give the path of the key that a difference is about."""
    experiment = config.experiments[index]
    path = f"$.experiments[{index}]"
    if what in ("slot", "period"):
        return f"{path}.allocate.{what}"
    if what == "merging":
        return f"{path}.allocate"
    if what in ("salt", "route", "hash_version", "unit", "flag"):
        return f"{path}.{what}"
    for position, arm in enumerate(experiment.arms):
        if what == f"arm {arm.name!r}":
            return f"{path}.arms[{position}]"
    for position, target in enumerate(config.targets):
        if what == f"version of target {target.name!r}":
            return f"$.targets[{position}].version"
    return f"{path}.arms"
