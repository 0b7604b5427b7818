"""The hub of the live streams: asks the database once for everybody concerned, and hands out what is new.

Woken by commits (`unread:FIRST-LAST` ranges that reach `Streams.heard`), by whoever joins, and by its clock. The order
of ids is the order in which a user is told, so "newer than the last one sent" is all that has to be known of a stream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from actors.base import Actor
from server.database import Database
from server.errors import Unavailable
from server.identity import Principal, Revocations
from server.rules.notifications import document
from server.streams import MOST_REPLAYED, Stream, Streams, event, greeting, told
from sql import notifications, streams
from sql.query import Connection
from sql.streams import Holder, Place

log = logging.getLogger("yojohan.streams")

# Every so many heartbeats sessions are looked up, and everybody is looked after in case a wake-up was lost.
ROUND = 3
# How soon after a failure to try again, in seconds.
SOON = 1.0
# How long to leave a reader alone who has enough of the past on its way, in seconds.
PORTION_PAUSE = 0.05
# Users in one statement.
SLICE = 500


@dataclass(frozen=True, slots=True)
class LookAfter:
    """Somebody waits in `Streams.take`."""


class StreamHub(Actor[LookAfter]):
    """Tells every connected user what is new. `interval` is the time between two heartbeats."""

    name = "stream_hub"
    interval = 15.0
    capacity: ClassVar[int] = 10_000

    def __init__(self, database: Database, held: Streams, revocations: Revocations) -> None:
        self._database = database
        self._streams = held
        self._revocations = revocations
        self._beats = 0

    async def on_start(self) -> None:
        """Whoever was to be told when a predecessor crashed is told now."""
        self._streams.look_after_all()
        await self._look()

    async def receive(self, _: LookAfter) -> None:
        """Look after those who wait."""
        await self._look()

    async def on_tick(self) -> None:
        """A heartbeat; now and then a look at everybody."""
        if not len(self._streams):
            return
        self._streams.beat()
        self._beats += 1
        self._end(stream for stream in self._streams if self._revocations.cover(stream.principal))
        if self._beats % ROUND == 0:
            await self._check()
            self._streams.look_after_all()
            await self._look()

    async def _check(self) -> None:
        listed = list(self._streams)
        try:
            async with self._database.connection() as conn:
                over = await streams.ended(conn, [holder_of(stream.principal) for stream in listed])
        except Unavailable as error:
            log.warning("streams are not checked", extra={"reason": error.code})
            return
        self._end(listed[place] for place in over)

    def _end(self, over: Iterable[Stream]) -> None:
        for stream in list(over):
            self._streams.leave(stream)

    async def _look(self) -> None:
        waiting = sorted(self._streams.take())
        try:
            while waiting:
                await self._tell([stream for user_id in waiting[:SLICE] for stream in self._streams.ready(user_id)])
                del waiting[:SLICE]
        except Unavailable as error:
            log.warning("streams wait for the database", extra={"reason": error.code})
            asyncio.get_running_loop().call_later(SOON, self._streams.look_after, waiting)

    async def _tell(self, listed: Sequence[Stream]) -> None:
        """Bring these streams up to date."""
        if not listed:
            return
        async with self._database.connection() as conn:
            places = await streams.places(conn, sorted({stream.user_id for stream in listed}))
            for stream in listed:
                self._greet(stream, places[stream.user_id])
            news = [await _since(conn, turn) for turn in turns(listed, places)]
        for turn, by_user in news:
            for stream in turn:
                self._bring(stream, by_user.get(stream.user_id, []), places[stream.user_id])
        for stream in listed:
            self._count(stream, places[stream.user_id].unread)

    def _greet(self, stream: Stream, place: Place) -> None:
        if stream.unread is None:
            # Who names a place that does not exist yet begins at the end.
            stream.after = place.newest if stream.after is None else min(stream.after, place.newest)
            stream.unread = place.unread
            stream.behind = stream.after < place.newest
            self._streams.send(stream, greeting(place.unread, stream.after))

    def _bring(self, stream: Stream, news: Sequence[News], place: Place) -> None:
        if len(news) > MOST_REPLAYED:
            stream.after, stream.behind = max(place.newest, news[-1].id), False
            self._streams.counters.resyncs += 1
            self._streams.send(stream, event("resync", {"reason": "too_far_behind"}, stream.after))
            return
        for one in news:
            if not stream.open:
                return
            if stream.behind and stream.full:
                # Who comes back is not slow because much has happened: the rest follows when there is room.
                self._hold(stream)
                return
            self._streams.send(stream, one.data)
            stream.after = one.id
            self._streams.counters.sent += 1
        stream.behind = False

    def _hold(self, stream: Stream) -> None:
        if not stream.held:
            stream.held = True
            asyncio.get_running_loop().call_later(PORTION_PAUSE, self._go_on, stream)

    def _go_on(self, stream: Stream) -> None:
        stream.held = False
        if not stream.open:
            return
        if stream.full:
            self._hold(stream)
        else:
            self._streams.look_after([stream.user_id])

    def _count(self, stream: Stream, unread: int) -> None:
        if stream.unread != unread and stream.open:
            stream.unread = unread
            self._streams.send(stream, event("unread", {"unread_count": unread}))


class News(NamedTuple):
    """A notification as it goes out."""

    id: int
    data: bytes


Turn = tuple[Sequence[Stream], dict[int, list[News]]]


def turns(listed: Sequence[Stream], places: Mapping[int, Place]) -> list[list[Stream]]:
    """Streams with something to be told, such that within a turn each user has got equally far. Nearly always one."""
    found: list[dict[int, list[Stream]]] = []
    for stream in listed:
        if stream.after is None or stream.after >= places[stream.user_id].newest:
            continue
        for turn in found:
            others = turn.setdefault(stream.user_id, [])
            if not others or others[0].after == stream.after:
                others.append(stream)
                break
        else:
            found.append({stream.user_id: [stream]})
    return [[stream for others in turn.values() for stream in others] for turn in found]


async def _since(conn: Connection, turn: Sequence[Stream]) -> Turn:
    after = {stream.user_id: stream.after for stream in turn}
    by_user: dict[int, list[News]] = {}
    places = [place or 0 for place in after.values()]
    for row in await notifications.since(conn, list(after), places, MOST_REPLAYED + 1):
        by_user.setdefault(row.user_id, []).append(News(row.id, told(document(row))))
    return turn, by_user


def holder_of(who: Principal) -> Holder:
    """What a stream's right to go on hangs on."""
    return Holder(who.user_id, who.session_id, who.token_id)
