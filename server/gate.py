"""The concurrency gate: so many requests at work, so many waiting for so long, the rest turned away at once.

    gate.enter(kind)        a place if there is room, in a plain call; None if not
    gate.line_up(kind)      a place in the queue, or None: turned away
    await gate.turn(waiter) the place, or None: waited for too long
    gate.leave(place)       always, whatever became of the request

How many may be at work follows latency (`server/rules/adaptive_limit.py`); who goes first, and how long anybody waits,
is in `server/rules/load.py`. What waits for something other than this server (a body on its way, the end of an
operation, a live stream) steps out meanwhile, into a yard that has a cap of its own. Not safe for threads: all of it
happens on the loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from time import perf_counter

from server.errors import Overloaded
from server.pressure import Pressure
from server.rules.adaptive_limit import AdaptiveLimit
from server.rules.load import BULK_SHARE, OUTSIDE, WAITING, Kind, Sizes, kept, order, patience
from server.yards import SharedYard, Yard

# How often those are looked for who have waited too long, in seconds.
SWEEP = 0.02
# A queue is allowed this many for each slot, and so many at least, however slow answers are: a few busy clients are
# no flood, and whoever waits too long is turned away even so.
LEAST_QUEUE, FEWEST = 2, 64
STREAMS = 1_000
BULK = Kind.BULK
# Who gives way in a full queue; who was let in before does not.
LAST_FIRST = (Kind.BULK, Kind.NORMAL, Kind.VITAL)


class Place:
    """One request's place. `inside`: it has a slot; else it is in its `yard`, or has left.

    `owner`: whose it is, where that can be seen; to be set before it steps out.
    """

    __slots__ = ("entered", "gate", "inside", "kind", "owner", "peak", "spent", "yard")

    def __init__(self, gate: Gate, kind: Kind) -> None:
        self.gate = gate
        self.kind = kind
        self.owner: int | None = None
        self.inside = False
        self.yard: Yard | None = None
        # When it got its slot, how long it had one before, and how many were at work at most.
        self.entered = self.spent = 0.0
        self.peak = 0


class Waiter:
    """Somebody in the queue; the future's result is their place, or None where they are turned away."""

    __slots__ = ("future", "place", "queue", "since")

    def __init__(self, place: Place, queue: Kind, now: float) -> None:
        self.place = place
        self.queue = queue
        self.since = now
        self.future: asyncio.Future[Place | None] = asyncio.get_running_loop().create_future()


