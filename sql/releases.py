"""Releases as readers see them: one, the newest, random ones, the related."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sql import release_list
from sql.query import Connection, load
from sql.release_list import Filter

QUERIES = load("releases")


@dataclass(frozen=True, slots=True)
class Release:
    """A release: its id and its public JSON."""

    id: int
    release: str


async def get_many(conn: Connection, release_ids: Sequence[int]) -> dict[int, str]:
    """The JSON of the visible releases among these, by id."""
    return {row["id"]: row["release"] for row in await QUERIES.get_releases.fetch(conn, list(release_ids))}


async def get_by_slug(conn: Connection, slug: str) -> Release | None:
    """A visible release by its current slug."""
    row = await QUERIES.get_release_by_slug.fetchrow(conn, slug)
    return None if row is None else Release(*row)


async def current_slug(conn: Connection, retired: str) -> str | None:
    """The slug that took the place of a retired one."""
    found: str | None = await QUERIES.current_slug.fetchval(conn, retired)
    return found


async def resolve(conn: Connection, id_or_slug: str) -> int | None:
    """The id of a visible release named by its id or slug."""
    if id_or_slug.isascii() and id_or_slug.isdigit():
        found = await QUERIES.resolve.fetchval(conn, int(id_or_slug)) if len(id_or_slug) <= 18 else None
    else:
        found = await QUERIES.resolve_slug.fetchval(conn, id_or_slug)
    return None if found is None else int(found)


async def total(conn: Connection) -> int:
    """How many visible releases there are, exactly, without counting them."""
    return int(await QUERIES.total.fetchval(conn))


async def latest(conn: Connection, limit: int) -> list[str]:
    """The JSON of the releases that changed last."""
    return [row["release"] for row in await QUERIES.latest.fetch(conn, limit)]


async def draw(conn: Connection, wanted: Filter, limit: int) -> list[str]:
    """The JSON of up to `limit` different releases, drawn at random."""
    ids = await (_draw_from_all(conn, limit) if wanted.everything else _draw_from_some(conn, wanted, limit))
    return [row["release"] for row in await QUERIES.documents.fetch(conn, ids[:limit])]


async def _draw_from_all(conn: Connection, limit: int) -> list[int]:
    bounds = await QUERIES.id_range.fetchrow(conn)
    assert bounds is not None
    # Half of the ids may be gaps and the draw is still full; where more are, sampling over the index is exact.
    rows = await QUERIES.random_ids.fetch(conn, bounds["first"], bounds["last"], limit * 4 + 8)
    if len(rows) >= limit:
        return [row["id"] for row in rows]
    return await _draw_from_some(conn, Filter(), limit)


async def _draw_from_some(conn: Connection, wanted: Filter, limit: int) -> list[int]:
    if wanted.nothing_fits:
        return []
    return await release_list.draw(conn, wanted, limit)


async def related(conn: Connection, release_id: int, limit: int, offset: int) -> tuple[int, list[str]]:
    """How many releases share the franchise, and the JSON of a page of them."""
    rows = await QUERIES.related.fetch(conn, release_id, limit, offset)
    return int(await QUERIES.count_related.fetchval(conn, release_id)), [row["release"] for row in rows]
