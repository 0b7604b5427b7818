"""What each query of the CMS's episodes, words and scheduled publishing returns."""

from __future__ import annotations

from sql import publishing
from tests.sql_contract import NOTHING, VALUE, Contract

WORDS: Contract = {
    "cms_episodes": {
        "new_episode_ids": "id",
        "episode_places": "id release_id ordinal deleted",
        "living_releases": "id visible",
        "insert_episodes": "id release_id",
        "vacate_episodes": NOTHING,
        "update_episodes": "id release_id",
        "delete_episodes": "id release_id",
        "restore_episodes": "id release_id",
        "episode_documents": "id document",
    },
    "cms_rebuild": {
        "few_of_genre": "id",
        "few_of_tag": "id",
        "next_of_genre": "id",
        "next_of_tag": "id",
        "next_of_franchise": "id",
    },
    "cms_vocabularies": {
        "new_word_ids": "id",
        "word_places": "id name name_key slug deleted",
        "insert_words": "id",
        "vacate_words": NOTHING,
        "update_words": "id",
        "delete_words": "id",
        "word_documents": "id document",
    },
    "publishing": {
        "anything_due": VALUE,
        "lock_due": publishing.Due,
        "publish": NOTHING,
    },
}
