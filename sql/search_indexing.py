"""What Elasticsearch has, and what it lacks: who indexes, its indexes, the documents they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("search_indexing")


@dataclass(frozen=True, slots=True)
class State:
    """How it stands. `ours`: this instance indexes, for a while yet; `taken`: another one does.

    `elsewhere`: the database came from another server. `complete`: every release has a document. `behind`: something
    waits for the live index.
    """

    alias: str
    ours: bool | None
    taken: bool | None
    elsewhere: bool
    rebuilds: int
    complete: bool
    behind: bool


@dataclass(frozen=True, slots=True)
class Index:
    """An index, the release up to which it is filled (None: all are in it), and the last change it has."""

    name: str
    live: bool
    shape: int
    rebuilds: int
    filled_to: int | None
    xid: str
    slot: int


@dataclass(frozen=True, slots=True)
class Change:
    """A document that changed, and its place among the changes."""

    release_id: int
    xid: str
    slot: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document as Elasticsearch gets it; None where there is nothing to show."""

    release_id: int
    version: int
    popularity: float
    rating: float
    document: str | None


class Moved(NamedTuple):
    """Documents whose numbers moved, among those up to `last_id`; None: there are no more."""

    last_id: int | None
    ids: list[int]


async def state(conn: Connection, me: UUID) -> State:
    """How it stands."""
    row = await QUERIES.state.fetchrow(conn, me)
    assert row is not None
    return State(*row)


async def indexes(conn: Connection) -> list[Index]:
    """The live index first, if there is one, then the one that is being filled."""
    return [Index(*row) for row in await QUERIES.indexes.fetch(conn)]


async def hold(conn: Connection, me: UUID) -> bool:
    """Be the one that indexes, for a minute; False if another instance is."""
    return await QUERIES.hold.fetchval(conn, me, False) is not None


async def start_over(conn: Connection, me: UUID) -> bool:
    """Forget all indexes and take another name: what has the old one belongs to somebody else. In a transaction."""
    if await QUERIES.hold.fetchval(conn, me, True) is None:
        return False
    await QUERIES.forget_all.execute(conn)
    return True


async def let_go(conn: Connection, me: UUID) -> None:
    """Let another instance index."""
    await QUERIES.let_go.execute(conn, me)


async def begin(conn: Connection, name: str, shape: int, rebuilds: int) -> None:
    """An index that is about to be made and filled."""
    await QUERIES.begin.execute(conn, name, shape, rebuilds)


async def forget(conn: Connection, name: str) -> None:
    """It is gone, or is not wanted any more."""
    await QUERIES.forget.execute(conn, name)


async def filled_to(conn: Connection, me: UUID, name: str, release_id: int | None) -> bool:
    """Everything up to this release is in it; False if this instance does not index any more."""
    return await QUERIES.filled_to.execute(conn, me, name, release_id) > 0


async def followed_to(conn: Connection, me: UUID, name: str, change: Change) -> bool:
    """Everything up to this change is in it; False if this instance does not index any more."""
    return await QUERIES.followed_to.execute(conn, me, name, change.xid, change.slot) > 0


async def promote(conn: Connection, name: str) -> None:
    """The alias names this index now. In a transaction."""
    await QUERIES.retire.execute(conn)
    await QUERIES.promote.execute(conn, name)


async def next_ids(conn: Connection, after: int, limit: int) -> list[int]:
    """The next releases that have a document."""
    return [row["release_id"] for row in await QUERIES.next_ids.fetch(conn, after, limit)]


async def changes(conn: Connection, after: Index, limit: int) -> list[Change]:
    """What changed since, the oldest first."""
    return [Change(*row) for row in await QUERIES.changes.fetch(conn, after.xid, after.slot, limit)]


async def documents(conn: Connection, release_ids: Sequence[int]) -> list[Document]:
    """The documents of these releases as they are now."""
    return [Document(*row) for row in await QUERIES.documents.fetch(conn, release_ids)]


async def stems(conn: Connection, configs: Sequence[str], text: str) -> list[list[str]]:
    """The stems of a text by each of these configurations that knows any."""
    return [row["stems"] for row in await QUERIES.stems.fetch(conn, list(configs), text) if row["stems"]]


async def note_sent(conn: Connection, sent: Sequence[Document]) -> None:
    """Remember which numbers were sent."""
    shown = [one for one in sent if one.document is not None]
    columns = [one.release_id for one in shown], [one.popularity for one in shown], [one.rating for one in shown]
    await QUERIES.note_sent.execute(conn, *columns)


async def moved(conn: Connection, after: int, limit: int) -> Moved:
    """Whose numbers moved since they were sent, among the next so many."""
    row = await QUERIES.moved.fetchrow(conn, after, limit)
    assert row is not None
    return Moved(*row)
