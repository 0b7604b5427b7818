"""The feed is read by probes of indexes: one for each thing followed, none of them through a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from sql import activity
from tests import catalogue_seed, feed_seed
from tests.conftest import Server
from tests.http_fixture import SHARED
from tests.people import make_user

pytestmark = SHARED
EVENTS, RELEASES = 30_000, 2_000
NEWEST = 2**63 - 1
GROWING = {"activity", "activity_topics", "releases", "episodes", "users", "subscriptions", "genres", "franchises"}
# Some rows: whatever the planner makes of them.
SMALL = {"genres", "franchises"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with catalogue_seed.database(server, RELEASES) as dsn:
        connection = await catalogue_seed.connect(dsn, random_page_cost="1.1", jit="off")
        await feed_seed.fill(connection, EVENTS, RELEASES)
        await feed_seed.follow_much(connection, await make_user(dsn, "follower"))
        yield connection
        await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def follower(conn: Any) -> int:
    found: int = await conn.fetchval("select id from users where username = 'follower'")
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def plans(conn: Any, text: str, *parameters: Any) -> list[list[dict[str, Any]]]:
    """The nodes of the plan for these values, and of the one for any values."""
    found = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        await conn.execute(f"set plan_cache_mode = {mode}")
        statement = await conn.prepare(f"explain (analyze, format json) {text}")
        found.append(list(nodes((await statement.fetchval(*parameters))[0]["Plan"])))
    return found


def read_through(found: list[dict[str, Any]]) -> set[str]:
    return {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"} & (GROWING - SMALL)


async def test_the_feed_probes_one_index_for_each_thing_followed_and_reads_nothing_else(conn, follower):
    for before in (NEWEST, EVENTS // 2):
        for found in await plans(conn, activity.QUERIES.feed.text, follower, before, 21):
            assert read_through(found) == set()
            probes = [node for node in found if node.get("Relation Name") == "activity_topics"]
            assert {node["Node Type"] for node in probes} == {"Index Only Scan"}
            newest, latest = sorted(probes, key=lambda node: node["Actual Rows"])
            assert (newest["Actual Loops"], newest["Actual Rows"] <= 1) == (200, True)
            assert (latest["Actual Loops"] < 100, latest["Actual Rows"] <= 21) == (True, True)
            (mine,) = [node for node in found if node.get("Relation Name") == "activity"]
            assert mine["Node Type"] == "Index Only Scan"


@pytest.mark.parametrize("name", ["of_user", "count_of_user", "extent", "show", "visibility", "record"])
async def test_no_statement_reads_through_a_table(conn, follower, name):
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    actor = await conn.fetchval("select max(actor_id) from activity")
    parameters: dict[str, tuple[Any, ...]] = {
        "of_user": (actor, NEWEST, 21),
        "count_of_user": (actor, 1001),
        "extent": (),
        "show": (list(range(1000, 1021)),),
        "visibility": (follower,),
        "record": (
            [None, actor], ["release_updated", "rated"], ["release", "release"], [30, 33], [{}, {"rating": 1}],
            [moment, moment], activity.COLLAPSE,
        ),
    }  # fmt: skip
    transaction = conn.transaction()
    await transaction.start()
    query = next(query for query in activity.QUERIES if query.name == name)
    for found in await plans(conn, query.text, *parameters[name]):
        assert read_through(found) == set()
    await transaction.rollback()


async def test_a_page_of_the_feed_is_what_a_look_at_everything_finds(conn, follower):
    wanted = [
        row["seq"]
        for row in await conn.fetch(
            """select distinct t.seq from activity_topics t
               join subscriptions s on s.user_id = $1 and s.target_id = t.topic_id
                and s.subscription_type = (array['release', 'genre', 'franchise'])[t.topic_type]
               order by seq desc limit 100""",
            follower,
        )
    ]
    assert await activity.feed(conn, follower, NEWEST, 100) == wanted
    assert await activity.feed(conn, follower, wanted[40], 30) == wanted[41:71]
