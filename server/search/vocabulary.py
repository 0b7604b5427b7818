"""The vocabulary of titles: words with what typing errors leave of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from server.rules.search_document import RULES
from server.rules.search_sounds import skeleton
from server.rules.search_typos import variants
from sql import search_words
from sql.query import Connection
from sql.search_words import Recounted, Word

# Words after which the loop gets its turn: about a millisecond.
BREATH = 32


async def learn(conn: Connection, words: Collection[str]) -> None:
    """Add those of these words that are new."""
    if words and (fresh := await search_words.unknown(conn, words, RULES)):
        await search_words.add(conn, await entries(fresh), RULES)


async def go_over(conn: Connection, words: Sequence[str], *, anew: bool) -> Recounted:
    """Count words of the vocabulary anew, under the lock of imports; what nobody uses any more goes.

    With `anew` what belongs to them is made anew as well.
    """
    if anew:
        await search_words.add(conn, await entries(words), RULES)
    return await search_words.recount(conn, words)


async def entries(words: Sequence[str]) -> list[Word]:
    """The words with what belongs to them."""
    made = []
    for number, word in enumerate(words, 1):
        made.append(Word(word, skeleton(word), sorted(variants(word))))
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return made
