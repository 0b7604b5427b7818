"""Every endpoint, in one table."""

from __future__ import annotations

from functools import cache

from handlers import analytics, episodes, operations, pages, recommendations, releases, views, vocabularies
from server import errors
from server.http.route import Route
from server.schemas import analytics_answers, answers, catalogue_answers, queries
from server.schemas.views import ReleaseViewEvent, ViewEvent, ViewEvents

API = "/api/v1"
JSON_OR_CSV = ("application/json", "text/csv")
EVENT = {
    "event_id": "6f1c1f0e-6d5f-4d39-9a54-8a5a1f0a2c11",
    "release_id": 42,
    "episode_id": 511,
    "duration_seconds": 1380,
    "completion_percentage": 97.5,
}


@cache
def table() -> tuple[Route, ...]:
    """All routes. Where two could match, the one further up wins."""
    return (*operational(), *catalogue(), *watched(), *accounts(), *people(), *library(), *shared())


def operational() -> tuple[Route, ...]:
    """For operators and people, outside of the API's prefix."""
    return (
        Route(method="GET", path="/health", handler=operations.get_health, tag="Operations", summary="What works and what does not", answer=answers.Health, errors=(errors.Unavailable,)),
        Route(method="GET", path="/health/live", handler=operations.get_live, tag="Operations", summary="Whether the process turns", operation="get_health_live", answer=answers.Alive),
        Route(method="GET", path="/live", handler=operations.get_live, tag="Operations", summary="Whether the process turns", answer=answers.Alive),
        Route(method="GET", path="/health/ready", handler=operations.get_ready, tag="Operations", summary="Whether it can serve", operation="get_health_ready", answer=answers.Ready, errors=(errors.Unavailable,)),
        Route(method="GET", path="/ready", handler=operations.get_ready, tag="Operations", summary="Whether it can serve", answer=answers.Ready, errors=(errors.Unavailable,)),
        Route(method="GET", path="/metrics", handler=operations.get_metrics, tag="Operations", summary="Metrics for Prometheus", access="operator", media_types=("text/plain",)),
        Route(method="GET", path="/openapi.json", handler=operations.get_openapi, tag="Operations", summary="This document", cached=True, answer=dict),
        Route(method="GET", path="/docs", handler=pages.docs, tag="Pages", summary="The reader of this document", media_types=("text/html",), cached=True),
        Route(method="GET", path="/console", handler=pages.console, tag="Pages", summary="The operator's live page", media_types=("text/html",), cached=True),
        Route(method="GET", path="/docs/{name}", handler=pages.page_file, tag="Pages", summary="Styles and scripts of the pages", media_types=("text/css", "text/javascript"), cached=True, errors=(errors.NotFound,)),
    )  # fmt: skip


def catalogue() -> tuple[Route, ...]:
    """What there is."""
    lost = (errors.NotFound,)
    return (
        Route(method="GET", path=f"{API}/releases", handler=releases.list_releases, tag="Catalogue", summary="Releases by filter and order", query=queries.ReleasesQuery, answer=catalogue_answers.ReleasePage, cached=True),
        Route(method="GET", path=f"{API}/releases/latest", handler=releases.list_latest_releases, tag="Catalogue", summary="Releases that changed last", query=queries.LatestQuery, answer=catalogue_answers.ReleasePage, cached=True),
        Route(method="GET", path=f"{API}/releases/random", handler=releases.draw_random_releases, tag="Catalogue", summary="Releases drawn at random", query=queries.RandomQuery, answer=catalogue_answers.ReleasePage),
        Route(method="GET", path=f"{API}/releases/{{id}}", handler=releases.get_release, tag="Catalogue", summary="A release by id or slug", description="A slug the release once had answers 301.", answer=catalogue_answers.Release, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/releases/{{id}}/episodes", handler=episodes.list_episodes, tag="Catalogue", summary="The episodes of a release", query=queries.PageQuery, answer=catalogue_answers.EpisodePage, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/releases/{{id}}/related", handler=releases.list_related_releases, tag="Catalogue", summary="Other releases of its franchise", query=queries.PageQuery, answer=catalogue_answers.ReleasePage, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/episodes/{{id}}", handler=episodes.get_episode, tag="Catalogue", summary="An episode", answer=catalogue_answers.Episode, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/genres", handler=vocabularies.list_genres, tag="Catalogue", summary="Genres by name", query=queries.PageQuery, answer=catalogue_answers.WordPage, cached=True),
        Route(method="GET", path=f"{API}/tags", handler=vocabularies.list_tags, tag="Catalogue", summary="Tags by name", query=queries.PageQuery, answer=catalogue_answers.WordPage, cached=True),
        Route(method="GET", path=f"{API}/franchises", handler=vocabularies.list_franchises, tag="Catalogue", summary="Franchises by name", query=queries.PageQuery, answer=catalogue_answers.FranchisePage, cached=True),
        Route(method="GET", path=f"{API}/franchises/{{id}}", handler=vocabularies.get_franchise, tag="Catalogue", summary="A franchise with its releases", answer=catalogue_answers.FranchiseDetail, cached=True, errors=lost),
        Route(method="GET", path=f"{API}/schedule", handler=episodes.get_schedule, tag="Catalogue", summary="What airs in a week", query=queries.ScheduleQuery, answer=catalogue_answers.Schedule, cached=True),
    )  # fmt: skip


def watched() -> tuple[Route, ...]:
    """What is watched."""
    refusals = (errors.NotFound, errors.Unavailable)
    return (
        Route(method="POST", path=f"{API}/views", handler=views.record_views, summary="Record one view or up to 500", description="Answered once the events are committed. The same `event_id` counts once.", body=ViewEvent | ViewEvents, body_example=EVENT, status=202, tag="Views", answer=answers.ViewsAccepted, errors=refusals),
        Route(method="POST", path=f"{API}/releases/{{id}}/views", handler=views.record_release_views, summary="Record one view of a release", body=ReleaseViewEvent, body_example=EVENT, status=202, tag="Views", answer=answers.ViewsAccepted, errors=refusals),
        Route(method="GET", path=f"{API}/analytics/views", handler=analytics.list_views, tag="Analytics", summary="Views by release or episode and interval", description="Counts trail commits by at most five seconds. Rows come by release, episode and time.", query=queries.AnalyticsQuery, answer=analytics_answers.ViewsPage, media_types=JSON_OR_CSV, cached=True),
        Route(method="GET", path=f"{API}/analytics/top", handler=analytics.list_top, tag="Analytics", summary="What was watched most", query=queries.TopQuery, answer=analytics_answers.Top, media_types=JSON_OR_CSV, cached=True),
        Route(method="GET", path=f"{API}/recommendations/trending", handler=recommendations.list_trending, tag="Recommendations", summary="What is watched right now", query=queries.TrendingQuery, answer=analytics_answers.Trending, cached=True, errors=(errors.Unavailable,)),
    )  # fmt: skip


def accounts() -> tuple[Route, ...]:
    """Signing up, in and out; sessions and tokens."""
    return ()


def people() -> tuple[Route, ...]:
    """Profiles, statistics, what happened."""
    return ()


def library() -> tuple[Route, ...]:
    """What people keep and how far they have watched."""
    return ()


def shared() -> tuple[Route, ...]:
    """Long work, subscriptions, limits, and what administrators see of the outbox."""
    return ()
