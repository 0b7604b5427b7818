"""Trying a word rule before anybody meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from server.database import Database
from server.rules.words import TRIED, TRIED_SHOWN, Kind, Rule, Words
from sql import word_rules
from sql.word_rules import Said


async def tried(database: Database, pattern: str, kind: Kind) -> bytes:
    """How many of the newest comments a rule would meet, and some of them."""
    async with database.connection() as conn:
        said = await word_rules.newest_comments(conn, TRIED)
    # A million characters, looked at one by one: not on the loop.
    met = await asyncio.to_thread(_met, Words([Rule(pattern, kind, "hold")]), said)
    async with database.connection() as conn:
        shown = await word_rules.comments(conn, met[:TRIED_SHOWN])
    head = orjson.dumps({"looked_at": len(said), "matches": len(met)})
    return b"".join((head[:-1], b',"comments":[', ",".join(shown).encode(), b"]}"))


def _met(words: Words, said: Sequence[Said]) -> list[int]:
    return [one.id for one in said if words.verdict(one.text) is not None]
