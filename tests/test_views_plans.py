"""On tables of some size no statement about views reads through a growing table where an index should serve.

Read whole on purpose:
- a period's `trend_windows` partition: every score changes each minute, so the top is a top-N over all of it;
- `releases` and `popularity_metrics` for the genres of a period or of all time: a sum over everything viewed, kept an
  hour in the cache;
- the same two for the top of all time, once an hour: an index on a number that every view moves would cost more;
- `trend_touched`, `trend_positions` and the small vocabularies (some rows), and what a statement made itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sql import analytics, trends, views
from sql.analytics import ViewsWanted
from tests.seeding import event, seed_partitions, seed_rollup_partitions

RELEASES = 20_000
SMALL = {"trend_touched", "trend_positions", "trend_refresh", "trending_lists", "genres", "viewer_salts"}
WINDOWS = {"trend_windows_day", "trend_windows_week", "trend_windows_month"}
# Those that may read the whole catalogue, and which of its tables.
WHOLE = {"window_genres": {"releases"}, "all_time_genres": {"releases", "popularity_metrics"}}
WHOLE["all_time_top"] = WHOLE["all_time_genres"]

FILL = [
    f"""insert into releases (id, slug, title, sort_title, genre_ids)
        select n, 'r' || n, 'R' || n, 'r' || n, array[n % 20 + 1] from generate_series(1, {RELEASES}) n""",
    "insert into genres (slug, name, name_key) select 'g' || n, 'g' || n, 'g' || n from generate_series(1, 20) n",
    """insert into popularity_metrics (release_id, total_views, imported_popularity, popularity_score, rank)
       select id, id % 977, id % 1009, id % 1009 / 1e6::float8, case when id <= 100 then id end from releases""",
    "insert into release_documents select id, '{}' from releases",
    "insert into episodes (id, release_id, ordinal) select id, id, 1 from releases",
    """insert into view_hours select date_trunc('hour', now(), 'UTC') - n / 4000 * interval '1 hour',
               1 + n % 4000, 0, 1 + n % 7, 1, 60, 50, 1 from generate_series(0, 99999) n""",
    f"""insert into view_days select current_date - n / {RELEASES}, 1 + n % {RELEASES}, e, 1 + n % 7, 1, 60, 50
        from generate_series(0, 8 * {RELEASES} - 1) n, generate_series(0, 1) e where e = 0 or n % 9 = 0""",
    f"""insert into view_viewers select current_date - n / {RELEASES}, 1 + n % {RELEASES}, 0, n, 1
        from generate_series(0, 2 * {RELEASES} - 1) n""",
    """insert into view_batches (batch_id, received_on, events, rolled_up, committed_at)
       select gen_random_uuid(), current_date, 1, n <= 19990, now() - interval '6 days' + n * interval '25 seconds'
       from generate_series(1, 20000) n""",
    "insert into view_batch_outcomes select seq, '{0}', '{1}' from view_batches where seq % 2 = 0",
    """insert into view_metrics select current_date, b.seq, gen_random_uuid(), 1 + b.seq % 20000, null, b.seq, 60, 50,
              now()
       from view_batches b, generate_series(1, 2)""",
    "insert into view_receipts select current_date - n % 3, gen_random_uuid() from generate_series(1, 30000) n",
    """insert into trend_windows select p, id, id % 11 + 1, (id % 11 + 1) * 490000
       from releases, unnest(array['day', 'week', 'month']) p""",
    "insert into trend_positions select p, now() - interval '1 day' from unnest(array['day', 'week', 'month']) p",
    "analyze",
]


def scans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node["Node Type"] == "Seq Scan":
        yield node
    for below in node.get("Plans", []):
        yield from scans(below)


async def unwanted(conn: Any, name: str, text: str, *parameters: Any) -> list[str]:
    """The tables that a plan for these values, or for any values, reads through although it should not."""
    found = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        await conn.execute(f"set plan_cache_mode = {mode}")
        statement = await conn.prepare(f"explain (format json, verbose) {text}")
        plan = (await statement.fetchval(*parameters))[0]["Plan"]
        for scan in scans(plan):
            table = scan["Relation Name"]
            # A partition that is empty has nothing an index could save.
            if table in SMALL | WINDOWS | WHOLE.get(name, set()) or not await conn.fetchval(
                f"select exists (select from {table})"
            ):
                continue
            found.append(f"{name}: {table} ({mode})")
    return found


async def explained(conn: Any) -> list[str]:
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    batch = [list(column) for column in zip(*[event(1 + n, 1 + n) for n in range(500)], strict=True)]
    seqs = [row["seq"] for row in await conn.fetch("select seq from view_batches where not rolled_up")]
    hundred = list(range(1, 101))
    asked: dict[str, tuple[Any, ...]] = {
        "commit_batch": (uuid4(), *batch),
        "replayed_outcomes": (uuid4(),),
        "take_batches": (60_000,),
        "roll_up": (seqs, now.date(), now.date()),
        "waiting_events": (),
        "oldest_waiting": (),
        "trim_batches": (50,),
        "ensure_salt": (now.date(), b"x"),
        "take_gains": ([hour, hour - timedelta(hours=1)], [now.date()]),
        "let_go": ("day", hour - timedelta(hours=3), hour - timedelta(hours=2)),
        "forget_empty": ("day",),
        "top": ("day", 24.0, now.timestamp() / 3600, 1000, 1200),
        "fill": (hundred, 900),
        "write_numbers": (
            hundred[:20],
            hundred,
            720.0,
            now.timestamp() / 3600,
            150,
            hundred[:20],
            hundred[:20],
        ),
        "trending_page": (hundred,),
        "window_top": ("week", 100, 300),
        "window_genres": ("week", 20),
        "all_time_genres": (20,),
        "all_time_top": (100,),
    }
    found: list[str] = []
    await views.QUERIES.prepare_rollup.execute(conn)
    for query in [*views.QUERIES, *trends.QUERIES]:
        if query.name in asked:
            rollup = "on" if query.name != "roll_up" else "off"
            for setting in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
                await conn.execute(f"set {setting} = {rollup}")
            found += await unwanted(conn, query.name, query.text, *asked.pop(query.name))
    assert not asked, "no such query"
    midnight = hour.replace(hour=0)
    for interval in ("hour", "day", "week", "month", "total"):
        span = (hour - timedelta(hours=6), hour) if interval == "hour" else (midnight - timedelta(days=2), midnight)
        for ids in (
            {"release_ids": hundred[:3]},
            {"episode_ids": hundred[:3]},
            {"release_ids": hundred, "episode_ids": hundred},
        ):
            wanted = ViewsWanted(*span, interval, "episode_ids" in ids, **ids)  # type: ignore[arg-type]
            for counting in (False, True):
                text, parameters = analytics.compose(wanted, counting=counting, limit=20)
                found += await unwanted(conn, f"analytics {interval} {sorted(ids)}", text, *parameters)
        if interval in ("hour", "day"):
            text, parameters = analytics.compose(ViewsWanted(*span, interval, False), counting=False, limit=20)
            found += await unwanted(conn, f"analytics {interval}", text, *parameters)
    return found


async def test_no_statement_reads_through_a_growing_table_that_has_an_index_for_it(conn: Any) -> None:
    today = datetime.now(UTC).date()
    await seed_partitions(conn)
    await seed_rollup_partitions(conn, today - timedelta(days=40), today)
    for statement in FILL:
        await conn.execute(statement)
    await conn.set_type_codec("json", schema="pg_catalog", format="text", encoder=json.dumps, decoder=json.loads)
    found = await explained(conn)
    assert not found, "\n".join(found)
