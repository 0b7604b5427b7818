"""Erasing an account: everything that is theirs goes, what they watched or asked to change stays as nobody's."""

from __future__ import annotations

import secrets

from server.errors import NotFound
from sql import operations
from sql.outbox import Event, publish
from sql.query import Connection, load

QUERIES = load("erasure")
# Above every version of credentials there can be.
NO_VERSION = 2**31 - 1
# Seconds a statement may take here, by our clock; `take_time` says the same to the server.
PATIENCE = 120.0


async def erase(conn: Connection, user_id: int) -> None:
    """Erase the account, in the caller's transaction; NotFound if there is none.

    Counters of releases follow through the outbox, and so does what lies outside of the database (`erased`).
    """
    await QUERIES.take_time.execute(conn)
    if await QUERIES.lock_user.fetchval(conn, user_id) is None:
        raise NotFound
    owned = await operations.of_user(conn, user_id)
    await QUERIES.drop_events.execute(conn, user_id)
    await QUERIES.drop_deliveries.execute(conn, user_id)
    await QUERIES.publish_counts.execute(conn, user_id, timeout=PATIENCE)
    await QUERIES.revoke.execute(conn, user_id, NO_VERSION)
    await QUERIES.forget_webhook_author.execute(conn, user_id)
    await QUERIES.release_operations.execute(conn, user_id)
    await QUERIES.drop_user.execute(conn, user_id, timeout=PATIENCE)
    await anonymise_views(conn, user_id)
    # Last: whoever tells this user something at this moment waits for the end of this transaction.
    await forget_notifications(conn, user_id)
    left = {
        "user_id": user_id,
        "operations": [str(operation.id) for operation in owned],
        "files": [operation.file for operation in owned if operation.file is not None],
    }
    await publish(conn, [Event("erased", "erased", left)])


async def forget_notifications(conn: Connection, user_id: int) -> None:
    """Delete what this user was told. Called again later, for what was on its way.

    In the order in which the dispatcher locks: events, budget, what the budget counts.
    """
    await QUERIES.drop_personal_events.execute(conn, user_id)
    await QUERIES.drop_budget.execute(conn, user_id)
    await QUERIES.drop_notifications.execute(conn, user_id)
    await QUERIES.drop_held.execute(conn, user_id)
    await QUERIES.drop_mails.execute(conn, user_id)


async def anonymise_views(conn: Connection, user_id: int) -> None:
    """Make the views of this user a visitor's, their changes nobody's. Called again later, for what was on its way."""
    visitor = secrets.randbits(63)
    await QUERIES.take_time.execute(conn)
    await QUERIES.forget_author.execute(conn, user_id, timeout=PATIENCE)
    await QUERIES.anonymise_viewers.execute(conn, user_id, visitor, timeout=PATIENCE)
    await QUERIES.anonymise_views.execute(conn, user_id, visitor, timeout=PATIENCE)
