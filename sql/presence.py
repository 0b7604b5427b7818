"""When users were last here and API tokens last used, to the minute."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("presence")


async def save(conn: Connection, user_ids: Collection[int], moment: datetime) -> None:
    """These users were here at this moment."""
    if user_ids:
        await QUERIES.save_presence.execute(conn, list(user_ids), moment)


async def save_tokens(conn: Connection, token_ids: Collection[UUID], moment: datetime) -> None:
    """These API tokens were used at this moment."""
    if token_ids:
        await QUERIES.save_token_use.execute(conn, list(token_ids), moment)
