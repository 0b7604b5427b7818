"""What each query of the mails about notifications and of the daily recommendations returns."""

from __future__ import annotations

from server.rules.notifications import Shown
from sql import notification_mails
from tests.sql_contract import NOTHING, VALUE, Contract

MAILS: Contract = {
    "notification_mails": {
        "lock_next": VALUE,
        "lease": "event_id attempts leased_until doubted",
        "reader": notification_mails.Addressee,
        "items": Shown,
        "mark_sent": NOTHING,
        "drop_mails": NOTHING,
        "retry": NOTHING,
        "oldest_due": VALUE,
    },
    "recommendation_rounds": {
        "tops": "genre_id release_ids",
        "start_round": NOTHING,
        "is_open": VALUE,
        "lock_round": VALUE,
        "next_users": "passed user_ids",
        "picks": "user_id release_id genre_id",
        "move_on": NOTHING,
        "end_round": NOTHING,
    },
    "unsubscribe": {
        "lock_preferences": VALUE,
        "switch_off": NOTHING,
        "drop_waiting": NOTHING,
    },
}
