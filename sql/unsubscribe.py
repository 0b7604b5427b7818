"""No more mails: what a link in a mail switches off."""

from __future__ import annotations

from sql.query import Connection, load

QUERIES = load("unsubscribe")


async def stop_mails(conn: Connection, user_id: int, bits: int) -> None:
    """Send the user no mails of these types any more, in the caller's transaction; what waits is dropped."""
    if await QUERIES.lock_preferences.fetchval(conn, user_id) is None:
        # Mail is off unless somebody switched it on.
        return
    await QUERIES.switch_off.execute(conn, user_id, bits)
    await QUERIES.drop_waiting.execute(conn, user_id, bits)
