"""A month of views: how many in which hour. The views themselves are made inside the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from itertools import accumulate

from server.demo.users import KEYS
from sql import demo
from sql.demo import DayOfViews, SignedIn
from sql.query import Connection
from sql.views import make_partitions

DAYS = 30
# Days rolled up together: fewer visits to large indexes, and the server's own rollup waits for a minute at most.
TOGETHER = 10
HOUR = timedelta(hours=1)
# Viewers of days further back are forgotten by the upkeep, which is as if nobody had written them down.
VIEWERS_KEPT = timedelta(days=8)
# UTC; the evening of a place three hours ahead.
BY_HOUR = (
    0.55, 0.40, 0.28, 0.22, 0.25, 0.35, 0.50, 0.60, 0.68, 0.75, 0.82, 0.90,
    1.00, 1.10, 1.25, 1.50, 1.80, 2.05, 2.10, 1.90, 1.55, 1.20, 0.95, 0.75,
)  # fmt: skip
BY_WEEKDAY = (0.90, 0.88, 0.90, 0.94, 1.08, 1.28, 1.22)
# A signed-in viewer watches a few episodes a day, however busy the demo is.
DAILY_VIEWS_OF_A_USER = 5
LARGEST_SHARE = 0.2


def seed_of(seed: int) -> int:
    """The seed as a number PostgreSQL can hash with, from any integer."""
    return int.from_bytes(blake2b(str(seed).encode(), digest_size=6).digest())


def plan(views: int, seed: int, now: datetime) -> list[DayOfViews]:
    """`views` spread over the thirty days that end now, by the rhythm of day and week."""
    midnight = datetime.combine(now.astimezone(UTC).date(), time(), UTC)
    first = midnight - timedelta(days=DAYS - 1)
    counts = spread(views, [weight(first + place * HOUR, now) for place in range(24 * DAYS)])
    return [
        DayOfViews((first + timedelta(days=day)).date(), counts[24 * day : 24 * day + 24], now, seed_of(seed))
        for day in range(DAYS)
    ]


def weight(hour: datetime, now: datetime) -> float:
    """How much happens in this hour; of the running hour only what has passed of it, of later ones nothing."""
    passed = min(1.0, max(0.0, (now - hour) / HOUR))
    return BY_HOUR[hour.hour] * BY_WEEKDAY[hour.weekday()] * passed


def spread(total: int, weights: list[float]) -> list[int]:
    """Whole numbers in proportion to the weights, `total` in all."""
    scale = total / sum(weights)
    bounds = [round(bound * scale) for bound in accumulate(weights)]
    return [upper - lower for lower, upper in zip([0, *bounds], bounds, strict=False)]


async def generate(
    conn: Connection, *, releases: int, seed: int, views: int, now: datetime, progress: Callable[[str], None]
) -> int:
    """Fill the days of the month that hold no views yet, some at a time; how many views that made.

    The connection must be outside a transaction.
    """
    days = [day for day in plan(views, seed, now) if sum(day.hours)]
    filled = await demo.days_with_views(conn, [day.day for day in days])
    empty = [day for day in days if day.day not in filled]
    if not empty:
        return 0
    users = await demo.users_of(conn, KEYS)
    viewers = SignedIn(users, min(LARGEST_SHARE, len(users) * DAILY_VIEWS_OF_A_USER * DAYS / views))
    async with demo.audience(conn, releases, now) as watchable:
        if not watchable:
            return 0
        for start in range(0, len(empty), TOGETHER):
            await fill(conn, empty[start : start + TOGETHER], viewers, progress)
    progress("views: trends")
    async with conn.transaction():
        await demo.rank(conn, now)
    return sum(sum(day.hours) for day in empty)


async def fill(
    conn: Connection, days: Sequence[DayOfViews], viewers: SignedIn, progress: Callable[[str], None]
) -> None:
    """A few days, in one transaction: whoever breaks it off finds all of them or none."""
    kept_from = days[0].now.astimezone(UTC).date() - VIEWERS_KEPT
    await prepare_partitions(conn, days[0].day, days[-1].day, kept_from)
    batches: list[int] = []
    async with conn.transaction():
        await demo.prepare_fill(conn)
        for day in days:
            batches += await demo.insert_views(conn, day, viewers)
        await demo.roll_up_days(conn, batches, days[0].day, days[-1].day, kept_from)
    progress(f"views: {sum(sum(day.hours) for day in days):,} from {days[0].day} to {days[-1].day}")


async def prepare_partitions(conn: Connection, first: date, last: date, kept_from: date) -> None:
    """What the days need; in a transaction of its own, as it locks the tables against everyone."""
    async with conn.transaction():
        await make_partitions(conn, "view_metrics", "day", first, last)
        await make_partitions(conn, "view_hours", "month", first, last)
        await make_partitions(conn, "view_days", "year", first, last)
        await make_partitions(conn, "view_viewers", "day", max(first, kept_from), last)
