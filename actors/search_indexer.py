"""The indexer: keeps Elasticsearch in step with the search documents, half a second behind their commits.

Every instance looks where things stand, one of them writes: the holder of a minute's lease in `search_indexing`. A
cursor in the database says what the live index has, so whoever takes over goes on from there; sending something twice
does no harm, as each document carries the version of the look at the database it comes from. An index of another shape,
or after a rebuild of the documents, is filled beside the live one and takes its place in one step.

No connection is held while Elasticsearch is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any
from uuid import uuid4

from actors.base import Actor
from server.adapters.elasticsearch import Elasticsearch, Reply
from server.database import Database
from server.errors import Unavailable
from server.events import Indexing
from server.rules import elastic_index as rules
from server.rules.elastic_index import PROBE, SEARCH_PARAMETERS, Action, Outcome, write_alias
from sql import search_indexing as sql

log = logging.getLogger("yojohan.elasticsearch")

# Documents in one request. Where fewer changed, they can be found at once instead of at the next refresh.
SLICE = 500
# Seconds of filling between two looks at what changed meanwhile.
FILLING = 0.5
# After a failure so many seconds pass, then twice as many, up to a minute.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
# Whether the alias still names our index is asked this often; numbers that move by themselves are compared this often.
VERIFY, COMPARE = 60.0, 600.0
COMPARED_AT_ONCE = 5_000
# While so many seconds' changes are missing, PostgreSQL answers.
LONGEST_LAG = 30.0


class LostError(Exception):
    """The index is not there any more: it was deleted, or Elasticsearch started anew without its data."""


class TakenError(Exception):
    """Another instance indexes now."""


class SearchIndexer(Actor[Any]):
    """Looks every half second; where it holds the lease, follows what changed and fills what is to be filled."""

    name = "search_indexer"
    interval = 0.5
    first_tick = 0.0

    def __init__(
        self, database: Database, elastic: Elasticsearch, progress: Indexing, moved: Callable[[], None]
    ) -> None:
        self._database = database
        self._elastic = elastic
        self._progress = progress
        # Told whenever the live index has got further: answers kept from before may be old.
        self._moved = moved
        self._place: tuple[str, str, int] | None = None
        self._me = uuid4()
        self._ours = False
        # On the clock of `perf_counter`: when to try again, to verify, to compare; since when something is missing.
        self._try_at = self._verify_at = self._compare_at = float("-inf")
        self._behind_since: float | None = None
        self._pause = FIRST_PAUSE
        self._compared_to = 0

    async def on_stop(self) -> None:
        """Let another instance go on at once, and close the client."""
        try:
            if self._ours:
                async with self._database.connection() as conn:
                    await sql.let_go(conn, self._me)
        except Unavailable as error:
            log.warning("the indexer could not let go", extra={"reason": error.code})
        finally:
            await self._elastic.close()

    async def on_tick(self) -> None:
        """Where things stand; whether searches are answered again; what is to be sent. Absences are waited for."""
        try:
            indexes, rebuilds = await self._look()
            await self._probe()
            if self._ours and perf_counter() >= self._try_at:
                await self._work(indexes, rebuilds)
                self._pause = FIRST_PAUSE
        except TakenError:
            self._ours = False
        except Unavailable as error:
            self._progress.failures += 1
            self._try_at = perf_counter() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            log.warning("the indexer waits", extra={"reason": error.detail})

    async def _look(self) -> tuple[list[sql.Index], int]:
        async with self._database.connection() as conn:
            state = await sql.state(conn, self._me)
            indexes = await sql.indexes(conn)
            if not state.ours and not state.taken:
                # Nobody's, or ours and about to end.
                self._ours = await sql.hold(conn, self._me)
            else:
                self._ours = bool(state.ours)
        if state.elsewhere and self._ours:
            await self._start_over()
            return await self._look()
        self._show(state, indexes)
        return indexes, state.rebuilds

    def _show(self, state: sql.State, indexes: Sequence[sql.Index]) -> None:
        now, progress = perf_counter(), self._progress
        live = indexes[0] if indexes and indexes[0].live else None
        if not state.behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        place = (live.name, live.xid, live.slot) if live is not None else None
        if place != self._place:
            self._place = place
            self._moved()
        progress.alias = state.alias
        progress.filling = any(not one.live for one in indexes)
        progress.lag = now - self._behind_since if self._behind_since is not None else 0.0
        progress.filled = live is not None and live.shape == rules.SHAPE and not state.elsewhere
        progress.leading = self._ours
        progress.ready = progress.filled and state.complete and progress.lag < LONGEST_LAG

    async def _start_over(self) -> None:
        async with self._database.transaction() as conn:
            if not await sql.start_over(conn, self._me):
                raise TakenError
        log.info("the database came from elsewhere: elasticsearch is filled anew")

    async def _probe(self) -> None:
        """While searches fail, try one that nobody waits for."""
        if not (self._progress.filled and self._elastic.breaker.failing):
            return
        try:
            await self._elastic.probe(f"/{self._progress.alias}/_search", SEARCH_PARAMETERS, PROBE)
        except Unavailable:
            # It may be that the index is gone.
            self._verify_at = min(self._verify_at, perf_counter() + self._pause)

    async def _work(self, indexes: Sequence[sql.Index], rebuilds: int) -> None:
        live = next((one for one in indexes if one.live), None)
        filling = next((one for one in indexes if not one.live), None)
        try:
            if live is not None:
                await self._verify(live)
                await self._follow(live)
                await self._compare(indexes)
            if filling is None:
                if live is None or (live.shape, live.rebuilds) != (rules.SHAPE, rebuilds):
                    await self._begin(rebuilds)
            elif (filling.shape, filling.rebuilds) != (rules.SHAPE, rebuilds):
                await self._discard(filling.name)
            else:
                await self._fill(filling)
        except LostError as lost:
            # A removal from an index that is gone makes an empty one of that name.
            await self._discard(str(lost), write_alias(str(lost)))

    # The live index

    async def _verify(self, live: sql.Index) -> None:
        if perf_counter() < self._verify_at:
            return
        reply = await self._elastic.ask("GET", f"/_alias/{self._progress.alias}")
        if reply.status != 404 and not reply.good:
            raise Unavailable(f"Elasticsearch says {reply.reason}.")
        if live.name not in rules.holders(reply.body):
            raise LostError(live.name)
        self._verify_at = perf_counter() + VERIFY

    async def _follow(self, index: sql.Index) -> None:
        """Send what changed since, slice after slice, until little is left."""
        while True:
            async with self._database.connection() as conn:
                changes = await sql.changes(conn, index, SLICE)
            if not changes:
                return
            await self._send([index.name], [change.release_id for change in changes], at_once=len(changes) < SLICE)
            async with self._database.connection() as conn:
                if not await sql.followed_to(conn, self._me, index.name, changes[-1]):
                    raise TakenError
                if len(changes) < SLICE:
                    return
                await self._renew(conn)
                (index,) = [one for one in await sql.indexes(conn) if one.name == index.name]

    async def _compare(self, indexes: Sequence[sql.Index]) -> None:
        """Send documents anew whose popularity or rating is another than the one that was sent, a slice a tick."""
        if perf_counter() < self._compare_at:
            return
        async with self._database.connection() as conn:
            moved = await sql.moved(conn, self._compared_to, COMPARED_AT_ONCE)
        for first in range(0, len(moved.ids), SLICE):
            await self._send([one.name for one in indexes], moved.ids[first : first + SLICE])
        self._compared_to = moved.last_id or 0
        if moved.last_id is None:
            self._compare_at = perf_counter() + COMPARE

    # An index beside it

    async def _begin(self, rebuilds: int) -> None:
        name = f"{self._progress.alias}-{uuid4().hex[:10]}"
        async with self._database.connection() as conn:
            await sql.begin(conn, name, rules.SHAPE, rebuilds)
        await self._make(name)
        log.info("an index for elasticsearch is being filled", extra={"index": name})

    async def _make(self, name: str) -> None:
        reply = await self._elastic.ask("PUT", f"/{name}", body=rules.creation(name))
        if not reply.good and "resource_already_exists" not in reply.reason:
            raise Unavailable(f"Elasticsearch makes no index: {reply.reason}.")

    async def _fill(self, index: sql.Index) -> None:
        """Fill it for half a second; filled, let it catch up and take its place."""
        end = perf_counter() + FILLING
        filled_to = index.filled_to
        while filled_to is not None:
            async with self._database.connection() as conn:
                ids = await sql.next_ids(conn, filled_to, SLICE)
            if ids:
                await self._send([index.name], ids)
            filled_to = ids[-1] if ids else None
            async with self._database.connection() as conn:
                if not await sql.filled_to(conn, self._me, index.name, filled_to):
                    raise TakenError
                await self._renew(conn)
            if perf_counter() >= end:
                return
        await self._follow(index)
        await self._promote(index)

    async def _promote(self, index: sql.Index) -> None:
        alias = self._progress.alias
        _done(await self._elastic.ask("POST", f"/{index.name}/_refresh"), index.name)
        reply = await self._elastic.ask("GET", f"/_alias/{alias}")
        held_by = rules.holders(reply.body) if reply.good else []
        _done(await self._elastic.ask("POST", "/_aliases", body=rules.swap(alias, index.name, held_by)), index.name)
        async with self._database.transaction() as conn:
            await sql.promote(conn, index.name)
        log.info("elasticsearch answers from another index", extra={"index": index.name})

    async def _discard(self, name: str, stray: str = "") -> None:
        """It is not wanted any more, or gone but for a `stray` index in its place."""
        await self._elastic.ask("DELETE", f"/{stray or name}", query={"ignore_unavailable": "true"})
        await self._forget(name)

    async def _forget(self, name: str) -> None:
        async with self._database.connection() as conn:
            await sql.forget(conn, name)
        log.warning("an index of elasticsearch is gone", extra={"index": name})

    # Both

    async def _send(self, names: Sequence[str], release_ids: Sequence[int], *, at_once: bool = False) -> None:
        """Documents as they are now, into these indexes; Unavailable unless every one of them was settled."""
        async with self._database.connection() as conn:
            documents = await sql.documents(conn, release_ids)
        actions = [Action(one.release_id, one.version, one.document) for one in documents]
        # Twice in a slice where it changed twice: the last place counts, once is enough.
        body = rules.bulk(actions)
        parameters = {"require_alias": "true", "refresh": "true" if at_once else "false"}
        for name in names:
            started = perf_counter()
            reply = await self._elastic.ask("POST", f"/{write_alias(name)}/_bulk", query=parameters, body=body)
            _done(reply, name)
            self._note(name, rules.outcome(actions, reply.body), perf_counter() - started)
        async with self._database.connection() as conn:
            await sql.note_sent(conn, documents)

    def _note(self, name: str, outcome: Outcome, seconds: float) -> None:
        progress = self._progress
        progress.latency.observe(seconds)
        progress.documents["written"] += outcome.written
        progress.documents["removed"] += outcome.removed
        progress.documents["outdated"] += outcome.outdated
        progress.documents["refused"] += len(outcome.refused)
        if outcome.missing:
            raise LostError(name)
        if outcome.again:
            raise Unavailable("Elasticsearch did not take every document.")
        if outcome.refused:
            log.error("elasticsearch refuses documents", extra={"documents": list(outcome.refused)[:5]})

    async def _renew(self, conn: Any) -> None:
        if not await sql.hold(conn, self._me):
            raise TakenError


def _done(reply: Reply, index: str) -> None:
    """LostError where the index is not there; Unavailable where anything else is in the way."""
    if reply.status == 404:
        raise LostError(index)
    if not reply.good:
        raise Unavailable(f"Elasticsearch says {reply.reason}.")
