"""Notifications whose time is over. Every query of the file is a rule, and all of them are run."""

from __future__ import annotations

from sql.housekeeping import Rule
from sql.query import load

QUERIES = load("notification_keeping")
UNREAD_DAYS = 365
MAIL_DAYS = 30
# A notification may be read on its last day, and an event outlives all of its notifications.
SPARE_DAYS = 35


def rules(read_days: int) -> list[Rule]:
    """The rules, with how many days their rows are kept."""
    return [
        Rule(QUERIES.read_notifications, (read_days,)),
        Rule(QUERIES.unread_notifications, (UNREAD_DAYS,)),
        Rule(QUERIES.events, (max(400, UNREAD_DAYS + read_days + SPARE_DAYS),)),
        Rule(QUERIES.sent_mails, (MAIL_DAYS,)),
        Rule(QUERIES.stale_mails, (MAIL_DAYS,)),
    ]
