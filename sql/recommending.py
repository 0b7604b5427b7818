"""What the worker of recommendations reads and stores: libraries and catalogue, neighbours and rows of the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from server.rules.recommending import MOST_HISTORY, MOST_NEIGHBOURS, Facts, Kept
from sql.query import Connection, load

QUERIES = load("recommending")
# Rows of a slice: what is held of it at once stays small beside what is made of it.
PEOPLE, RELEASES = 50, 1_000
# A sample is so many of 1024.
WHOLE = 1024


@dataclass(frozen=True, slots=True)
class State:
    """When audiences were last worked out, how much libraries had changed by then and by now, the catalogue; now."""

    audience_at: datetime | None
    library_seen: int
    library_changes: int
    catalogue_changes: int
    moment: datetime


class Subject(NamedTuple):
    """What a release is about."""

    id: int
    franchise_id: int | None
    genre_ids: list[int]
    tag_ids: list[int]


class Weighed(NamedTuple):
    """Others beside a release, their weights, and where there is such a number how many people like both."""

    id: int
    others: list[int]
    weights: list[float]
    shared: list[int]


async def claim_alone(conn: Connection) -> bool:
    """Be the only worker as long as the connection lives; False if there is one."""
    return bool(await QUERIES.claim_alone.fetchval(conn))


async def state(conn: Connection) -> State:
    """What has happened since the last time."""
    row = await QUERIES.state.fetchrow(conn)
    assert row is not None
    return State(*row)


async def note_audiences(
    conn: Connection, users: int, items: int, library_changes: int, compared: Sequence[int]
) -> None:
    """They are new now, as of so many changes of libraries; the neighbours of what is `compared` by them are due.

    The two become true at once, so that a run which is stopped leaves no work behind that nobody knows of.
    """
    async with conn.transaction():
        # In this order, as others lock rows before the state.
        await QUERIES.mark_compared.execute(conn, list(compared))
        await QUERIES.note_audiences.execute(conn, users, items, library_changes)


async def finish(conn: Connection, catalogue_changes: int) -> None:
    """A run has ended well, as of so many changes of the catalogue."""
    await QUERIES.finish.execute(conn, catalogue_changes)


async def libraries(conn: Connection, most_people: int) -> AsyncIterator[list[tuple[int, Kept]]]:
    """What somebody keeps, the latest first, of one after another; of about `most_people` where there are more."""
    people = int(await QUERIES.people.fetchval(conn) or 0)
    sample = WHOLE if people <= most_people else max(1, WHOLE * most_people // people)
    after = 0
    while found := await QUERIES.libraries.fetch(conn, after, PEOPLE, sample, MOST_HISTORY):
        after = found[-1]["id"]
        for row in found:
            if row["release_ids"]:
                kept = zip(row["release_ids"], row["ratings"], row["collections"], row["favorites"], strict=True)
                yield [(release_id, Kept(rating, where, dear)) for release_id, rating, where, dear in kept]


async def catalogue(conn: Connection) -> AsyncIterator[tuple[Subject, float]]:
    """All visible releases by id, and how popular each is."""
    after = 0
    while found := await QUERIES.catalogue.fetch(conn, after, RELEASES):
        after = found[-1]["id"]
        for row in found:
            yield Subject(*row[:4]), row["popularity"]


async def due(conn: Connection) -> AsyncIterator[int]:
    """Visible releases by id whose neighbours are missing or stale."""
    after = 0
    while found := await QUERIES.due.fetch(conn, after, RELEASES):
        after = found[-1]["id"]
        for row in found:
            yield row["id"]


async def claim(conn: Connection, release_ids: Sequence[int]) -> list[Subject]:
    """These are about to be worked out anew, outside of a transaction: what they are about as of now."""
    await QUERIES.claim.execute(conn, list(release_ids))
    return [Subject(*row) for row in await QUERIES.wanted.fetch(conn, list(release_ids))]


async def mark_beside(conn: Connection, found: Sequence[Weighed], began: datetime) -> None:
    """Before these are stored, in a run that began then: what is new or has changed is news to those it is like, too.

    They are due again where it belongs among theirs.
    """
    own = {one.id for one in found}
    changed = {row["id"] for row in await QUERIES.changed.fetch(conn, list(own))}
    beside = [
        (other, one.id, score) for one in found if one.id in changed
        for other, score in zip(one.others, one.weights, strict=True) if other not in own
    ]  # fmt: skip
    if beside:
        ids, new, scores = zip(*beside, strict=True)
        await QUERIES.mark_beside.execute(conn, ids, new, scores, MOST_NEIGHBOURS, began)


async def store_neighbours(conn: Connection, found: Sequence[Weighed]) -> None:
    """Write the neighbours of these."""
    shared = [one for row in found for one in row.shared]
    await QUERIES.store_neighbours.execute(conn, *_columns(found), shared)


async def store_rows(conn: Connection, found: Sequence[Weighed]) -> None:
    """Write these rows of the model."""
    await QUERIES.store_rows.execute(conn, *_columns(found))


async def forget(conn: Connection) -> None:
    """What is no longer shown has no neighbours."""
    await QUERIES.forget_neighbours.execute(conn)


async def forget_rows(conn: Connection, release_ids: Sequence[int]) -> None:
    """Of the model only these rows are left."""
    await QUERIES.forget_rows.execute(conn, list(release_ids))


async def of_mal(conn: Connection, external_ids: Iterable[int]) -> dict[int, int]:
    """Releases by MyAnimeList's numbers, as far as the catalogue has them."""
    found = await QUERIES.of_mal.fetch(conn, [str(one) for one in external_ids])
    return {int(row["external_id"]): row["release_id"] for row in found}


async def ratings(conn: Connection) -> AsyncIterator[tuple[int, list[tuple[int, int]]]]:
    """Everybody's ratings, by person: (release, rating)."""
    after = 0
    while found := await QUERIES.ratings.fetch(conn, after, PEOPLE):
        after = found[-1]["id"]
        for row in found:
            if row["release_ids"]:
                yield row["id"], list(zip(row["release_ids"], row["ratings"], strict=True))


async def facts(conn: Connection, release_ids: Sequence[int]) -> dict[int, Facts]:
    """What the choice of what is shown asks of these releases."""
    found = await QUERIES.parts.fetch(conn, list(release_ids))
    return {row["id"]: Facts(row["franchise_id"], row["part"], tuple(row["genre_ids"])) for row in found}


def _columns(found: Sequence[Weighed]) -> tuple[list[int], list[int], list[int], list[int], list[float]]:
    """Ids, where the part of each begins and ends, and all parts one after another."""
    firsts: list[int] = []
    lasts: list[int] = []
    others: list[int] = []
    weights: list[float] = []
    for row in found:
        firsts.append(len(others) + 1)
        others.extend(row.others)
        weights.extend(row.weights)
        lasts.append(len(others))
    return [row.id for row in found], firsts, lasts, others, weights
