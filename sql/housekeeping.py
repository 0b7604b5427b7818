"""Housekeeping: rows whose time is over. Every query of the file is a rule of its own, and all of them are run."""

from __future__ import annotations

from sql.query import Connection, Query, load

# The rules, by name.
RULES: tuple[Query, ...] = tuple(load("housekeeping"))


async def sweep(conn: Connection, rule: Query, most: int) -> int:
    """Delete up to `most` rows by one rule; how many were."""
    return int(await rule.fetchval(conn, most))
