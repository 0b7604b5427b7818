"""A look-aside on the disk: what one file says about the rows of another, whatever the order of the two."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

ENCODER = msgspec.json.Encoder(decimal_format="number")
DECODER = msgspec.json.Decoder(float_hook=Decimal)
SCHEMA = """
    pragma journal_mode = off;
    pragma synchronous = off;
    pragma cache_size = -2000;
    create table aside (
        kind text, key integer, value blob, used integer default 0, primary key (kind, key)
    ) without rowid;
"""


class Spill:
    """Values by kind and number, as JSON in a temporary SQLite file."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def put(self, kind: str, key: int, value: Any) -> bool:
        """Keep a value; False where there is one already."""
        encoded = ENCODER.encode(value)
        cursor = self._conn.execute(
            "insert or ignore into aside (kind, key, value) values (?, ?, ?)", (kind, key, encoded)
        )
        return cursor.rowcount > 0

    def take(self, kind: str, key: int) -> Any:
        """The value, or None; it counts as used from now on."""
        row = self._conn.execute("select value from aside where kind = ? and key = ?", (kind, key)).fetchone()
        if row is None:
            return None
        self._conn.execute("update aside set used = 1 where kind = ? and key = ?", (kind, key))
        return DECODER.decode(row[0])

    def unused(self, kind: str) -> Iterator[tuple[int, Any]]:
        """What nobody took, by number."""
        for key, value in self._conn.execute(
            "select key, value from aside where kind = ? and not used order by key", (kind,)
        ):
            yield key, DECODER.decode(value)


@contextmanager
def spilled() -> Iterator[Spill]:
    """An empty look-aside; its file is gone afterwards. Threads may use it one after another, never two at once."""
    with tempfile.TemporaryDirectory(prefix="yojohan-import-") as folder:
        path = Path(folder) / "aside.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as conn:
            conn.executescript(SCHEMA)
            yield Spill(conn)
