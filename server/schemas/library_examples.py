"""Examples of what a user keeps and has watched."""

from __future__ import annotations

from typing import Any

from server.schemas.examples import EPISODE, MOMENT, RELEASE


def _page(row: dict[str, Any]) -> dict[str, Any]:
    return {"count": 1, "next": None, "previous": None, "results": [row]}


IDS = [42, 77]
RATING = {"rating": 9}
RATINGS = [{"release_id": 42, "rating": 9}]
MADE = {"position_seconds": 840, "completed": False}
ALL_MADE = [{"episode_id": 511, **MADE}]

CHANGED = {"changed": 1, "revision": 118, "rejected": [{"index": 1, "detail": "There is no such release."}]}
FAVORITES = _page({"release": RELEASE, "added_at": MOMENT})
COUNTS = {"planned": 0, "watching": 1, "completed": 0, "postponed": 0, "dropped": 0}
COLLECTIONS = _page({"release": RELEASE, "collection": "watching", "changed_at": MOMENT}) | {"counts": COUNTS}
RATED = _page({"release": RELEASE, "rating": 9, "rated_at": MOMENT})
IGNORED = _page({"release": RELEASE, "ignored_at": MOMENT})
STATE = {"episode_id": 511, "release_id": 42, **MADE, "changed_at": MOMENT}
PROGRESS = _page(STATE)
HISTORY = _page({"release": RELEASE, "episode": EPISODE, **MADE, "watched_at": MOMENT})
CONTINUE = _page({"release": RELEASE, "episode": EPISODE, "position_seconds": 840, "watched_at": MOMENT})
