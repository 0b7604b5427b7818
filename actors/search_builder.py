"""The builder of search documents: what is missing, what is of older rules, all of them where somebody wants that, and
the upkeep of the vocabulary. Whoever changes a release writes its document; here is what that leaves undone."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from time import monotonic
from typing import Any

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.events import SearchBuilding
from server.search import building
from server.search.documents import RULES
from sql import search_documents, search_words
from sql.query import Connection

log = logging.getLogger("yojohan.search")

# Documents and words in one slice: a tenth of a second in which no import can merge.
DOCUMENTS, WORDS = 100, 250
# Slices of one tick, and the seconds between them that belong to everybody else. A tick is short: a server that stops
# waits for it.
SLICES = 8
PAUSE = 0.05
# Words are counted and missing documents looked for so often, where documents changed at all.
UPKEEP = timedelta(hours=1)
# Seconds between two looks when there was nothing to do.
REST = 30.0


class SearchBuilder(Actor[Any]):
    """One instance builds at a time: whoever gets the lock of a slice. How far a rebuild has come is a row.

    With `anew` everything is built once more after the start.
    """

    name = "search_builder"
    yields_to_pressure = True
    interval = 0.5

    def __init__(self, database: Database, progress: SearchBuilding, *, anew: bool = False) -> None:
        self._database = database
        self._progress = progress
        self._anew = anew
        # The release and the word behind which this instance goes on; None: no such round is under way.
        self._release: int | None = None
        self._word: str | None = None
        # What belongs to the words is made anew as well; where the count began, for the next one to know what changed.
        self._words_anew = False
        self._mark: str | None = None
        self._upkeep_due = self._look_due = monotonic()

    async def on_tick(self) -> None:
        """Some slices, if there is anything to do."""
        if monotonic() < self._look_due:
            return
        try:
            for _ in range(SLICES):
                if not await self._step():
                    self._look_due = monotonic() + REST
                    return
                await asyncio.sleep(PAUSE)
        except Unavailable as error:
            # What was not committed has to be looked at again.
            self._release, self._word, self._upkeep_due = None, None, monotonic()
            log.warning("search documents wait for the database", extra={"reason": error.code})

    async def _step(self) -> bool:
        """One slice of what is due; False if there is nothing to do now."""
        if self._anew:
            async with self._database.connection() as conn:
                await search_documents.order_rebuild(conn)
            self._anew = False
        async with self._database.transaction() as conn:
            state = await search_documents.state(conn)
            self._progress.complete = state.rules > 0
            if state.rebuilt_to is None and not self._is_due(state.rules):
                await search_documents.tidy(conn)
                return False
            if not await search_documents.take_turn(conn):
                return False
            if state.rebuilt_to is not None:
                await self._rebuild(conn, state.rebuilt_to)
            elif self._release is not None:
                await self._fill(conn, self._release)
            elif self._word is not None:
                await self._go_over_words(conn, self._word)
        return True

    def _is_due(self, rules: int) -> bool:
        """Whether a round is under way, which begins one where it is time."""
        if self._release is None and self._word is None and (rules < RULES or monotonic() >= self._upkeep_due):
            self._release, self._upkeep_due = 0, monotonic() + UPKEEP.total_seconds()
        return self._release is not None or self._word is not None

    async def _rebuild(self, conn: Connection, after: int) -> None:
        done = await building.rebuild(conn, after, DOCUMENTS)
        self._progress.written += done.written
        if done.last_id is not None:
            await search_documents.rebuilt_to(conn, done.last_id)
            return
        await search_documents.end_rebuild(conn)
        await search_documents.reach_rules(conn, RULES)
        self._word, self._words_anew, self._mark = "", True, None
        log.info("all search documents were built anew")

    async def _fill(self, conn: Connection, after: int) -> None:
        done = await building.fill(conn, after, DOCUMENTS)
        self._release = done.last_id
        self._progress.written += done.written
        if self._release is None:
            await search_documents.reach_rules(conn, RULES)
            self._mark = await search_words.begin_count(conn, UPKEEP)
            self._word = None if self._mark is None else ""

    async def _go_over_words(self, conn: Connection, after: str) -> None:
        self._word, looked_at, dropped = await building.go_over_words(conn, after, WORDS, anew=self._words_anew)
        self._progress.words += looked_at
        self._progress.words_dropped += dropped
        if self._word is None:
            self._words_anew = False
            if self._mark is not None:
                await search_words.end_count(conn, self._mark)
