"""`run.py import-list FORMAT PATH`: loads people's lists, one person's or a dump of many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from server.database import dedicated_connection
from server.importing.reading import BrokenFileError
from server.lists.formats import FORMATS, read_list
from server.lists.importing import ListSummary, chunks, import_chunk
from server.lists.rows import ListRow
from server.rules import cache_tags
from server.rules.accounts import clean_username, username_fault, username_key
from server.settings import Settings
from sql import list_imports, rumours
from sql.library_write import CHANGED
from sql.query import Connection

BROKEN = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("format", choices=sorted(FORMATS), metavar="FORMAT", help=", ".join(sorted(FORMATS)))
    parser.add_argument("path", type=Path, metavar="PATH", help="file, plain or gzip")
    parser.add_argument("--user", metavar="USERNAME", help="whose list it is; a dump of many names its own")
    parser.add_argument(
        "--prefix", default="list-", metavar="TEXT",
        help="what the usernames of a dump's people begin with; their accounts have no password",
    )  # fmt: skip


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Import the file and print what became of it; 0, or 1 if it cannot be read to its end."""
    try:
        async with dedicated_connection(settings) as conn:
            loading = Loading(conn, arguments.user, arguments.prefix)
            await loading.all_of(arguments.path, arguments.format)
    except (BrokenFileError, LookupError) as error:
        print(f"import-list: {error}", file=sys.stderr)
        return BROKEN
    print(loading)
    return 0


class Loading:
    """One run: whose rows are whose, and what became of them."""

    def __init__(self, conn: Connection, username: str | None, prefix: str) -> None:
        self._conn = conn
        self._username = username
        self._prefix = prefix
        self._owners: dict[str, int] = {}
        self._bad = 0
        self._total = ListSummary()

    def __str__(self) -> str:
        total = self._total
        return (
            f"people: {len(self._owners)}, rows: {total.rows}, matched: {total.matched}, "
            f"kept until there is a release: {total.unmatched - total.dropped}, no room to keep: {total.dropped}, "
            f"unusable: {self._bad}, changes: {total.changed}"
        )

    async def all_of(self, path: Path, format_name: str) -> None:
        """Every row of the file. LookupError if nobody has the username that was given."""
        for owner, rows in groupby(self._sound(path, format_name), key=lambda row: row.owner):
            user_id = await self._account(owner)
            for chunk in chunks(rows):
                self._total.add(await import_chunk(self._transaction, user_id, chunk))
                self._total.take_missing()

    def _sound(self, path: Path, format_name: str) -> Iterator[ListRow]:
        for row in read_list(path, format_name):
            if isinstance(row, ListRow):
                yield row
            else:
                self._bad += 1

    async def _account(self, owner: str) -> int:
        if owner not in self._owners:
            self._owners[owner] = await self._find(owner)
        return self._owners[owner]

    async def _find(self, owner: str) -> int:
        if self._username is None:
            name = clean_username(f"{self._prefix}{owner}")
            if fault := username_fault(name):
                raise LookupError(f"{name!r} cannot be the name of an account: {fault}")
            return await list_imports.make_owner(self._conn, name, username_key(name))
        found = await list_imports.find_owner(self._conn, username_key(self._username))
        if found is None:
            raise LookupError(f"nobody is called {self._username}")
        return found

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._conn.transaction():
            yield self._conn
            if changed := CHANGED.get():
                CHANGED.set(frozenset())
                # Running servers hear of it once this is committed: what they recommend to these people is stale.
                await rumours.tell(self._conn, map(cache_tags.personal, changed))
