"""Every statement is prepared on a migrated database, and what it returns is held against what Python expects of it.

`CONTRACT` names each query of each `sql/*.sql`: the dataclass its rows fill in that order, or the columns that are read
by name. A query without an entry fails, so does an entry without a query.
"""

from __future__ import annotations

import ast
import dataclasses
import types
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

import sql
from sql import (
    accounts,
    activity,
    analytics,
    api_tokens,
    episodes,
    exports,
    gauges,
    idempotency,
    list_imports,
    mailed,
    operations,
    outbox,
    profiles,
    progress,
    recount,
    release_list,
    releases,
    revocations,
    sessions,
    sync,
    trends,
    user_stats,
    vocabularies,
)
from sql.query import load
from sql.release_list import Choice, Filter

FOLDER = Path(sql.__file__).parent
# Columns nobody reads by name: a single value, or what a function called for its effect returns.
VALUE = None
NOTHING = ""
PARKED = "delivery_id xid id topic entity user_id payload created_at attempts leased_until"

CONTRACT: dict[str, dict[str, type | str | None]] = {
    "activity": {
        "record": NOTHING,
        "feed": "seq",
        "of_user": "seq",
        "count_of_user": VALUE,
        "extent": "oldest newest",
        "show": activity.Shown,
        "visibility": VALUE,
    },
    "accounts": {
        "username_taken": VALUE,
        "create": VALUE,
        "me": VALUE,
        "claimants": accounts.Candidate,
        "by_username": accounts.Candidate,
        "password_of": accounts.OwnPassword,
        "lock_if_password": accounts.Credentials,
        "rehash": NOTHING,
        "lock": VALUE,
        "set_password": VALUE,
        "raise_version": VALUE,
        "owner_of_address": VALUE,
        "free_username": VALUE,
        "make_administrator": NOTHING,
    },
    "api_tokens": {
        "find_token": api_tokens.FoundToken,
        "lock_owner": VALUE,
        "create_token": api_tokens.NewToken,
        "list_tokens": "token",
        "count_tokens": VALUE,
        "get_token": VALUE,
        "delete_token": NOTHING,
    },
    "demo": {
        "insert_users": NOTHING,
        "make_audience": NOTHING,
        "fill_releases": NOTHING,
        "analyze_releases": NOTHING,
        "drop_audience": NOTHING,
        "users_of": "id",
        "prepare_fill": VALUE,
        "lock_rollups": VALUE,
        "days_with_views": "day",
        "insert_views": "seq",
        "roll_up_days": NOTHING,
        "refresh_scores": NOTHING,
    },
    "demo_library": {
        "without_library": "user_id number",
        "make_picks": NOTHING,
        "start_revisions": NOTHING,
        "fill_entries": NOTHING,
        "fill_progress": NOTHING,
        "fill_subscriptions": NOTHING,
        "fill_activity": NOTHING,
        "fill_counts": NOTHING,
        "start_stats": NOTHING,
        "drop_picks": NOTHING,
    },
    "erasure": {
        "take_time": VALUE,
        "lock_user": VALUE,
        "publish_counts": NOTHING,
        "drop_events": NOTHING,
        "drop_deliveries": NOTHING,
        "revoke": NOTHING,
        "drop_user": NOTHING,
        "anonymise_views": NOTHING,
        "anonymise_viewers": NOTHING,
    },
    "exports": {
        "account": VALUE,
        "entries": "place line",
        "progress": "place line",
        "subscriptions": "place line",
        "activity": "place line",
        "listed": exports.Listed,
    },
    "library": {
        "page": "entry",
        "count": VALUE,
        "counts": "value releases",
    },
    "library_write": {
        "lock_revision": "revision moment",
        "start_revisions": NOTHING,
        "entries_before": "kind release_id known value deleted changed_at",
        "progress_before": (
            "episode_id release_id known duration_seconds is_last started position_seconds completed watched_seconds"
            " deleted changed_at restarted_at collection collection_deleted collection_changed_at"
        ),
        "store": NOTHING,
    },
    "list_imports": {
        "match": "external_id release_id",
        "unseen_episodes": list_imports.EpisodeOf,
        "keep_unmatched": NOTHING,
        "count_unmatched": VALUE,
        "list_unmatched": VALUE,
        "matchable": "external_id title entry",
        "forget_unmatched": NOTHING,
        "anybody_waits": VALUE,
        "find_owner": VALUE,
        "make_owner": VALUE,
        "queue_matches": NOTHING,
    },
    "episodes": {
        "list_episodes": "episode",
        "count_episodes": VALUE,
        "get_episode": VALUE,
        "aired_between": episodes.Airing,
    },
    "gauges": {
        "count_all": gauges.Totals,
    },
    "idempotency": {
        "lock_idempotency_key": VALUE,
        "find_idempotent_answer": idempotency.Kept,
        "store_idempotent_answer": NOTHING,
    },
    "housekeeping": {
        "revocations": VALUE,
        "account_tokens": VALUE,
        "refresh_tokens": VALUE,
        "sessions": VALUE,
        "library_tombstones": VALUE,
        "progress_tombstones": VALUE,
        "subscription_tombstones": VALUE,
        "idempotency_keys": VALUE,
        "dead_deliveries": VALUE,
        "activity": VALUE,
    },
    "imports": {
        "lock_imports": VALUE,
        "start_run": NOTHING,
        "end_run": NOTHING,
        "clear_staging": NOTHING,
        "vacuum_staging": NOTHING,
        "analyze_staging": NOTHING,
        "claim": NOTHING,
        "claimed": "claim",
        "known_rows": "source_key release_id content_hash",
        "owners": "source external_id release_id",
        "spoken_for": "release_id",
        "deleted_releases": "id",
        "new_release_ids": "id",
        "vocabulary": "name_key id",
        "free_slugs": "id slug",
        "change_slugs": "id",
        "update_releases": "id",
        "remove_titles": "id",
        "merge_titles": "id",
        "merge_synonyms": "id",
        "remove_external_ids": "id",
        "merge_external_ids": "id",
        "update_popularity": "id",
        "insert_popularity": NOTHING,
        "remove_episodes": "id",
        "revive_episodes": "id",
        "update_episodes": "id",
        "insert_episodes": "id episode_id",
        "is_populated": VALUE,
        "touch": NOTHING,
        "remember": NOTHING,
        "forget_older_keys": NOTHING,
        "build_documents": VALUE,
        "invalidate": VALUE,
        "analyze": NOTHING,
    },
    "mailed": {
        "ask_for_mail": NOTHING,
        "unverified_address": VALUE,
        "make_token": mailed.Recipient,
        "owner_of_token": mailed.Owner,
        "take_token": VALUE,
        "verify_address": NOTHING,
    },
    "operations": {
        "create_operation": operations.Operation,
        "claim_operations": operations.Operation,
        "give_up_operations": NOTHING,
        "renew_operations": "id stopping",
        "finish_operation": NOTHING,
        "put_back_operation": NOTHING,
        "list_operations": "operation",
        "count_operations": VALUE,
        "get_operation": VALUE,
        "operation_status": VALUE,
        "get_download": operations.Download,
        "cancel_operation": NOTHING,
        "trim_operations": "file",
        "known_files": "file",
        "operations_of": operations.Belonging,
    },
    "presence": {
        "save_presence": NOTHING,
        "save_token_use": NOTHING,
    },
    "profiles": {
        "get_profile": VALUE,
        "lock_revision": VALUE,
        "update_profile": NOTHING,
        "raise_revision": NOTHING,
        "get_user": VALUE,
        "find_users": profiles.Person,
        "count_users": VALUE,
    },
    "recount": {
        "release_ids": "id",
        "days_are_whole": VALUE,
        "mend_views": recount.Difference,
        "mend_totals": recount.Difference,
    },
    "progress": {
        "page": "progress",
        "count": VALUE,
        "page_of_release": "progress",
        "count_of_release": VALUE,
        "get": VALUE,
        "history": progress.Watched,
        "count_history": VALUE,
        "continue_with": "entry",
    },
    "release_counts": {
        "apply": NOTHING,
        "release_ids": "id",
        "mend": recount.Difference,
    },
    "outbox": {
        "publish": NOTHING,
        "add_consumers": NOTHING,
        "drop_consumers": NOTHING,
        "drop_deliveries_of_others": NOTHING,
        "peek": outbox.Sight,
        "lock_cursor": "xid id",
        "read": "xid id topic entity user_id payload created_at",
        "move_cursor": NOTHING,
        "begin_attempt": NOTHING,
        "keep_attempt": NOTHING,
        "undo_attempt": NOTHING,
        "blocked_entities": "entity",
        "park": NOTHING,
        "lock_due_entity": VALUE,
        "lock_parked": PARKED,
        "lease": PARKED,
        "done": NOTHING,
        "retry": NOTHING,
        "bury": NOTHING,
        "trim": NOTHING,
        "forget_dead": NOTHING,
        "measure": outbox.Measured,
        "dead_page": outbox.Dead,
        "count_dead": VALUE,
        "replay": VALUE,
        "started_over": VALUE,
        "lock_outbox": NOTHING,
        "park_everything": NOTHING,
        "empty_outbox": NOTHING,
        "reset_cursors": NOTHING,
    },
    "releases": {
        "get_releases": "id release",
        "get_release_by_slug": releases.Release,
        "current_slug": VALUE,
        "resolve": VALUE,
        "resolve_slug": VALUE,
        "total": VALUE,
        "latest": "release",
        "id_range": "first last",
        "random_ids": "id",
        "documents": "release",
        "related": "release",
        "count_related": VALUE,
    },
    "subscriptions": {
        "subscription_target": VALUE,
        "raise_for_creation": VALUE,
        "count_active": VALUE,
        "create_subscription": "id created_at",
        "find_subscription": VALUE,
        "raise_for_deletion": VALUE,
        "delete_subscription": NOTHING,
        "list_subscriptions": "subscription",
        "count_subscriptions": VALUE,
    },
    "sync": {
        "changes": sync.Changes,
    },
    "revocations": {
        "current": revocations.Revocation,
        "revoke_sessions": NOTHING,
        "revoke_tokens": NOTHING,
        "revoke_versions": NOTHING,
    },
    "sessions": {
        "open_session": VALUE,
        "trim_sessions": "id",
        "lock_session_of": sessions.Locked,
        "refresh_state": sessions.RefreshState,
        "rotate": NOTHING,
        "lock_session": VALUE,
        "renew": VALUE,
        "session_of": VALUE,
        "end_sessions": "id",
        "end_own_session": VALUE,
        "end_other_sessions": "id",
        "list_sessions": "session",
        "count_sessions": VALUE,
    },
    "trends": {
        "prepare_pass": VALUE,
        "lock_pass": VALUE,
        "wait_for_rollup": VALUE,
        "wal_position": VALUE,
        "take_touched_hours": "hour",
        "positions": "period left_before",
        "take_gains": VALUE,
        "let_go": NOTHING,
        "forget_empty": NOTHING,
        "set_position": NOTHING,
        "clear_window": NOTHING,
        "rebuild_window": NOTHING,
        "top": "release_id score",
        "fill": "release_id score",
        "store_list": NOTHING,
        "refresh_scores": NOTHING,
        "stored_lists": "period computed_at release_ids scores",
        "trending_page": "release",
        "window_top": trends.TopRelease,
        "window_genres": trends.TopGenre,
        "all_time_top": trends.TopRelease,
        "all_time_genres": trends.TopGenre,
    },
    "user_stats": {
        "apply": NOTHING,
        "refresh_genres": "user_id",
        "get_stats": user_stats.Stats,
        "user_ids": "id",
        "mend": user_stats.Difference,
    },
    "views": {
        "commit_batch": "seq positions outcomes",
        "replayed_outcomes": "seq positions outcomes",
        "prepare_rollup": VALUE,
        "lock_rollup": VALUE,
        "take_batches": "seq received_on events",
        "roll_up": VALUE,
        "waiting_events": VALUE,
        "ensure_salt": VALUE,
        "destroy_salts": NOTHING,
        "trim_batches": VALUE,
        "oldest_waiting": VALUE,
        "make_partitions": VALUE,
        "drop_partitions": VALUE,
    },
    "vocabularies": {
        "list_genres": vocabularies.Word,
        "count_genres": VALUE,
        "list_tags": vocabularies.Word,
        "count_tags": VALUE,
        "find_genres": "id slug name_key",
        "find_tags": "id slug name_key",
        "find_franchises": "id slug name_key",
        "list_franchises": vocabularies.Franchise,
        "count_franchises": VALUE,
        "get_franchise": vocabularies.Franchise,
        "franchise_releases": "release",
    },
}
# What the driver makes of a PostgreSQL type.
PYTHON: dict[str, type] = {
    "int2": int, "int4": int, "int8": int, "float4": float, "float8": float, "numeric": Decimal, "text": str,
    "bool": bool, "date": date, "timestamptz": datetime, "bytea": bytes,
    "uuid": UUID, "text[]": list[str],
}  # fmt: skip
NOUNS = sorted(path.stem for path in FOLDER.glob("*.sql"))


