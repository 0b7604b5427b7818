"""What a device missed is found by an index, in a library of any size among many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest_asyncio

from server.database import connect
from sql import sync

USERS, EACH, GREAT = 150, 200, 12_000
FILL = """
insert into users (username, username_key) select 'u' || g, 'u' || g from generate_series(1, {users}) g;
insert into user_revisions (user_id, revision, forgotten) select id, {great} * 2, 0 from users;
insert into library_entries (user_id, kind, release_id, value, deleted, changed_at, revision)
select u.id, 1 + g % 4, g, case g % 4 when 1 then 1 + g % 5 when 2 then 1 + g % 10 else 0 end, g % 9 = 0, now(), g
from users u cross join generate_series(1, case u.username when 'u1' then {great} else {each} end) g;
insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, changed_at,
                      revision)
select u.id, g, g / 12 + 1, 60, false, 60, now(), g
from users u cross join generate_series(1, case u.username when 'u1' then {great} else {each} end) g;
insert into subscriptions (user_id, subscription_type, target_id, revision)
select u.id, 'release', g, g from users u cross join generate_series(1, {each} / 4) g;
"""
LARGE = {"library_entries", "progress", "subscriptions", "user_revisions", "users"}


@pytest_asyncio.fixture
async def library(dsn: str) -> AsyncIterator[Any]:
    """A connection to many libraries, one of them great, with the costs of a solid-state disk."""
    conn = await connect(dsn, random_page_cost="1.1", jit="off")
    await conn.execute(FILL.format(users=USERS, each=EACH, great=GREAT))
    await conn.execute("vacuum analyze users, user_revisions, library_entries, progress, subscriptions")
    yield conn
    await conn.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def parameters(user: int, since: int) -> list[Any]:
    return [user, since, None, [], sync.MOST_ROWS, [1, 2], [3, 6], [4]]


async def test_each_table_is_read_by_user_and_revision(library: Any) -> None:
    first, other = await library.fetchrow("select min(id), max(id) from users")
    text = sync.QUERIES.changes.text
    for mode in ("force_custom_plan", "force_generic_plan"):
        await library.execute(f"set plan_cache_mode = {mode}")
        for user in (first, other):
            prepared = await library.prepare(f"explain (analyze, buffers, format json) {text}")
            found = (await prepared.fetchval(*parameters(user, GREAT - 5 if user == first else EACH - 5)))[0]["Plan"]
            read = {node["Relation Name"]: node for node in nodes(found) if node.get("Relation Name") in LARGE}
            assert read.keys() == LARGE
            assert [name for name, node in read.items() if node["Node Type"] == "Seq Scan"] == []
            # Five rows of each, and what leads to them: not the library.
            assert found["Shared Hit Blocks"] + found["Shared Read Blocks"] < 150


async def test_everything_there_is_comes_in_pages_of_bounded_size(library: Any) -> None:
    first = await library.fetchval("select min(id) from users")
    since, base, pages = 0, None, 0
    while True:
        found = await sync.changes(library, first, since, base=base, most=5000)
        pages += 1
        assert found.content.count("changed_at") <= 5000 + 3
        if found.everything:
            base = found.current
        if found.reached == found.current:
            break
        since = found.reached
    assert pages == 5
