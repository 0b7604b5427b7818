"""What an import by upload asks beyond what every import does."""

from __future__ import annotations

from collections.abc import Sequence

from sql.query import Connection, load

QUERIES = load("cms_imports")


async def edited_since(conn: Connection, ids: Sequence[int], seq: int) -> set[int]:
    """Those of the releases that operations accepted after this one have edited, or found as they wished."""
    return {row["id"] for row in await QUERIES.edited_since.fetch(conn, ids, seq)}
