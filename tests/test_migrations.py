"""What the migration runner promises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.database import connect
from server.errors import MigrationError
from sql.migrate import MENDED, Migration, available, migrate, pending


async def test_a_second_run_applies_nothing(conn: Any) -> None:
    assert await migrate(conn) == []


async def test_two_processes_migrating_at_once_apply_each_file_once(conn: Any, dsn: str) -> None:
    await conn.execute("drop schema public cascade; create schema public")
    other = await connect(dsn)
    done = await asyncio.gather(migrate(conn), migrate(other))
    await other.close()
    assert sorted(done[0] + done[1]) == [migration.name for migration in available()]


async def test_a_failing_migration_leaves_nothing_behind(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Migration(len(available()) + 1, "9999_broken.sql", "create table half (id int); select 1 / 0;")
    monkeypatch.setattr("sql.migrate.available", lambda: [*available(), broken])
    with pytest.raises(Exception, match="division by zero"):
        await migrate(conn)
    assert await conn.fetchval("select to_regclass('half')") is None


async def test_a_file_changed_after_it_was_applied_is_refused(conn: Any) -> None:
    await conn.execute("update schema_migrations set checksum = 'other' where version = 1")
    with pytest.raises(MigrationError, match="was changed after it was applied"):
        await migrate(conn)


async def test_a_file_that_was_mended_is_accepted_in_its_first_form(conn: Any) -> None:
    version, first_form = next(iter(MENDED.items()))
    await conn.execute("update schema_migrations set checksum = $2 where version = $1", version, first_form)
    assert await migrate(conn) == []


async def test_a_database_newer_than_the_code_is_refused(conn: Any) -> None:
    await conn.execute("insert into schema_migrations values (9999, '9999_future.sql', 'x')")
    with pytest.raises(MigrationError, match="newer than this code"):
        await migrate(conn)


def test_what_is_pending_is_the_tail_that_was_not_applied() -> None:
    files = [Migration(number, f"{number:04}_x.sql", str(number)) for number in (1, 2, 3)]
    applied = [(1, files[0].name, files[0].checksum)]
    assert pending(applied, files) == files[1:]
