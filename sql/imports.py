"""The database's side of the catalogue import: look-ups by batch, COPY into tables, merges by set.

All of it runs inside the caller's transaction, which holds `lock` from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sql.outbox import Event, publish
from sql.query import Connection, load, translated

QUERIES = load("imports")

# The columns COPY fills, in the order of the tuples handed in.
COLUMNS: dict[str, tuple[str, ...]] = {
    "releases": (
        "id", "slug", "title", "sort_title", "synopsis", "type", "status", "season", "year", "age_rating",
        "episodes_total", "franchise_id", "genre_ids", "tag_ids",
    ),
    "release_titles": ("release_id", "language", "title"),
    "release_synonyms": ("release_id", "position", "synonym"),
    "external_ids": ("source", "external_id", "is_number", "release_id"),
    "episodes": (
        "release_id", "ordinal", "title", "duration_seconds", "air_at", "opening_start", "opening_stop",
        "ending_start", "ending_stop",
    ),
    "import_releases": (
        "release_id", "said", "replaces", "title", "sort_title", "synopsis", "type", "status", "season", "year",
        "age_rating", "episodes_total", "franchise_id", "genre_ids", "tag_ids", "synonyms", "popularity",
    ),
}  # fmt: skip
COLUMNS["import_titles"] = COLUMNS["release_titles"]
COLUMNS["import_external_ids"] = COLUMNS["external_ids"]
COLUMNS["import_episodes"] = COLUMNS["episodes"]

# Bytes; NOTIFY takes fewer than 8000.
LARGEST_PAYLOAD = 7_000

# In this order: what an authoritative source no longer says goes before what it says now comes. Beside each the bits of
# `server.importing.merge.SAID` that it is about.
MERGES = (
    (QUERIES.update_releases, 0b111_1111_1111),
    (QUERIES.remove_titles, 1 << 11),
    (QUERIES.merge_titles, 1 << 11),
    (QUERIES.merge_synonyms, 1 << 12),
    (QUERIES.remove_external_ids, 1 << 13),
    (QUERIES.merge_external_ids, 1 << 13),
)
POPULARITY, EPISODES = 1 << 14, 1 << 15


# An episode: its release and its id, as events of the catalogue have it.
Pair = tuple[int, int]


class EpisodeChanges(NamedTuple):
    """What became of episodes. `updated` has what each said before, where that was asked for; `kept` are the places
    (release, ordinal) of those that an editor has deleted and that stay so."""

    created: Sequence[Pair] = ()
    deleted: Sequence[Pair] = ()
    restored: Sequence[Pair] = ()
    updated: Mapping[Pair, str | None] = {}
    kept: Sequence[tuple[int, Decimal]] = ()

    @property
    def releases(self) -> set[int]:
        """Whose episodes changed."""
        return {release_id for pairs in self[:4] for release_id, _ in pairs}


class Words(NamedTuple):
    """Words of a vocabulary: ids by key, and those that were made just now."""

    ids: dict[str, int]
    made: list[int]


class Merged(NamedTuple):
    """What a merge did: releases whose own content changed, episodes, releases whose popularity moved."""

    changed: set[int]
    episodes: EpisodeChanges
    moved: set[int]


async def copy(
    conn: Connection, table: str, rows: Iterable[tuple[Any, ...]], more_columns: tuple[str, ...] = ()
) -> None:
    """COPY rows into a table of COLUMNS; nothing is sent where there are none."""
    records = list(rows)
    if records:
        with translated():
            await conn.copy_records_to_table(table, records=records, columns=COLUMNS[table] + more_columns)


async def lock(conn: Connection) -> None:
    """Let no other import merge until this transaction ends, and have it planned for short look-ups."""
    await QUERIES.lock_imports.execute(conn)


async def start_run(conn: Connection, run: UUID) -> None:
    """Forget the claims of imports that never came to their end."""
    await QUERIES.start_run.execute(conn, run)


async def is_populated(conn: Connection) -> bool:
    """Whether there is any release yet."""
    return bool(await QUERIES.is_populated.fetchval(conn))


async def end_run(conn: Connection, run: UUID) -> None:
    """Forget the claims of this import."""
    await QUERIES.end_run.execute(conn, run)


async def claim(conn: Connection, run: UUID, claims: Sequence[str]) -> None:
    """Remember what this run has met."""
    await QUERIES.claim.execute(conn, run, claims)


async def claimed(conn: Connection, run: UUID, claims: Sequence[str]) -> set[str]:
    """Those of the claims that this run made in an earlier batch."""
    return {row["claim"] for row in await QUERIES.claimed.fetch(conn, run, claims)}


async def known_rows(conn: Connection, source: str, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """By source key: the release it stands for and the hash of what the source said last time."""
    rows = await QUERIES.known_rows.fetch(conn, source, keys)
    return {row["source_key"]: (row["release_id"], row["content_hash"]) for row in rows}


async def owners(conn: Connection, external_ids: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """By (source, external id): the release that has it."""
    rows = await QUERIES.owners.fetch(conn, [one[0] for one in external_ids], [one[1] for one in external_ids])
    return {(row["source"], row["external_id"]): row["release_id"] for row in rows}


async def spoken_for(conn: Connection, source: str, ids: Sequence[int]) -> set[int]:
    """Those of the releases that a row of this source stands for."""
    return {row["release_id"] for row in await QUERIES.spoken_for.fetch(conn, source, ids)}


async def deleted_releases(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the releases that are soft-deleted."""
    return {row["id"] for row in await QUERIES.deleted_releases.fetch(conn, ids)}