def plain(annotation: Any) -> Any:
    """The type without its `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [part for part in get_args(annotation) if part is not type(None)]
    return annotation


def fits(kind: type, attributes: Any) -> list[str]:
    """Where a statement's columns are not the fields of a dataclass in their order."""
    hints = get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    columns = [attribute.name for attribute in attributes]
    if columns != fields:
        return [f"{columns} are not {fields} of {kind.__name__}"]
    return [
        f"{attribute.name} is {attribute.type.name}, not {hints[attribute.name]}"
        for attribute in attributes
        if plain(hints[attribute.name]) not in (Any, PYTHON.get(attribute.type.name))
    ]


def test_each_query_has_an_entry_and_each_entry_a_query() -> None:
    there = {noun: {query.name for query in load(noun)} for noun in NOUNS}
    assert there == {noun: set(entries) for noun, entries in CONTRACT.items()}


@pytest.mark.parametrize("noun", NOUNS)
async def test_each_query_prepares_and_returns_what_is_read_of_it(conn: Any, noun: str) -> None:
    queries = load(noun)
    if noun in ("demo", "demo_library"):
        await load("demo").make_audience.execute(conn)
    if noun == "demo_library":
        await queries.make_picks.execute(conn, [], [], 1, datetime.now(UTC))
    faults = []
    for query in queries:
        attributes = (await conn.prepare(query.text)).get_attributes()
        expected = CONTRACT[noun].get(query.name, NOTHING)
        if isinstance(expected, type):
            faults += [f"{query.name}: {fault}" for fault in fits(expected, attributes)]
        elif expected is not VALUE and expected.split() != [attribute.name for attribute in attributes]:
            faults.append(f"{query.name}: {[attribute.name for attribute in attributes]} instead of {expected!r}")
        elif expected is VALUE and not attributes:
            faults.append(f"{query.name}: returns nothing")
    assert faults == []


