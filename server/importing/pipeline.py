"""The way of every row into the catalogue, whatever its source:

    source = SourceFormat("native", authoritative=True)
    items = (Item(line, None, draft) for line, draft in enumerate(drafts, 1))
    summary = await import_drafts(conn, source, items, Report())

An Item is `(line, source_key | None, ReleaseDraft, path="")`; a Rejection stands where none could be made. An iterable
of them is read in a thread, an asynchronous iterable on the loop. Rows travel in batches: while one is merged, in a
transaction of its own, the next is read and checked. An interruption loses at most the batch in hand; run again, what
was committed is `unchanged`.

The connection must be outside a transaction. Whoever needs the id of each committed row overrides `Report.settled`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg

from server.errors import DeadlineExceeded
from server.importing.ahead import document_of
from server.importing.drafts import InvalidRowError, Item, Rejection, Row, prepare
from server.importing.merge import merge
from server.importing.planning import Fate, SourceFormat
from server.importing.reading import BrokenFileError
from server.importing.report import Outcome, Report, Summary
from sql import imports, list_imports, search_documents
from sql.query import Connection

__all__ = ["Item", "Rejection", "Report", "SourceFormat", "Summary", "import_drafts"]

Read = Item | Rejection

BATCH_ROWS = 1_000
BATCH_EPISODES = 10_000
# Lists weigh too: a batch of full rows must stay small in memory.
BATCH_WEIGHT = 4 << 20
VACUUM_EVERY = 16
ATTEMPTS = 4
# What another writer may do to us once; the batch is merged anew.
PASSING = (
    DeadlineExceeded,  # A deadlock: the connection of an import has no time limits.
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)
OUTCOMES: dict[str, Outcome] = {"create": "created", "update": "updated", "unchanged": "unchanged"}


@dataclass(slots=True)
class Batch:
    """Checked rows that are merged together, and how many did not pass."""

    rows: list[Row] = field(default_factory=list)
    invalid: int = 0
    episodes: int = 0
    weight: int = 0
    failure: BrokenFileError | None = None

    @property
    def full(self) -> bool:
        """Whether it should be merged now."""
        many = len(self.rows) + self.invalid >= BATCH_ROWS
        return many or self.episodes >= BATCH_EPISODES or self.weight >= BATCH_WEIGHT

    def add(self, item: Item | Rejection, report: Report) -> None:
        """Check one item; what cannot be stored goes to the report."""
        if isinstance(item, Rejection):
            self.invalid += 1
            report.reject(item.path, item.line, item.field, item.reason)
            return
        try:
            row = prepare(item)
        except InvalidRowError as error:
            self.invalid += 1
            report.reject(item.path, item.line, error.field, error.reason, item.source_key or "")
            return
        self.rows.append(row)
        self.episodes += len(row.episodes)
        self.weight += weight(row)


def weight(row: Row) -> int:
    """About how many bytes of memory the row's texts and names take."""
    draft = row.draft
    names = len(row.tags) + len(row.genres) + len(draft.synonyms or [])
    return 1_000 + 4 * len(draft.synopsis or "") + 300 * names + 2 * sum(len(episode.title) for episode in row.episodes)


