"""Telling other instances what is stale. CDNs are not told: what people say they keep for seconds only."""

from __future__ import annotations

from collections.abc import Iterable

from sql.imports import payloads
from sql.query import Connection, load

QUERIES = load("rumours")


async def tell(conn: Connection, tags: Iterable[str]) -> None:
    """Let everybody drop what bears these tags."""
    await QUERIES.tell.execute(conn, payloads(tags))
