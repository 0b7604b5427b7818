"""Unread counts in memory: never older than the last change, bounded, dropped by users and by ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from actors.invalidations import Invalidations
from server import unread
from server.unread import UnreadCounts


class Store:
    """Counts in a dict; a load waits for `gate`."""

    def __init__(self, **counts: int) -> None:
        self.counts = {int(name[1:]): count for name, count in counts.items()}
        self.loads: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, user_ids: list[int]) -> Mapping[int, int]:
        self.loads.append(sorted(user_ids))
        found = {user_id: self.counts[user_id] for user_id in user_ids if user_id in self.counts}
        await self.gate.wait()
        return found


def informed(store: Store) -> UnreadCounts:
    """Counts that hear of what other processes change."""
    counts = UnreadCounts(store.load)
    counts.inform(True)
    return counts


async def test_a_count_is_loaded_once_and_then_remembered() -> None:
    store = Store(u5=3)
    counts = informed(store)
    assert counts.known(5) is None
    assert await asyncio.gather(counts.of(5), counts.of(5), counts.of(6)) == [3, 3, 0]
    assert (counts.known(5), counts.known(6)) == (3, 0)
    assert await counts.of(5) == 3
    assert store.loads == [[5, 6]]


@pytest.mark.parametrize("few", [True, False])
async def test_a_range_takes_its_users_and_no_others(few: bool) -> None:
    store = Store()
    counts = informed(store)
    users = [1, 5, 9] if few else range(1, 100)
    for user_id in users:
        await counts.of(user_id)
    counts.drop(4, 6)
    assert counts.known(5) is None
    assert (counts.known(1), counts.known(9)) == (0, 0)
    counts.drop(1, 10**15)
    assert len(counts) == 0
    await counts.of(1)
    counts.drop_all()
    assert counts.known(1) is None


async def test_what_was_counted_before_a_change_is_not_remembered_after_it() -> None:
    store = Store(u5=3)
    counts = informed(store)
    store.gate.clear()
    early = asyncio.create_task(counts.of(5))
    while not store.loads:  # noqa: ASYNC110 - the other side has no event to wait for
        await asyncio.sleep(0)
    # It changes while the old count is on its way, and somebody asks again.
    store.counts[5] = 4
    counts.drop(5, 5)
    late = asyncio.create_task(counts.of(5))
    await asyncio.sleep(0)
    store.gate.set()
    assert (await early, await late) == (3, 4)
    assert counts.known(5) == 4


async def test_dropping_everything_spoils_what_is_on_its_way_too() -> None:
    store = Store(u5=3)
    counts = informed(store)
    store.gate.clear()
    early = asyncio.create_task(counts.of(5))
    while not store.loads:  # noqa: ASYNC110 - the other side has no event to wait for
        await asyncio.sleep(0)
    counts.drop_all()
    store.gate.set()
    assert await early == 3
    assert counts.known(5) is None


async def test_an_error_reaches_who_asked_and_leaves_nothing_behind() -> None:
    async def load(_: list[int]) -> Mapping[int, int]:
        raise ConnectionError

    counts = UnreadCounts(load)
    with pytest.raises(ConnectionError):
        await counts.of(5)
    assert counts.known(5) is None
    assert not counts._flights


async def test_it_remembers_only_so_many_and_only_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread, "MOST_REMEMBERED", 3)
    store = Store()
    counts = informed(store)
    for user_id in range(1, 6):
        await counts.of(user_id)
    assert [user_id for user_id in range(1, 6) if counts.known(user_id) is not None] == [3, 4, 5]
    now = unread.monotonic()
    monkeypatch.setattr(unread, "monotonic", lambda: now + unread.BELIEVED + 1)
    assert counts.known(5) is None


async def test_while_nobody_listens_nothing_is_remembered() -> None:
    store = Store(u5=3)
    counts = informed(store)
    assert await counts.of(5) == 3
    store.gate.clear()
    late = asyncio.create_task(counts.of(6))
    while len(store.loads) < 2:  # noqa: ASYNC110 - the other side has no event to wait for
        await asyncio.sleep(0)
    counts.inform(False)
    counts.inform(True)
    store.gate.set()
    # It was counted while nobody listened.
    assert await late == 0
    assert (counts.known(5), counts.known(6)) == (None, None)
    counts.inform(False)
    assert await counts.of(5) == 3
    assert counts.known(5) is None


def listener_of(dsn: str, heard: Callable[[bool], None]) -> Invalidations:
    return Invalidations(dsn, len, lambda _first, _last: None, lambda: None, heard)


async def test_whoever_remembers_hears_at_once_that_the_connection_is_lost(conn: Any, dsn: str) -> None:
    said: list[bool] = []
    lost = asyncio.Event()

    def heard(informed: bool) -> None:
        said.append(informed)
        if not informed and True in said:
            lost.set()

    listener = listener_of(dsn, heard)
    await listener.on_start()
    assert said == [False, True]
    assert listener._conn is not None
    await conn.execute("select pg_terminate_backend($1)", listener._conn.get_server_pid())
    # Before any tick.
    async with asyncio.timeout(5):
        await lost.wait()
    await listener.on_tick()
    assert said[-1] is True
    await listener.on_stop()
    assert said[-1] is False


async def test_a_connection_whose_other_side_is_silent_is_given_up(dsn: str) -> None:
    said: list[bool] = []
    listener = listener_of(dsn, said.append)
    await listener.on_start()
    silent = listener._conn
    assert silent is not None
    await listener.on_tick()
    assert listener._conn is silent

    async def no_answer(_query: str, *, timeout: float) -> None:
        raise TimeoutError

    # Its methods cannot be replaced: another stands in its place.
    class Silent:
        is_closed = staticmethod(lambda: False)
        execute = staticmethod(no_answer)
        terminate = staticmethod(silent.terminate)

    listener._conn = Silent()  # type: ignore[assignment]
    await listener.on_tick()
    assert silent.is_closed()
    assert said == [False, True, False, True]
    await listener.on_stop()
