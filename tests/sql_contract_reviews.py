"""What each query of reviews returns, and of counting anew what is said."""

from __future__ import annotations

from sql import recount, reviews
from tests.sql_contract import Contract

REVIEWS: Contract = {
    "reviews": {
        "post_review": reviews.Posted,
        "edit_review": "outcome release_id review published",
        "delete_review": "outcome release_id",
        "vote_review": "outcome release_id",
        "unvote_review": "outcome release_id",
        "get_review": reviews.One,
    },
    "talk_counts": {
        "comment_keys": "key",
        "mend_comments": recount.Difference,
        "review_ids": "id",
        "mend_reviews": recount.Difference,
        "release_ids": "id",
        "mend_releases": recount.Difference,
    },
}