async def test_a_column_that_moved_or_changed_its_type_is_noticed(conn: Any) -> None:
    @dataclasses.dataclass
    class Pair:
        id: int
        name: str | None

    async def faults(text: str) -> list[str]:
        return fits(Pair, (await conn.prepare(text)).get_attributes())

    assert await faults("select 1::bigint as id, 'a'::text as name") == []
    assert await faults("select 'a'::text as name, 1::bigint as id") != []
    assert await faults("select 1::numeric as id, 'a'::text as name") != []


FULL = {
    name: Choice([value], [value])
    for name, value in (
        ("genres", 1), ("tags", 1), ("types", "tv"), ("statuses", "ongoing"), ("seasons", "winter"),
        ("age_ratings", "16+"), ("franchises", 1),
    )
}  # fmt: skip
YEARS = [{}, {"year_from": 1990}, {"year_to": 1999}, {"year_from": 1990, "year_to": 1999}]
KEYS = {"updated": datetime(2026, 1, 1), "year": 2000, "title": "a", "rating": 5.0, "popularity": 0.5}  # noqa: DTZ001


async def parameters_match(conn: Any, text: str, parameters: list[Any]) -> Any:
    """The prepared statement, which takes as many parameters as were collected."""
    prepared = await conn.prepare(text)
    assert len(prepared.get_parameters()) == len(parameters), text
    return prepared


