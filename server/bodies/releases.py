"""The bodies of answers about releases: what the cache keeps, made from the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import asdict

from server.cache import Tagged
from server.database import Database
from server.errors import NotFound
from server.http.answer import link, links, page_body
from server.http.paging import links_of, offset_of
from server.http.parse import DEEPEST
from server.loader import Loader
from server.rules import cache_tags, cursors
from server.schemas.queries import LatestQuery, PageQuery, RandomQuery, ReleaseFilters, ReleasesQuery
from sql import release_list, releases, vocabularies
from sql.query import Connection
from sql.release_list import Choice, Filter

KEY_TYPES: dict[str, type] = {"updated": datetime, "year": int, "title": str, "rating": float, "popularity": float}


def _split(texts: list[str]) -> Choice:
    return Choice([t for t in texts if not t.startswith("!")], [t[1:] for t in texts if t.startswith("!")])


async def _filter(conn: Connection, query: ReleaseFilters) -> Filter:
    return Filter(
        genres=await vocabularies.choose(conn, "genres", query.genre),
        tags=await vocabularies.choose(conn, "tags", query.tag),
        franchises=await vocabularies.choose(conn, "franchises", query.franchise),
        types=_split(query.type),
        statuses=_split(query.status),
        seasons=_split(query.season),
        age_ratings=_split(query.age_rating),
        year_from=query.year_from,
        year_to=query.year_to,
    )


async def page(database: Database, query: ReleasesQuery, base: str) -> bytes:
    """A page of releases. Beyond page × limit = 10,000 `next` goes on by cursor."""
    after = None
    sort = query.sort.removeprefix("-")
    if query.cursor is not None:
        after = cursors.decode(query.sort, query.cursor, KEY_TYPES[sort])
    offset = 0 if after else (query.page - 1) * query.limit
    async with database.connection() as conn:
        wanted = await _filter(conn, query)
        # One row more than the page shows tells whether a cursor leads anywhere.
        rows = await release_list.page(conn, wanted, query.sort, query.limit + 1, offset, after)
        count = await (releases.total(conn) if wanted.everything else release_list.count(conn, wanted))
    following, before = _links(query, base, rows, count)
    return page_body(count, following, before, [row.release for row in rows[: query.limit]])


def _links(query: ReleasesQuery, base: str, rows: list[release_list.Row], count: int) -> tuple[str | None, str | None]:
    given: dict[str, Any] = {name.rstrip("_"): value for name, value in asdict(query).items()}
    given |= {"cursor": None, "page": None, "sort": None if query.sort == "-updated" else query.sort}
    if query.cursor is None and (query.page + 1) * query.limit <= DEEPEST:
        return links(base, given, query.limit, query.page, count)
    following = before = None
    if len(rows) > query.limit:
        last = rows[query.limit - 1]
        following = link(base, given | {"cursor": cursors.encode(query.sort, last.key, last.id)})
    if query.cursor is None and query.page > 1:
        before = link(base, given | {"page": query.page - 1})
    return following, before


ReleaseLoader = Loader[int, bytes]


async def many(database: Database, release_ids: list[int]) -> dict[int, bytes]:
    """Releases by id; what a loader fetches."""
    async with database.connection() as conn:
        found = await releases.get_many(conn, release_ids)
    return {release_id: text.encode() for release_id, text in found.items()}


async def one(loader: ReleaseLoader, release_id: int) -> bytes:
    """A release by id."""
    found = await loader.get(release_id)
    if found is None:
        raise NotFound("There is no such release.")
    return found


async def one_by_slug(database: Database, slug: str) -> Tagged:
    """A release by its slug, tagged with its id: whoever changes it need not know the names it is cached under."""
    if "\x00" in slug:
        raise NotFound("There is no such release.")
    async with database.connection() as conn:
        found = await releases.get_by_slug(conn, slug)
    if found is None:
        raise NotFound("There is no such release.")
    return Tagged(found.release.encode(), (cache_tags.release(found.id),))


async def successor(database: Database, slug: str) -> str | None:
    """The slug a retired slug leads to, or None."""
    if "\x00" in slug:
        return None
    async with database.connection() as conn:
        return await releases.current_slug(conn, slug)


async def latest(database: Database, query: LatestQuery) -> bytes:
    """The releases that changed last."""
    async with database.connection() as conn:
        rows = await releases.latest(conn, query.limit)
        count = await releases.total(conn)
    return page_body(count, None, None, rows)


async def drawn(database: Database, query: RandomQuery) -> bytes:
    """Releases drawn at random."""
    async with database.connection() as conn:
        rows = await releases.draw(conn, await _filter(conn, query), query.limit)
    return page_body(len(rows), None, None, rows)


async def related(database: Database, id_or_slug: str, query: PageQuery, base: str) -> bytes:
    """The other releases of the same franchise."""
    async with database.connection() as conn:
        release_id = await known(conn, id_or_slug)
        count, rows = await releases.related(conn, release_id, query.limit, offset_of(query))
    following, before = links_of(base, query, count)
    return page_body(count, following, before, rows)


async def known(conn: Connection, id_or_slug: str) -> int:
    """The id of the release, or NotFound."""
    release_id = None if "\x00" in id_or_slug else await releases.resolve(conn, id_or_slug)
    if release_id is None:
        raise NotFound("There is no such release.")
    return release_id
