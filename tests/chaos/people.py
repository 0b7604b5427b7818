"""People at work beside the clients that send views: accounts made in advance, then one thing after another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.chaos.person import Notes, Person

# Accounts and sign-ins come from one address here.
SETTINGS = {"REGISTER_RATE_LIMIT": "0/hour", "LOGIN_RATE_LIMIT": "0/minute"}
MANY = 6


@asynccontextmanager
async def at_work(base: str, seed: int, deadline: float = 30.0) -> AsyncIterator[list[Person]]:
    """Sign them up and let them work; at the end wait until each has finished what they had begun."""
    notes = Notes()
    stopping = asyncio.Event()
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=deadline)) as session:
        people = [
            Person(f"person-{number}", base, session, random.Random(f"{seed}/person/{number}"), notes)
            for number in range(MANY)
        ]
        await asyncio.gather(*(one.sign_up() for one in people))
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
