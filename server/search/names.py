"""The names of documents: those of the most popular are in memory, others are read, each of them once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from server.search.index import SearchIndex
from sql import search as sql
from sql.query import Connection


class Names:
    """Names for one request, on its connection."""

    def __init__(self, conn: Connection, index: SearchIndex) -> None:
        self._conn = conn
        self._popular = index.names
        self._read: dict[int, Sequence[str]] = {}

    async def of(self, slots: Iterable[int]) -> Mapping[int, Sequence[str]]:
        """The names of these documents, normalised; without documents that are gone."""
        found, lacking = dict[int, Sequence[str]](), list[int]()
        for slot in slots:
            known = self._read.get(slot) or self._popular.keys(slot)
            if known:
                found[slot] = known
            else:
                lacking.append(slot)
        if lacking:
            read = await sql.names_of(self._conn, lacking)
            self._read |= read
            found |= read
        return found

    async def weighed(self, slots: Sequence[int], words: Sequence[str]) -> Mapping[int, tuple[Sequence[str], int]]:
        """The names of these documents, and their points for words: see `sql.search.weighed`."""
        return await sql.weighed(self._conn, slots, words)
