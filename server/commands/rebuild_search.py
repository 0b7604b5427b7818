"""`run.py rebuild-search`: builds the search documents of all releases anew, and the vocabulary of their titles.

The server may run meanwhile, and searches go on: rows are replaced in place, in short transactions. An interruption
loses nothing; run again, what is as it should be is left alone.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from time import monotonic

from server.database import dedicated_connection
from server.search import building
from server.search.documents import RULES
from server.settings import Settings
from sql import search_documents, search_words
from sql.query import Connection

BAR = 30
INTERRUPTED = 130
# Documents and words in one transaction.
DOCUMENTS, WORDS = 250, 500


def configure(parser: argparse.ArgumentParser) -> None:
    """There are no arguments."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Build everything anew and say what was done; 0."""
    started, bar = monotonic(), Bar(shown=sys.stderr.isatty())
    async with dedicated_connection(settings) as conn:
        try:
            said = await rebuild(conn, bar)
        except asyncio.CancelledError:
            bar.clear()
            print("rebuild-search: interrupted; run it again for the rest", file=sys.stderr)
            return INTERRUPTED
    bar.clear()
    print(f"{said} ({monotonic() - started:.1f} s)")
    return 0


async def rebuild(conn: Connection, bar: Bar) -> str:
    """All documents, then all words; what became of them."""
    releases, written = await _documents(conn, bar)
    words, dropped = await _words(conn, bar)
    await search_documents.end_rebuild(conn)
    await search_documents.reach_rules(conn, RULES)
    return f"documents: {releases} looked at, {written} written; words: {words} looked at, {dropped} forgotten"


async def _documents(conn: Connection, bar: Bar) -> tuple[int, int]:
    total, releases, written, after = await search_documents.count_releases(conn), 0, 0, 0
    while True:
        async with conn.transaction():
            done = await building.rebuild(conn, after, DOCUMENTS)
        if done.last_id is None:
            return releases, written
        after, releases, written = done.last_id, releases + done.looked_at, written + done.written
        bar.show(releases, total, "documents")


async def _words(conn: Connection, bar: Bar) -> tuple[int, int]:
    total, words, dropped, after = await search_words.count(conn), 0, 0, ""
    while True:
        async with conn.transaction():
            done = await building.go_over_words(conn, after, WORDS, anew=True)
        if done.last is None:
            return words, dropped
        after, words, dropped = done.last, words + done.looked_at, dropped + done.dropped
        bar.show(words, total, "words")


class Bar:
    """A progress bar on a terminal; silent elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._started = monotonic()

    def show(self, done: int, total: int, noun: str) -> None:
        """Draw it anew."""
        if not self._shown:
            return
        share = min(1.0, done / total) if total else 1.0
        filled = "█" * int(share * BAR) + "·" * (BAR - int(share * BAR))
        speed = done / max(monotonic() - self._started, 0.001)
        sys.stderr.write(f"\r\x1b[K{filled} {share:4.0%}  {done} {noun}, {speed:.0f}/s")
        sys.stderr.flush()

    def clear(self) -> None:
        """Take it off the screen."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
