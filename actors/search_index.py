"""The keeper of the search index: fills it after the start, and keeps it in step with what is committed, wherever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import SearchInStep
from server.search import popular
from server.search.index import Order, SearchIndex
from sql import search as sql
from sql import search_documents
from sql.search import Row

log = logging.getLogger("yojohan.search")

# Rows taken in one go: about three milliseconds of the loop.
SLICE = 400
# How far apart slots may lie that are changed in one go: of all between them it is seen what values they had.
SPAN = 5_000
# Slots put in order in one go.
STEP = 5_000
# Seconds between two looks at how popular everything is, and at how it is rated: of the latter there is far less.
REORDER, RATE = 600.0, 60.0


class SearchIndexKeeper(Actor[Any]):
    """Every instance has one. `moved` is called whenever answers that were given may be others now."""

    name = "search_index"
    interval = 1.0
    first_tick = 0.01

    def __init__(
        self, database: Database, index: SearchIndex, moved: Callable[[], None], in_step: SearchInStep | None = None,
        *, loaded: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._database = database
        self._index = index
        self._moved = moved
        self._loaded = loaded
        self._in_step = in_step or SearchInStep()
        # The transaction below which everything is known, and the last slot of it.
        self._place = (0, -1)
        self._reordered = self._rated = float("-inf")

    async def on_start(self) -> None:
        """What a keeper before this one held may be behind by anything: all is read again, over what is there."""
        self._index.loaded.clear()

    async def on_tick(self) -> None:
        """Load, or catch up. While the database is away the index stays as it is."""
        try:
            if not self._index.loaded.is_set():
                await self._load()
            else:
                await self._catch_up()
            if monotonic() - self._reordered >= REORDER:
                await self._reorder()
            if monotonic() - self._rated >= RATE:
                await self._rate()
        except Unavailable as error:
            log.warning("the search index waits for the database", extra={"reason": error.code})

    async def _load(self) -> None:
        started, index = monotonic(), self._index
        async with self._database.connection() as conn:
            places = await sql.places(conn)
        # What changes from here on is found by its transaction.
        self._place = (places.fence, -1)
        last, rows = -1, await self._rows_after(-1)
        while rows:
            index.put(rows)
            last = rows[-1].slot
            await asyncio.sleep(0)
            rows = await self._rows_after(last)
        index.complete = places.complete
        await self._reorder()
        await self._rate()
        for column in index.single.values():
            for _ in column.warm():
                await asyncio.sleep(0)
        index.loaded.set()
        self._moved()
        # Rows by the ten thousand have passed through.
        self._loaded()
        log.info(
            "search index loaded",
            extra={"documents": index.documents, "duration_ms": round((monotonic() - started) * 1000)},
        )

    async def _rows_after(self, slot: int) -> list[Row]:
        async with self._database.connection() as conn:
            return await sql.documents_by_slot(conn, slot, SLICE)

    async def _catch_up(self) -> None:
        taken = 0
        try:
            while True:
                count = await self._take()
                taken += count
                if count < SLICE:
                    break
                await asyncio.sleep(0)
        finally:
            # Whatever becomes of the slices that follow, those that were taken are there.
            if taken:
                self._moved()

    async def _take(self) -> int:
        """The next slice of changes; how many there were."""
        index, asked = self._index, monotonic()
        async with self._database.connection() as conn:
            rows, place = await sql.documents_changed(conn, self._place, SLICE)
            names = await self._names_of(conn, rows)
            # What a long transaction holds back is committed, and cannot be taken yet.
            behind = len(rows) == SLICE or await search_documents.any_behind(conn, place)
            if not rows and not index.complete and (await sql.places(conn)).complete:
                index.complete = True
                # Documents that came since the last look have no place in the order yet.
                self._reordered = float("-inf")
        for part in _together(rows):
            index.put(part)
            await asyncio.sleep(0)
        index.names.put(names)
        # Not before: what goes wrong on the way is asked for again.
        self._place = place
        if not behind:
            self._in_step.at = asked
        return len(rows)

    async def _names_of(self, conn: Any, rows: Sequence[Row]) -> dict[int, list[str]]:
        """Of those among the most popular, and of others while there is room."""
        names = self._index.names
        room = max(0, popular.MOST - len(names))
        wanted = [row.slot for row in rows if row.slot in names]
        wanted += [row.slot for row in rows if row.slot not in names][:room]
        return await sql.names_of(conn, wanted) if wanted else {}

    async def _reorder(self) -> None:
        """How popular everything is, and the names of the most popular."""
        index, order = self._index, Order()
        async with self._database.connection() as conn:
            slots = await sql.by_popularity(conn)
        order.grow(max(index.size, max(slots, default=-1) + 1))
        for start in range(0, len(slots), STEP):
            order.add(slots[start : start + STEP])
            await asyncio.sleep(0)
        index.reorder(order)
        names: dict[int, list[str]] = {}
        first = index.popular(index.visible, popular.MOST)
        for start in range(0, len(first), SLICE):
            async with self._database.connection() as conn:
                found = await sql.names_of(conn, first[start : start + SLICE])
            names |= {slot: found[slot] for slot in first[start : start + SLICE] if slot in found}
        index.names.replace(names)
        self._reordered = monotonic()
        if index.loaded.is_set():
            self._moved()

    async def _rate(self) -> None:
        """How everything is rated: counters tell nobody when they move."""
        index, changed = self._index, False
        async with self._database.connection() as conn:
            slots, averages = await sql.ratings(conn)
        try:
            changed = index.unrate(slots)
            for start in range(0, len(slots), STEP):
                ends = slice(start, start + STEP)
                changed |= index.rate(slots[ends], averages[ends])
                await asyncio.sleep(0)
        finally:
            if changed and index.loaded.is_set():
                self._moved()
        self._rated = monotonic()


def _together(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in parts whose slots lie together."""
    part: list[Row] = []
    for row in sorted(rows, key=lambda row: row.slot):
        if part and row.slot - part[0].slot >= SPAN:
            yield part
            part = []
        part.append(row)
    if part:
        yield part
