"""The plans of all statements about people, as PostgreSQL makes them for parameters it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sql.query import Query, load

NOUNS = (
    "accounts", "activity", "api_tokens", "audit_log", "calendars", "erasure", "exports", "housekeeping", "idempotency",
    "library", "library_write", "list_imports", "mailed", "neighbours", "operations", "outbox", "presence", "profiles",
    "progress", "recommendations", "recommending", "release_counts", "reviews", "revocations", "sessions", "streams",
    "subscriptions", "sync", "talk_counts", "user_stats", "users",
)  # fmt: skip
GROWING = frozenset(
    {
        "account_tokens", "activity", "activity_topics", "api_tokens", "comments", "episodes", "external_ids",
        "helpful_votes", "idempotency_keys", "library_entries", "moderation_decisions", "operations",
        "popularity_metrics", "progress", "refresh_tokens", "release_audience", "release_documents",
        "release_neighbours", "release_talk", "releases", "reports", "reviews", "search_documents", "search_misses",
        "search_words", "sessions", "subscriptions", "unmatched_entries", "user_presence", "user_revisions",
        "user_stats", "users", "view_metrics", "view_viewers",
    }
)  # fmt: skip
# What stands above a statement.
COMMENTS = re.compile(r"^\s*--.*$", re.MULTILINE)
# End at the first row they find; count all there are, at most hourly; look at what is popular and what is rated, every
# some minutes; belong to a worker that goes through everything, apart from the server.
WHOLE = {
    "anybody_waits": {"unmatched_entries"},
    "places": {"releases"},
    "count_words": {"releases"},
    "by_popularity": {"search_documents", "popularity_metrics"},
    "ratings": {"search_documents", "popularity_metrics"},
    "due": {"release_neighbours"},
    "forget_neighbours": {"release_neighbours", "releases"},
    "forget_rows": {"release_audience"},
}


def statements(noun: str) -> Iterator[Query]:
    """Those of a noun that are planned at all."""
    for query in load(noun):
        first = COMMENTS.sub("", query.text).lstrip("( \n").split(None, 1)[0]
        if first.lower() in ("select", "insert", "update", "delete", "with"):
            yield query


async def prepare_for(conn: Any) -> None:
    """Plan as for any parameters from here on."""
    await conn.execute("set plan_cache_mode = force_generic_plan")


async def tables_read_through(conn: Any, query: Query) -> set[str]:
    """The growing tables that the plan for any parameters reads from end to end."""
    unsure = (await conn.prepare(query.text)).get_parameters()
    await conn.execute(f"prepare planned as {query.text}")
    try:
        given = f"({', '.join('null' for _ in unsure)})" if unsure else ""
        plan = (await conn.fetchval(f"explain (format json) execute planned{given}"))[0]["Plan"]
    finally:
        await conn.execute("deallocate planned")
    read = {
        node["Relation Name"].rstrip("_0123456789")
        for node in _nodes(plan)
        if node["Node Type"] in ("Seq Scan", "Parallel Seq Scan")
    }
    return (read & GROWING) - WHOLE.get(query.name, set())


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)
