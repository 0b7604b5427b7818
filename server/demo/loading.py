"""Loading the demo: catalogue, users, what they keep and say, views, in this order. A second time nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from server.demo import library, talk
from server.demo.catalogue import Calendar, items
from server.demo.users import make_users
from server.demo.views import generate
from server.importing.pipeline import Report, SourceFormat, Summary, import_drafts
from sql.query import Connection

SOURCE = SourceFormat("demo", authoritative=True)
# A line of progress after so many releases.
LINE_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was loaded, and the seconds each part took."""

    catalogue: Summary
    users: int
    titles: int
    comments: int
    reviews: int
    views: int
    catalogue_seconds: float
    views_seconds: float

    def __str__(self) -> str:
        return (
            f"releases {self.catalogue}; episodes: {self.catalogue.episodes} ({self.catalogue_seconds:.1f} s)\n"
            f"users created: {self.users}, titles they keep: {self.titles}, "
            f"comments: {self.comments}, reviews: {self.reviews}\n"
            f"views created: {self.views} ({self.views_seconds:.1f} s)"
        )


def ignore(_: str) -> None:
    """The progress nobody asked for."""


async def load_demo(
    conn: Connection,
    *,
    releases: int,
    seed: int,
    views: int,
    now: datetime,
    progress: Callable[[str], None] | None = None,
) -> DemoSummary:
    """Load the demo of `seed` as of `now`; the same call again within the week changes nothing.

    Views go into those of the last thirty days that hold none. `progress` gets lines for people. The connection must
    be outside a transaction and be nobody else's: a temporary table stands on it meanwhile. Raises server.errors.
    """
    tell = progress or ignore
    started = monotonic()
    catalogue = await import_drafts(conn, SOURCE, items(releases, seed, now), Report(), progress=Lines(tell).after)
    users = await make_users(conn, Calendar.of(now).today)
    titles = await library.fill(conn, releases=releases, seed=seed, now=now)
    comments, reviews = await talk.fill(conn, releases=releases, seed=seed, now=now)
    catalogued = monotonic()
    made = await generate(conn, releases=releases, seed=seed, views=views, now=now, progress=tell)
    return DemoSummary(
        catalogue, users, titles, comments, reviews, made, catalogued - started, monotonic() - catalogued
    )  # fmt: skip


class Lines:
    """Turns the progress of the import into a line every few thousand releases."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._next = LINE_EVERY

    def after(self, summary: Summary) -> None:
        """A batch was merged."""
        if summary.total >= self._next:
            self._next = summary.total + LINE_EVERY
            self._tell(f"releases: {summary.total:,}")
