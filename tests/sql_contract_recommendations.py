"""What each query of recommendations returns."""

from __future__ import annotations

from sql import neighbours, recommendations
from tests.sql_contract import NOTHING, VALUE, Contract


def columns(kind: type[tuple[object, ...]]) -> str:
    """The columns that a named tuple takes in their order."""
    return " ".join(kind._fields)  # type: ignore[attr-defined]


RECOMMENDATIONS: Contract = {
    "neighbours": {
        "note_changes": NOTHING,
        "mark_stale": NOTHING,
        "mark_own_stale": NOTHING,
        "look": neighbours.Work,
        "count_alone": VALUE,
        "count_words": NOTHING,
        "take_lease": VALUE,
        "renew_lease": VALUE,
        "end_run": VALUE,
        "leave": NOTHING,
    },
    "recommendations": {
        "seed": columns(recommendations.Seed),
        "similar_page": columns(recommendations.Similar),
        "frequencies": columns(recommendations.Frequency),
        "candidates": columns(recommendations.Candidate),
        "kept": columns(recommendations.Keeping),
        "rows": columns(recommendations.Speaking),
        "facts": "id franchise_id genre_ids parts",
        "shown": columns(recommendations.Shown),
        "pools": columns(recommendations.Pooled),
        "followed_genres": "target_id",
        "carrying": columns(recommendations.Carrying),
        "new_viewers": "id",
    },
}
