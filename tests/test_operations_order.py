"""Long work in order: per entity, behind barriers, in two lanes; and nothing that was committed is done again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from actors.operations import Edits, Look, Runs
from actors.works.base import Progress, Stopped, Work
from server.database import Database, connect
from server.errors import DatabaseUnavailable
from server.events import ENDS_REMEMBERED, Endings
from sql import operations
from sql.operations import Operation
from tests.people import make_user
from tests.working import Bench, bench, execute, until

CLAIM = ["write"]


async def queue(conn: Any, user: int, *entities: str, kind: str = "write", **more: bool) -> UUID:
    return (await operations.create(conn, user, kind, {"rows": 1}, entities=entities, **more)).id


async def claimed(conn: Any, kinds: list[str] | None = None) -> list[UUID]:
    return [one.id for one in await operations.claim(conn, kinds or CLAIM, 10)]


async def end(conn: Any, *ids: UUID) -> None:
    await conn.execute("update operations set status = 'succeeded' where id = any ($1::uuid[])", list(ids))


async def test_of_one_entity_one_is_claimed_at_a_time_in_the_order_of_acceptance(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    first, second = await queue(conn, user, "release:1"), await queue(conn, user, "release:1", "release:2")
    third, free = await queue(conn, user, "release:2"), await queue(conn, user)
    other = await queue(conn, user, "release:3")
    assert await claimed(conn) == [first, free, other]
    assert await claimed(conn) == []
    await end(conn, first)
    assert await claimed(conn) == [second]
    await end(conn, second, free)
    assert await claimed(conn) == [third]


async def test_who_was_put_back_still_stands_before_those_behind_it(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    await queue(conn, user, "release:1")
    await queue(conn, user, "release:1")
    (one,) = await operations.claim(conn, CLAIM, 10)
    assert await operations.put_back(conn, one, 60.0, counted=True)
    assert await claimed(conn) == []
    await conn.execute("update operations set leased_until = null")
    assert await claimed(conn) == [one.id]


async def test_many_that_wait_for_one_entity_do_not_hide_the_others(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    first, *_ = [await queue(conn, user, "release:1") for _ in range(60)]
    other = await queue(conn, user, "release:2")
    assert await claimed(conn) == [first, other]


@pytest.mark.parametrize(("kind", "goes_on"), [("edit", True), ("batch", True), ("import", False)])
async def test_an_edit_whose_effect_is_there_is_never_given_up(dsn: str, conn: Any, kind: str, goes_on: bool) -> None:
    user = await make_user(dsn)
    begun, fresh = await queue(conn, user, kind=kind), await queue(conn, user, kind=kind)
    await conn.execute(
        "update operations set status = 'running', attempts = 10, leased_until = now() - interval '1 s',"
        " checkpoint = case when id = $1 then '{}'::jsonb end", begun,
    )  # fmt: skip
    assert await operations.give_up(conn, "no") == (1 if goes_on else 2)
    assert await conn.fetchval("select status from operations where id = $1", fresh) == "failed"
    assert await claimed(conn, [kind]) == ([begun] if goes_on else [])


async def test_a_barrier_waits_for_what_was_accepted_before_it_and_for_nothing_else(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    edit = await queue(conn, user, "release:1", kind="edit", shared=True)
    barrier = await queue(conn, user, "import", barrier=True, shared=True)
    later = await queue(conn, user, "release:2", kind="edit", shared=True)
    export = await queue(conn, user, kind="write")
    assert await claimed(conn) == [export]
    assert await claimed(conn, ["edit"]) == [edit, later]
    await end(conn, edit)
    assert await claimed(conn) == [barrier]


async def test_the_order_of_one_entity_is_the_order_of_commits(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    slow, fast = await connect(dsn), await connect(dsn)
    try:
        transaction = slow.transaction()
        await transaction.start()
        first = await queue(slow, user, "release:1", "release:2")
        second = asyncio.create_task(queue(fast, user, "release:2"))
        # Another entity is not in the way, unless the two share a lock.
        await asyncio.wait_for(queue(conn, user, "release:7"), 2)
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted"

        async def waiting() -> bool:
            return await conn.fetchval(waits) == 1

        await until(waiting)
        await transaction.commit()
        await second
        assert first in await claimed(conn)
        assert second.result() not in await claimed(conn)
    finally:
        await slow.close()
        await fast.close()


async def test_nobody_slips_past_a_barrier_that_is_being_accepted(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    slow = await connect(dsn)
    try:
        transaction = slow.transaction()
        await transaction.start()
        edit = await queue(slow, user, "release:1", kind="edit", shared=True)
        barrier = asyncio.create_task(queue(conn, user, "import", barrier=True, shared=True))
        await asyncio.sleep(0.05)
        assert not barrier.done()
        await transaction.commit()
        await barrier
    finally:
        await slow.close()
    assert await claimed(conn) == []
    assert await claimed(conn, ["edit"]) == [edit]


async def test_many_entities_share_few_locks(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    async with conn.transaction():
        await queue(conn, user, *(f"release:{number}" for number in range(500)), shared=True)
        assert await conn.fetchval("select count(*) from pg_locks where locktype = 'advisory'") <= 65


async def test_claiming_stays_cheap_behind_ten_thousand(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    # Half of them wait for one release; others for one of their own.
    await conn.execute(
        "insert into operations (user_id, kind, shared, entities)"
        " select $1, case when n % 3 = 0 then 'write' else 'edit' end, true,"
        " array['release:' || case when n % 2 = 0 then 0 else n end] from generate_series(1, 10000) n",
        user,
    )
    await conn.execute("insert into operations (user_id, kind, shared, barrier) values ($1, 'write', true, true)", user)
    await conn.execute("analyze operations")
    for kinds in (["write"], ["edit", "write"]):
        text = f"explain (analyze, format json) {operations.QUERIES.claim_operations.text}"
        async with conn.transaction():
            plan = (await conn.fetchval(text, kinds, 2, 10))[0]
        assert plan["Execution Time"] < 20, plan
        assert "Seq Scan on operations" not in str(plan)


async def test_shared_ones_are_listed_by_status_and_kind(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    made = [await queue(conn, user, kind=kind, shared=True) for kind in ("edit", "import", "edit")]
    await queue(conn, user)
    await end(conn, made[0])

    async def shown(status: str | None, kind: str | None) -> tuple[int, int]:
        count, rows = await operations.page_of_shared(conn, "/base", status, kind, 10, 0)
        return count, len(rows)

    assert await shown(None, None) == (3, 3)
    assert await shown("succeeded", None) == await shown(None, "import") == await shown("queued", "edit") == (1, 1)
    assert await operations.status(conn, None, made[0]) == "succeeded"


class Count(Work):
    """Adds a row for each step, with a checkpoint in the same transaction; dies where it is told to."""

    kind = "count"
    steps = 5

    def __init__(self, database: Database, dies_behind: set[int], dies_before: set[int]) -> None:
        self._database = database
        self._behind = dies_behind
        self._before = dies_before

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        done = operation.checkpoint["done"] if operation.checkpoint else 0
        progress.total = self.steps
        while done < self.steps:
            async with self._database.transaction() as conn:
                await conn.execute("insert into steps values ($1)", done)
                self._die(self._before, done)
                await progress.checkpoint(conn, {"done": done + 1}, done + 1)
            done += 1
            self._die(self._behind, done)
        return {"done": done}

    @staticmethod
    def _die(at: set[int], place: int) -> None:
        if place in at:
            at.remove(place)
            raise DatabaseUnavailable("The process is gone.")


async def employ(desk: Bench, *works: Work) -> None:
    actor: Any = desk.supervisor.actor
    actor._works |= {work.kind: work for work in works}


async def test_what_an_attempt_committed_is_never_done_again(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    await execute(dsn, "create table steps (step integer)")
    async with bench(dsn, tmp_path) as desk:
        await employ(desk, Count(desk.database, {1, 3, 5}, {0, 2}))
        one = await desk.queue(user, "count")

        async def over() -> bool:
            await execute(dsn, "update operations set leased_until = now() - interval '1 s' where status = 'queued'")
            desk.supervisor.ref.tell(Look())
            return (await desk.row(one))["status"] == "succeeded"

        await until(over)
        row = await desk.row(one)
    assert (row["attempts"], row["done"], row["total"], row["result"]) == (6, 5, 5, {"done": 5})
    assert await execute(dsn, "select array_agg(step order by step) from steps") == [0, 1, 2, 3, 4]


async def test_an_attempt_that_lost_its_lease_or_was_stopped_takes_its_effect_back(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    await execute(dsn, "create table steps (step integer)")
    async with bench(dsn, tmp_path) as desk:
        one = await desk.queue(user, "unknown")
        async with desk.database.connection() as conn:
            (claimed_,) = await operations.claim(conn, ["unknown"], 1)

        async def attempt(**more: bool) -> None:
            progress = Progress(desk.database, desk.files, claimed_)
            async with desk.database.transaction() as conn:
                await conn.execute("insert into steps values (1)")
                await progress.checkpoint(conn, {}, **more)

        async with desk.database.connection() as conn:
            await operations.cancel(conn, user, one)
        with pytest.raises(Stopped):
            await attempt()
        assert await execute(dsn, "select count(*) from steps") == 0
        await attempt(to_the_end=True)
        await execute(dsn, "update operations set attempts = attempts + 1")
        with pytest.raises(Stopped):
            await attempt(to_the_end=True)
        assert await execute(dsn, "select count(*) from steps") == 1


async def test_what_was_begun_and_waits_is_not_cancelled_behind_the_back_of_who_goes_on(dsn: str, conn: Any) -> None:
    user = await make_user(dsn)
    one, begun = await queue(conn, user, shared=True), await queue(conn, user, shared=True)
    await conn.execute("update operations set checkpoint = '{}' where id = $1", begun)
    for each in (one, begun):
        await operations.cancel(conn, None, each)
    rows = await conn.fetch("select status, stopping from operations order by seq")
    assert [tuple(row) for row in rows] == [("cancelled", True), ("queued", True)]
    assert await claimed(conn) == [begun]


async def test_a_lane_that_is_full_does_not_hold_up_the_other(dsn: str, tmp_path: Path) -> None:
    user = await make_user(dsn)
    async with bench(dsn, tmp_path) as desk:
        short = await short_lane(desk)
        held = [await desk.queue(user, "hold") for _ in range(3)]

        async def both() -> bool:
            return len(desk.hold.begun) == 2

        await until(both)
        for _ in range(3):
            row = await desk.ended(await desk.queue(user, "short"))
            assert row["status"] == "succeeded"
        desk.hold.go.set()
        for one in held:
            await desk.ended(one)
        await short.stop(1.0)


class Short(Work):
    """Over at once."""

    kind = "short"

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        return {}


async def short_lane(desk: Bench) -> Any:
    """A second lane beside that of the bench; it looks by itself."""
    from actors.supervisor import RestartPolicy, Supervisor  # noqa: PLC0415 - for this alone

    make = partial(Edits, desk.database, desk.files, desk.system.jobs, Runs(), [Short()])
    supervisor = Supervisor(make, RestartPolicy(), lambda *_: None)
    await supervisor.start(5.0)
    return supervisor


async def test_who_waits_for_an_end_hears_of_it_even_if_it_came_before(dsn: str) -> None:
    endings, one, other = Endings(), UUID(int=1), UUID(int=2)
    endings.tell(one)
    with endings.watch(one) as early, endings.watch(other) as late:
        assert (early.is_set(), late.is_set()) == (True, False)
        endings.tell(other)
        assert late.is_set()
    assert endings.waiting == {}
    for number in range(3 * ENDS_REMEMBERED):
        endings.tell(UUID(int=number))
    assert len(endings.recent) == ENDS_REMEMBERED
