"""Erasing an account: everything that is theirs goes, what they watched or asked to change stays as nobody's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from server.errors import NotFound
from server.rules import cache_tags
from sql import operations
from sql.outbox import PUBLISHED, Event, publish
from sql.query import Connection, load

QUERIES = load("erasure")
# Above every version of credentials there can be.
NO_VERSION = 2**31 - 1
# Seconds a statement may take here, by our clock; `take_time` says the same to the server.
PATIENCE = 120.0
# What somebody said and thought of others, by what takes it away, and how much of it at once: for that long others who
# write under the same releases have to wait.
SAID = (
    QUERIES.forget_comments, QUERIES.forget_reviews, QUERIES.forget_votes, QUERIES.forget_reports,
    QUERIES.forget_decisions,
)  # fmt: skip
AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many things are gone, and the tags of answers that showed them."""

    count: int
    tags: frozenset[str]


async def forget_said(conn: Connection, user_id: int, most: int = AT_ONCE) -> Forgotten:
    """Take some of what the user said away, or of their votes, reports and decisions; nothing is left where nothing is
    gone. One statement, and outside of a transaction one by itself."""
    for query in SAID:
        row = await query.fetchrow(conn, user_id, most)
        assert row is not None
        if row["forgotten"]:
            PUBLISHED.set(True)
            tags = (tag for one in row["releases"] or () for tag in (cache_tags.comments(one), cache_tags.reviews(one)))
            return Forgotten(row["forgotten"], frozenset(tags))
    return Forgotten(0, frozenset())


async def silence(conn: Connection, user_id: int) -> bool:
    """Lock the account for `erase`, to which nobody can add anything then; whether nothing is left of what they said.

    If something is, leave the transaction and forget that first: whoever decides about it holds a lock that is wanted
    there and waits for the account. NotFound if there is none.
    """
    await QUERIES.take_time.execute(conn)
    if await QUERIES.lock_user.fetchval(conn, user_id) is None:
        raise NotFound
    return not await QUERIES.has_said.fetchval(conn, user_id)


async def erase(conn: Connection, user_id: int) -> frozenset[str]:
    """Erase the account, in the caller's transaction; NotFound if there is none. The tags of what is stale then.

    Counters of releases follow through the outbox, and so does what lies outside of the database (`erased`). Where much
    was said, or while others write, call `forget_said` before until `silence` says that nothing is left.
    """
    await QUERIES.take_time.execute(conn)
    if await QUERIES.lock_user.fetchval(conn, user_id) is None:
        raise NotFound
    stale = frozenset[str]()
    while (forgotten := await forget_said(conn, user_id)).count:
        stale |= forgotten.tags
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
    return stale


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