async def import_drafts(
    conn: Connection,
    source: SourceFormat,
    items: Iterable[Read] | AsyncIterable[Read],
    report: Report,
    *,
    dry_run: bool = False,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Merge all items; what became of them. `dry_run` merges each batch and rolls it back.

    `progress` is called with the summary so far after each batch. Raises BrokenFileError where a file cannot be read
    on, once all before that is committed; database errors come as server.errors.
    """
    run = uuid4()
    summary = Summary()
    await imports.start_run(conn, run)
    # What fills an empty catalogue is no news to anybody, unless rows of people's lists wait for it.
    news = await imports.is_populated(conn) or await list_imports.anybody_waits(conn)
    try:
        upkeep = Upkeep()
        async with aclosing(batches(items, report, lambda: upkeep.growing)) as found:
            async for batch in found:
                done = await merge_batch(conn, run, source, batch, report, dry_run=dry_run, news=news)
                summary.add(done)
                if not dry_run:
                    await upkeep.after(conn, done)
                if progress:
                    progress(summary)
        if not dry_run:
            await search_documents.tidy(conn)
    finally:
        if not conn.is_closed():
            await imports.end_run(conn, run)
    return summary


async def merge_batch(
    conn: Connection, run: UUID, source: SourceFormat, batch: Batch, report: Report, *, dry_run: bool, news: bool
) -> Summary:
    """Merge one batch and settle its rows; a clash with another writer is tried again."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            fates = await transact(conn, run, source, batch, dry_run=dry_run, news=news)
        except PASSING:
            if attempt == ATTEMPTS:
                raise
        else:
            break
    return settle(batch, fates, report)


async def transact(
    conn: Connection, run: UUID, source: SourceFormat, batch: Batch, *, dry_run: bool, news: bool
) -> list[Fate]:
    """One transaction, rolled back at its end in a dry run; its claims outlive even that."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        fates, claims, *_ = await merge(conn, run, source, batch.rows, dry_run=dry_run, news=news)
        if not dry_run:
            await imports.claim(conn, run, claims)
    except BaseException:
        if not conn.is_closed():
            await transaction.rollback()
        raise
    await (transaction.rollback() if dry_run else transaction.commit())
    if dry_run:
        await imports.claim(conn, run, claims)
    return fates


def settle(batch: Batch, fates: list[Fate], report: Report) -> Summary:
    """Count the rows of a committed batch and report what was left out."""
    summary = Summary()
    if batch.invalid:
        summary.skipped["invalid"] = batch.invalid
    for fate in fates:
        item, key = fate.row.item, fate.row.source_key
        if fate.action == "skip":
            summary.skipped[fate.reason] += 1
            report.skip(item.path, item.line, fate.reason, key)
            continue
        for source, external_id in fate.lost:
            report.repair(
                item.path, item.line, "external_ids", f"{source}:{external_id} belongs to another release", key
            )
        for ordinal in fate.kept:
            number = format(ordinal.normalize(), "f")
            report.repair(item.path, item.line, "episodes", f"{number} stays deleted: an editor deleted it", key)
        outcome = OUTCOMES[fate.action]
        setattr(summary, outcome, getattr(summary, outcome) + 1)
        summary.episodes += len(fate.row.episodes)
        report.settled(item.line, outcome, fate.release_id)
    return summary


class Upkeep:
    """What a long run owes the database between its transactions."""

    def __init__(self) -> None:
        # Whether the last batch was of new releases, as the next may be: what they need is made ahead.
        self.growing = True
        self._created = 0
        self._updated = 0

    async def after(self, conn: Connection, done: Summary) -> None:
        """Keep statistics and staging tables fit after a batch."""
        self.growing = 2 * done.created > done.total
        self._created += bool(done.created)
        self._updated += bool(done.updated)
        # Batches 1, 4, 16, 64, …: tables grow from nothing, and plans made for empty ones do not serve full ones.
        if done.created and self._created.bit_count() == 1 and self._created.bit_length() % 2 == 1:
            await imports.analyze(conn)
        if done.updated and self._updated % VACUUM_EVERY == 0:
            await imports.vacuum_staging(conn)


async def batches(
    items: Iterable[Read] | AsyncIterable[Read], report: Report, growing: Callable[[], bool] = bool
) -> AsyncGenerator[Batch, None]:
    """Batches of checked rows, read one ahead of whoever takes them; in a thread, with documents if they may be new."""
    threaded = not isinstance(items, AsyncIterable)
    remaining = aiter(items) if isinstance(items, AsyncIterable) else iter(items)

    def read() -> asyncio.Task[Batch]:
        if isinstance(remaining, AsyncIterator):
            return asyncio.create_task(collect(remaining, report))
        return asyncio.create_task(asyncio.to_thread(take, remaining, report, documents=growing()))

    ahead = read()
    try:
        # Shielded: a thread cannot be interrupted, and must not go on reading a file that was closed under it.
        while (batch := await asyncio.shield(ahead)).rows or batch.invalid or batch.failure:
            if batch.failure is None:
                ahead = read()
            yield batch
            if batch.failure:
                raise batch.failure
    finally:
        if not threaded:
            ahead.cancel()
        await asyncio.wait([ahead])


def take(items: Iterator[Read], report: Report, *, documents: bool = False) -> Batch:
    """Read the next batch; what came before a break in the file is kept. With search documents, if they are wanted."""
    batch = Batch()
    try:
        for item in items:
            batch.add(item, report)
            if batch.full:
                break
    except BrokenFileError as error:
        batch.failure = error
    if documents:
        for row in batch.rows:
            row.document = document_of(row)
    return batch


async def collect(items: AsyncIterator[Read], report: Report) -> Batch:
    """Read the next batch."""
    batch = Batch()
    async for item in items:
        batch.add(item, report)
        if batch.full:
            break
    return batch
