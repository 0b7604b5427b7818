"""A catalogue made by SQL alone: thousands of releases a second, the same ones at every run.

Numbers come from multiplications modulo primes, so that each field takes all of its values and none follows another.
Ids are multiples of three (gaps), five releases share each `updated_at` and every fiftieth its title (ties in an
order), a few are unpublished or deleted.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from server.database import connect
from sql.query import parse
from tests.conftest import Server
from tests.running import Running, running

GENRES, TAGS = 30, 200
_numbers = itertools.count(1)

QUERIES = parse("""
-- name: genres
insert into genres (id, slug, name, name_key)
select g, 'genre-' || g, 'Genre ' || g, 'genre ' || g from generate_series(1, $1::integer) g;

-- name: tags
insert into tags (id, slug, name, name_key)
select g, 'tag-' || g, 'Tag ' || g, 'tag ' || g from generate_series(1, $1::integer) g;

-- name: franchises
insert into franchises (id, slug, name, name_key)
select g, 'franchise-' || g, 'Franchise ' || lpad(g::text, 6, '0'), 'franchise ' || lpad(g::text, 6, '0')
from generate_series(1, $1::integer) g;

-- name: releases
insert into releases (id, slug, title, sort_title, synopsis, type, status, season, year, age_rating, episodes_total,
                      franchise_id, genre_ids, tag_ids, is_published, deleted_at, created_at, updated_at)
select g * 3,
       'release-' || g,
       'Release ' || case when g % 50 = 0 then 0 else g end,
       case when g % 50 = 0 then 'release' else chr(97 + g * 7919 % 26) || ' ' || g % 1000 end,
       repeat('A story about number ' || g || '. ', 8),
       (array['tv', 'tv', 'tv', 'movie', 'movie', 'ova', 'ona', 'special', 'web', 'music', 'other'])[1 + g * 31 % 11],
       case when g % 17 = 0 then 'ongoing' when g % 19 = 0 then 'announced' when g % 61 = 0 then 'paused'
            else 'finished' end,
       case when g % 7 < 5 then (array['winter', 'spring', 'summer', 'autumn'])[1 + g * 13 % 4] end,
       case when g % 29 > 0 then 1960 + (g::bigint * 7919 % 4489 * (g::bigint * 104729 % 67) / 4489) end,
       case when g % 13 < 10 then (array['0+', '6+', '12+', '16+', '18+'])[1 + g * 17 % 5] end,
       case when g % 11 > 0 then 1 + g * 37 % 26 end,
       case when g % 3 = 0 then 1 + g / 3 % greatest($1::integer / 12, 1) end,
       array(select distinct 1 + (g::bigint * (k * 6151 + 1) / 7 % 30 * (g::bigint * (k + 3) % 31) / 30)
             from generate_series(1, 1 + g % 4) k order by 1),
       array(select distinct 1 + g::bigint * (k * 4507 + 1) / 3 % 200 from generate_series(1, g % 6) k order by 1),
       g % 97 > 0,
       case when g % 101 = 0 then timestamptz '2026-01-01' end,
       timestamptz '2020-01-01' + g * interval '3 minutes',
       timestamptz '2026-01-01' - g / 5 * interval '7 minutes'
from generate_series(1, $1::integer) g;

-- name: titles
insert into release_titles (release_id, language, title)
select g * 3, language, 'Release "' || g || '" ' || language
from generate_series(1, $1::integer) g cross join unnest(array['ru', 'en', 'ja', 'romaji']) as language;

-- name: synonyms
insert into release_synonyms (release_id, position, synonym)
select g * 3, position, 'Also known as ' || g || '\\' || position
from generate_series(1, $1::integer) g cross join generate_series(1, g % 3) as position;

-- name: external_ids
insert into external_ids (source, external_id, is_number, release_id)
select source, g::text, source = 'mal', g * 3
from generate_series(1, $1::integer) g cross join unnest(array['mal', 'kitsu']) as source;

-- name: episodes
insert into episodes (release_id, ordinal, title, duration_seconds, air_at, opening_start, opening_stop, deleted_at)
select g * 3, k + case when k = 3 then 0.5 else 0 end, 'Episode ' || k, 1400,
       timestamptz '2026-06-01' - (g * 7 + k * 10080) * interval '1 minute',
       case when k = 1 then 30 end, case when k = 1 then 120 end,
       case when g % 23 = 0 and k = 2 then timestamptz '2026-01-01' end
from generate_series(1, $1::integer) g cross join generate_series(1, 4) k;

-- name: metrics
-- Scores are what the next pass over the trends would compute for a release that nobody has watched.
insert into popularity_metrics (release_id, total_views, favorites, average_rating, rating_count, imported_popularity,
                                popularity_score)
