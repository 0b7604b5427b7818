"""tantivy (a search library in Rust) over the same names, in this process: what a dedicated engine does with them."""

from __future__ import annotations

from collections.abc import Iterable

import tantivy

from tests.relevance import Named

FOUND = 5
MOST_MEMORY = 50_000_000


class Reference:
    """An index in memory of all names, words as tantivy's default analysis makes them."""

    def __init__(self, catalogue: Iterable[Named]) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_integer_field("release", stored=True)
        builder.add_text_field("names", stored=False)
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        writer = self._index.writer(MOST_MEMORY, 1)
        for release in catalogue:
            writer.add_document(tantivy.Document(release=release.id, names=list(release.names)))
        writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()

    def find(self, text: str, *, typos: bool) -> list[int]:
        """The first releases that have all words of the query, with `typos` each perhaps a typing error away."""
        words = [word for word in "".join(sign if sign.isalnum() else " " for sign in text.lower()).split() if word]
        if not words:
            return []
        parts = [
            tantivy.Query.fuzzy_term_query(self._schema, "names", word, distance=1 if len(word) >= 4 else 0)
            if typos
            else tantivy.Query.term_query(self._schema, "names", word)
            for word in words
        ]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, part) for part in parts])
        hits = self._searcher.search(query, FOUND).hits
        return [int(self._searcher.doc(address)["release"][0]) for _, address in hits]
