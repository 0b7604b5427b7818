"""The one way in which a user's library changes: favourites, collections, ratings, ignores and progress together.

The row of the user's revision is locked first, so there is one writer at a time for each user: what is read after that
stays true until the commit, and revisions come in the order of commits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from server.errors import Unauthenticated
from server.rules import library as rules
from server.rules.library import COLLECTION, COMPLETED, COMPLETES_FROM, Entry, EntryEdit, ProgressEdit, Step
from sql.library_events import Change, StepChange, events
from sql.outbox import publish
from sql.query import Connection, load

QUERIES = load("library_write")
Key = tuple[int, int]
# Whose library the transaction under way in this task has changed: its commit tells whoever keeps something made of it.
CHANGED: ContextVar[frozenset[int]] = ContextVar("changed_libraries", default=frozenset())


@dataclass(frozen=True, slots=True)
class Written:
    """The user's revision after a write, how many rows it changed, and what it could not be about."""

    revision: int
    changed: int
    unknown_releases: list[int]
    unknown_episodes: list[int]


@dataclass(frozen=True, slots=True)
class Episode:
    """What decides how progress on an episode is kept. `is_last`: with it, its release is done."""

    release_id: int
    known: bool
    length: int | None
    is_last: bool
    started: bool


@dataclass(slots=True)
class Batch:
    """The edits of one transaction against what is stored. `before` and `after` hold None for what is not there."""

    now: datetime
    merge: bool
    before: dict[Key, Entry | None] = field(default_factory=dict)
    after: dict[Key, Entry | None] = field(default_factory=dict)
    steps_before: dict[int, Step | None] = field(default_factory=dict)
    steps_after: dict[int, Step | None] = field(default_factory=dict)
    episodes: dict[int, Episode] = field(default_factory=dict)
    unknown_releases: set[int] = field(default_factory=set)
    unknown_episodes: set[int] = field(default_factory=set)

    def edit_entry(self, edit: EntryEdit) -> None:
        """Apply one edit of an entry."""
        key = edit.kind, edit.release_id
        stored = self.after[key]
        if self.merge:
            self.after[key] = rules.merge_entry(stored, edit, self.now)
        else:
            self.after[key] = rules.edit_entry(stored, edit, self.now)

    def edit_progress(self, edit: ProgressEdit) -> None:
        """Apply one edit of progress."""
        stored, length = self.steps_after[edit.episode_id], self.episodes[edit.episode_id].length
        if self.merge:
            self.steps_after[edit.episode_id] = rules.merge_progress(stored, edit, length, self.now)
        else:
            self.steps_after[edit.episode_id] = rules.edit_progress(stored, edit, length, self.now)

    def complete_releases(self) -> None:
        """Releases whose last episode is through now are completed, unless the user has chosen otherwise."""
        for episode_id, step in self.steps_after.items():
            before, episode = self.steps_before[episode_id], self.episodes[episode_id]
            if step is None or not step.completed or not episode.is_last or (before is not None and before.completed):
                continue
            entry = self.after[COLLECTION, episode.release_id]
            if entry is None or entry.deleted or entry.value in COMPLETES_FROM:
                self.edit_entry(EntryEdit(COLLECTION, episode.release_id, COMPLETED, False, step.changed_at))

    def changes(self) -> list[Change]:
        """Entries that have to be written, in the order of their keys."""
        return [
            Change(kind, release_id, self.before[kind, release_id], entry)
            for (kind, release_id), entry in sorted(self.after.items(), key=lambda item: item[0])
            if entry is not None and entry != self.before[kind, release_id]
        ]

    def step_changes(self) -> list[StepChange]:
        """Progress that has to be written, in the order of the episodes."""
        return [
            StepChange(episode_id, self.episodes[episode_id].release_id, self.steps_before[episode_id], step)
            for episode_id, step in sorted(self.steps_after.items(), key=lambda item: item[0])
            if step is not None and step != self.steps_before[episode_id]
        ]

    def started(self) -> set[int]:
        """Releases of which the user had watched nothing before."""
        return {
            self.episodes[episode_id].release_id
            for episode_id, step in self.steps_after.items()
            if step is not None and not step.deleted and not self.episodes[episode_id].started
        }


