"""What a new configuration, a restore or a new certificate makes of the present revision, or why not.

Responsible for: revision numbers, which earlier revisions can be restored, and where counter rows lie.
Does not know: files, clocks, processes; it is pure and is told the time.

Rules:

- The same bytes make no revision. A restore therefore holds until the bytes of the file change: its ``digest`` is that
  of the file at the time, not of the configuration it brought back.
- A running experiment keeps salt, arms, targets of arms, their versions, route and hash version. A reload that changes
  one is refused with the way out; a restart of the router and a restore, which a person asks for, begin a new run. So
  does a new version of a release, which is what it is for.
- Kills are taken over by every revision; a restore never ends one (``router.control.kill``). So are marks of invalid
  data, as long as the experiment is in the same run and phase.
- Keys that only a restart can apply refuse the whole change: half a configuration would be neither the old nor the new.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from router.config.diff import differences
from router.config.mistake import ConfigError, Mistake
from router.config.schema import Config
from router.control import allocated
from router.control import edits as changed
from router.control import kill as kills
from router.control.phases import kept_marks, runs
from router.control.refuse import across, file_of, in_place, restart_differences, restart_only
from router.counters import CountersFull, allocate, row_keys
from router.events.model import Kill, Revised, Revision
from router.events.policy import LinearModel

if TYPE_CHECKING:
    from router.config.load import Loaded

HISTORY = 100
# Causes that move releases, and nothing else.
RELEASE = frozenset(
    {
        "begin", "stage", "promote", "done", "rollback", "abort", "pause", "approve", "wait", "hold", "deadline",
        "ready", "switch", "batch", "drill",
    }
)  # fmt: skip
FILE = "file"
# Causes after which a restored configuration still holds.
_HOLDING = frozenset({"certificate", "kill", "resume", "schedule", "invalid", "tick"}) | RELEASE
_CHANGES = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no new revision.

    Attributes:
        mistakes: Each with its place.
    """

    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True)
class State:
    """The present revision and those before it.

    Attributes:
        revision: What is served; None before the first.
        history: The journal's entries, oldest first, the present one last; at most ``HISTORY``.
        held: Whether the present configuration was restored and so is not that of the file.
    """

    revision: Revision | None = None
    history: tuple[Revised, ...] = ()
    held: bool = False


def replay(entries: Iterable[Revised]) -> State:
    """Rebuild the state from a journal, oldest entry first; counter rows have no place yet."""
    history: list[Revised] = []
    held = False
    for entry in entries:
        held = entry.cause == "restore" or (entry.cause in _HOLDING and held)
        history = [*history[1 - HISTORY :], entry]
    if not history:
        return State()
    return State(_revision(history[-1], {}), tuple(history), held)


def start(state: State, loaded: "Loaded", now: float) -> tuple[State, Revision]:
    """Begin to serve, after all processes were stopped.

    Args:
        state: What ``replay`` gave.
        loaded: The configuration on disk.
        now: Unix seconds.

    Returns:
        The last revision again when nothing has changed since, otherwise a new one. Rows are placed anew, because the
        counters are empty.

    Raises:
        ConfigError: If the counters have no room for the configuration, or an experiment is not the same for all
            regions and clusters.
    """
    last = state.revision
    if mistakes := list(across(loaded)):
        raise ConfigError(mistakes)
    try:
        if last is not None and last.digest == loaded.digest and (state.held or last.config == loaded.config):
            placed = msgspec.structs.replace(last, slots=allocate({}, row_keys(last.config, last.runs)))
            return replace(state, revision=placed), placed
        if last is not None:
            state = replace(state, revision=msgspec.structs.replace(last, slots={}))
        return follow(state, _from_file(state, loaded, ("start", FILE, now)))
    except CountersFull as error:
        raise ConfigError([Mistake(file_of(loaded), 0, "", str(error))]) from error


