"""What each query of search returns."""

from __future__ import annotations

from sql import search, search_documents, search_words
from tests.sql_contract import NOTHING, VALUE, Contract

SEARCH: Contract = {
    "search": {
        "places": search.Places,
        "documents_by_slot": (
            "slot release_id visible type status season age_rating year rating genre_ids tag_ids config"
        ),
        "documents_changed": (
            "slot release_id visible type status season age_rating year rating genre_ids tag_ids config changed"
        ),
        "by_popularity": VALUE,
        "ratings": "slots ratings",
        "match": "reading by_whole by_name by_word",
        "keys": "slot keys",
        "weighed": "slot keys points",
        "of_franchises": VALUE,
        "sounding": "sound word",
        "near": "typed word frequency",
        "labels": "facet id name",
        "found": "release",
        "suggested": "document",
        "plainly": "id",
    },
    "search_documents": {
        "sources": search_documents.Source,
        "word_names": "noun id name",
        "write": VALUE,
        "stir": NOTHING,
        "any_behind": VALUE,
        "lock": "release_id",
        "rate": NOTHING,
        "tidy": VALUE,
        "state": search_documents.State,
        "count_releases": VALUE,
        "next_ids": "id",
        "lacking": "last_id ids",
        "take_turn": VALUE,
        "reach_rules": NOTHING,
        "order_rebuild": NOTHING,
        "rebuilt_to": NOTHING,
        "end_rebuild": NOTHING,
    },
    "search_words": {
        "unknown": "word",
        "add": NOTHING,
        "count_words": VALUE,
        "next": "word",
        "recount": search_words.Recounted,
        "begin_count": VALUE,
        "end_count": NOTHING,
    },
    "search_misses": {"add": NOTHING, "page": "count rows"},
}
