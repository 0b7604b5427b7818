"""What each query about webhooks returns."""

from __future__ import annotations

from sql import webhook_deliveries, webhooks
from tests.sql_contract import NOTHING, VALUE, Contract

WEBHOOKS: Contract = {
    "webhooks": {
        "lock_webhooks": VALUE,
        "count_webhooks": VALUE,
        "create_webhook": VALUE,
        "list_webhooks": "webhook",
        "get_webhook": VALUE,
        "lock_webhook": webhooks.Webhook,
        "change_webhook": NOTHING,
        "hurry": NOTHING,
        "rotate_salt": VALUE,
        "delete_webhook": NOTHING,
        "record_revision": NOTHING,
    },
    "webhook_deliveries": {
        "anybody_listens": VALUE,
        "enqueue": NOTHING,
        "enqueue_ping": "id enabled",
        "lock_receivers": "id failures on_their_way",
        "postpone_followers": NOTHING,
        "ready": "id webhook_id",
        "lease": webhook_deliveries.Due,
        "drop_empty": NOTHING,
        "promote": NOTHING,
        "lock_receiver": VALUE,
        "settle": NOTHING,
        "put_back": NOTHING,
        "note_success": NOTHING,
        "note_failure": VALUE,
        "list_deliveries": webhook_deliveries.Row,
        "count_deliveries": VALUE,
        "replay": VALUE,
        "measure": webhook_deliveries.Measured,
    },
}
