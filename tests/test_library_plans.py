"""No statement of a library scans a table that grows: each is planned on twenty thousand users with fifty rows each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from sql import library, library_write, progress, recommendations, release_counts
from tests import catalogue_seed
from tests.conftest import Server
from tests.test_catalogue_plans import nodes

pytestmark = pytest.mark.asyncio(loop_scope="module")
USERS, ENTRIES, EPISODES, RELEASES = 20_000, 25, 25, 10_000
LARGE = {
    "library_entries", "progress", "user_revisions", "users", "releases", "episodes", "popularity_metrics",
    "release_documents",
}  # fmt: skip
NOW = datetime(2026, 6, 1, tzinfo=UTC)
USER = 7_777
MANY = 500
FILL = """
insert into users (id, username, username_key) select n, 'u' || n, 'u' || n from generate_series(1, {users}) n;
insert into user_revisions (user_id, revision) select n, 1 from generate_series(1, {users}) n;
insert into library_entries (user_id, kind, release_id, value, changed_at, revision)
select n, kind, 3 * (1 + (n * 31 + k * 17) % {releases}),
       case kind when 2 then 1 + k % 5 when 3 then 1 + k % 10 else 0 end,
       timestamptz '2026-01-01' + k * interval '1 hour', 1
from generate_series(1, {users}) n
cross join generate_series(1, {entries}) k
cross join lateral (select 1 + k % 4) as t (kind)
on conflict do nothing;
insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds, changed_at,
                      revision)
select n, e.id, e.release_id, 60, k % 2 = 0, 60, timestamptz '2026-01-01' + k * interval '1 hour', 1
from generate_series(1, {users}) n cross join generate_series(1, {episodes}) k
join episodes e on e.id = 1 + (n * 31 + k * 17) % {releases}
on conflict do nothing;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with catalogue_seed.database(server, RELEASES) as dsn:
        connection = await catalogue_seed.connect(
            dsn, random_page_cost="1.1", jit="off", max_parallel_workers_per_gather="0", synchronous_commit="off"
        )
        await fill(connection)
        yield connection
        await connection.close()


async def fill(connection: Any) -> None:
    """A million rows. Their indexes are made when they are there, which is twice as fast."""
    indexes = await connection.fetch(
        "select indexname, indexdef from pg_indexes"
        " where tablename in ('library_entries', 'progress') and indexname not like '%_pkey'"
    )
    await connection.execute("set session_replication_role = replica")
    for row in indexes:
        await connection.execute(f"drop index {row['indexname']}")
    await connection.execute(FILL.format(users=USERS, entries=ENTRIES, episodes=EPISODES, releases=RELEASES))
    for row in indexes:
        await connection.execute(row["indexdef"])
    await connection.execute("analyze users, user_revisions, library_entries, progress")
    await connection.execute("set session_replication_role = origin")


def store(count: int) -> tuple[Any, ...]:
    """Parameters of a write of so many entries and episodes."""
    ids, none = list(range(1, count + 1)), [None] * count
    entries = [[1] * count, [3 * one for one in ids], [0] * count, [False] * count, [NOW] * count]
    steps = [ids, [3] * count, [5] * count, [True] * count, [5] * count, [False] * count, [NOW] * count, none]
    return (USER, 2, NOW, *entries, *steps)


READS = {
    f"{name} {place}": (query, parameters)
    for name, query, several in (
        ("lock", library_write.QUERIES.lock_revision, [(USER,)]),
        ("entries", library_write.QUERIES.entries_before, [(USER, [1], [3]), (USER, [1] * MANY, list(range(MANY)))]),
        ("progress", library_write.QUERIES.progress_before, [(USER, [1]), (USER, list(range(MANY)))]),
        ("store", library_write.QUERIES.store, [store(1), store(MANY)]),
        ("page", library.QUERIES.page, [(USER, 1, None, 20, 0), (USER, 2, 3, 100, 0)]),
        ("count", library.QUERIES.count, [(USER, 1)]),
        ("counts", library.QUERIES.counts, [(USER,)]),
        ("progress page", progress.QUERIES.page, [(USER, 20, 0), (USER, 100, 100)]),
        ("progress count", progress.QUERIES.count, [(USER,)]),
        ("of release", progress.QUERIES.page_of_release, [(USER, 3, 20, 0)]),
        ("of release count", progress.QUERIES.count_of_release, [(USER, 3)]),
        ("one", progress.QUERIES.get, [(USER, 1)]),
        ("history", progress.QUERIES.history, [(USER, *progress.NEWEST, 21), (USER, NOW, 5, 101)]),
        ("history count", progress.QUERIES.count_history, [(USER,)]),
        ("continue", progress.QUERIES.continue_with, [(USER, 20), (USER, 100)]),
        ("counters", release_counts.QUERIES.apply, [([3, 6], [1, 1], [0, 1], [0, 9])]),
        ("counters again", release_counts.QUERIES.mend, [([3, 6],)]),
    )
    for place, parameters in enumerate(several)
}


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", READS)
async def test_each_statement_finds_its_rows_by_an_index(conn: Any, name: str, mode: str) -> None:
    query, parameters = READS[name]
    async with conn.transaction():
        await conn.execute(f"set local plan_cache_mode = {mode}")
        assert await scanned(conn, query.text, parameters) == set()


async def scanned(conn: Any, text: str, parameters: tuple[Any, ...]) -> set[str]:
    """The large tables that a statement reads from end to end. Planned as the driver has it planned: prepared."""
    types = [kind.name for kind in (await conn.prepare(text)).get_parameters()]
    values = [
        await conn.fetchval(f"select quote_nullable($1::{kind}::text)", value) + f"::{kind}"
        for value, kind in zip(parameters, types, strict=True)
    ]
    await conn.execute(f"prepare planned ({', '.join(types)}) as {text}")
    try:
        found = await conn.fetchval(f"explain (format json) execute planned ({', '.join(values)})")
    finally:
        await conn.execute("deallocate planned")
    return {
        node["Relation Name"]
        for node in nodes(found[0]["Plan"])
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
    }


async def test_a_scan_is_noticed(conn: Any) -> None:
    assert await scanned(conn, "select count(*) from progress where completed = $1", (True,)) == {"progress"}


async def test_what_a_viewer_keeps_is_looked_for_by_the_release_however_much_it_is(conn: Any) -> None:
    text = recommendations.QUERIES.similar_page.text
    types = [kind.name for kind in (await conn.prepare(text)).get_parameters()]
    await conn.execute(f"prepare planned ({', '.join(types)}) as {text}")
    async with conn.transaction():
        await conn.execute("set local plan_cache_mode = force_generic_plan")
        found = await conn.fetchval(f"explain (format json) execute planned (3, {USER}, 20, 0, null, null)")
    await conn.execute("deallocate planned")
    entries = [node for node in nodes(found[0]["Plan"]) if node.get("Relation Name") == "library_entries"]
    assert len(entries) == 3
    for node in entries:
        assert "release_id =" in node["Index Cond"]
