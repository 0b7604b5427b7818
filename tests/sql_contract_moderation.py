"""What each query of moderation returns."""

from __future__ import annotations

from sql import moderation, reports
from tests.sql_contract import NOTHING, VALUE, Contract

MODERATION: Contract = {
    "moderation": {
        "moderate": "place outcome tags",
        "role_of": VALUE,
        "undo_said": moderation.Slice,
        "undo_votes": moderation.Votes,
        "undo_reports": VALUE,
    },
    "reports": {"report": reports.Report},
    "word_rules": {
        "in_force": "pattern kind action",
        "lock_rules": VALUE,
        "count_rules": VALUE,
        "create_rule": VALUE,
        "list_rules": "rule",
        "get_rule": VALUE,
        "lock_rule": "pattern kind action note enabled",
        "rule_exists": VALUE,
        "change_rule": NOTHING,
        "delete_rule": NOTHING,
        "tell": VALUE,
        "newest_comments": "id text",
        "show_comments": "comment",
    },
}
