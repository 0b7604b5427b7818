"""Search documents of new releases, made while the rows before them are written.

A new release says just what its row says, but for the words it is filed under: these are shown as they were first
spelt, and not at all once an editor has deleted them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.importing.drafts import Row
from server.importing.planning import Fate
from server.search import documents
from server.search.documents import Ready
from sql import search_documents
from sql.query import Connection


def document_of(row: Row) -> Ready:
    """The document of a release that says just this."""
    draft = row.draft
    titles = draft.titles or {}
    said = documents.Source(
        id=0, title=draft.title, languages=list(titles), titles=list(titles.values()), synonyms=draft.synonyms or [],
        genres=list(row.genres.values()), tags=list(row.tags.values()), franchise=draft.franchise or None,
        synopsis=draft.synopsis or "",
    )  # fmt: skip
    return documents.ready(said)


async def fitting(conn: Connection, fates: Sequence[Fate], ids: Mapping[str, Mapping[str, int]]) -> dict[int, Ready]:
    """By release: those of the documents made ahead whose words are shown as their rows spell them."""
    made = [(fate, fate.row.document) for fate in fates if fate.row.document is not None]
    if not made:
        return {}
    shown = await search_documents.word_names(conn, {name: list(known.values()) for name, known in ids.items()})
    return {fate.release_id: document for fate, document in made if _fits(fate.row, ids, shown)}


def _fits(row: Row, ids: Mapping[str, Mapping[str, int]], shown: Mapping[tuple[str, int], str]) -> bool:
    franchise = {row.franchise_key: row.draft.franchise} if row.draft.franchise else {}
    said = {"genres": row.genres, "tags": row.tags, "franchises": franchise}
    return all(
        shown.get((name, ids[name][key])) == spelt for name, words in said.items() for key, spelt in words.items()
    )