def resume(state: State, published: Revision) -> State:
    """Take over from a control process that died while the workers served on.

    Args:
        state: What ``replay`` gave.
        published: What the workers were last given; it knows where the counter rows lie.
    """
    if state.revision is not None and state.revision.number == published.number:
        known = msgspec.structs.replace(state.revision, slots=published.slots, policies=published.policies)
        return replace(state, revision=known)
    # The journal's last write was lost, or its last entry was not published. The workers' view is what counts.
    entry = Revised(
        number=published.number,
        time=published.time,
        cause=published.cause,
        author=published.author,
        digest=published.digest,
        config=published.config,
        weights=published.weights,
        runs=published.runs,
        killed=published.killed,
        invalid=published.invalid,
        coming=published.coming,
        rollouts=published.rollouts,
        mirrors=published.mirrors,
        endpoints=published.endpoints,
    )
    if state.revision is not None and state.revision.number > published.number:
        slots = allocate(published.slots, row_keys(state.revision.config, state.revision.runs))
        return replace(state, revision=msgspec.structs.replace(state.revision, slots=slots))
    held = published.cause == "restore" or (published.cause in _HOLDING and state.held)
    return State(published, (*state.history[1 - HISTORY :], entry), held)


def apply(state: State, loaded: "Loaded", now: float, author: str) -> tuple[State, Revision] | Refusal:
    """Apply a configuration to a running router.

    Args:
        state: The present state.
        loaded: The configuration on disk.
        now: Unix seconds.
        author: Who changed it; ``FILE`` for the owners of the files.

    Returns:
        The present state and revision when the bytes are the same; a new revision; or why there is none.
    """
    present = current(state)
    if loaded.digest == present.digest:
        return state, present
    mistakes = [*across(loaded), *restart_only(present.config, loaded), *in_place(present.config, loaded)]
    if mistakes:
        return Refusal(tuple(mistakes))
    try:
        return follow(state, _from_file(state, loaded, ("reload", author, now)))
    except CountersFull as error:
        return Refusal((Mistake(file_of(loaded), 0, "", str(error)),))


def restore(
    state: State, number: int, now: float, author: str, older: Revised | None = None
) -> tuple[State, Revision] | Refusal:
    """Bring back configuration and weights of an earlier revision, as a new one.

    Args:
        state: The present state.
        number: The earlier revision.
        now: Unix seconds.
        author: Who asked.
        older: The entry of that revision, when it is older than the state's history.

    Raises:
        LookupError: If there is no such revision (any more).
    """
    present = current(state)
    entry = next((entry for entry in state.history if entry.number == number), older)
    if entry is None:
        raise LookupError(f"there is no revision {number}, or it is no longer kept")
    name = f"revision {number}"
    mistakes = tuple(
        Mistake(name, 0, f"$.{key}", f"was {was!r} and is {now_!r}; only a restart of the router can change it")
        for key, now_, was in restart_differences(present.config, entry.config)
    )
    if mistakes:
        return Refusal(mistakes)
    free = {experiment: weights for experiment, weights in entry.weights.items() if experiment not in entry.killed}
    free |= allocated.given(present, entry.config)
    killed = kills.kept(present.killed, present.config, entry.config)
    weights = kills.weigh(entry.config, free, killed)
    coming = unnumbered(state, ("restore", author, now), present.digest, (entry.config, weights, killed))
    found, count = changed.restored(present.config, entry.config, number, author)
    coming = msgspec.structs.replace(coming, edits=found, edited=count)
    try:
        following, revision = follow(state, coming)
    except CountersFull as error:
        return Refusal((Mistake(name, 0, "", str(error)),))
    return replace(following, held=True), revision


def certificate(state: State, now: float) -> tuple[State, Revision]:
    """Make the workers read certificate files again whose content has changed; nothing else differs."""
    present = current(state)
    why = ("certificate", "file", now)
    coming = unnumbered(state, why, present.digest, (present.config, present.weights, present.killed))
    following, revision = follow(state, coming)
    return replace(following, held=state.held), revision