class Gate:
    """All of it. `clock` only goes forward."""

    def __init__(self, sizes: Sizes, pressure: Pressure, clock: Callable[[], float] = perf_counter) -> None:
        self.sizes = sizes
        self.pressure = pressure
        self.adaptive = AdaptiveLimit(sizes.floor, sizes.ceiling, 2 * sizes.floor)
        self.in_use = self.queued = 0
        self.stopping = False
        self.yards = {
            "bodies": SharedYard(sizes.bodies),
            "waits": Yard(sizes.waits),
            "streams": Yard(STREAMS),
            Kind.VIEWS.label: Yard(sizes.views),
            Kind.PAGES.label: Yard(sizes.pages),
            Kind.METRICS.label: Yard(sizes.pages),
        }
        self.waited = 0.0
        # By class.
        self.admitted = [0] * len(Kind)
        self.rejected: Counter[tuple[Kind, str]] = Counter()
        self._clock = clock
        self._queues: dict[Kind, OrderedDict[Waiter, None]] = {kind: OrderedDict() for kind in WAITING}
        self._bulk = 0
        # Requests that were told there is room in the queue, and are on their way to it.
        self._coming = 0
        self._turn = 0
        # Since when there has always been somebody in the queue.
        self._standing_since = 0.0
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def limit(self) -> int:
        """How many may be at work at the moment."""
        return self.adaptive.limit

    def waiting(self, kind: Kind) -> int:
        """How many of this class are in the queue."""
        return len(self._queues[kind])

    @property
    def full(self) -> bool:
        """Whether nobody else gets in at once."""
        return self.in_use >= self.adaptive.limit

    def turns_away(self, kind: Kind) -> bool:
        """Whether a request of this class has no chance at all. Whoever turns it away counts it (`rejected`)."""
        if not self.full or kind < Kind.NORMAL or kind >= OUTSIDE:
            return False
        room = self._room(kind, self._clock())
        if self.queued + self._coming < room or self._displaced(kind, room, self._coming) is not None:
            # Many come between two turns of the loop: one place in the queue is for one of them.
            if not self._coming:
                asyncio.get_running_loop().call_later(SWEEP, self._forget_coming)
            self._coming += 1
            return False
        return True

    def enter(self, kind: Kind, *, anonymous: bool = False) -> Place | None:
        """A place, if there is one to be had at once."""
        if kind >= OUTSIDE:
            return self._enter_yard(kind)
        if self.queued or self.in_use >= self.adaptive.limit:
            return None
        if kind is BULK and (not self._has_room(kind) or self._sheds(kind, anonymous=anonymous)):
            return None
        return self._admit(Place(self, kind), self._clock())

    def line_up(self, kind: Kind, *, anonymous: bool = False) -> Waiter | None:
        """A place in the queue; None: there is none, and that is counted."""
        if kind >= OUTSIDE or self._sheds(kind, anonymous=anonymous):
            self.rejected[kind, "full" if kind >= OUTSIDE else "pressure"] += 1
            return None
        return self._line_up(Place(self, kind), kind)

    async def turn(self, waiter: Waiter) -> Place | None:
        """The place as soon as it is this one's turn; None where that takes too long."""
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.result() is not None:
                # Granted in the very moment in which we were told to go.
                self.leave(waiter.place)
            else:
                self._forget(waiter)
            raise

    def drop(self, waiter: Waiter) -> None:
        """Its client has gone."""
        if not waiter.future.done():
            self._refuse(waiter, "gone")

    def leave(self, place: Place) -> None:
        """The request is over, or has gone on without a slot; may be repeated."""
        if place.yard is not None:
            place.yard.leave(place.owner)
            place.yard = None
        if place.inside:
            self._free(place)

    def observe(self, place: Place, work: Hashable) -> None:
        """What kind of work a request was that went well: the limit follows how long such work takes."""
        if place.kind < OUTSIDE:
            self.adaptive.observe(work, place.spent, place.peak, self._clock())

    @asynccontextmanager
    async def apart(self, place: Place, yard: str) -> AsyncIterator[None]:
        """Wait for something else without a slot. Overloaded if too many do already, or if none is free afterwards."""
        if not place.inside:
            yield
            return
        self.step_out(place, yard)
        try:
            yield
        finally:
            self.leave(place)
        await self._step_in(place)

    def step_out(self, place: Place, yard: str) -> None:
        """Give the slot up and go on outside; Overloaded if too many are there already."""
        there = self.yards[yard]
        if not there.takes(place.kind, place.owner):
            there.refused += 1
            raise Overloaded("Too many requests are waiting; try again soon.", retry_after=2)
        if place.inside:
            self._free(place)
            there.enter(place.owner)
            place.yard = there

    def close(self) -> None:
        """The server stops: whoever waits is told so, and nobody else waits."""
        self.stopping = True
        for queue in self._queues.values():
            for waiter in list(queue):
                self._refuse(waiter, "stopping")

    def _enter_yard(self, kind: Kind) -> Place | None:
        place = Place(self, kind)
        if kind is not Kind.LIVE:
            yard = self.yards[kind.label]
            if not yard.takes(kind, None):
                yard.refused += 1
                return None
            yard.enter(None)
            place.yard = yard
        self.admitted[kind] += 1
        return place

    def _has_room(self, kind: Kind) -> bool:
        limit = self.adaptive.limit
        if self.in_use >= limit:
            return False
        return kind is not BULK or self._bulk < max(1, int(limit * BULK_SHARE))

    def _sheds(self, kind: Kind, *, anonymous: bool) -> bool:
        return anonymous and kind is BULK and self.pressure.sheds

    def _admit(self, place: Place, now: float) -> Place:
        self.in_use += 1
        if place.kind is BULK:
            self._bulk += 1
        if not place.peak:
            self.admitted[place.kind] += 1
        place.inside = True
        place.entered = now
        place.peak = max(place.peak, self.in_use)
        return place

    def _free(self, place: Place) -> None:
        place.inside = False
        place.spent += self._clock() - place.entered
        place.peak = max(place.peak, self.in_use)
        self.in_use -= 1
        if place.kind is BULK:
            self._bulk -= 1
        if self.queued:
            self._grant()

    async def _step_in(self, place: Place) -> None:
        if not self.queued and self._has_room(place.kind):
            self._admit(place, self._clock())
            return
        waiter = self._line_up(place, Kind.RETURNING)
        if waiter is None or await self.turn(waiter) is None:
            raise Overloaded("The server is busy; try again soon.", retry_after=2)

    def _line_up(self, place: Place, queue: Kind) -> Waiter | None:
        now = self._clock()
        self._coming = max(0, self._coming - 1)
        room = self._room(queue, now)
        if self.stopping or (self.queued >= room and not self._make_room(queue, room)):
            self.rejected[place.kind, "stopping" if self.stopping else "full"] += 1
            return None
        if not self.queued:
            self._standing_since = now
        waiter = Waiter(place, queue, now)
        self._queues[queue][waiter] = None
        self.queued += 1
        # Those before may all be waiting for what this one does not need: a slot that bulk work may have.
        self._grant()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        return waiter

    def _room(self, kind: Kind, now: float) -> int:
        """How long the queue may be: as long as whoever comes last is still served in time."""
        most = self.sizes.queue
        if not self.adaptive.capacity:
            return most
        in_time = int(self.adaptive.capacity * patience(kind, self._standing_for(now)))
        return min(most, max(in_time, self.adaptive.limit * LEAST_QUEUE, FEWEST))

    def _standing_for(self, now: float) -> float:
        return now - self._standing_since if self.queued else 0.0

    def _make_room(self, kind: Kind, room: int) -> bool:
        """Turn away the newest of another class, if this one comes before it or has less than its share."""
        displaced = self._displaced(kind, room)
        if displaced is None:
            return False
        self._refuse(next(reversed(self._queues[displaced])), "full")
        return True

    def _displaced(self, kind: Kind, room: int, coming: int = 0) -> Kind | None:
        """The class that gives way to one of this class in a full queue: a lower one, or one that has taken its share.

        No class loses what it keeps. `coming`: so many are on their way, perhaps all of this class.
        """
        others: tuple[Kind, ...] = tuple(other for other in LAST_FIRST if other > kind)
        if len(self._queues[kind]) + coming < kept(kind, room):
            others += tuple(other for other in LAST_FIRST if other < kind)
        return next((other for other in others if len(self._queues[other]) > kept(other, room)), None)

    def _grant(self) -> None:
        now = self._clock()
        while self.queued and self.in_use < self.adaptive.limit:
            waiter = self._next()
            if waiter is None:
                return
            self._forget(waiter)
            self.waited += now - waiter.since
            waiter.future.set_result(self._admit(waiter.place, now))

    def _next(self) -> Waiter | None:
        self._turn += 1
        for kind in order(self._turn):
            queue = self._queues[kind]
            if queue and self._has_room(kind):
                return next(iter(queue))
        return None

    def _forget(self, waiter: Waiter) -> None:
        if self._queues[waiter.queue].pop(waiter, waiter) is None:
            self.queued -= 1

    def _refuse(self, waiter: Waiter, reason: str) -> None:
        self._forget(waiter)
        self.rejected[waiter.place.kind, reason] += 1
        self.waited += self._clock() - waiter.since
        if not waiter.future.done():
            waiter.future.set_result(None)

    def _forget_coming(self) -> None:
        """Those that were on their way have come, have found a slot at once, or have gone."""
        self._coming = 0

    def _sweep(self) -> None:
        """Turn away whoever has waited too long; and let in whoever there is room for since the limit grew."""
        now = self._clock()
        for kind, queue in self._queues.items():
            before = now - patience(kind, self._standing_for(now))
            while queue and (first := next(iter(queue))).since < before:
                self._refuse(first, "late")
        self._grant()
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep) if self.queued else None
