"""The worker of recommendations on a real database: what it stores, what it leaves alone, and how small it stays."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.recommending import worker
from server.recommending.worker import Done
from server.rules import library
from server.rules.recommending import INTERRUPTED, ROW_WIDTH
from sql import neighbours as changes
from sql import recommending
from tests.seeding import seed_releases

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 150
# What the process says of itself when it ends, and what it weighed.
MEASURED = """
import os, sys
from server.cli import main
if "USUAL" in os.environ:
    from server.recommending import choosing, model, worker
    # To try several takes several times as long, and no more memory.
    worker.choose = lambda data: model.Choice(choosing.usual_ridge(data.users), choosing.DEPTHS[-1])
status = main(["recommend-worker"])
from server.commands.evaluate_recommendations import peak_kilobytes
print("peak", peak_kilobytes() // 1024)
sys.exit(status)
"""


async def people(conn: Any, count: int) -> list[int]:
    found = await conn.fetch(
        "insert into users (username, username_key) select 'p' || n, 'p' || n from generate_series(1, $1::integer) n"
        " returning id",
        count,
    )
    return [row["id"] for row in found]


async def keep(conn: Any, user_id: int, kind: int, release_ids: list[int], value: int = 0) -> None:
    await conn.execute(
        "insert into library_entries (user_id, kind, release_id, value, changed_at, revision)"
        " select $1, $2, id, $4, now(), 1 from unnest($3::bigint[]) id",
        user_id, kind, release_ids, value,
    )  # fmt: skip


async def describe(conn: Any, release_id: int, genre_ids: list[int], franchise_id: int | None = None) -> None:
    await conn.execute(
        "update releases set genre_ids = $2, franchise_id = $3 where id = $1", release_id, genre_ids, franchise_id
    )


async def neighbours(conn: Any) -> dict[int, list[int]]:
    found = await conn.fetch("select release_id, neighbours from release_neighbours order by release_id")
    return {row["release_id"]: row["neighbours"] for row in found}


async def crowds(conn: Any, size: int = 40, releases: int = 24) -> list[int]:
    """Releases of two genres, and people who finished most of the releases of one of them."""
    ids = await seed_releases(conn, releases)
    for place, release_id in enumerate(ids):
        await describe(conn, release_id, [place % 2 + 1])
    for place, user_id in enumerate(await people(conn, size)):
        liked = [one for index, one in enumerate(ids) if index % 2 == place % 2 and (index + place) % 7]
        await keep(conn, user_id, library.COLLECTION, liked, library.COMPLETED)
        await keep(conn, user_id, library.RATING, liked[::2], 9)
        await keep(conn, user_id, library.FAVORITE, liked[:1])
    return ids


async def test_a_run_stores_who_is_like_whom_and_who_speaks_for_whom(conn: Any) -> None:
    ids = await crowds(conn)
    done = await worker.run(conn)
    assert done == Done(people=40, items=24, rows=24, neighbours=24)
    crowd = {release_id: place % 2 for place, release_id in enumerate(ids)}
    for release_id, near in (await neighbours(conn)).items():
        assert {crowd[one] for one in near} == {crowd[release_id]}
        assert len(near) == 11
    rows = await conn.fetch("select * from release_audience")
    for row in rows:
        assert len(row["others"]) == len(row["weights"]) <= ROW_WIDTH
        assert [abs(one) for one in row["weights"]] == sorted((abs(one) for one in row["weights"]), reverse=True)
        loud = {other for other, said in zip(row["others"], row["weights"], strict=True) if said > 0.01}
        assert {crowd[one] for one in loud} <= {crowd[row["release_id"]]}
    shared = await conn.fetch("select distinct one from release_neighbours, unnest(shared) one")
    assert {row["one"] for row in shared} <= {10, 15, 20}
    state = await conn.fetchrow("select audience_at is null, audience_users, audience_items from recommending_state")
    assert tuple(state) == (False, 40, 24)


async def test_what_nothing_has_happened_to_is_left_alone(conn: Any) -> None:
    ids = await crowds(conn)
    await worker.run(conn)
    await conn.execute("select pg_stat_force_next_flush()")
    before = await conn.fetch("select release_id, computed_at, xmin::text from release_neighbours order by 1")
    assert await worker.run(conn) == Done()
    await conn.execute("update release_neighbours set stale = true where release_id = $1", ids[3])
    assert await worker.run(conn) == Done(neighbours=1)
    after = await conn.fetch("select release_id, computed_at, xmin::text from release_neighbours order by 1")
    assert [one["release_id"] for one, other in zip(before, after, strict=True) if one != other] == [ids[3]]
    assert await conn.fetchval("select count(*) from release_neighbours where stale") == 0


async def test_what_a_new_release_is_like_is_worked_out_anew(conn: Any) -> None:
    ids = await seed_releases(conn, 40)
    for release_id in ids:
        await describe(conn, release_id, [1 if release_id == ids[0] else 2, 3])
    await worker.run(conn)
    (new,) = await seed_releases(conn, 1)
    await describe(conn, new, [1, 3])
    assert await worker.run(conn) == Done(neighbours=1)
    # As much like the others as they are like one another, or less: only one has a place for it.
    assert await conn.fetchval("select array_agg(release_id) from release_neighbours where stale") == [ids[0]]
    assert await worker.run(conn) == Done(neighbours=1)
    assert (await neighbours(conn))[ids[0]][0] == new
    assert await worker.run(conn) == Done()


async def test_what_a_changed_release_has_come_to_be_like_is_worked_out_anew(conn: Any) -> None:
    ids = await seed_releases(conn, 80)
    for place, release_id in enumerate(ids):
        await describe(conn, release_id, [1, 3] if place < 2 else [2, 3] if place < 40 else [4])
    await worker.run(conn)
    moved = ids[-1]
    await describe(conn, moved, [1, 3])
    await changes.note_changes(conn, [moved])
    # Itself, and those beside it until now.
    await worker.run(conn)
    stale = await conn.fetch("select release_id from release_neighbours where stale order by 1")
    assert [row["release_id"] for row in stale] == ids[:2]
    await worker.run(conn)
    near = await neighbours(conn)
    assert [moved in near[one] for one in ids[:3]] == [True, True, False]
    assert await worker.run(conn) == Done()


async def test_audiences_are_made_anew_when_they_are_old_or_libraries_have_changed(conn: Any) -> None:
    await crowds(conn)
    await worker.run(conn)
    await conn.execute("update recommending_state set library_changes = $1, catalogue_changes = 7", worker.WRITES - 1)
    assert (await worker.run(conn)).people == 0
    await conn.execute("update recommending_state set library_changes = $1", worker.WRITES)
    assert (await worker.run(conn)).people == 40
    state = await conn.fetchrow(
        "select library_seen, catalogue_seen, runs, finished_at > audience_at from recommending_state"
    )
    assert tuple(state) == (worker.WRITES, 7, 3, True)
    await conn.execute("update recommending_state set audience_at = now() - $1::interval", 2 * worker.LATEST)
    assert (await worker.run(conn)).people == 40


async def test_what_is_no_longer_there_is_forgotten(conn: Any) -> None:
    ids = await crowds(conn)
    await worker.run(conn)
    await conn.execute("update releases set is_published = false where id = $1", ids[0])
    await conn.execute("delete from library_entries where release_id = $1", ids[2])
    await conn.execute("update recommending_state set audience_at = null")
    await worker.run(conn)
    assert ids[0] not in await neighbours(conn)
    stored = {row["release_id"] for row in await conn.fetch("select release_id from release_audience")}
    assert (ids[2] in stored, ids[4] in stored) == (False, True)
    assert not any(ids[0] in near for one, near in (await neighbours(conn)).items() if one in stored)
    others = {one for row in await conn.fetch("select others from release_audience") for one in row["others"]}
    assert ids[2] not in others


async def test_a_catalogue_without_people_is_compared_by_its_words(conn: Any) -> None:
    ids = await seed_releases(conn, 4)
    franchise = await conn.fetchval("insert into franchises (slug, name, name_key) values ('f', 'F', 'f') returning id")
    for release_id, genres, of in zip(ids, ([1, 2], [1, 2], [2], []), (None, None, franchise, franchise), strict=True):
        await describe(conn, release_id, genres, of)
    assert await worker.run(conn) == Done(neighbours=4)
    found = await neighbours(conn)
    assert found[ids[0]] == [ids[1], ids[2]]
    assert found[ids[3]] == [ids[2]]
    assert await conn.fetchval("select count(*) from release_audience") == 0


async def test_what_is_marked_as_stale_meanwhile_stays_so(dsn: str, conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await crowds(conn)
    await worker.run(conn)
    await conn.execute("update release_neighbours set stale = true where release_id = any ($1::bigint[])", ids[:2])
    other = await asyncpg.connect(dsn)
    store = recommending.store_neighbours

    async def interrupted(conn: Any, found: Any) -> None:
        marks = "update release_neighbours set stale = true where release_id = $1 and not stale"
        assert await other.execute(marks, ids[0], timeout=5) == "UPDATE 1"
        await store(conn, found)

    monkeypatch.setattr(recommending, "store_neighbours", interrupted)
    await worker.run(conn)
    stale = await conn.fetch("select release_id from release_neighbours where stale")
    assert [row["release_id"] for row in stale] == [ids[0]]
    await other.close()


async def test_what_a_run_could_not_store_is_due_again(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await crowds(conn)
    await worker.run(conn)
    await conn.execute("update release_neighbours set stale = true where release_id = $1", ids[0])

    async def killed(conn: Any, found: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(recommending, "store_neighbours", killed)
        with pytest.raises(KeyboardInterrupt):
            await worker.run(conn)
    assert [one async for one in recommending.due(conn)] == [ids[0]]
    assert (await worker.run(conn)).neighbours >= 1
    assert [one async for one in recommending.due(conn)] == []


async def test_a_run_that_is_stopped_leaves_the_rest_to_the_next(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await crowds(conn)
    await worker.run(conn)
    await conn.execute("update recommending_state set audience_at = null, catalogue_changes = 7")
    monkeypatch.setattr(worker, "AT_ONCE", 10)
    asked: list[None] = []

    def stopped() -> bool:
        asked.append(None)
        return len(asked) > 1

    done = await worker.run(conn, stopped)
    assert (done.people, done.neighbours, done.whole) == (40, 10, False)
    # The audiences are there, and it is known what has to be worked out by them.
    left = [one async for one in recommending.due(conn)]
    assert len(left) == len(ids) - 10
    assert await conn.fetchval("select catalogue_seen from recommending_state") == 0
    again = await worker.run(conn)
    assert (again.people, again.neighbours, again.whole) == (0, len(left), True)
    assert [one async for one in recommending.due(conn)] == []


async def test_what_is_looked_at_most_comes_first(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await crowds(conn, size=0)
    await conn.execute("update popularity_metrics set popularity_score = release_id % 5")
    monkeypatch.setattr(worker, "AT_ONCE", 4)
    await worker.run(conn, iter((False, True)).__next__)
    found = await neighbours(conn)
    assert sorted(found) == [one for one in ids if one % 5 == 4][-4:]


async def test_of_very_many_people_a_sample_takes_part(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    await crowds(conn, size=400)
    await conn.execute("analyze users")
    monkeypatch.setattr(worker, "MOST_PEOPLE", 100)
    assert 40 <= (await worker.run(conn)).people <= 160
    monkeypatch.setattr(worker, "MOST_LIKES", 50)
    await conn.execute("update recommending_state set audience_at = null")
    assert (await worker.run(conn)).people <= 8


async def start(dsn: str, data_dir: Path, **given: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEASURED, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn, "DATA_DIR": str(data_dir), "MALLOC_ARENA_MAX": "1",
             "OPENBLAS_NUM_THREADS": "1", **given},
    )  # fmt: skip
    printed = (await asyncio.wait_for(process.communicate(), 360))[0].decode()
    return process.returncode, printed


# It works at the lowest priority there is.
@pytest.mark.timeout(400)
async def test_the_process_ends_when_it_is_done_and_stays_small(dsn: str, conn: Any, tmp_path: Path) -> None:
    # Many more people and releases than the model takes.
    await conn.execute(
        """insert into releases (slug, title, sort_title, genre_ids, tag_ids)
           select 'r-' || n, 'R', 'r', array[n % 20 + 1], array[n % 500 + 1, n % 77 + 600]
           from generate_series(1, 4000) n"""
    )
    await people(conn, 3000)
    await conn.execute(
        """insert into library_entries (user_id, kind, release_id, value, changed_at, revision)
           select u.id, 3, r.id, 6 + (u.id * r.id % 5), now(), 1
           from users u cross join lateral (
               select id from releases where id >= 1 + (u.id * 37) % 3900 order by id limit 40) r"""
    )
    # What a first run would take minutes for is there already.
    await conn.execute(
        "insert into release_neighbours (release_id, neighbours, scores) select id, '{}', '{}' from releases"
    )
    status, printed = await start(dsn, tmp_path, USUAL="1")
    assert status == 0, printed
    assert re.search(r"people: 3000, releases of the model: 3000, its rows: \d{4}", printed), printed
    assert int(re.findall(r"peak (\d+)", printed)[0]) <= MOST_MB, printed


async def test_two_never_work_at_once(dsn: str, conn: Any, tmp_path: Path) -> None:
    assert await recommending.claim_alone(conn)
    status, printed = await start(dsn, tmp_path)
    assert (status, "another one is at it" in printed) == (INTERRUPTED, True)


async def test_a_worker_whose_server_is_gone_ends(conn: Any, dsn: str, tmp_path: Path) -> None:
    await crowds(conn, size=0)
    # It is told of another parent as soon as it is at work.
    line = (
        "import itertools, os, sys; parents = itertools.chain([7], itertools.repeat(1));"
        " os.getppid = lambda: next(parents); from server.cli import main; sys.exit(main(['recommend-worker']))"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)},
    )  # fmt: skip
    printed = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert process.returncode == INTERRUPTED, printed
    assert await neighbours(conn) == {}


async def test_the_server_never_loads_the_mathematics() -> None:
    check = "import server.app, server.commands.serve, sys; sys.exit('numpy' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", check, cwd=ROOT)
    assert await asyncio.wait_for(process.wait(), 60) == 0
