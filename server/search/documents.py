"""Writing search documents: in the transaction that changed a release, under the lock of imports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from time import perf_counter
from typing import NamedTuple

from server.rules import search_document
from server.rules.search_document import RULES, Document
from server.search import vocabulary
from sql import search_documents
from sql.query import Connection
from sql.search_documents import Row, Source, stir

__all__ = ["RULES", "Ready", "Source", "ready", "stir", "write"]

# Documents in one statement.
AT_ONCE = 250
# Seconds of work between two turns of the loop.
TURN = 0.001


class Ready(NamedTuple):
    """A document that was made before its release was written, for whoever knows what the release will say, and the
    words of its names."""

    row: Row
    words: AbstractSet[str]


class Built(NamedTuple):
    """Documents that are ready to be written, and the words of their names."""

    rows: Sequence[Row]
    words: AbstractSet[str]


NOTHING = Built((), frozenset())
NONE: Mapping[int, Ready] = {}


def ready(said: Source) -> Ready:
    """The document of what this says."""
    document = search_document.build(source_of(said))
    return Ready(row_of(said.id, document), document.vocabulary)


async def write(
    conn: Connection, release_ids: Iterable[int], *, changed: bool = True, ahead: Mapping[int, Ready] = NONE
) -> int:
    """Write the documents of these releases anew, and add their words to the vocabulary; how many were written.

    Whoever changed what filters read (a year, a genre, whether it is shown) leaves `changed`: those who keep that in
    memory hear of it. Without it documents that are as they should be are left alone. Of those that were made `ahead`
    nothing is read.
    """
    made, written = list(ahead.items()), 0
    for start in range(0, len(made), AT_ONCE):
        chosen = made[start : start + AT_ONCE]
        rows = [one.row._replace(release_id=release_id) for release_id, one in chosen]
        words = frozenset().union(*(one.words for _, one in chosen))
        written += (await _exchange(conn, Built(rows, words), (), changed=changed))[0]
    return written + await _write_anew(conn, sorted(set(release_ids) - ahead.keys()), changed=changed)


async def _write_anew(conn: Connection, ids: Sequence[int], *, changed: bool) -> int:
    slices = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    if not slices:
        return 0
    written, said, built = 0, await search_documents.sources(conn, slices[0]), NOTHING
    for following in (*slices[1:], ()):
        # While one slice is built, the database takes the one before and gives the next.
        exchange = asyncio.create_task(_exchange(conn, built, following, changed=changed))
        try:
            made = await _build(said)
        finally:
            await asyncio.wait([exchange])
        count, said = exchange.result()
        written, built = written + count, made
    count, _ = await _exchange(conn, built, (), changed=changed)
    return written + count


async def _exchange(
    conn: Connection, built: Built, following: Sequence[int], *, changed: bool
) -> tuple[int, list[Source]]:
    """Write what is built, and read what the next documents are made from."""
    written = 0
    if built.rows:
        written = await search_documents.write(conn, built.rows, RULES, changed=changed)
        await vocabulary.learn(conn, built.words)
    return written, await search_documents.sources(conn, following) if following else []


async def _build(sources: Sequence[Source]) -> Built:
    rows, words, turn = [], set[str](), perf_counter() + TURN
    for said in sources:
        made = ready(said)
        rows.append(made.row)
        words |= made.words
        if perf_counter() > turn:
            await asyncio.sleep(0)
            turn = perf_counter() + TURN
    return Built(rows, words)


def source_of(said: Source) -> search_document.Source:
    """As the rules take it, in an order that is always the same."""
    return search_document.Source(
        title=said.title, titles=dict(sorted(zip(said.languages, said.titles, strict=True))), synonyms=said.synonyms,
        genres=sorted(said.genres), tags=sorted(said.tags), franchise=said.franchise, synopsis=said.synopsis,
    )  # fmt: skip


def row_of(release_id: int, document: Document) -> Row:
    """As it is written. Sounds and hashes of names stand in `names` alone."""
    plain = [word for word in document.names if word[0] not in "~="]
    return Row(
        release_id, tsvector(document.names), placed(plain, document.topics),
        "\n".join(document.keys), document.synopsis_config, document.synopsis,
    )  # fmt: skip


def tsvector(lexemes: Sequence[str]) -> str:
    """The text of a tsvector, each lexeme as it is."""
    return "'" + "' '".join(quoted(lexemes)) + "'" if lexemes else ""


def placed(names: Sequence[str], topics: Sequence[str]) -> str:
    """The text of a tsvector with weights and places; a word of both is one of the names."""
    first = [f"'{one}':{place}A" for place, one in enumerate(quoted(names), 1)]
    second = [f"'{one}':{place}B" for place, one in enumerate(quoted(topics), len(names) + 1)]
    return " ".join(first + second)


def quoted(lexemes: Sequence[str]) -> Sequence[str]:
    """As they stand between quotes. Folded words hold nothing that would have to be said in another way."""
    together = "".join(lexemes)
    if "'" not in together and "\\" not in together:
        return lexemes
    return [one.replace("\\", "\\\\").replace("'", "''") for one in lexemes]
