"""Trying a word rule before anybody meets it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import orjson

from server.database import Database
from server.errors import Unavailable
from server.rules.words import TRIED, TRIED_SHOWN, Kind, Rule, Words
from sql import word_rules
from sql.word_rules import Said

# Code points that are looked at in one go, in a thread: a millisecond or two, for which the loop may have to wait.
SLICE = 10_000
# Seconds for others' trials to end; each takes a fraction of one.
PATIENCE = 10.0


async def tried(database: Database, trial: asyncio.Lock, pattern: str, kind: Kind) -> bytes:
    """How many of the newest comments a rule would meet, and some of them. Whoever holds `trial` has their turn."""
    try:
        async with asyncio.timeout(PATIENCE):
            await trial.acquire()
    except TimeoutError:
        raise Unavailable("Too many rules are being tried; try again soon.") from None
    try:
        async with database.connection() as conn:
            said = await word_rules.newest_comments(conn, TRIED)
        words, met = Words([Rule(pattern, kind, "hold")]), list[int]()
        for portion in _slices(said):
            met += await asyncio.to_thread(_met, words, portion)
    finally:
        trial.release()
    async with database.connection() as conn:
        shown = await word_rules.comments(conn, met[:TRIED_SHOWN])
    head = orjson.dumps({"looked_at": len(said), "matches": len(met)})
    return b"".join((head[:-1], b',"comments":[', ",".join(shown).encode(), b"]}"))


def _slices(said: Sequence[Said]) -> Iterator[list[Said]]:
    """In order, none longer than SLICE but for one comment alone."""
    portion, length = list[Said](), 0
    for one in said:
        if portion and length + len(one.text) > SLICE:
            yield portion
            portion, length = [], 0
        portion.append(one)
        length += len(one.text)
    if portion:
        yield portion


def _met(words: Words, said: Sequence[Said]) -> list[int]:
    return [one.id for one in said if words.verdict(one.text) is not None]
