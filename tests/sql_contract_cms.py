"""What each query of the CMS's releases and of the revisions returns."""

from __future__ import annotations

from sql import cms_releases
from tests.sql_contract import NOTHING, Contract

CMS: Contract = {
    "cms_releases": {
        "find_releases": "id slug deleted",
        "forgotten_words": "noun key id",
        "hidden_words": "id genres tags",
        "keep_words": NOTHING,
        "set_states": cms_releases.Turned,
        "delete_releases": "id",
        "restore_releases": "id",
        "release_documents": "id document",
    },
    "revisions": {
        "record": NOTHING,
    },
}
