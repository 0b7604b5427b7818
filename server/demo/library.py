"""The libraries of the demo's users: made inside the database, from what the demo's catalogue holds."""

from __future__ import annotations

from datetime import datetime

from server.demo.users import KEYS
from server.demo.views import seed_of
from sql import demo, demo_library
from sql.query import Connection


async def fill(conn: Connection, *, releases: int, seed: int, now: datetime) -> int:
    """Give a library to each of the demo's users that has none; how many titles they keep.

    The connection must be outside a transaction.
    """
    people = await demo_library.without_library(conn, KEYS)
    if not people:
        return 0
    async with demo.audience(conn, releases, now) as watchable:
        if not watchable:
            return 0
        async with conn.transaction():
            return await demo_library.fill(conn, people, seed_of(seed), now)
