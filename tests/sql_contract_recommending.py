"""What each query of the worker of recommendations returns."""

from __future__ import annotations

from sql import recommending
from tests.sql_contract import NOTHING, VALUE, Contract

RECOMMENDING: Contract = {
    "recommending": {
        "claim_alone": VALUE,
        "state": recommending.State,
        "mark_compared": NOTHING,
        "note_audiences": NOTHING,
        "finish": NOTHING,
        "people": VALUE,
        "libraries": "id release_ids ratings collections favorites",
        "catalogue": "id franchise_id genre_ids tag_ids popularity",
        "due": "id",
        "claim": NOTHING,
        "wanted": "id franchise_id genre_ids tag_ids",
        "store_neighbours": NOTHING,
        "changed": "id",
        "mark_beside": NOTHING,
        "store_rows": NOTHING,
        "forget_rows": NOTHING,
        "forget_neighbours": NOTHING,
        "of_mal": "external_id release_id",
        "ratings": "id release_ids ratings",
        "parts": "id franchise_id part genre_ids",
    },
}
