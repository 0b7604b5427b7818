"""What each query of notifications returns: the fan-out, the lists, preferences, keeping."""

from __future__ import annotations

from server.rules.notifications import Shown
from sql import dispatch, notification_preferences
from tests.sql_contract import NOTHING, VALUE, Contract

NOTIFICATIONS: Contract = {
    "dispatch": {
        "open_types": "type",
        "fan_out": "events finished delivered held first_user last_user notified",
        "lock_turned": VALUE,
        "deliver_held": "users digests collapsed first_user last_user notified",
        "measure": dispatch.Backlog,
    },
    "notifications": {
        "record": NOTHING,
        "enqueue_personal": NOTHING,
        "since": Shown,
        "newest": VALUE,
        "page_of_all": Shown,
        "page_of_unread": Shown,
        "count_notifications": VALUE,
        "unread_counts": "user_id unread",
        "mark_read": "changed unread told",
        "mark_all_read": "changed unread notified",
        "delete_notification": "changed unread notified",
    },
    "notification_preferences": {
        "get_preferences": notification_preferences.Preferences,
        "list_mutes": "target_type target_id",
        "lock_owner": VALUE,
        "put_preferences": NOTHING,
        "drop_other_mutes": NOTHING,
        "unknown_mutes": "place",
        "add_mutes": NOTHING,
        "mute": VALUE,
        "unmute": NOTHING,
    },
    "notification_keeping": {
        "read_notifications": VALUE,
        "unread_notifications": VALUE,
        "events": VALUE,
        "sent_mails": VALUE,
        "stale_mails": VALUE,
    },
}
