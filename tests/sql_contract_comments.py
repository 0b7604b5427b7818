"""What each query about comments returns."""

from __future__ import annotations

from sql import comments
from tests.sql_contract import VALUE, Contract

COMMENTS: Contract = {
    "comments": {
        "post": "outcome comment_id release_id state document used frees_at at",
        "post_many": "outcome comment_id release_id state document used frees_at at",
        "edit": "outcome release_id document published",
        "erase": "outcome release_id published",
        "threads": "count ids comments",
        "replies": "release_id count ids comments",
        "get": comments.One,
    },
    "rumours": {
        "tell": VALUE,
    },
}
