"""Helpers of the import tests: drafts to items, whole tables to compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from server.importing.formats import FORMATS
from server.importing.pipeline import Item, Report, SourceFormat, Summary, import_drafts
from server.importing.reading import Position
from server.schemas.catalogue import ReleaseDraft

NATIVE = FORMATS["native"].source
SUPPLEMENT = SourceFormat("elsewhere")
TABLES = (
    "releases", "release_titles", "release_synonyms", "external_ids", "release_slugs", "episodes", "release_imports",
    "popularity_metrics", "release_documents", "genres", "tags", "franchises", "catalogue_totals",
)  # fmt: skip


class Collected(Report):
    """A report that keeps its entries and the ids of settled rows."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Any] = []
        self.rows: list[tuple[int, str, int]] = []

    def write(self, entry) -> None:
        self.entries.append(entry)

    def settled(self, line, outcome, release_id) -> None:
        self.rows.append((line, outcome, release_id))

    def said(self, kind: str) -> list[tuple[int, str, str]]:
        """(line, field, reason) of the entries of a kind."""
        return [(one.line, one.field, one.reason) for one in self.entries if one.kind == kind]


def items(*said: dict[str, Any], keys: tuple[str, ...] = ()) -> list[Item]:
    """Items from drafts as a client writes them."""
    return [
        Item(line, keys[line - 1] if keys else None, msgspec.convert(one, ReleaseDraft, strict=False))
        for line, one in enumerate(said, 1)
    ]


async def load(
    conn: Any, *said: dict[str, Any], source: SourceFormat = NATIVE, keys: tuple[str, ...] = (), **options
) -> Summary:
    """Import these drafts."""
    return await import_drafts(
        conn, source, items(*said, keys=keys), options.pop("report", None) or Report(), **options
    )


async def load_file(conn: Any, name: str, path: Path, report: Report | None = None, **options) -> Summary:
    """Import a file of this format."""
    report = report or Report()
    chosen = FORMATS[name]
    return await import_drafts(conn, chosen.source, chosen.read(path, report, Position()), report, **options)


async def dump(conn: Any) -> dict[str, list[str]]:
    """Every row of every table an import writes, updated_at included."""
    return {
        table: [row[0] for row in await conn.fetch(f'select t::text from {table} t order by t::text collate "C"')]
        for table in TABLES
    }


async def document(conn: Any, title: str) -> dict[str, Any]:
    """The public document of the one release of this title."""
    rows = await conn.fetch(
        "select document from release_documents join releases r on r.id = release_id where r.title = $1", title
    )
    assert len(rows) == 1
    return json.loads(rows[0][0])


async def episodes(conn: Any, title: str) -> list[tuple[Any, ...]]:
    """(ordinal, title, duration) of the living episodes of a release."""
    rows = await conn.fetch(
        "select e.ordinal::text, e.title, e.duration_seconds from episodes e join releases r on r.id = e.release_id"
        " where r.title = $1 and e.deleted_at is null order by e.ordinal",
        title,
    )
    return [tuple(row) for row in rows]
