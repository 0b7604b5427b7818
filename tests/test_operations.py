"""Long work: run once, told of truly, taken up again whatever happens to whoever runs it."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.database import connect
from sql import operations
from sql.operations import MOST_ATTEMPTS
from tests.people import make_user
from tests.working import Bench, bench, execute, until


async def running_row(desk: Bench, operation_id: UUID) -> bool:
    return (await desk.row(operation_id))["status"] == "running"


async def test_work_runs_soon_after_the_commit_and_says_what_came_of_it(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        started = time.monotonic()
        # Looking alone, every two seconds, would take eight.
        for rows in (1, 2, 3, 4, 25):
            row = await desk.ended(await desk.queue(user, "write", rows=rows))
        assert time.monotonic() - started < 6
        assert (row["status"], row["done"], row["total"], row["attempts"]) == ("succeeded", 25, 25, 1)
        assert row["errors"] == [{"row": n, "detail": f"Row {n} is round."} for n in (10, 20)]
        assert row["result"] == {"lines": 25, "refused": 2}
        assert desk.files.existing(row["file"]).read_text() == "a line\n" * 25
        assert row["finished_at"] >= row["started_at"]


async def test_a_hundred_errors_are_kept_and_all_are_counted(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        row = await desk.ended(await desk.queue(user, "write", rows=2000))
        assert (len(row["errors"]), row["result"]["refused"]) == (100, 200)


@pytest.mark.parametrize(
    ("how", "detail"),
    [("theirs", "The list is empty."), ("ours", "This went wrong; it has been written down.")],
)
async def test_a_failure_tells_only_what_is_meant_for_its_owner(
    dsn: str, tmp_path: Path, how: str, detail: str
) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        row = await desk.ended(await desk.queue(user, "fail", how=how))
        assert row["status"] == "failed"
        said = {"row": None, "detail": detail} | ({"code": "unprocessable"} if how == "theirs" else {})
        assert row["errors"] == [{"row": 3, "detail": "A bad row."}, said]
        assert (row["file"], row["result"], desk.made()) == (None, {}, [])


async def test_weather_is_waited_out_ten_times(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "fail", how="weather")
        for attempt in range(1, MOST_ATTEMPTS):

            async def put_back(attempt: int = attempt) -> bool:
                row = await desk.row(one)
                return (row["status"], row["attempts"]) == ("queued", attempt)

            await until(put_back)
            assert (await desk.row(one))["leased_until"] is not None
            await execute(dsn, "update operations set leased_until = now() - interval '1 second'")
        row = await desk.ended(one)
        assert (row["status"], row["attempts"], row["errors"][-1]["detail"]) == ("failed", MOST_ATTEMPTS, "Busy.")


async def test_two_run_at_once_and_the_third_waits(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        made = [await desk.queue(user, "hold") for _ in range(3)]

        async def two() -> bool:
            return len(desk.hold.begun) == 2

        await until(two)
        assert [(await desk.row(one))["status"] for one in made] == ["running", "running", "queued"]
        desk.hold.go.set()
        assert [(await desk.ended(one))["status"] for one in made] == ["succeeded"] * 3


async def test_what_is_queued_by_another_process_is_found_by_looking(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        text = "insert into operations (user_id, kind, request) values ($1, 'write', '{\"rows\": 1}') returning id"
        row = await desk.ended(await execute(dsn, text, user))
        assert row["status"] == "succeeded"


async def test_a_kind_nobody_here_knows_is_left_alone(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        strange = await desk.queue(user, "strange")
        await desk.ended(await desk.queue(user, "write", rows=1))
        assert (await desk.row(strange))["status"] == "queued"


async def test_progress_and_lease_are_written_while_it_runs(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "hold")

        async def told() -> bool:
            return bool((await desk.row(one))["done"] == 1)

        await until(told)
        left = await execute(dsn, "select leased_until - now() from operations")
        assert timedelta(seconds=15) < left <= timedelta(seconds=20)


async def test_a_running_operation_is_taken_up_again_after_its_process_died(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as first:
        one = await first.queue(user, "hold")
        await until(lambda: running_row(first, one))
        # Nothing of it reaches the database any more, as after `kill -9`.
        await first.database.close()
    assert await execute(dsn, "select status from operations") == "running"
    async with bench(dsn, tmp_path) as second:
        second.hold.go.set()
        other = await second.queue(user, "hold")
        await second.ended(other)
        # Its lease is not over yet.
        assert (await second.row(one))["status"] == "running"
        await execute(dsn, "update operations set leased_until = now() - interval '1 second' where id = $1", one)
        row = await second.ended(one)
        assert (row["status"], row["result"]) == ("succeeded", {"attempts": 2})


async def test_runs_go_on_when_the_actor_itself_crashes(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "hold")
        await until(lambda: running_row(desk, one))
        crashed = desk.supervisor.actor

        async def explode(_: Any) -> None:
            raise ValueError("a bug")

        crashed.receive = explode  # type: ignore[method-assign]
        await desk.queue(user, "write", rows=1)

        async def anew() -> bool:
            return desk.supervisor.actor is not crashed

        await until(anew)
        desk.hold.go.set()
        assert (await desk.ended(one))["attempts"] == 1


async def test_what_runs_at_shutdown_goes_back_into_the_queue_uncounted(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "hold")
        await until(lambda: running_row(desk, one))
        files, started = desk, time.monotonic()
    # It is not waited for: the work itself would never end.
    assert time.monotonic() - started < 10
    row = await execute(dsn, "select row(status, attempts)::text from operations")
    assert (row, files.made()) == ("(queued,0)", [])


async def test_what_was_begun_ten_times_in_vain_has_failed(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    text = (
        "insert into operations (user_id, kind, status, attempts, leased_until)"
        " values ($1, 'hold', 'running', $2, now() - interval '1 second') returning id"
    )
    one = await execute(dsn, text, user, MOST_ATTEMPTS)
    async with bench(dsn, tmp_path) as desk:
        row = await desk.ended(one)
        assert (row["status"], len(row["errors"]), desk.hold.begun) == ("failed", 1, [])


async def test_an_attempt_that_lost_its_lease_writes_nothing(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "hold")
        await until(lambda: running_row(desk, one))
        # Somebody else has taken it up.
        await execute(dsn, "update operations set attempts = 2, leased_until = now() + interval '1 hour'")

        async def idle() -> bool:
            return not desk.runs.by_id

        await until(idle)
        row = await desk.row(one)
        assert (row["status"], row["attempts"], row["done"], desk.made()) == ("running", 2, 0, [])


async def test_running_work_that_is_cancelled_stops_and_leaves_no_file(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "hold")
        await until(lambda: running_row(desk, one))
        async with desk.database.connection() as conn:
            await operations.cancel(conn, user, one)
        row = await desk.ended(one)
        assert (row["status"], row["file"], desk.made()) == ("cancelled", None, [])


async def test_what_was_brought_is_removed_at_the_end_and_what_was_made_is_kept(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        name = desk.files.new_upload(".xml")
        await asyncio.to_thread(desk.files.append, name, b"brought")
        row = await desk.ended(await desk.queue(user, "write", name, rows=1))

        async def removed() -> bool:
            return not desk.files.path(name).exists()

        await until(removed)
        assert desk.files.existing(row["file"]).read_text() == "brought"
        assert [path.stat().st_mode & 0o777 for path in (tmp_path / "uploads", tmp_path / "exports")] == [0o700] * 2


async def test_a_week_later_an_operation_and_its_file_are_gone_and_so_are_orphans(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        old, young = [await desk.queue(user, "write", rows=1) for _ in range(2)]
        files = [desk.files.path((await desk.ended(one))["file"]) for one in (old, young)]
    orphan, fresh = tmp_path / "uploads" / "orphan.xml", tmp_path / "exports" / "fresh.zip"
    orphan.touch()
    fresh.touch()
    for path in (*files, orphan):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    await execute(dsn, "update operations set finished_at = now() - interval '8 days' where id = $1", old)
    async with bench(dsn, tmp_path):

        async def swept() -> bool:
            return not orphan.exists() and not files[0].exists()

        await until(swept)
    assert (files[1].exists(), fresh.exists()) == (True, True)
    assert await execute(dsn, "select array_agg(id) from operations") == [young]


async def test_two_processes_never_take_the_same_one_nor_wait_for_one_another(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    made = {(await operations.create(conn, user, "write", {})).id for _ in range(3)}
    other = await connect(dsn)
    try:
        async with conn.transaction():
            mine = await operations.claim(conn, ["write"], 2)
            theirs = await asyncio.wait_for(operations.claim(other, ["write"], 2), 2)
    finally:
        await other.close()
    assert ((len(mine), len(theirs)), {one.id for one in (*mine, *theirs)}) == ((2, 1), made)


async def test_nothing_is_queued_by_a_transaction_that_is_rolled_back(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:

        async def fail() -> None:
            async with desk.database.transaction() as conn:
                await operations.create(conn, user, "write", {"rows": 1})
                raise KeyError

        with pytest.raises(KeyError):
            await fail()
    assert await execute(dsn, "select count(*) from operations") == 0


def plan_nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", ()) for node in plan_nodes(inner))]


async def test_each_statement_finds_its_rows_by_an_index(conn: Any) -> None:
    await conn.execute(
        "insert into users (username, username_key) select 'u' || n, 'u' || n from generate_series(1, 2000) n"
    )
    await conn.execute(
        "insert into operations (user_id, kind, status, finished_at, file, created_at)"
        " select 1 + n % 2000, 'write', 'succeeded', now() - n * interval '10 seconds', 'exports/' || n,"
        " now() - n * interval '10 seconds' from generate_series(1, 50000) n"
    )
    await conn.execute("insert into operations (user_id, kind) select n, 'write' from generate_series(1, 20) n")
    await conn.execute("analyze operations")
    queries = operations.QUERIES
    asked: list[tuple[Any, list[Any]]] = [
        (queries.claim_operations, [["write"], 2, 3]),
        (queries.give_up_operations, ["", 3]),
        (queries.renew_operations, [[uuid4()], [1], [0], [0]]),
        (queries.list_operations, [5, "/api", 20, 0, False]),
        (queries.count_operations, [5, False]),
        (queries.get_operation, [uuid4(), 5, "/api", False]),
        (queries.trim_operations, [500]),
        (queries.known_files, [["exports/5", "exports/x"]]),
        (queries.operations_of, [5]),
    ]
    scans = []
    for query, parameters in asked:
        plan = (await conn.fetchval(f"explain (format json) {query.text}", *parameters))[0]["Plan"]
        scans += [
            query.name
            for node in plan_nodes(plan)
            if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "operations"
        ]
    assert scans == []
