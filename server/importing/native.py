"""The `native` format: one release as written in a line, with its episodes; see docs/import-format.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from server.importing.drafts import Item, Rejection
from server.importing.planning import SourceFormat
from server.importing.reading import Position, decode_line, lines, opened, rows
from server.importing.report import Report
from server.schemas.catalogue import ReleaseDraft

SOURCE = SourceFormat("native", authoritative=True)
DECODER = msgspec.json.Decoder(ReleaseDraft)


def read(path: Path, _: Report, position: Position) -> Iterator[Item | Rejection]:
    """The items of a file, in its order. Raises BrokenFileError."""

    def item_of(number: int, line: bytes | None) -> Item:
        return Item(number, None, decode_line(line, DECODER.decode), str(path))

    with opened(path, position) as stream:
        yield from rows(lines(stream), path, item_of)
