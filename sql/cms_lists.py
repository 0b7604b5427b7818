"""Lists of things as editors see them, drafts and deleted ones, too: ids of a page, and how many there are.

Composed from a closed set of fragments, as in `sql.release_list`: each state has an index of its own.
"""

from __future__ import annotations

from typing import Literal, get_args

from sql.query import Connection, Query

State = Literal["published", "draft", "scheduled", "deleted"]
Words = Literal["genres", "tags", "franchises"]

STATES: dict[State, str] = {
    "published": "visible",
    "draft": "not is_published and deleted_at is null",
    "scheduled": "publish_at is not null and not is_published and deleted_at is null",
    "deleted": "deleted_at is not null",
}
# How a title begins, by the index that lists in order of titles have.
BEGINS = "left(sort_title, 80) >= $1 and left(sort_title, 80) < $1 || U&'\\+10FFFF'"
# The same of a word; the living and the deleted ones have an index each.
WORD_BEGINS = "name_key >= $1 and name_key < $1 || U&'\\+10FFFF'"
HALVES = ("deleted_at is null", "deleted_at is not null")
# What is counted beyond the first pages is not worth the time.
MOST_COUNTED = 10_001


def _of_releases(state: State | None) -> tuple[Query, Query]:
    where = STATES[state] if state else "true"
    name = f"cms_list_{state or 'all'}"
    return (
        Query(name, f"select id from releases where {where} order by id desc limit $1 offset $2"),  # noqa: S608 - closed set
        Query(
            f"{name}_count",
            f"select count(*) from (select from releases where {where} limit {MOST_COUNTED}) found",  # noqa: S608
        ),
    )


def _found_releases(state: State | None) -> tuple[Query, Query]:
    """Of no particular state: those that readers see by the index, and the few others."""
    parts = [STATES[state]] if state else ["visible", "not visible"]
    name = f"cms_find_{state or 'all'}"
    found = " union all ".join(
        f"(select id, left(sort_title, 80) as key from releases where {part} and {BEGINS}"  # noqa: S608 - as above
        f" order by key, id limit {MOST_COUNTED})"
        for part in parts
    )
    return (
        Query(name, f"select id from ({found}) found order by key, id limit $2 offset $3"),  # noqa: S608 - as above
        Query(f"{name}_count", f"select least(count(*), {MOST_COUNTED}) from ({found}) found"),  # noqa: S608 - as above
    )


LISTED = {state: _of_releases(state) for state in (None, *STATES)}
FOUND = {state: _found_releases(state) for state in (None, *STATES)}
EPISODES = Query(
    "cms_list_episodes",
    "select id from (select id, ordinal from episodes where release_id = $1 and deleted_at is null"
    " union all select id, ordinal from episodes where release_id = $1 and deleted_at is not null) all_of_them"
    " order by ordinal, id limit $2 offset $3",
)
EPISODES_COUNT = Query(
    "cms_list_episodes_count",
    "select (select count(*) from episodes where release_id = $1 and deleted_at is null)"
    " + (select count(*) from episodes where release_id = $1 and deleted_at is not null)",
)


def _words(noun: Words) -> tuple[Query, Query]:
    rows = " union all ".join(
        f"(select id, name_key from {noun} where {half} and {WORD_BEGINS}"  # noqa: S608 - as above
        " order by name_key, id limit $2::bigint + $3::bigint)"
        for half in HALVES
    )
    counts = " + ".join(
        f"(select count(*) from {noun} where {half} and {WORD_BEGINS})"  # noqa: S608 - as above
        for half in HALVES
    )
    name = f"cms_list_{noun}"
    return (
        Query(name, f"select id from ({rows}) found order by name_key, id limit $2::bigint offset $3::bigint"),  # noqa: S608
        Query(f"{name}_count", f"select {counts}"),
    )


WORDS: dict[Words, tuple[Query, Query]] = {noun: _words(noun) for noun in get_args(Words)}


async def releases(
    conn: Connection, state: State | None, begins: str, limit: int, offset: int
) -> tuple[int, list[int]]:
    """Of this state, the last made first; or those whose title begins so, by title. Counted up to MOST_COUNTED."""
    rows, count = (FOUND if begins else LISTED)[state]
    given = (begins,) if begins else ()
    found = await rows.fetch(conn, *given, limit, offset)
    return int(await count.fetchval(conn, *given)), [row["id"] for row in found]


async def episodes(conn: Connection, release_id: int, limit: int, offset: int) -> tuple[int, list[int]]:
    """Of a release, by ordinal."""
    found = await EPISODES.fetch(conn, release_id, limit, offset)
    return int(await EPISODES_COUNT.fetchval(conn, release_id)), [row["id"] for row in found]


async def words(conn: Connection, noun: Words, begins: str, limit: int, offset: int) -> tuple[int, list[int]]:
    """By name, those whose key begins so."""
    rows, count = WORDS[noun]
    found = await rows.fetch(conn, begins, limit, offset)
    return int(await count.fetchval(conn, begins)), [row["id"] for row in found]
