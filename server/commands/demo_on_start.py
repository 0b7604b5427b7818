"""The demo catalogue for a server that starts on an empty database."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from sql.query import Connection

log = logging.getLogger("yojohan")

RELEASES = 500
VIEWS = 20_000
SEED = 1


async def fill_if_empty(conn: Connection) -> None:
    """Load the demo catalogue unless there are releases. `DEMO=0` keeps the server from calling this."""
    if await conn.fetchval("select exists (select from releases)"):
        return
    # Only a first start needs the generator.
    from server.demo.loading import load_demo  # noqa: PLC0415

    log.info("the database is empty: loading the demo catalogue (DEMO=0 leaves it empty)")
    await load_demo(conn, releases=RELEASES, seed=SEED, views=VIEWS, now=datetime.now(UTC))