async def write(
    conn: Connection,
    user_id: int,
    entries: Sequence[EntryEdit],
    progress: Sequence[ProgressEdit],
    *,
    origin: str,
    merge: bool,
) -> Written:
    """Apply the edits in the caller's transaction, in a constant number of statements, and publish what they did.

    `merge=False`: each edit, in its order, is the truth now, whatever it says of the time. `merge=True`: the edits were
    made some time ago and may lose (`server/rules/library.py`). What changes nothing raises no revision and publishes
    nothing. Unprocessable for values that cannot be stored, Unauthenticated if the account is gone.
    """
    rules.check(entries, progress)
    revision, now = await _lock(conn, user_id)
    batch = Batch(now, merge)
    if entries:
        await _read_entries(conn, user_id, batch, entries)
    if progress:
        await _read_progress(conn, user_id, batch, progress)
        batch.complete_releases()
    changes, steps = batch.changes(), batch.step_changes()
    if changes or steps:
        revision += 1
        await _store(conn, user_id, revision, now, changes, steps)
        await publish(conn, events(user_id, origin, changes, steps, batch.started()))
        CHANGED.set(CHANGED.get() | {user_id})
    unknown = sorted(batch.unknown_releases), sorted(batch.unknown_episodes)
    return Written(revision, len(changes) + len(steps), *unknown)


async def _lock(conn: Connection, user_id: int) -> tuple[int, datetime]:
    row = await QUERIES.lock_revision.fetchrow(conn, user_id)
    if row is None:
        try:
            await QUERIES.start_revisions.execute(conn, user_id)
        except asyncpg.ForeignKeyViolationError:
            raise Unauthenticated("The account is gone.", error="invalid_token") from None
        row = await QUERIES.lock_revision.fetchrow(conn, user_id)
    if row is None:
        raise Unauthenticated("The account is gone.", error="invalid_token")
    return row["revision"], row["moment"]


async def _read_entries(conn: Connection, user_id: int, batch: Batch, edits: Iterable[EntryEdit]) -> None:
    keys = sorted({(edit.kind, edit.release_id) for edit in edits})
    rows = await QUERIES.entries_before.fetch(conn, user_id, [kind for kind, _ in keys], [one for _, one in keys])
    known = set()
    for row in rows:
        key = row["kind"], row["release_id"]
        stored = None if row["value"] is None else Entry(row["value"], row["deleted"], row["changed_at"])
        batch.before[key] = batch.after[key] = stored
        if row["known"]:
            known.add(row["release_id"])
    for edit in edits:
        # What is gone from the catalogue can still be taken out of a list.
        if edit.release_id in known or (edit.deleted and batch.before[edit.kind, edit.release_id] is not None):
            batch.edit_entry(edit)
        else:
            batch.unknown_releases.add(edit.release_id)


async def _read_progress(conn: Connection, user_id: int, batch: Batch, edits: Iterable[ProgressEdit]) -> None:
    ids = sorted({edit.episode_id for edit in edits})
    for row in await QUERIES.progress_before.fetch(conn, user_id, ids):
        stored = None
        if row["position_seconds"] is not None:
            stored = Step(
                row["position_seconds"], row["completed"], row["watched_seconds"], row["deleted"], row["changed_at"],
                row["restarted_at"],
            )  # fmt: skip
        if not row["known"] and stored is None:
            continue
        episode_id = row["episode_id"]
        batch.steps_before[episode_id] = batch.steps_after[episode_id] = stored
        batch.episodes[episode_id] = Episode(
            row["release_id"], row["known"], row["duration_seconds"], row["is_last"], row["started"]
        )
        collected = row["collection"], row["collection_deleted"], row["collection_changed_at"]
        if (COLLECTION, row["release_id"]) not in batch.before:
            entry = None if row["collection"] is None else Entry(*collected)
            batch.before[COLLECTION, row["release_id"]] = batch.after[COLLECTION, row["release_id"]] = entry
    for edit in rules.in_order(edits, batch.now) if batch.merge else edits:
        episode = batch.episodes.get(edit.episode_id)
        if episode is not None and (episode.known or edit.deleted):
            batch.edit_progress(edit)
        else:
            batch.unknown_episodes.add(edit.episode_id)


async def _store(
    conn: Connection,
    user_id: int,
    revision: int,
    now: datetime,
    changes: Sequence[Change],
    steps: Sequence[StepChange],
) -> None:
    entries = [(one.kind, one.release_id, *one.after) for one in changes]
    watched = [
        (
            one.episode_id, one.release_id, one.after.position_seconds, one.after.completed, one.after.watched_seconds,
            one.after.deleted, one.after.changed_at, one.after.restarted_at,
        )
        for one in steps
    ]  # fmt: skip
    columns = [*_columns(entries, 5), *_columns(watched, 8)]
    await QUERIES.store.execute(conn, user_id, revision, now, *columns)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[place] for row in rows] for place in range(width)]
