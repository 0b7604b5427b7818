"""The keeper of the search index: fills it after the start, and keeps it in step with what is committed, wherever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.search import popular
from server.search.index import Order, SearchIndex
from sql import search as sql
from sql.search import Row

log = logging.getLogger("yojohan.search")

# Rows taken in one go: about three milliseconds of the loop.
SLICE = 400
# Slots put in order in one go.
STEP = 5_000
# Seconds between two looks at how popular everything is.
REORDER = 600.0


class SearchIndexKeeper(Actor[Any]):
    """Every instance has one. `moved` is called whenever answers that were given may be others now."""

    name = "search_index"
    interval = 1.0
    first_tick = 0.01

    def __init__(self, database: Database, index: SearchIndex, moved: Callable[[], None]) -> None:
        self._database = database
        self._index = index
        self._moved = moved
        # The transaction below which everything is known, and the last slot of it.
        self._place = (0, -1)
        self._reordered = float("-inf")

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
        index.loaded.set()
        self._moved()
        log.info(
            "search index loaded",
            extra={"documents": index.documents, "duration_ms": round((monotonic() - started) * 1000)},
        )

    async def _rows_after(self, slot: int) -> list[Row]:
        async with self._database.connection() as conn:
            return await sql.documents_by_slot(conn, slot, SLICE)

    async def _catch_up(self) -> None:
        taken = 0
        while True:
            async with self._database.connection() as conn:
                rows, self._place = await sql.documents_changed(conn, self._place, SLICE)
                names = await self._names_of(conn, rows)
                if not rows and not self._index.complete:
                    self._index.complete = (await sql.places(conn)).complete
            self._index.put(rows)
            self._index.names.put(names)
            taken += len(rows)
            if len(rows) < SLICE:
                break
            await asyncio.sleep(0)
        if taken:
            self._moved()

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
            slots, ratings = await sql.by_popularity(conn)
        order.grow(max(index.size, max(slots, default=-1) + 1))
        for start in range(0, len(slots), STEP):
            part = slots[start : start + STEP]
            order.add(part)
            for slot, rating in zip(part, ratings[start : start + STEP], strict=True):
                if slot < index.size:
                    index.average[slot] = sql.rating_or_none(rating)
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
