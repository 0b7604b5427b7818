"""The keeper of word rules: takes them from the database into memory, where everybody who writes something passes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from actors.base import Actor, Request
from server.database import Database
from server.errors import Unavailable
from server.rules.words import Words
from server.word_rules import WordRules
from sql import word_rules

log = logging.getLogger("yojohan.words")


@dataclass(frozen=True, slots=True)
class Reload(Request[None]):
    """The rules have changed: here, or somebody said so."""


class WordKeeper(Actor[Reload]):
    """Loads them before the server is ready, whenever they change, and every thirty seconds in case nobody said so."""

    name = "word_keeper"
    capacity = 100
    interval = 30.0

    def __init__(self, database: Database, held: WordRules) -> None:
        self._database = database
        self._held = held

    async def on_start(self) -> None:
        """The first load has to succeed: without rules everything would pass."""
        await self._load()

    async def receive(self, message: Reload) -> None:  # noqa: ARG002 - there is only one message
        """Another load."""
        await self.on_tick()

    async def on_tick(self) -> None:
        """Another load; while the database is away what is known stays in force."""
        try:
            await self._load()
        except Unavailable as error:
            log.warning("word rules wait for the database", extra={"reason": error.code})

    async def _load(self) -> None:
        async with self._database.connection() as conn:
            rules = frozenset(await word_rules.in_force(conn))
        if rules != self._held.rules:
            # Five hundred long rules take a tenth of a second.
            self._held.hold(rules, await asyncio.to_thread(Words, rules))