select g * 3, g * 13 % 10007, g % 47, case when g % 4 = 0 then (g * 89 % 900 + 100) / 100.0 else 0 end, g % 4 / 3 * 5,
       popularity, popularity / (popularity + 1e6)::float8
from generate_series(1, $1::integer) g
cross join lateral (select case when g % 3 = 0 then (g::bigint * 7907 % 100003)::integer else 0 end as popularity) said;

-- name: documents
select build_release_documents((select array_agg(id) from releases));
""")
STATISTICS = (
    "analyze releases, release_documents, popularity_metrics, episodes, genres, tags, franchises, release_titles, "
    "release_synonyms, external_ids, release_slugs"
)


async def fill(conn: Any, releases: int) -> None:
    """Fill an empty migrated database; releases 3, 6, … 3 × `releases`, franchises a twelfth of them."""
    counts = {"genres": GENRES, "tags": TAGS, "franchises": max(releases // 12, 1)}
    for name, query in QUERIES.items():
        if "$1" in query.text:
            await query.execute(conn, counts.get(name, releases))
        else:
            await query.execute(conn)
    for table in ("genres", "tags", "franchises", "releases", "episodes"):
        await conn.execute(f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))")
    await conn.execute(STATISTICS)


@asynccontextmanager
async def database(server: Server, releases: int) -> AsyncIterator[str]:
    """The address of a migrated database of its own with that many releases in it."""
    name = f"seeded_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(f"create database {name} template {server.template} strategy file_copy")
    try:
        conn = await connect(server.dsn(name))
        await fill(conn, releases)
        await conn.close()
        yield server.dsn(name)
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


@dataclass
class Api:
    """A running server and a connection to its database."""

    running: Running
    conn: Any

    async def ask(self, path: str, status: int = 200) -> tuple[bytes, CIMultiDictProxy[str]]:
        """The body and headers of a GET below the API's prefix, or of a link; `path` is sent as it is written."""
        target = URL(path if path.startswith("/api/") else f"/api/v1{path}", encoded=True)
        async with self.running.client.get(target, allow_redirects=False) as answer:
            body = await answer.read()
            assert answer.status == status, body
            return body, answer.headers

    async def get(self, path: str, kind: Any) -> Any:
        """The JSON of a 200 that is exactly a `kind`: all of its fields in their order, nothing else."""
        body, _ = await self.ask(path)
        return exactly(kind, body)

    async def fault(self, path: str, status: int = 422) -> dict[str, Any]:
        """The problem document of a refusal."""
        body, headers = await self.ask(path, status)
        assert headers["Content-Type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(body)
        return found

    async def walk(self, path: str, kind: Any, most: int = 1000) -> AsyncIterator[dict[str, Any]]:
        """The pages from this one on, along `next`."""
        following: str | None = path
        for _ in range(most):
            if following is None:
                return
            page = await self.get(following, kind)
            yield page
            following = page["next"]
        raise AssertionError("the list has no end")


@asynccontextmanager
async def api(server: Server, data_dir: Path, releases: int) -> AsyncIterator[Api]:
    """A server without a cache on a seeded database."""
    async with database(server, releases) as dsn, running(dsn, data_dir, CACHE_MAX_BYTES="0") as started:
        conn = await connect(dsn)
        try:
            yield Api(started, conn)
        finally:
            await conn.close()


def exactly(kind: Any, body: bytes) -> Any:
    """The JSON value of `body`, which must be a `kind` with all of its fields in their order and no other."""
    decoded = msgspec.json.decode(body, type=kind, strict=True)
    value = json.loads(body)
    assert shape(value) == shape(json.loads(msgspec.json.encode(decoded)))
    return value


def shape(value: Any) -> Any:
    """The names inside a JSON value, in their order."""
    if isinstance(value, dict):
        return [(name, shape(inner)) for name, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return None


async def add(conn: Any, slug: str, **given: Any) -> int:
    """Insert one release with these columns, its numbers and its document; its id."""
    score = given.pop("popularity_score", 0.0)
    columns = {"slug": slug, "title": slug.title(), "sort_title": slug, **given}
    places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
    made: int = await conn.fetchval(
        f"insert into releases ({', '.join(columns)}) values ({places}) returning id", *columns.values()
    )
    await conn.execute("insert into popularity_metrics (release_id, popularity_score) values ($1, $2)", made, score)
    await rebuild(conn, made)
    return made


async def rebuild(conn: Any, *ids: int) -> None:
    """Write the documents of these releases anew."""
    await conn.execute("select build_release_documents($1)", list(ids))
