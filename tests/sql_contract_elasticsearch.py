"""What each query of the optional Elasticsearch returns."""

from __future__ import annotations

from sql import search_indexing
from tests.sql_contract import NOTHING, VALUE, Contract

ELASTICSEARCH: Contract = {
    "search_indexing": {
        "state": search_indexing.State,
        "indexes": search_indexing.Index,
        "hold": VALUE,
        "let_go": NOTHING,
        "forget_all": NOTHING,
        "begin": NOTHING,
        "forget": NOTHING,
        "filled_to": NOTHING,
        "followed_to": NOTHING,
        "retire": NOTHING,
        "promote": NOTHING,
        "next_ids": "release_id",
        "changes": search_indexing.Change,
        "documents": search_indexing.Document,
        "stems": "stems",
        "note_sent": NOTHING,
        "moved": "last_id ids",
    },
}
