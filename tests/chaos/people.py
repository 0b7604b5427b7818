"""People at work beside the clients that send views: accounts made in advance, then one thing after another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.chaos.person import Notes, Person
from tests.chaos.process import Served
from tests.chaos.sayings import Board
from tests.chaos.voice import SETTINGS as TALKING
from tests.chaos.voice import Voice

# Accounts and sign-ins come from one address here.
SETTINGS = {"REGISTER_RATE_LIMIT": "0/hour", "LOGIN_RATE_LIMIT": "0/minute", **TALKING}
MANY = 6
# Half of them have been here for a while: their links are not held, and their reports count.
AGED = "update users set created_at = now() - interval '10 days' where id = any ($1::bigint[])"


@asynccontextmanager
async def at_work(server: Served, seed: int, deadline: float = 30.0) -> AsyncIterator[list[Person]]:
    """Sign them up and let them work; at the end wait until each has finished what they had begun."""
    notes = Notes()
    board = Board()
    stopping = asyncio.Event()
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=deadline)) as session:
        people = [
            Person(
                f"person-{number}", server.base, session, random.Random(f"{seed}/person/{number}"), notes,
                voice=Voice(board),
            )
            for number in range(MANY)
        ]  # fmt: skip
        await asyncio.gather(*(one.sign_up() for one in people))
        async with server.connection() as conn:
            await conn.execute(AGED, [one.id for one in people[::2]])
        tasks = [asyncio.create_task(_live(one, stopping)) for one in people]
        try:
            yield people
            stopping.set()
            async with asyncio.timeout(60):
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _live(one: Person, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        await one.act()
