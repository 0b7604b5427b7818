"""`run.py migrate`: applies pending migrations and prints each."""

from __future__ import annotations

import argparse

from server import database
from server.settings import Settings
from sql.migrate import migrate


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Bring the schema up to date."""
    async with database.server(settings) as dsn:
        conn = await database.reach(settings.database_direct_url or dsn)
        try:
            applied = await migrate(conn)
        finally:
            await conn.close(timeout=5)
    for name in applied:
        print(f"applied {name}")
    print(f"{len(applied)} applied" if applied else "nothing to apply")
    return 0
