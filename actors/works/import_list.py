"""`import_list`: a list somebody brought along; `match_list`: rows of it whose release has come meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

from actors.works.base import Progress, Work
from server.database import Database
from server.errors import Unprocessable
from server.lists.importing import NO_RELEASE, ListSummary, chunks, import_chunk, match_kept
from server.lists.rows import SOURCE, BadRow, ListRow
from sql.operations import Operation

# Rows read in one go, off the loop.
PORTION = 500


class ImportList(Work):
    """Reads the uploaded file, `request.format` or whatever it looks like, into the library of its owner."""

    kind: ClassVar[str] = "import_list"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """What became of the rows; those that could not be used are refused by their place in the file."""
        # Parsers of XML and JSON: megabytes that a server without an import does not need.
        from server.lists.formats import read_list  # noqa: PLC0415 - only where a list is read

        assert operation.user_id is not None
        path = await asyncio.to_thread(progress.brought)
        rows = read_list(path, str(operation.request.get("format", "")))
        total = ListSummary()
        seen = 0
        owners: set[str] = set()
        while portion := await asyncio.to_thread(_read, rows):
            seen += len(portion)
            _refuse(portion, progress)
            sound = [row for row in portion if isinstance(row, ListRow)]
            owners.update(row.owner for row in sound)
            if len(owners) > 1:
                raise Unprocessable("The file holds the lists of several people; send one person's.")
            for chunk in chunks(sound):
                total.add(await import_chunk(self._database.transaction, operation.user_id, chunk))
                for row in total.take_missing():
                    progress.refuse(row.place, f"{NO_RELEASE} ({row.source} {row.external_id})")
            await progress.advance(seen)
        await progress.advance(seen, seen)
        return total.as_json() | {"refused": progress.refused - total.unmatched}


class MatchList(Work):
    """Writes kept rows that have a release by now."""

    kind: ClassVar[str] = "match_list"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """What was matched."""
        assert operation.user_id is not None
        total = ListSummary()
        async for summary in match_kept(self._database.transaction, operation.user_id, SOURCE):
            total.add(summary)
            await progress.advance(total.matched)
        return total.as_json()


def _read(rows: Iterator[ListRow | BadRow]) -> list[ListRow | BadRow]:
    from server.importing.reading import BrokenFileError  # noqa: PLC0415 - as above

    try:
        return list(islice(rows, PORTION))
    except BrokenFileError as error:
        # The message names the file by its path for operators; people know which file they sent.
        raise Unprocessable(f"The file cannot be read: {str(error).rpartition(': ')[2]}.") from error


def _refuse(portion: list[ListRow | BadRow], progress: Progress) -> None:
    for row in portion:
        if isinstance(row, BadRow):
            progress.refuse(row.place, row.reason)
