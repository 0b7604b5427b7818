"""An example of every answer, for the OpenAPI document. Titles and numbers are made up."""

from __future__ import annotations

from typing import Any

from server import errors
from server.http import problems
from server.schemas import (
    accounts,
    activity,
    answers,
    api_tokens,
    audit,
    caching,
    cms_answers,
    comments,
    limits,
    list_imports,
    mailed,
    moderation,
    notifications,
    outbox,
    profiles,
    reports,
    reviews,
    search,
    search_misses,
    stats,
    sync,
    users,
    webhooks,
    word_rules,
)
from server.schemas import analytics_answers as analytics
from server.schemas import catalogue_answers as catalogue

MOMENT = "2026-11-14T18:30:00.000Z"
PAGE_TWO = "?page=2"

GENRE = {"id": 3, "name": "Drama", "slug": "drama"}
TAG = {"id": 41, "name": "Sea", "slug": "sea"}

RELEASE: dict[str, Any] = {
    "id": 42,
    "slug": "keepers-of-the-tide",
    "title": "Keepers of the Tide",
    "titles": {"en": "Keepers of the Tide", "ja": "潮の番人", "romaji": "Shio no Bannin", "ru": "Хранители прилива"},
    "synonyms": ["Tide Keepers"],
    "synopsis": "Two sisters keep the last lighthouse of a town that the sea takes back street by street.",
    "type": "tv",
    "status": "ongoing",
    "season": "autumn",
    "year": 2026,
    "age_rating": "12+",
    "episodes_total": 12,
    "genres": [GENRE],
    "tags": [TAG],
    "franchise": {"id": 7, "name": "Keepers"},
    "poster": None,
    "external_ids": {"example_catalogue": 9001},
    "created_at": "2026-10-01T00:00:00.000Z",
    "updated_at": MOMENT,
    "rating": {"average": 8.41, "count": 273},
    "counters": {"views": 51240, "favorites": 1822},
}

EPISODE: dict[str, Any] = {
    "id": 511,
    "release_id": 42,
    "ordinal": 7,
    "title": "Low Water",
    "duration_seconds": 1440,
    "air_at": MOMENT,
    "opening": {"start": 60, "stop": 150},
    "ending": None,
}

FRANCHISE: dict[str, Any] = {
    "id": 7,
    "slug": "keepers",
    "name": "Keepers",
    "releases": 1,
    "first_year": 2026,
    "last_year": 2026,
    "episodes_total": 12,
}

VIEWS_ROW: dict[str, Any] = {
    "release_id": 42,
    "start": "2026-11-14T00:00:00Z",
    "views": 930,
    "unique_viewers": 871,
    "watch_seconds": 1_210_400,
    "average_completion": 87.5,
}

WATCHED: dict[str, Any] = {"views": 5120, "unique_viewers": 4410, "watch_seconds": 6_812_000}

PROBLEM: dict[str, Any] = problems.document(
    errors.Unprocessable("Some parameters do not fit.", faults=[errors.Fault("/limit", "Expected `int` <= 100")]),
    "/api/v1/releases",
    "5f1c9a3e7b2d4c60",
)


def _page(*rows: dict[str, Any], path: str) -> dict[str, Any]:
    return {"count": 31, "next": f"/api/v1/{path}{PAGE_TWO}", "previous": None, "results": list(rows)}


def _week() -> dict[str, Any]:
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    days: list[dict[str, Any]] = [
        {"date": f"2026-11-{9 + place:02}", "weekday": name, "items": []} for place, name in enumerate(names)
    ]
    release = {name: RELEASE[name] for name in ("id", "slug", "title")}
    days[5]["items"].append({"release": release, "episode": EPISODE})
    return {"first_day": "2026-11-09", "last_day": "2026-11-15", "tz": "UTC", "count": 1, "days": days}


def _trending() -> dict[str, Any]:
    reason = {"code": "trending", "text": "Watched much more this week"}
    row = {"release": RELEASE, "score": 128.4, "reasons": [reason]}
    return {"type": "trending", "period": "week"} | _page(row, path="recommendations/trending")


EXAMPLES: dict[Any, Any] = {
    answers.Problem: PROBLEM,
    answers.Health: {
        "status": "degraded",
        "checks": {"database": {"status": "ok"}, "redis": {"status": "down", "detail": "connection refused"}},
    },
    answers.Alive: {"status": "alive"},
    answers.Ready: {"status": "ready"},
    answers.ViewsAccepted: {
        "accepted": 2,
        "duplicates": 1,
        "filtered": 0,
        "rejected": [{"index": 3, "detail": "There is no release 77"}],
    },
    catalogue.Release: RELEASE,
    catalogue.ReleasePage: _page(RELEASE, path="releases"),
    catalogue.Episode: EPISODE,
    catalogue.EpisodePage: _page(EPISODE, path="releases/42/episodes"),
    catalogue.WordPage: _page(GENRE | {"releases": 128}, path="genres"),
    catalogue.Word: GENRE | {"releases": 128},
    catalogue.Franchise: FRANCHISE,
    catalogue.FranchisePage: _page(FRANCHISE, path="franchises"),
    catalogue.FranchiseDetail: FRANCHISE | {"entries": [RELEASE]},
    catalogue.Schedule: _week(),
    analytics.ViewsRow: VIEWS_ROW,
    analytics.ViewsPage: _page(VIEWS_ROW, path="analytics/views"),
    analytics.Top: {
        "period": "week",
        "releases": [{"id": 42, "slug": "keepers-of-the-tide", "title": "Keepers of the Tide", **WATCHED}],
        "genres": [{**GENRE, **WATCHED}],
    },
    analytics.Trending: _trending(),
    **accounts.EXAMPLES,
    **cms_answers.EXAMPLES,
    **comments.EXAMPLES,
    **limits.EXAMPLES,
    **list_imports.EXAMPLES,
    **stats.EXAMPLES,
    **activity.EXAMPLES,
    **sync.EXAMPLES,
    **api_tokens.EXAMPLES,
    **mailed.EXAMPLES,
    **notifications.EXAMPLES,
    **outbox.EXAMPLES,
    **webhooks.EXAMPLES,
    **profiles.EXAMPLES,
    **audit.EXAMPLES,
    **caching.EXAMPLES,
    **users.EXAMPLES,
    **reviews.EXAMPLES,
    **moderation.EXAMPLES,
    **reports.EXAMPLES,
    **search_misses.EXAMPLES,
    search.SearchPage: _page(RELEASE | {"highlights": search.HIGHLIGHTS}, path="search")
    | {"corrected_query": None, "facets": search.FACET_COUNTS},
    **search.EXAMPLES,
    **word_rules.EXAMPLES,
}
