"""Notifications whose time is over. Every query of the file is a rule, and all of them are run."""

from __future__ import annotations

from sql.query import Connection, Query, load

QUERIES = load("notification_keeping")
UNREAD_DAYS = 365
MAIL_DAYS = 30
# A notification may be read on its last day, and an event outlives all of its notifications.
SPARE_DAYS = 35


def rules(read_days: int) -> list[tuple[Query, int]]:
    """Each rule, and how many days its rows are kept."""
    return [
        (QUERIES.read_notifications, read_days),
        (QUERIES.unread_notifications, UNREAD_DAYS),
        (QUERIES.events, max(400, UNREAD_DAYS + read_days + SPARE_DAYS)),
        (QUERIES.sent_mails, MAIL_DAYS),
        (QUERIES.stale_mails, MAIL_DAYS),
    ]


async def sweep(conn: Connection, rule: Query, most: int, days: int) -> int:
    """Delete up to `most` rows by one rule; how many were."""
    return int(await rule.fetchval(conn, most, days))
