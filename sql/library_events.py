"""What a write to a library tells the rest of the house: its effect as differences, which add up in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from server.rules.library import COLLECTION, COLLECTION_NAMES, COMPLETED, FAVORITE, IGNORED, RATING, Entry, Step
from sql.outbox import Event

Activity = tuple[str, str, int, dict[str, Any]]


class Change(NamedTuple):
    """An entry before and after."""

    kind: int
    release_id: int
    before: Entry | None
    after: Entry

    @property
    def was(self) -> int | None:
        """The value before, None if it did not stand in its list."""
        return None if self.before is None or self.before.deleted else self.before.value

    @property
    def becomes(self) -> int | None:
        """The value after, None if it stands in its list no more."""
        return None if self.after.deleted else self.after.value


class StepChange(NamedTuple):
    """Progress before and after."""

    episode_id: int
    release_id: int
    before: Step | None
    after: Step


def events(
    user_id: int, origin: str, changes: Sequence[Change], steps: Sequence[StepChange], started: set[int]
) -> list[Event]:
    """One event that says everything of the user, and one about releases that says nothing of anybody."""
    moved = [change for change in changes if change.was != change.becomes]
    payload = {
        "origin": origin,
        "delta": _delta(moved, steps),
        "releases": sorted({change.release_id for change in moved if change.kind != IGNORED}),
        "activity": [] if origin == "import" else _activity(moved, started),
    }
    told = [Event("library", f"user:{user_id}", payload, user_id)]
    counts = _counts(moved)
    if counts:
        told.append(Event("release_counts", "release_counts", {"changes": counts}))
    return told


def _delta(moved: Sequence[Change], steps: Sequence[StepChange]) -> dict[str, int]:
    delta: Counter[str] = Counter()
    for step in steps:
        before = step.before or step.after._replace(completed=False, watched_seconds=0)
        delta["episodes_watched"] += step.after.completed - before.completed
        delta["watch_seconds"] += step.after.watched_seconds - before.watched_seconds
    for change in moved:
        for value, sign in ((change.was, -1), (change.becomes, 1)):
            if value is None:
                continue
            if change.kind == FAVORITE:
                delta["favorites"] += sign
            elif change.kind == COLLECTION:
                delta[COLLECTION_NAMES[value]] += sign
            elif change.kind == RATING:
                delta["ratings"] += sign
                delta["rating_sum"] += sign * value
    return {name: amount for name, amount in delta.items() if amount}


def _counts(moved: Sequence[Change]) -> list[list[int]]:
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for change in moved:
        row = counts[change.release_id]
        present = (change.becomes is not None) - (change.was is not None)
        if change.kind == FAVORITE:
            row[0] += present
        elif change.kind == RATING:
            row[1] += present
            row[2] += (change.becomes or 0) - (change.was or 0)
    return [[release_id, *row] for release_id, row in sorted(counts.items()) if any(row)]


def _activity(moved: Sequence[Change], started: set[int]) -> list[Activity]:
    told: list[Activity] = [("started", "release", release_id, {}) for release_id in sorted(started)]
    for change in moved:
        value = change.becomes
        if value is None:
            continue
        if change.kind == FAVORITE:
            told.append(("favorited", "release", change.release_id, {}))
        elif change.kind == RATING:
            told.append(("rated", "release", change.release_id, {"rating": value}))
        elif change.kind == COLLECTION and value == COMPLETED:
            told.append(("completed", "release", change.release_id, {}))
        elif change.kind == COLLECTION:
            collection = {"collection": COLLECTION_NAMES[value]}
            told.append(("collection_changed", "release", change.release_id, collection))
    return told
