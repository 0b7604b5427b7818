"""What an edit of a user's library does to what is stored: pure, no clock, no database.

A direct edit is the truth from now on. A merged one was made some time ago on a device that knew less than we do:

- entries (favourites, collections, ratings, ignores): the last one by client time wins; of two at the same time the
  one that sorts higher by (deleted, value), so that the order in which devices come back makes no difference;
- progress: the furthest wins. An edit that says restart (or deletes) and is newer than all we know begins anew, and
  what was done before it no longer counts. What lies behind the furthest is not kept, hence a restart that is older
  than something we know cannot take that back: it only bars what is older still.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from server.errors import Unprocessable

FAVORITE, COLLECTION, RATING, IGNORED = 1, 2, 3, 4
KINDS = {"favorites": FAVORITE, "collections": COLLECTION, "ratings": RATING, "ignores": IGNORED}
COLLECTIONS = {"planned": 1, "watching": 2, "completed": 3, "postponed": 4, "dropped": 5}
COLLECTION_NAMES = {number: name for name, number in COLLECTIONS.items()}
COMPLETED = COLLECTIONS["completed"]
# Whoever put a release aside chose that, and so did whoever is through with it.
COMPLETES_FROM = (COLLECTIONS["planned"], COLLECTIONS["watching"])

VALUES = {FAVORITE: range(1), COLLECTION: range(1, 6), RATING: range(1, 11), IGNORED: range(1)}
LONGEST = 864_000
LAST_ID = 2**63 - 1
# Older than anything that anybody has watched here; a clock that says so is wrong.
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


class EntryEdit(NamedTuple):
    """A release is put into a list (`value`: which collection, which rating), or taken out of it."""

    kind: int
    release_id: int
    value: int
    deleted: bool
    changed_at: datetime


class ProgressEdit(NamedTuple):
    """How far an episode was watched. `restart`: less far on purpose."""

    episode_id: int
    position_seconds: int
    completed: bool
    deleted: bool
    restart: bool
    changed_at: datetime


class Entry(NamedTuple):
    """A stored entry. A deleted one keeps the lowest value of its kind."""

    value: int
    deleted: bool
    changed_at: datetime


class Step(NamedTuple):
    """Stored progress. `watched_seconds` is what it adds to the user's watch time."""

    position_seconds: int
    completed: bool
    watched_seconds: int
    deleted: bool
    changed_at: datetime
    restarted_at: datetime | None


def check(entries: Iterable[EntryEdit], progress: Iterable[ProgressEdit]) -> None:
    """Unprocessable unless every edit says something that can be stored."""
    for edit in entries:
        values = VALUES.get(edit.kind)
        if values is None or not 0 <= edit.release_id <= LAST_ID or not (edit.deleted or edit.value in values):
            raise Unprocessable("An entry has a kind, release or value that there is not.")
    for step in progress:
        if not 0 <= step.episode_id <= LAST_ID or not 0 <= step.position_seconds <= LONGEST:
            raise Unprocessable("Progress has an episode or position that there is not.")


def moment(said: datetime, now: datetime) -> datetime:
    """When an edit was made: never in the future, nor before there was anything to edit."""
    return EARLIEST if said.year < EARLIEST.year else max(EARLIEST, min(said, now))


def edit_entry(stored: Entry | None, edit: EntryEdit, now: datetime) -> Entry | None:
    """The entry after a direct edit; `stored` itself where nothing changes.

    A deletion that names a value takes the entry out only while it has that value.
    """
    gone = stored is None or stored.deleted
    if edit.deleted:
        if gone or (stored is not None and edit.value not in (0, stored.value)):
            return stored
    elif stored is not None and not gone and stored.value == edit.value:
        return stored
    at = now if stored is None else max(now, stored.changed_at)
    return Entry(_value(edit), edit.deleted, at)


def merge_entry(stored: Entry | None, edit: EntryEdit, now: datetime) -> Entry:
    """The entry after an edit that was made some time ago; `stored` itself where it loses."""
    said = Entry(_value(edit), edit.deleted, moment(edit.changed_at, now))
    if stored is None:
        return said
    if edit.changed_at > now and (said.value, said.deleted) == (stored.value, stored.deleted):
        # A clock that runs ahead: sent again, the edit would be a little later each time.
        return stored
    return max(stored, said, key=lambda entry: (entry.changed_at, entry.deleted, entry.value))


def _value(edit: EntryEdit) -> int:
    return VALUES[edit.kind][0] if edit.deleted else edit.value


def edit_progress(stored: Step | None, edit: ProgressEdit, length: int | None, now: datetime) -> Step | None:
    """Progress after a direct edit. A step backwards bars whatever was done before it."""
    gone = stored is None or stored.deleted
    if edit.deleted and gone:
        return stored
    if stored is None:
        return _step(None, edit, length, now, now if edit.restart else None)
    if not gone and not edit.restart and _furthest(edit) == _furthest(stored):
        return stored
    at = max(now, stored.changed_at)
    begun = edit.restart or _furthest(edit) < _furthest(stored)
    return _step(stored, edit, length, at, at if begun else stored.restarted_at)


def merge_progress(stored: Step | None, edit: ProgressEdit, length: int | None, now: datetime) -> Step:
    """Progress after an edit that was made some time ago."""
    at = moment(edit.changed_at, now)
    anew = edit.restart or edit.deleted
    if stored is None:
        return _step(None, edit, length, at, at if anew else None)
    if stored.restarted_at is not None and at < stored.restarted_at:
        return stored
    if edit.changed_at > now and _furthest(edit) == _furthest(stored):
        # A clock that runs ahead, as above.
        return stored
    if anew and at > stored.changed_at:
        return _step(stored, edit, length, at, at)
    restarted = at if anew else stored.restarted_at
    latest = max(stored.changed_at, at)
    if _furthest(edit) > _furthest(stored):
        return _step(stored, edit, length, latest, restarted)
    return stored._replace(changed_at=latest, restarted_at=restarted)


def _furthest(one: ProgressEdit | Step) -> tuple[int, int]:
    return (-1, 0) if one.deleted else (int(one.completed), one.position_seconds)


def _step(
    stored: Step | None, edit: ProgressEdit, length: int | None, at: datetime, restarted: datetime | None
) -> Step:
    if edit.deleted:
        return Step(0, False, 0, True, at, restarted)
    # A position behind the end is no more than the end.
    reached = edit.position_seconds if length is None else min(edit.position_seconds, length)
    watched = max(reached, 0 if stored is None else stored.watched_seconds)
    if edit.completed:
        watched = reached if length is None else length
    return Step(edit.position_seconds, edit.completed, watched, False, at, restarted)


def in_order(progress: Iterable[ProgressEdit], now: datetime) -> list[ProgressEdit]:
    """Edits to be merged in the order in which they were made; at the same time a beginning comes first."""
    return sorted(
        progress,
        key=lambda edit: (
            edit.episode_id, moment(edit.changed_at, now), not (edit.restart or edit.deleted), *_furthest(edit)
        ),
    )  # fmt: skip