async def test_the_count_of_any_combination_of_filters_prepares(conn: Any) -> None:
    for present in product((False, True), repeat=len(FULL)):
        chosen = {name: choice for (name, choice), there in zip(FULL.items(), present, strict=True) if there}
        for years in YEARS:
            await parameters_match(conn, *release_list.compose_count(Filter(**chosen, **years)))


async def test_each_order_prepares_with_each_filter_by_page_and_by_key(conn: Any) -> None:
    parts = [Choice([1]), Choice(unwanted=[1])]
    single = [Filter(**{name: choice}) for name, choice in FULL.items()]
    single += [Filter(genres=part, tags=part, franchises=part) for part in parts]
    wanted = [Filter(), *single, Filter(**FULL, **YEARS[3])]
    for (name, key), sign, after, filters in product(KEYS.items(), ("", "-"), (False, True), wanted):
        text, parameters = release_list.compose_page(filters, sign + name, 20, 0, (key, 1) if after else None)
        prepared = await parameters_match(conn, text, parameters)
        assert fits(release_list.Row, prepared.get_attributes()) == []


async def test_a_random_draw_runs_with_each_filter(conn: Any) -> None:
    for wanted in (Filter(), *(Filter(**{name: choice}) for name, choice in FULL.items()), Filter(**FULL, **YEARS[3])):
        assert await release_list.draw(conn, wanted, 5) == []


async def test_views_of_any_interval_and_filter_prepare(conn: Any) -> None:
    moment = datetime(2026, 1, 1)  # noqa: DTZ001 - never sent
    for interval, by_episode, release_ids, episode_ids, counting in product(
        analytics.BUCKETS, (False, True), ([], [1]), ([], [1]), (False, True)
    ):
        wanted = analytics.ViewsWanted(moment, moment, interval, by_episode, release_ids, episode_ids)
        text, parameters = analytics.compose(wanted, counting=counting, limit=20)
        prepared = await parameters_match(conn, text, parameters)
        if not counting:
            assert len(prepared.get_attributes()) == len(dataclasses.fields(analytics.ViewsRow))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_each_function_of_the_sql_room_is_fully_typed(path: Path) -> None:
    untyped = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            named = [one for one in taken if one is not None and one.arg not in ("self", "cls")]
            if node.returns is None or any(one.annotation is None for one in named):
                untyped.append(node.name)
    assert untyped == []
