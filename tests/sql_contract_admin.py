"""What each query of administrators returns: accounts, who changed what."""

from __future__ import annotations

from sql import users
from tests.sql_contract import NOTHING, VALUE, Contract

ADMIN: Contract = {
    "audit_log": {"get_revision": "noun entity_id action diff undone_by"},
    "users": {
        "get_user": VALUE,
        "lock_administrators": "id",
        "facts": users.Facts,
        "set_role": NOTHING,
    },
}
