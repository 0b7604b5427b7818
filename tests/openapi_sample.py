"""A small route table that shows every trait a route may have; the document made of it is what the tests look at."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from server import errors
from server.http.route import Route
from server.openapi import document
from server.schemas import analytics_answers as analytics
from server.schemas import answers, queries
from server.schemas import catalogue_answers as catalogue


class Event(Struct, forbid_unknown_fields=True):
    """One view."""

    release_id: Annotated[int, Meta(ge=1)]
    duration_seconds: Annotated[int, Meta(ge=0, le=86_400)]


class Thread(Struct):
    """A comment with its replies: a type that holds itself."""

    text: str
    replies: list[Thread] = []


def _handler(name: str):
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({})

    handler.__name__ = name
    return handler


def _get(path: str, name: str, tag: str, answer, **traits) -> Route:
    summary = name.replace("_", " ").capitalize()
    return Route(method="GET", path=path, handler=_handler(name), summary=summary, tag=tag, answer=answer, **traits)


def _post(path: str, name: str, **traits) -> Route:
    summary = name.replace("_", " ").capitalize()
    return Route(method="POST", path=path, handler=_handler(name), summary=summary, **traits)


API = "/api/v1"
EVENT = {"release_id": 42, "duration_seconds": 1300}
LISTS = {"query": queries.PageQuery, "cached": True}
CSV = ("application/json", "text/csv")

ROUTES: tuple[Route, ...] = (
    _get(
        f"{API}/releases", "list_releases", "Catalogue", catalogue.ReleasePage, query=queries.ReleasesQuery, cached=True
    ),
    _get(f"{API}/releases/random", "random_releases", "Catalogue", catalogue.ReleasePage, query=queries.RandomQuery),
    _get(f"{API}/releases/{{id}}", "read_release", "Catalogue", catalogue.Release, cached=True),
    _get(rf"{API}/releases/{{id:\d+}}/episodes", "list_episodes", "Catalogue", catalogue.EpisodePage, **LISTS),
    _get(f"{API}/episodes/{{id}}", "read_episode", "Catalogue", catalogue.Episode, cached=True),
    _get(f"{API}/genres", "list_genres", "Catalogue", catalogue.WordPage, **LISTS),
    _get(f"{API}/franchises", "list_franchises", "Catalogue", catalogue.FranchisePage, **LISTS),
    _get(f"{API}/franchises/{{id}}", "read_franchise", "Catalogue", catalogue.FranchiseDetail, cached=True),
    _get(f"{API}/schedule", "read_schedule", "Catalogue", catalogue.Schedule, query=queries.ScheduleQuery, cached=True),
    _post(
        f"{API}/views",
        "record_views",
        tag="Views",
        description="Takes one event or an array of up to 500. Answers only once the events are committed.",
        status=202,
        body=Event | Annotated[list[Event], Meta(min_length=1, max_length=500)],
        body_example=EVENT,
        answer=answers.ViewsAccepted,
        errors=(errors.NotFound, errors.MailboxFull),
    ),
    _get(
        f"{API}/analytics/views",
        "count_views",
        "Analytics",
        analytics.ViewsPage,
        query=queries.AnalyticsQuery,
        media_types=CSV,
        cached=True,
    ),
    _get(f"{API}/analytics/top", "read_top", "Analytics", analytics.Top, query=queries.TopQuery, media_types=CSV),
    _get(
        f"{API}/recommendations/trending",
        "list_trending",
        "Recommendations",
        analytics.Trending,
        query=queries.TrendingQuery,
        cached=True,
    ),
    _post(
        f"{API}/releases/{{id}}/comments",
        "write_comment",
        tag="Community",
        access="user",
        status=201,
        body=Thread,
        body_example={"text": "Hello", "replies": [{"text": "Hello to you"}]},
        answer=Thread,
        example={"text": "Hello", "replies": []},
        errors=(errors.Conflict,),
    ),
    Route(
        method="DELETE",
        path=f"{API}/releases/{{id}}",
        handler=_handler("delete_release"),
        summary="Delete a release",
        tag="CMS",
        access="admin",
        status=204,
    ),
    _get("/health", "read_health", "Operations", answers.Health),
    _get("/metrics", "read_metrics", "Operations", None, access="operator", media_types=("text/plain",)),
)


def sample() -> dict:
    """The document of the table above."""
    return document(ROUTES, version="1.2.3", public_url="https://anime.example")
