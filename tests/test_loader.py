"""Look-ups gathered into one query."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from server.loader import Loader


class Shelf:
    """Remembers what it was asked for; `gate` holds the answers back."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, keys: list[int]) -> Mapping[int, str]:
        self.asked.append(sorted(keys))
        await self.gate.wait()
        if 13 in keys:
            raise LookupError("unlucky")
        return {key: f"book {key}" for key in keys if key % 2}


async def test_what_is_wanted_in_one_turn_of_the_loop_is_one_query() -> None:
    shelf = Shelf()
    loader = Loader(shelf.fetch)
    found = await asyncio.gather(*(loader.get(key) for key in (1, 2, 3, 1)))
    assert found == ["book 1", None, "book 3", "book 1"]
    assert shelf.asked == [[1, 2, 3]]


async def test_while_queries_are_under_way_the_next_gathers_the_rest_up_to_its_limit() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    loader = Loader(shelf.fetch, most=3, at_once=1)
    first = asyncio.create_task(loader.get(1))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(loader.get(key)) for key in (3, 5, 7, 9)]
    await asyncio.sleep(0.01)
    assert shelf.asked == [[1]]
    shelf.gate.set()
    assert await asyncio.gather(first, *rest) == [f"book {key}" for key in (1, 3, 5, 7, 9)]
    assert shelf.asked == [[1], [3, 5, 7], [9]]


async def test_an_error_goes_to_those_who_asked_and_to_nobody_later() -> None:
    loader = Loader(Shelf().fetch)
    outcomes = await asyncio.gather(loader.get(13), loader.get(1), return_exceptions=True)
    assert all(isinstance(outcome, LookupError) for outcome in outcomes)
    assert await loader.get(1) == "book 1"


async def test_who_goes_away_does_not_take_the_others_along() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    loader = Loader(shelf.fetch)
    going, staying = asyncio.create_task(loader.get(1)), asyncio.create_task(loader.get(3))
    await asyncio.sleep(0.01)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    shelf.gate.set()
    assert await staying == "book 3"
