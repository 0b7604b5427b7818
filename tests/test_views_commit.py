"""What committing a batch promises: stored before it is answered, each event id once in 48 hours, safe to repeat."""

from __future__ import annotations

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from server.database import connect
from server.errors import Unavailable
from sql import views
from sql.views import Outcome
from tests.seeding import commit, event, hours_ago, seed_episodes, seed_partitions, seed_releases


async def stored(conn: Any) -> list[Any]:
    return [row["event_id"] for row in await conn.fetch("select event_id from view_metrics")]


async def test_each_event_of_a_batch_has_its_own_outcome(conn: Any) -> None:
    await seed_partitions(conn)
    one, other = await seed_releases(conn, 2)
    (hidden,) = await seed_releases(conn, 1, visible=False)
    episodes = await seed_episodes(conn, [one, other], 1)
    deleted = await conn.fetchval(
        "insert into episodes (release_id, ordinal, deleted_at) values ($1, 9, now()) returning id", one
    )
    twice = event(one)
    rows = [
        event(one),
        event(one, episodes[one][0]),
        event(987654321),
        event(hidden),
        event(one, episodes[other][0]),
        event(one, viewed_at=hours_ago(7 * 24 + 0.01)),
        event(one, viewed_at=hours_ago(7 * 24 - 0.01)),
        event(one, viewed_at=hours_ago(-0.1)),
        event(one, viewed_at=hours_ago(-0.07)),
        twice,
        twice,
        event(one, reason="search"),
        event(one, deleted),
    ]
    result = await commit(conn, *rows)
    assert result.exceptions == {
        2: Outcome.UNKNOWN_RELEASE,
        3: Outcome.UNKNOWN_RELEASE,
        4: Outcome.WRONG_EPISODE,
        5: Outcome.OUTSIDE_TIME,
        7: Outcome.OUTSIDE_TIME,
        10: Outcome.DUPLICATE,
        11: Outcome.FILTERED,
        12: Outcome.WRONG_EPISODE,
    }
    assert sorted(await stored(conn)) == sorted(rows[place].event_id for place in (0, 1, 6, 8, 9))
    filtered = await conn.fetchrow("select event_id, release_id, reason from view_filtered")
    assert tuple(filtered) == (rows[11].event_id, one, "search")


async def test_a_refused_event_does_not_use_up_its_id(conn: Any) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    wrong = event(987654321)
    right = wrong._replace(release_id=release)
    assert (await commit(conn, wrong)).exceptions == {0: Outcome.UNKNOWN_RELEASE}
    assert (await commit(conn, wrong, right, right)).exceptions == {0: Outcome.UNKNOWN_RELEASE, 2: Outcome.DUPLICATE}
    assert await stored(conn) == [right.event_id]


async def test_an_id_is_remembered_for_the_day_and_the_two_before(conn: Any) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    today = datetime.now(UTC).date()
    await views.make_partitions(conn, "view_receipts", "day", today - timedelta(days=3), today)
    rows = [event(release) for _ in range(5)]
    for days, view in enumerate(rows[:4]):
        await conn.execute("insert into view_receipts values ($1, $2)", today - timedelta(days=days), view.event_id)
    assert (await commit(conn, *rows)).exceptions == dict.fromkeys((0, 1, 2), Outcome.DUPLICATE)


async def test_the_same_ids_on_many_connections_count_once_and_nobody_waits_in_a_ring(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 5)
    rows = [event(random.choice(releases)) for _ in range(400)]
    connections = [await connect(dsn) for _ in range(6)]

    async def send(connection: Any) -> int:
        accepted = 0
        for _ in range(4):
            batch = random.sample(rows, 300)
            accepted += len(batch) - len((await commit(connection, *batch)).exceptions)
        return accepted

    accepted = sum(await asyncio.gather(*(send(connection) for connection in connections)))
    for connection in connections:
        await connection.close()
    found = await stored(conn)
    assert len(found) == len(set(found)) == accepted
    assert not await conn.fetchval("select deadlocks from pg_stat_database where datname = current_database()")


SENDER = """
import asyncio, sys
from uuid import UUID, uuid4
from server.database import connect
from sql import views
from sql.views import ViewRow

async def main(dsn, release, first, count):
    conn = await connect(dsn)
    rows = [ViewRow(UUID(int=first + n), release, None, 1, 1, 1.0, None, None) for n in range(count)]
    accepted = 0
    for start in range(0, count, 50):
        batch = rows[start : start + 50]
        accepted += len(batch) - len((await views.commit_batch(conn, uuid4(), batch)).exceptions)
    await conn.close()
    print(accepted)

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
"""


