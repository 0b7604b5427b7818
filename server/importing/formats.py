"""The formats an import reads, by the name an operator types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from server.importing import anilibria, bangumi, native, offline_database
from server.importing.drafts import Item, Rejection
from server.importing.planning import SourceFormat
from server.importing.reading import Position
from server.importing.report import Report


class Format(NamedTuple):
    """A source and how its files are read."""

    source: SourceFormat
    read: Callable[[Path, Report, Position], Iterator[Item | Rejection]]


FORMATS = {
    module.SOURCE.name: Format(module.SOURCE, module.read) for module in (native, anilibria, bangumi, offline_database)
}
