"""Writing a list into a library: rows are matched by external id, and what has no release yet is kept for later.

A row sets the collection, the rating if there is a score, and the first so many episodes as watched. Nothing that is
there already is undone: progress only goes forward.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from server.lists.rows import ListRow
from sql import library, list_imports
from sql.library import COLLECTION, COLLECTIONS, RATING, EntryEdit, ProgressEdit
from sql.list_imports import EpisodeOf, Unmatched
from sql.query import Connection

# Rows a transaction: the user's other devices wait for it.
CHUNK = 500
# Episodes a transaction, at most; a row with more of them goes alone.
EPISODES = 4_000
MOST_UNMATCHED = 20_000
NO_RELEASE = "The catalogue has no release with this id."

Transaction = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(slots=True)
class ListSummary:
    """What became of a list: rows matched and kept for later, and how many things in the library changed by it."""

    rows: int = 0
    matched: int = 0
    unmatched: int = 0
    changed: int = 0
    # Rows there was no room to keep.
    dropped: int = 0
    missing: list[ListRow] = field(default_factory=list)

    def add(self, other: ListSummary) -> None:
        """Count another portion in."""
        self.rows += other.rows
        self.matched += other.matched
        self.unmatched += other.unmatched
        self.changed += other.changed
        self.dropped += other.dropped
        self.missing += other.missing

    def take_missing(self) -> list[ListRow]:
        """The rows without a release that nobody has taken yet."""
        taken, self.missing = self.missing, []
        return taken

    def as_json(self) -> dict[str, int]:
        """As the result of an operation shows it."""
        return {
            "rows": self.rows,
            "matched": self.matched,
            "unmatched": self.unmatched,
            "changed": self.changed,
            "dropped": self.dropped,
        }


def chunks(rows: Iterable[ListRow]) -> Iterator[list[ListRow]]:
    """Rows in portions for one transaction each."""
    chunk: list[ListRow] = []
    episodes = 0
    for row in rows:
        if chunk and (len(chunk) >= CHUNK or episodes + row.watched_episodes > EPISODES):
            yield chunk
            chunk, episodes = [], 0
        chunk.append(row)
        episodes += row.watched_episodes
    if chunk:
        yield chunk


async def import_chunk(transaction: Transaction, user_id: int, rows: list[ListRow]) -> ListSummary:
    """Write these rows of one source into the user's library, in a transaction of its own."""
    # A title that stands twice in a list counts as said last.
    by_id = {row.external_id: row for row in rows}
    source = rows[0].source
    async with transaction() as conn:
        found = await list_imports.match(conn, source, list(by_id))
        known = {external_id: row for external_id, row in by_id.items() if external_id in found}
        missing = [row for external_id, row in by_id.items() if external_id not in found]
        summary = ListSummary(len(rows), len(known), len(missing), missing=missing)
        if known:
            summary.changed = await _write(conn, user_id, {found[key]: row for key, row in known.items()})
            await list_imports.forget_unmatched(conn, user_id, source, list(known))
        if missing:
            summary.dropped = await _keep(conn, user_id, source, missing)
    return summary


async def _write(conn: Connection, user_id: int, rows: dict[int, ListRow]) -> int:
    now = datetime.now(UTC)
    watched = {release_id: row.watched_episodes for release_id, row in rows.items() if row.watched_episodes}
    episodes = await list_imports.unseen_episodes(conn, user_id, watched) if watched else []
    written = await library.write(
        conn, user_id, list(_entries(rows, now)), [_seen(episode, now) for episode in episodes],
        origin="import", merge=False,
    )  # fmt: skip
    changed: int = written.changed
    return changed


def _entries(rows: dict[int, ListRow], now: datetime) -> Iterator[EntryEdit]:
    for release_id, row in rows.items():
        yield EntryEdit(COLLECTION, release_id, COLLECTIONS[row.collection], deleted=False, changed_at=now)
        if row.score:
            yield EntryEdit(RATING, release_id, row.score, deleted=False, changed_at=now)


def _seen(episode: EpisodeOf, now: datetime) -> ProgressEdit:
    return ProgressEdit(
        episode.episode_id, episode.duration_seconds, completed=True, deleted=False, restart=False, changed_at=now
    )


async def _keep(conn: Connection, user_id: int, source: str, missing: list[ListRow]) -> int:
    """Keep rows for later; how many there was no room for."""
    room = max(0, MOST_UNMATCHED - await list_imports.count_unmatched(conn, user_id))
    kept = [Unmatched(row.external_id, row.title, _entry(row), NO_RELEASE) for row in missing[:room]]
    if kept:
        await list_imports.keep_unmatched(conn, user_id, source, kept)
    return len(missing) - len(kept)


def _entry(row: ListRow) -> dict[str, object]:
    return {"collection": row.collection, "score": row.score, "watched_episodes": row.watched_episodes}


async def match_kept(transaction: Transaction, user_id: int, source: str) -> AsyncIterator[ListSummary]:
    """Write the kept rows of a user that have a release by now; a summary after each portion."""
    while True:
        async with transaction() as conn:
            found = await list_imports.matchable(conn, user_id, source, CHUNK)
        if not found:
            return
        rows = [
            ListRow(
                place, source, kept.external_id, kept.title, str(kept.entry["collection"]), int(kept.entry["score"]),
                int(kept.entry["watched_episodes"]),
            )
            for place, kept in enumerate(found, 1)
        ]  # fmt: skip
        for chunk in chunks(rows):
            yield await import_chunk(transaction, user_id, chunk)