async def visible_releases(conn: Connection, ids: Sequence[int]) -> set[int]:
    """Those of the releases that the public sees."""
    return {row["id"] for row in await QUERIES.visible_releases.fetch(conn, ids)}


async def new_release_ids(conn: Connection, count: int) -> list[int]:
    """Fresh ids."""
    return [row["id"] for row in await QUERIES.new_release_ids.fetch(conn, count)]


async def vocabulary(conn: Connection, name: str, names: dict[str, str], slugs: Sequence[str]) -> Words:
    """Ids by key of `genres`, `tags` or `franchises`, made where missing; `names` is key to name, slugs beside it."""
    if not names:
        return Words({}, [])
    rows = await QUERIES.vocabulary.fetch(conn, name, list(names), list(names.values()), slugs)
    return Words({row["name_key"]: row["id"] for row in rows}, [row["id"] for row in rows if row["made"]])


async def free_slugs(conn: Connection, wanted: Mapping[int, str], promised: Iterable[str] = ()) -> dict[int, str]:
    """By release: the slug it wants where that is free and not promised to somebody, else one with its id appended."""
    rows = await QUERIES.free_slugs.fetch(conn, list(wanted), list(wanted.values()), list(promised))
    return {row["id"]: row["slug"] for row in rows}


async def change_slugs(conn: Connection, slugs: Mapping[int, str]) -> set[int]:
    """Give releases other slugs; the old ones go on answering 301. The releases whose slug is another now."""
    return {row["id"] for row in await QUERIES.change_slugs.fetch(conn, list(slugs), list(slugs.values()))}


async def forget_slugs(conn: Connection, slugs: Sequence[str]) -> None:
    """These lead to those that have them now, and no longer to whoever had them before."""
    await QUERIES.forget_slugs.execute(conn, slugs)


async def insert_popularity(conn: Connection, popularity: dict[int, int]) -> None:
    """The living numbers of new releases."""
    await QUERIES.insert_popularity.execute(conn, list(popularity), list(popularity.values()))


async def merge_staged(conn: Connection, said: int, *, many: bool = True, before: bool = False) -> Merged:
    """Merge the staging tables and empty them; `said` are the bits that any row has. A few rows need no statistics.

    With `before` it tells what updated episodes said until now.
    """
    if many:
        await QUERIES.analyze_staging.execute(conn)
    changed: set[int] = set()
    for query, bits in MERGES:
        if said & bits:
            changed.update(row["id"] for row in await query.fetch(conn))
    episodes = await _merge_episodes(conn, before=before) if said & EPISODES else EpisodeChanges()
    moved = await QUERIES.update_popularity.fetch(conn) if said & POPULARITY else []
    await QUERIES.clear_staging.execute(conn)
    return Merged(changed, episodes, {row["id"] for row in moved})


async def _merge_episodes(conn: Connection, *, before: bool) -> EpisodeChanges:
    removed = await QUERIES.remove_episodes.fetch(conn)
    found = await QUERIES.revive_episodes.fetch(conn)
    updated = await QUERIES.update_episodes.fetch(conn, before)
    created = await QUERIES.insert_episodes.fetch(conn)
    return EpisodeChanges(
        [_pair(row) for row in created],
        [_pair(row) for row in removed],
        [_pair(row) for row in found if not row["by_editor"]],
        {_pair(row): row["before"] for row in updated},
        [(row["id"], row["ordinal"]) for row in found if row["by_editor"]],
    )


def _pair(row: Mapping[str, Any]) -> Pair:
    return row["id"], row["episode_id"]


async def touch(conn: Connection, ids: Sequence[int]) -> None:
    """These releases were updated now."""
    await QUERIES.touch.execute(conn, ids)


async def remember(conn: Connection, source: str, said: Sequence[tuple[str, int, bytes]], *, only_key: bool) -> None:
    """Keep (source key, release, hash) for the next run; with `only_key` a release keeps no older key of the source."""
    keys, ids = [one[0] for one in said], [one[1] for one in said]
    if only_key:
        await QUERIES.forget_older_keys.execute(conn, source, keys, ids)
    await QUERIES.remember.execute(conn, source, keys, ids, [one[2] for one in said])


async def build_documents(conn: Connection, ids: Sequence[int]) -> None:
    """Write the public documents of these releases anew."""
    await QUERIES.build_documents.execute(conn, ids)


async def invalidate(conn: Connection, tags: Iterable[str]) -> None:
    """Tell running servers, once this transaction commits, that what they cache under these tags is stale; and the
    CDN, if there is one, which must not miss it."""
    told = payloads(tags)
    await QUERIES.invalidate.execute(conn, told)
    await publish(conn, [Event("cache_purge", "cdn", {"tags": payload.split()}) for payload in told])


def payloads(tags: Iterable[str]) -> list[str]:
    """The tags, without white space in them, joined into as few payloads as NOTIFY takes."""
    filled: list[str] = []
    size = LARGEST_PAYLOAD
    for tag in sorted(set(tags)):
        size += 1 + len(tag.encode())
        if size > LARGEST_PAYLOAD:
            filled.append(tag)
            size = len(tag.encode())
        else:
            filled[-1] += f" {tag}"
    return filled


async def vacuum_staging(conn: Connection) -> None:
    """Take away what was emptied, outside any transaction: autovacuum is slower than a long run of updates."""
    await QUERIES.vacuum_staging.execute(conn)


async def analyze(conn: Connection) -> None:
    """Fresh statistics while a table grows from nothing, long before autovacuum looks at it."""
    await QUERIES.analyze.execute(conn)
