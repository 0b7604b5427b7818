"""`import`: a catalogue that an administrator uploaded, in the native format.

It works on a connection of its own, portion by portion, and rests between them: those who read come first. Interrupted,
it goes on behind the last portion that was committed, with the counts as they were then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from actors.works.base import MOST_ERRORS, Progress, Stopped, Work
from server.cms.importing import Line, Portion, Tally, Upload, checked, count, merge_portion, take
from server.database import Database, connect
from server.errors import Unprocessable
from server.importing.pipeline import ATTEMPTS, PASSING, Upkeep
from server.importing.reading import BrokenFileError, lines, opened
from server.importing.report import Summary
from server.rules import cache_tags
from sql import imports, list_imports
from sql.operations import Operation
from sql.query import Connection, translated

# Seconds between two moments at which caches let go of their lists: portions are committed more often than that.
LISTS_EVERY = 5.0
# So much of the time between two portions is left to others.
REST = 0.25


class ImportCatalogue(Work):
    """Reads the uploaded file into the catalogue."""

    kind: ClassVar[str] = "import"
    timeout: ClassVar[float] = 6 * 3600.0

    def __init__(self, database: Database, drop: Callable[[Iterable[str]], Any]) -> None:
        self._database = database
        self._drop = drop

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """How many releases were created, updated, left as they are and skipped, and how many episodes they name."""
        path = await asyncio.to_thread(progress.brought)
        tally = await _tally(operation, progress, path)
        async with _connection(self._database.dsn) as conn:
            try:
                tally = await self._all(conn, operation, progress, tally, path)
            except BrokenFileError as error:
                # The message names the file by its path, for operators.
                raise Unprocessable(f"The file cannot be read: {str(error).rpartition(': ')[2]}.") from None
            except Stopped:
                await imports.end_run(conn, operation.id)
                raise
            finally:
                await self._let_go(conn)
            await imports.end_run(conn, operation.id)
        self._database.bell.ring()
        progress.done = progress.total
        return tally.result()

    async def _all(self, conn: Connection, operation: Operation, progress: Progress, tally: Tally, path: Path) -> Tally:
        await imports.start_run(conn, operation.id)
        # As in every import: what fills an empty catalogue is no news to anybody.
        news = await imports.is_populated(conn) or await list_imports.anybody_waits(conn)
        news = (operation.checkpoint or {}).get("news", news)
        upload = Upload(operation.id, operation.user_id, operation.seq, news)
        upkeep, told_at = Upkeep(), monotonic()
        with opened(path) as stream:
            remaining = lines(stream)
            while portion := await _next(remaining, tally.line):
                started = monotonic()
                tally, done, changed = await _commit(conn, upload, progress, portion, tally)
                # Here the word of the database would come a moment later than the operation says what is done.
                self._drop(map(cache_tags.release, changed))
                await upkeep.after(conn, done)
                if monotonic() - told_at > LISTS_EVERY:
                    await self._let_go(conn)
                    told_at = monotonic()
                await asyncio.sleep((monotonic() - started) * REST)
        return tally

    async def _let_go(self, conn: Connection) -> None:
        """Have caches drop their lists, in this process and in others."""
        if not conn.is_closed():
            await imports.invalidate(conn, cache_tags.LISTS)
        self._drop(cache_tags.LISTS)


async def _tally(operation: Operation, progress: Progress, path: Path) -> Tally:
    """What earlier attempts have done, shown as it was then."""
    kept = operation.checkpoint
    if kept is None:
        tally = Tally(lines=await asyncio.to_thread(count, path))
    else:
        tally = Tally.of(kept)
        progress.errors, progress.refused = list(kept["errors"]), kept["refused"]
    progress.done, progress.total, progress.result = tally.line, tally.lines, tally.result()
    return tally


async def _next(remaining: Iterator[Line], after: int) -> Portion | None:
    """The next portion, None at the end."""
    found = await asyncio.to_thread(take, remaining, after)
    return await checked(found) if found else None


async def _commit(
    conn: Connection, upload: Upload, progress: Progress, portion: Portion, tally: Tally
) -> tuple[Tally, Summary, set[int]]:
    """One portion, in one transaction with its checkpoint; a clash with another writer is tried again.

    Where it has come to, what this portion did, and which releases it changed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        told = list(portion.told)
        try:
            with translated():
                async with conn.transaction():
                    done, changed = await merge_portion(conn, upload, portion)
                    reached = tally.with_(portion.last, done)
                    errors, refused = _told(progress, portion)
                    kept = reached.as_json() | {"errors": errors, "refused": refused, "news": upload.news}
                    await progress.checkpoint(conn, kept, portion.last)
        except PASSING:
            if attempt == ATTEMPTS:
                raise
            portion.told = told
        else:
            break
    progress.errors, progress.refused, progress.result = errors, refused, reached.result()
    return reached, done, changed


def _told(progress: Progress, portion: Portion) -> tuple[list[Any], int]:
    """The errors so far and their number, with those of the portion."""
    more = [
        {"row": one.line, "detail": one.reason} | ({"field": one.field} if one.field else {}) for one in portion.told
    ]
    return [*progress.errors, *more][:MOST_ERRORS], progress.refused + len(more)


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    with translated():
        conn = await connect(dsn, application_name="yojohan import")
    try:
        yield conn
    finally:
        with suppress(OSError, TimeoutError):
            await conn.close(timeout=2)
