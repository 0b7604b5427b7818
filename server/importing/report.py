"""What an import says about itself: single entries while it runs, a summary at its end.

A report entry is one JSON object a line:

    {"kind": "rejected", "path": "a.jsonl", "line": 12, "field": "episodes[3].ordinal", "reason": "…", "key": "mal:1"}

`rejected` and `skipped` rows did not enter the catalogue, `repaired` ones did, corrected. `line` is the line of a
line-based file and the number of the element in a JSON array, both from 1.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Literal

import msgspec

Kind = Literal["rejected", "skipped", "repaired"]
Outcome = Literal["created", "updated", "unchanged"]

ENCODER = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the report. `field` and `key` are empty where they say nothing."""

    kind: Kind
    path: str = ""
    line: int = 0
    field: str = ""
    reason: str = ""
    key: str = ""


class Report:
    """Takes entries from the reading thread and from the merge; writes JSONL where a file was given.

    `settled` tells what became of a row and does nothing here: whoever needs the ids of the rows overrides it.
    """

    def __init__(self, sink: IO[bytes] | None = None) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self.rejected = 0
        self.repaired = 0

    def reject(self, path: str, line: int, field_name: str, reason: str, key: str = "") -> None:
        """A row, or the named part of it, cannot be used."""
        self.rejected += 1
        self.write(Entry("rejected", path, line, field_name, reason, key))

    def repair(self, path: str, line: int, field_name: str, reason: str, key: str = "") -> None:
        """A value was corrected, or left out, because its meaning is certain."""
        self.repaired += 1
        self.write(Entry("repaired", path, line, field_name, reason, key))

    def skip(self, path: str, line: int, reason: str, key: str = "") -> None:
        """A sound row was left out because of what the catalogue already holds."""
        self.write(Entry("skipped", path, line, "", reason, key))

    def write(self, entry: Entry) -> None:
        """Append one entry."""
        if self._sink is not None:
            with self._lock:
                self._sink.write(ENCODER.encode(entry) + b"\n")

    def settled(self, line: int, outcome: Outcome, release_id: int) -> None:
        """The row of this line is committed."""


@dataclass(slots=True)
class Summary:
    """How many rows met which fate; `skipped` counts by reason, the rows that were rejected under `invalid`."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    episodes: int = 0

    @property
    def total(self) -> int:
        """Rows seen so far."""
        return self.created + self.updated + self.unchanged + self.skipped.total()

    def add(self, other: Summary) -> None:
        """Count the rows of another summary in."""
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.skipped.update(other.skipped)
        self.episodes += other.episodes

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(self.skipped.items()))
        skipped = f"{self.skipped.total()} ({reasons})" if reasons else "0"
        return f"created: {self.created}, updated: {self.updated}, unchanged: {self.unchanged}, skipped: {skipped}"
