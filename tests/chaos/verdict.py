"""The books of the clients against the tables of the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

import asyncpg

ROLLUP_PATIENCE = 30.0

TOTALS = """
select
    (select count(*) from view_metrics) as raw,
    (select count(distinct event_id) from view_metrics) as distinct_raw,
    (select coalesce(sum(views), 0) from view_hours where episode_id = 0) as hours,
    (select coalesce(sum(views), 0) from view_days where episode_id = 0) as days,
    (select count(*) from view_metrics where episode_id is not null) as raw_episodes,
    (select coalesce(sum(views), 0) from view_hours where episode_id <> 0) as hours_episodes,
    (select coalesce(sum(events), 0) from view_batches where not rolled_up) as waiting
"""
# Rollups against the raw events, release by release and hour by hour.
DIFFERENT_HOURS = """
select count(*) from (
    select date_trunc('hour', viewed_at, 'UTC') as hour, release_id,
           count(*) as views, sum(duration_seconds) as seconds, count(distinct viewer) as viewers
    from view_metrics group by 1, 2
) raw full join (select * from view_hours where episode_id = 0) kept using (hour, release_id)
where (raw.views, raw.seconds, raw.viewers) is distinct from (kept.views, kept.watch_seconds, kept.unique_viewers)
"""


@dataclass(frozen=True)
class Verdict:
    """What is in the database, and how it differs from what was acknowledged."""

    committed: int
    lost: int
    invented: int
    duplicates: int
    rolled_up_hours: int
    rolled_up_days: int
    wrong_rollups: int

    @property
    def sound(self) -> bool:
        """Nothing lost, nothing twice, nothing that nobody sent, and every rollup right."""
        wrong = self.lost + self.invented + self.duplicates + self.wrong_rollups
        return wrong == 0 and self.rolled_up_hours == self.rolled_up_days == self.committed

    def __str__(self) -> str:
        return "\n".join(f"  {name.replace('_', ' '):<20}{value:>10}" for name, value in vars(self).items())


async def judge(conn: asyncpg.Connection[asyncpg.Record], acknowledged: set[UUID]) -> Verdict:
    """Wait until all is rolled up, then compare."""
    deadline = monotonic() + ROLLUP_PATIENCE
    while await conn.fetchval("select exists (select from view_batches where not rolled_up and events > 0)"):
        assert monotonic() < deadline, "the rollup does not come to an end"
        await asyncio.sleep(0.2)
    totals = await conn.fetchrow(TOTALS)
    assert totals is not None
    stored = {row[0] for row in await conn.fetch("select event_id from view_metrics")}
    different = await conn.fetchval(DIFFERENT_HOURS) + abs(totals["raw_episodes"] - totals["hours_episodes"])
    return Verdict(
        committed=totals["raw"],
        lost=len(acknowledged - stored),
        invented=len(stored - acknowledged),
        duplicates=totals["raw"] - totals["distinct_raw"],
        rolled_up_hours=int(totals["hours"]),
        rolled_up_days=int(totals["days"]),
        wrong_rollups=int(different),
    )