async def test_the_same_ids_from_several_processes_count_once(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    (release,) = await seed_releases(conn, 1)
    arguments = [sys.executable, "-c", SENDER, dsn, str(release), str(uuid4().int >> 2), "500"]
    root = Path(__file__).parents[1]
    senders = [
        await asyncio.create_subprocess_exec(*arguments, cwd=root, stdout=asyncio.subprocess.PIPE) for _ in range(3)
    ]
    said = [int((await sender.communicate())[0]) for sender in senders]
    assert sum(said) == await conn.fetchval("select count(*) from view_metrics") == 500


async def at(dsn: str, minutes: int) -> Any:
    """A session in the time zone where it is now so many minutes after (before, if negative) tomorrow's midnight."""
    if (second := datetime.now(UTC).second) > 50:
        # The minute should last as long as the test.
        await asyncio.sleep(60.5 - second)
    now = datetime.now(UTC)
    east = 24 * 60 - now.hour * 60 - now.minute + minutes
    # In POSIX's notation the sign is the other way round.
    return await connect(dsn, timezone=f"<test>-{east // 60}:{east % 60:02}")


async def test_an_id_sent_on_both_sides_of_midnight_counts_once(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1)
    view = event(*releases)
    before, just_after, after = await at(dsn, -1), await at(dsn, 0), await at(dsn, 3)
    days = [await connection.fetchval("select current_date") for connection in (before, just_after, after)]
    assert days[0] + timedelta(days=1) == days[1] == days[2]
    await views.make_partitions(conn, "view_receipts", "day", days[0] - timedelta(days=1), days[0])
    await views.make_partitions(conn, "view_metrics", "day", days[0], days[1])
    assert (await commit(before, view)).exceptions == {}
    assert (await commit(just_after, view)).exceptions == {0: Outcome.DUPLICATE}
    assert (await commit(after, view)).exceptions == {0: Outcome.DUPLICATE}
    second = event(*releases)
    assert (await commit(just_after, second, second)).exceptions == {1: Outcome.DUPLICATE}
    assert (await commit(after, second)).exceptions == {0: Outcome.DUPLICATE}
    for connection in (before, just_after, after):
        await connection.close()


@pytest.mark.parametrize("first", [-1, 0])
async def test_two_transactions_that_meet_at_midnight_wait_for_each_other(conn: Any, dsn: str, first: int) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1)
    view = event(*releases)
    holding, waiting = await at(dsn, first), await at(dsn, -1 - first)
    day = min([await connection.fetchval("select current_date") for connection in (holding, waiting)])
    await views.make_partitions(conn, "view_receipts", "day", day - timedelta(days=1), day + timedelta(days=1))
    await views.make_partitions(conn, "view_metrics", "day", day, day + timedelta(days=1))
    transaction = holding.transaction()
    await transaction.start()
    assert (await commit(holding, view)).exceptions == {}
    late = asyncio.create_task(commit(waiting, view))
    done, _ = await asyncio.wait((late,), timeout=0.2)
    assert not done
    await transaction.commit()
    assert (await late).exceptions == {0: Outcome.DUPLICATE}
    for connection in (holding, waiting):
        await connection.close()


async def test_a_batch_sent_again_under_its_id_is_answered_as_the_first_time_and_stores_nothing(conn: Any) -> None:
    await seed_partitions(conn)
    one, other = await seed_releases(conn, 2)
    episodes = await seed_episodes(conn, [other], 1)
    known = event(one)
    await commit(conn, known)
    wrong = event(987654321)
    rows = [
        wrong,
        wrong._replace(release_id=one),
        known,
        event(one),
        known._replace(reason="ai"),
        event(987654321, reason="ai"),
        event(one, reason="ai"),
        event(one, episodes[other][0]),
        event(one, viewed_at=hours_ago(200)),
    ]
    batch_id = uuid4()
    first = await commit(conn, *rows, batch_id=batch_id)
    counts = (
        "select (select count(*) from view_metrics), (select count(*) from view_filtered), count(*) from view_batches"
    )
    before = await conn.fetchrow(counts)
    # What has happened to the catalogue since does not change what was said.
    await conn.execute("update releases set is_published = false where id = $1", one)
    assert await commit(conn, *rows, batch_id=batch_id) == first
    assert first.exceptions == {
        0: Outcome.UNKNOWN_RELEASE,
        2: Outcome.DUPLICATE,
        4: Outcome.DUPLICATE,
        5: Outcome.UNKNOWN_RELEASE,
        6: Outcome.FILTERED,
        7: Outcome.WRONG_EPISODE,
        8: Outcome.OUTSIDE_TIME,
    }
    assert await conn.fetchrow(counts) == before == (3, 1, 2)


async def test_a_batch_sent_again_while_the_first_is_still_committing_waits_for_it(conn: Any, dsn: str) -> None:
    await seed_partitions(conn)
    releases = await seed_releases(conn, 1)
    view = event(*releases)
    other = await connect(dsn)
    batch_id = uuid4()
    transaction = other.transaction()
    await transaction.start()
    await commit(other, view, view, batch_id=batch_id)
    again = asyncio.create_task(commit(conn, view, view, batch_id=batch_id))
    await asyncio.sleep(0.1)
    assert not again.done()
    await transaction.commit()
    assert (await again).exceptions == {1: Outcome.DUPLICATE}
    await other.close()
    assert len(await stored(conn)) == 1


async def test_without_the_days_partitions_views_are_refused_for_now_and_taken_later(conn: Any) -> None:
    releases = await seed_releases(conn, 1)
    view = event(*releases)
    batch_id = uuid4()
    with pytest.raises(Unavailable):
        await commit(conn, view, batch_id=batch_id)
    await seed_partitions(conn)
    assert (await commit(conn, view, batch_id=batch_id)).exceptions == {}
