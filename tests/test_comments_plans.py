"""A page of comments costs the same wherever it stands: of ten thousand under a release, or below one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from server.rules.comments import FIRST, LAST, MOST_COUNTED
from sql.comments import QUERIES
from tests import catalogue_seed
from tests.catalogue_seed import connect
from tests.commenting import make_users, wrong_counters
from tests.conftest import Server
from tests.test_catalogue_plans import nodes

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANY = 10_000
LARGE = {"comments", "users", "releases", "episodes", "release_talk", "progress", "library_entries"}
# Blocks a page of twenty may touch: rows, their authors and episodes, the ways through the indexes.
MOST_BLOCKS = 400
FILL = """
insert into comments (release_id, episode_id, user_id, text, counted, listed, announced, created_at)
select case when n <= {many} then 3 else 6 + n % 500 * 3 end,
       case when n % 2 = 0 and n <= {many} then (select min(id) from episodes where release_id = 3) end,
       {user} + n % 500, 'Thought ' || n, true, true, true, now() - interval '1 day'
from generate_series(1, {many} * 3) n;
insert into comments (release_id, parent_id, depth, user_id, text, counted, listed, announced, created_at)
select 3, (select min(id) from comments), 1, {user} + n % 500, 'Answer ' || n, true, true, true, now()
from generate_series(1, {many}) n;
update comments set replies = {many} where id = (select min(id) from comments);
insert into release_talk (release_id, comments, threads)
select release_id, count(*), count(*) filter (where parent_id is null) from comments group by release_id;
analyze comments, users, releases, release_talk;
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with catalogue_seed.database(server, 2000) as dsn:
        connection = await connect(dsn, random_page_cost="1.1", jit="off", max_parallel_workers_per_gather="0")
        users = await make_users(connection, 20_000)
        await connection.execute(FILL.format(many=MANY, user=min(users)))
        # What a session reads of functions at their first call is none of a page's costs.
        await connection.fetch(QUERIES.threads.text, 3, users[0], False, False, None, True, LAST, 21, 1)
        yield connection
        await connection.close()


async def explained(conn: Any, text: str, values: tuple[Any, ...], mode: str) -> tuple[int, set[str]]:
    """Blocks a statement touches, and the large tables it reads from end to end."""
    types = [kind.name for kind in (await conn.prepare(text)).get_parameters()]
    shown = [
        await conn.fetchval(f"select quote_nullable($1::{kind}::text)", value) + f"::{kind}"
        for value, kind in zip(values, types, strict=True)
    ]
    await conn.execute(f"set plan_cache_mode = {mode}")
    await conn.execute(f"prepare planned ({', '.join(types)}) as {text}")
    try:
        (found,) = await conn.fetchval(
            f"explain (analyze, buffers, timing off, format json) execute planned ({', '.join(shown)})"
        )
    finally:
        await conn.execute("deallocate planned")
    plan = found["Plan"]
    scanned = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], scanned & LARGE


async def places(conn: Any, of: str) -> list[int]:
    """Where pages begin: at the first row, in the middle, near the end."""
    rows = await conn.fetch(f"select id from comments where {of} order by id")
    return [rows[place]["id"] for place in (0, MANY // 2, MANY - 30)]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
class TestPages:
    @pytest.mark.parametrize("newest", [True, False])
    @pytest.mark.parametrize("reader", [False, True])
    async def test_a_page_of_a_release(self, conn: Any, mode: str, newest: bool, reader: bool) -> None:
        user = await conn.fetchval("select min(id) from users") if reader else None
        for behind in [LAST if newest else FIRST, *await places(conn, "release_id = 3 and parent_id is null")]:
            values = (3, user, False, False, None, newest, behind, 21, MOST_COUNTED + 1)
            blocks, scanned = await explained(conn, QUERIES.threads.text, values, mode)
            assert scanned == set()
            assert blocks < MOST_BLOCKS

    @pytest.mark.parametrize("newest", [True, False])
    async def test_a_page_of_an_episode(self, conn: Any, mode: str, newest: bool) -> None:
        episode = await conn.fetchval("select min(id) from episodes where release_id = 3")
        behind = await conn.fetchval(
            "select id from comments where episode_id = $1 order by id offset 2500 limit 1", episode
        )
        values = (3, None, False, True, episode, newest, behind, 21, MOST_COUNTED + 1)
        _, scanned = await explained(conn, QUERIES.threads.text, values, mode)
        assert scanned == set()

    async def test_a_page_of_replies(self, conn: Any, mode: str) -> None:
        parent = await conn.fetchval("select min(id) from comments")
        for behind in (FIRST, *await places(conn, "parent_id is not null")):
            blocks, scanned = await explained(
                conn, QUERIES.replies.text, (parent, None, False, False, behind, 21), mode
            )
            assert scanned == set()
            assert blocks < MOST_BLOCKS

    async def test_one_comment(self, conn: Any, mode: str) -> None:
        comment = await conn.fetchval("select max(id) from comments")
        blocks, scanned = await explained(conn, QUERIES.get.text, (comment, None, False, False), mode)
        assert scanned == set()
        assert blocks < MOST_BLOCKS


async def test_what_stands_here_is_counted_right(conn: Any) -> None:
    assert await wrong_counters(conn) == []


async def test_a_write_reads_through_no_table(conn: Any) -> None:
    scans = "select relname, seq_scan from pg_stat_xact_user_tables where seq_scan > 0"
    author = await conn.fetchval("select min(id) from users")
    parent = await conn.fetchval("select min(id) from comments")
    await conn.execute("set plan_cache_mode = auto")
    transaction = conn.transaction()
    await transaction.start()
    before = dict(await conn.fetch(scans))
    for above in (None, parent):
        for _ in range(7):
            made = await conn.fetchval(
                "select comment_id from post_comment($1, 3, null, $2, null, 'x', false, false, false, 1000,"
                " interval '1 hour', 7)",
                author, above,
            )  # fmt: skip
    assert await conn.fetchval("select outcome from delete_comment($1, false, $2)", author, made) == "deleted"
    read = {name for name, count in await conn.fetch(scans) if count > before.get(name, 0)}
    await transaction.rollback()
    assert read & LARGE == set()