# --- Making a revision ----------------------------------------------------------------------------------------------


def current(state: State) -> Revision:
    """Return the present revision.

    Raises:
        ValueError: If there is none yet.
    """
    if state.revision is None:
        raise ValueError("there is no revision yet")
    return state.revision


def _from_file(state: State, loaded: "Loaded", why: tuple[str, str, float]) -> Revised:
    before = state.revision
    killed = kills.kept(before.killed, before.config, loaded.config) if before is not None else {}
    found, count = changed.edits(before.config, loaded) if before is not None else ((), 0)
    cause, who, now = why
    why = cause, changed.author(found, loaded) if who == FILE else who, now
    free = allocated.given(before, loaded.config) if before is not None else {}
    weights = kills.weigh(loaded.config, free, killed)
    made = unnumbered(state, why, loaded.digest, (loaded.config, weights, killed))
    return msgspec.structs.replace(made, edits=found, edited=count)


def unnumbered(
    state: State,
    why: tuple[str, str, float],
    digest: str,
    what: tuple[Config, kills.Weights, dict[str, Kill]],
) -> Revised:
    """Make an entry that has no place in the history yet.

    Args:
        state: The present state.
        why: Cause, author and time.
        digest: Digest of the configuration's files.
        what: Configuration, weights and kills.
    """
    cause, author, now = why
    config, weights, killed = what
    following = runs(state.revision, config, weights)
    before = state.revision
    return Revised(
        number=0,
        time=now,
        cause=cause,
        author=author,
        digest=digest,
        config=config,
        weights=weights,
        runs=following,
        killed=killed,
        invalid=kept_marks(before.invalid, following) if before is not None else {},
        coming=allocated.kept_coming(before, weights, following) if before is not None else {},
        **(allocated.kept_release(before, config, following, killed) if before is not None else allocated.NOTHING),
    )


def follow(state: State, coming: Revised) -> tuple[State, Revision]:
    """Put an entry after the present revision.

    Raises:
        CountersFull: If there is no room for its rows.
    """
    before = state.revision
    number = before.number + 1 if before else 1
    entry = msgspec.structs.replace(coming, number=number, changes=_changes(before, coming))
    slots = allocate(before.slots if before else {}, row_keys(coming.config, coming.runs))
    revision = _revision(entry, slots)
    if before is not None and before.policies:
        revision = msgspec.structs.replace(revision, policies=kept_policies(before, entry))
    return State(revision, (*state.history[1 - HISTORY :], entry)), revision


def kept_policies(before: Revision, entry: Revised) -> dict[str, LinearModel]:
    """Return the policies of experiments that are still in the run in which they were learned."""
    return {
        name: model
        for name, model in before.policies.items()
        if name in entry.runs and entry.runs[name].number == model.run
    }


def _changes(before: Revision | None, coming: Revised) -> tuple[str, ...]:
    """Say what differs, in so few sentences that a rewritten configuration does not fill the journal."""
    if before is None:
        return ()
    ended = () if coming.cause == "resume" else sorted(before.killed.keys() - coming.killed.keys())
    found = (
        *coming.changes,
        *(f"the kill of {name!r} ends: it is another experiment now" for name in ended),
        *differences(before.config, coming.config),
    )
    return (*found[:_CHANGES], f"and {len(found) - _CHANGES} more") if len(found) > _CHANGES else found


def _revision(entry: Revised, slots: dict[str, int]) -> Revision:
    return Revision(
        number=entry.number,
        time=entry.time,
        cause=entry.cause,
        author=entry.author,
        digest=entry.digest,
        config=entry.config,
        weights=entry.weights,
        runs=entry.runs,
        slots=slots,
        killed=entry.killed,
        invalid=entry.invalid,
        coming=entry.coming,
        rollouts=entry.rollouts,
        mirrors=entry.mirrors,
        endpoints=entry.endpoints,
    )
