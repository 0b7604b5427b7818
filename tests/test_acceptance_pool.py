"""The pool of connections when the database leaves at the worst moment."""

from __future__ import annotations

import asyncpg
import pytest

from server.database import Database
from server.errors import DatabaseUnavailable


async def test_a_connection_whose_state_the_driver_has_lost_counts_as_an_absent_database(dsn: str) -> None:
    database = Database(dsn, size=1)
    await database.open()
    try:
        # The driver raises this when the server's goodbye crosses a statement.
        with pytest.raises(DatabaseUnavailable):
            async with database.connection():
                raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
        async with database.connection() as conn:
            assert await conn.fetchval("select 1") == 1
        assert database.in_use == 0
    finally:
        await database.close()
