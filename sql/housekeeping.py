"""Housekeeping: rows whose time is over. Every query of the file is a rule of its own, and all of them are run."""

from __future__ import annotations

from typing import Any, NamedTuple

from sql.query import Connection, Query, load


class Rule(NamedTuple):
    """A query that deletes at most $1 rows and says how many, and what else it is told."""

    query: Query
    arguments: tuple[Any, ...] = ()


RULES: tuple[Rule, ...] = tuple(Rule(query) for query in load("housekeeping"))


async def sweep(conn: Connection, rule: Rule, most: int) -> int:
    """Delete up to `most` rows by one rule; how many were."""
    return int(await rule.query.fetchval(conn, most, *rule.arguments))
