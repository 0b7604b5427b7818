"""How many notifications people have not read: remembered, so that a badge asks no database, and never an old count.

Every statement that changes a count says so when it commits (`unread:FIRST-LAST`, a range of users); what was loaded
before and arrives afterwards is given to whoever waits for it, and not remembered. While nobody listens to other
processes nothing is remembered at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from time import monotonic

from server.loader import Loader

MOST_REMEMBERED = 20_000
# Seconds a count is believed: a connection may be lost some seconds before anybody knows, and a message with it.
BELIEVED = 30.0


class Flight:
    """A count on its way from the database. `spoiled` once it may have been counted before a change."""

    __slots__ = ("spoiled", "waiting")

    def __init__(self) -> None:
        self.spoiled = False
        self.waiting = 0


class UnreadCounts:
    """Counts by user. `load` takes user ids; whoever is missing from its answer has nothing unread."""

    def __init__(self, load: Callable[[list[int]], Awaitable[Mapping[int, int]]]) -> None:
        self._loader: Loader[int, int] = Loader(load, most=200)
        self._counts: dict[int, tuple[int, float]] = {}
        self._flights: dict[int, Flight] = {}
        self._informed = False

    def __len__(self) -> int:
        return len(self._counts)

    def known(self, user_id: int) -> int | None:
        """The count, if it is remembered. Touches nothing but memory."""
        found = self._counts.get(user_id)
        return found[0] if found is not None and found[1] > monotonic() else None

    async def of(self, user_id: int) -> int:
        """The count, remembered or loaded."""
        count = self.known(user_id)
        if count is not None:
            return count
        flight = self._flights.get(user_id)
        if flight is None:
            flight = self._flights[user_id] = Flight()
        flight.waiting += 1
        try:
            count = await self._loader.get(user_id) or 0
        finally:
            flight.waiting -= 1
            if not flight.waiting and self._flights.get(user_id) is flight:
                del self._flights[user_id]
        if self._informed and not flight.spoiled:
            self._remember(user_id, count)
        return count

    def _remember(self, user_id: int, count: int) -> None:
        self._counts.pop(user_id, None)
        while len(self._counts) >= MOST_REMEMBERED:
            # The oldest: whoever still asks will be remembered again.
            del self._counts[next(iter(self._counts))]
        self._counts[user_id] = (count, monotonic() + BELIEVED)

    def drop(self, first: int, last: int) -> None:
        """Forget the counts of the users from `first` to `last`, also what is being loaded right now."""
        for user_id in _within(self._counts, first, last):
            self._counts.pop(user_id, None)
        for user_id in _within(self._flights, first, last):
            if (flight := self._flights.pop(user_id, None)) is not None:
                flight.spoiled = True

    def inform(self, informed: bool) -> None:
        """Whether changes made by other processes are heard of from now on. Forgets what was counted before."""
        self._informed = informed
        self.drop_all()

    def drop_all(self) -> None:
        """Forget everything."""
        self._counts.clear()
        for flight in self._flights.values():
            flight.spoiled = True
        self._flights.clear()


def _within(users: Mapping[int, object], first: int, last: int) -> Iterable[int]:
    """Users of the range that may be among these, by the shorter of two ways."""
    if last - first < len(users):
        return range(first, last + 1)
    return [user_id for user_id in users if first <= user_id <= last]
