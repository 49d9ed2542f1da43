"""What a tick of the allocators makes of the present revision.

Responsible for: the revision with new weights and its epochs, and the entry of the log of ticks that says so.
Does not know: how weights are computed (``router.control.learn``), when (``router.control.ticker``), tables.

Rules: pure. A tick changes weights, models of policies, epochs and nothing else: neither run nor phase, neither the
configuration nor its ETag, and it is no entry of the history. Where units are drawn anew in periods, weights are
published before a period begins, for the moment when it does (``Revision.coming``), so that no unit changes its arm
within one; an arm that is stopped loses its units at once all the same. Weights that moved less than ``STEP`` are those
of before: an epoch more would say nothing, and be compiled, published and kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from msgspec import Struct, structs

from router.control.schedule import pending
from router.control.state import State, current
from router.events.model import Coming, Revision, Run, Ticked
from router.events.policy import LinearModel

CAUSE: Final = "tick"
STEP: Final = 0.005
LINGER_S: Final = 30.0  # how long after a period began its predecessor's weights are kept; in a short one, a quarter


class Allotment(Struct, frozen=True):
    """What an allocator says of an experiment.

    Attributes:
        author: Name of the allocator.
        run: Run that it was computed for.
        phase: Phase of the run.
        weights: Arm to weight; None leaves those in force.
        start: Since when they are to be in force, in unix seconds; None is at once.
        policy: What workers score requests by, at once; None leaves what they have.
    """

    author: str
    run: int
    phase: int
    weights: dict[str, float] | None
    start: float | None = None
    policy: LinearModel | None = None


def tick(state: State, found: Mapping[str, Allotment], now: float) -> tuple[State, Revision, Ticked] | None:
    """Publish what allocators say.

    Args:
        state: The present state.
        found: Experiment to what was computed; of one that is elsewhere by now, or killed, nothing is changed.
        now: Unix seconds.

    Returns:
        State, revision and entry; None when nothing is new. Before a revision of a schedule that is due nothing is
        published, because that revision is to be the first of its time.
    """
    present = current(state)
    due = pending(present)
    if due is not None and due <= now:
        return None
    settled = tuple(sorted(name for name in present.coming if over(present, name, now)))
    entry = Ticked(number=present.number + 1, time=now, author="", settled=settled)
    for name in settled:
        coming = present.coming[name]
        entry = _at_once(entry, name, _epoch(present.runs[name], coming.epoch), coming.weights)
    authors = []
    policies: dict[str, LinearModel] = {}
    for name, allotment in sorted(found.items()):
        if name not in present.runs or name in present.killed or not _same_place(present.runs[name], allotment):
            continue
        following = entry if allotment.weights is None else _allot(entry, present, name, allotment, now)
        if allotment.policy is not None and allotment.policy != present.policies.get(name):
            policies[name] = allotment.policy
            following = _scored(following, present.runs[name], name, allotment.policy)
        if following is not entry:
            entry = following
            authors.append(allotment.author)
    if not settled and not authors:
        return None
    entry = structs.replace(entry, author=", ".join(dict.fromkeys(authors)) or "clock")
    revision = structs.replace(ticked_over(present, entry), policies={**present.policies, **policies})
    return replace(state, revision=revision), revision, entry


def ticked_over(revision: Revision, entry: Ticked) -> Revision:
    """Return a revision after a tick; experiments that it does not know are passed over."""
    known = revision.weights.keys()
    coming = {name: each for name, each in revision.coming.items() if name not in entry.settled}
    return structs.replace(
        revision,
        number=entry.number,
        time=entry.time,
        cause=CAUSE,
        author=entry.author,
        weights={**revision.weights, **{name: each for name, each in entry.weights.items() if name in known}},
        runs={**revision.runs, **{name: run for name, run in entry.runs.items() if name in known}},
        coming={**coming, **{name: each for name, each in entry.coming.items() if name in known}},
    )


def with_ticks(state: State, entries: Iterable[Ticked]) -> State:
    """Return a state that a journal tells after the ticks that came after its last entry, oldest first."""
    revision = state.revision
    if revision is None:
        return state
    for entry in entries:
        if entry.number > revision.number:
            revision = ticked_over(revision, entry)
    return replace(state, revision=revision)


def over(revision: Revision, name: str, now: float) -> bool:
    """Say whether no request is decided by the weights before those that were to come.

    A request belongs to the period in which it began, though its body may arrive in the next.
    """
    experiment = next((each for each in revision.config.experiments if each.name == name), None)
    period = experiment.allocate.period if experiment is not None else None
    return revision.coming[name].start + min(LINGER_S, (period or 0.0) / 4) <= now


def differ(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Say whether shares are others: some arm moved by ``STEP``, or to or from nothing."""
    first, second = _shares(one), _shares(other)
    return first.keys() != second.keys() or any(
        abs(first[arm] - second[arm]) >= STEP or (first[arm] > 0) != (second[arm] > 0) for arm in first
    )


def _allot(entry: Ticked, present: Revision, name: str, allotment: Allotment, now: float) -> Ticked:
    """Put an experiment's weights into an entry; the same entry when they are in force, or are to be, already."""
    given = allotment.weights or {}
    weights = entry.weights.get(name, present.weights[name])
    run = entry.runs.get(name, present.runs[name])
    coming = present.coming.get(name) if name not in entry.settled else None
    if allotment.start is None:
        # What was to come was computed before, and a stopped arm must not come back with it.
        if not differ(weights, given):
            return entry
        epoch = max(run.epoch, coming.epoch if coming is not None else 0) + 1
        settled = tuple(sorted({*entry.settled, *([name] if coming is not None else [])}))
        entry = structs.replace(entry, settled=settled)
        return _at_once(entry, name, _epoch(run, epoch), given)
    # What comes too late for its period would change arms within it.
    if coming is not None or allotment.start <= now or not differ(weights, given):
        return entry
    later = Coming(start=allotment.start, epoch=run.epoch + 1, weights=dict(given))
    return structs.replace(entry, runs={**entry.runs, name: run}, coming={**entry.coming, name: later})


def _scored(entry: Ticked, run: Run, name: str, policy: LinearModel) -> Ticked:
    """Put a new model into an entry: an epoch of its own, and what it learned from; after a restart it learns again."""
    runs = entry.runs if name in entry.runs else {**entry.runs, name: _epoch(run, run.epoch + 1)}
    return structs.replace(entry, runs=runs, policies={**entry.policies, name: policy.seen})


def _at_once(entry: Ticked, name: str, run: Run, weights: Mapping[str, float]) -> Ticked:
    return structs.replace(entry, weights={**entry.weights, name: dict(weights)}, runs={**entry.runs, name: run})


def _epoch(run: Run, epoch: int) -> Run:
    return Run(number=run.number, phase=run.phase, epoch=epoch)


def _same_place(run: Run, allotment: Allotment) -> bool:
    return (run.number, run.phase) == (allotment.run, allotment.phase)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    whole = sum(weights.values())
    return {arm: weight / whole if whole else 0.0 for arm, weight in weights.items()}
