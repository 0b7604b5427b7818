"""An import by upload: portions small enough that readers do not feel them, each with its checkpoint.

Everything here yields to the loop often: lines are read in a thread, decoded and checked a millisecond at a time, and a
portion is merged in one short transaction. What has been done is known exactly, since a checkpoint goes with each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from server.cms import engine
from server.errors import Unprocessable
from server.importing import native
from server.importing.drafts import InvalidRowError, Item, Rejection, Row, prepare
from server.importing.merge import merge
from server.importing.pipeline import Batch, settle
from server.importing.planning import Fate
from server.importing.reading import CHUNK, BrokenFileError, decode_line, opened
from server.importing.report import Report, Summary
from server.rules.revisions import difference
from sql import cms_imports, imports, revisions
from sql.imports import EpisodeChanges, Pair
from sql.query import Connection
from sql.revisions import Revision

Line = tuple[int, bytes | None]

# Lines of a portion, and bytes of them: what one transaction takes.
PORTION_LINES = 100
PORTION_BYTES = 256 << 10
# What a file may hold, unpacked.
MOST_LINES, MOST_BYTES = 1_000_000, 2 << 30
# A line above it is decoded in a thread: rows of hundreds of episodes.
LONG_LINE = 32 << 10
# Seconds of work between two turns of the loop.
TURN = 0.001
EDITED = "edited"
NO_DIFF: Mapping[str, Any] = {}


class Told(NamedTuple):
    """A row that was not taken as it stands."""

    line: int
    field: str
    reason: str


class Portion(Report):
    """Checked rows, and what is to be told of the lines they came from. `last` is the last of these lines."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last
        self.batch = Batch()
        self.told: list[Told] = []

    def reject(self, path: str, line: int, field_name: str, reason: str, key: str = "") -> None:
        """A row cannot be used."""
        super().reject(path, line, field_name, reason, key)
        self.told.append(Told(line, field_name, reason))

    def skip(self, path: str, line: int, reason: str, key: str = "") -> None:  # noqa: ARG002 - as `Report` has it
        """A sound row was left out."""
        self.told.append(Told(line, "", SKIPPED.get(reason, reason)))

    def repair(self, path: str, line: int, field_name: str, reason: str, key: str = "") -> None:
        """A part of a row was left out."""
        super().repair(path, line, field_name, reason, key)
        self.told.append(Told(line, field_name, reason))


SKIPPED = {
    "ambiguous": "Its external ids belong to several releases.",
    "deleted": "The release it describes is deleted.",
    "duplicate": "An earlier line describes the same release.",
    EDITED: "Somebody has edited the release since this import was accepted.",
}


@dataclass(slots=True)
class Tally:
    """What became of the lines up to `line`: what an import's checkpoint holds."""

    line: int = 0
    lines: int = 0
    summary: Summary = field(default_factory=Summary)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Tally:
        """As a checkpoint holds it."""
        counts = kept["counts"]
        summary = Summary(
            counts["created"], counts["updated"], counts["unchanged"], Counter(counts["skipped"]), counts["episodes"]
        )
        return cls(kept["line"], kept["lines"], summary)

    def with_(self, line: int, done: Summary) -> Tally:
        """With a further portion."""
        total = Summary()
        total.add(self.summary)
        total.add(done)
        return Tally(line, self.lines, total)

    def result(self) -> dict[str, Any]:
        """As whoever asked for the import sees it."""
        one = self.summary
        return {
            "created": one.created,
            "updated": one.updated,
            "unchanged": one.unchanged,
            "skipped": dict(one.skipped),
            "episodes": one.episodes,
        }

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"line": self.line, "lines": self.lines, "counts": self.result()}


def count(path: Path) -> int:
    """How many lines the file has, as far as it can be read. In a thread. Unprocessable if it holds too much."""
    found = size = 0
    last = b"\n"
    with suppress(BrokenFileError), opened(path) as stream:
        while chunk := stream.read(CHUNK):
            found, size, last = found + chunk.count(b"\n"), size + len(chunk), chunk
            if found > MOST_LINES or size > MOST_BYTES:
                raise Unprocessable(f"At most {MOST_LINES:,} lines and {MOST_BYTES >> 30} GiB are taken, unpacked.")
    return found + (not last.endswith(b"\n"))


def take(lines: Iterator[Line], after: int) -> list[Line]:
    """The next portion of lines behind that one. In a thread: it reads the disk. Raises BrokenFileError."""
    taken: list[Line] = []
    size = 0
    for number, line in lines:
        if number > after:
            taken.append((number, line))
            size += len(line or b"")
            if len(taken) >= PORTION_LINES or size >= PORTION_BYTES:
                break
    return taken


async def checked(lines: Sequence[Line]) -> Portion:
    """The lines as rows, in steps between which the loop turns."""
    portion = Portion(lines[-1][0])
    since = perf_counter()
    for number, line in lines:
        long = len(line or b"") > LONG_LINE
        found = await asyncio.to_thread(row_of, number, line) if long else row_of(number, line)
        if isinstance(found, Row):
            portion.batch.rows.append(found)
        else:
            portion.batch.invalid += 1
            portion.reject("", found.line, found.field, found.reason)
        if perf_counter() - since > TURN:
            await asyncio.sleep(0)
            since = perf_counter()
    return portion


def row_of(number: int, line: bytes | None) -> Row | Rejection:
    """A line as a row that can be merged, or why it is none."""
    try:
        return prepare(Item(number, None, decode_line(line, native.DECODER.decode)))
    except InvalidRowError as error:
        return Rejection(number, error.field, error.reason)


@dataclass(frozen=True, slots=True)
class Upload:
    """An import under way: whose it is, its place in the order of operations, whether new releases are news."""

    operation_id: UUID
    user_id: int | None
    seq: int
    news: bool


async def merge_portion(conn: Connection, upload: Upload, portion: Portion) -> tuple[Summary, set[int]]:
    """Merge it in the caller's transaction, with revisions of all that it made or changed.

    The counts, and the releases that caches may know otherwise.
    """
    before: dict[int, bytes] = {}

    async def planned(conn: Connection, fates: list[Fate]) -> None:
        await _leave_edited(conn, upload, fates)
        known = [fate.release_id for fate in fates if fate.action == "update"]
        before.update(await engine.documents(conn, "release", known) if known else {})

    fates, claims, changes, words = await merge(
        conn, upload.operation_id, native.SOURCE, portion.batch.rows,
        dry_run=False, news=upload.news, planned=planned, lists=False,
    )  # fmt: skip
    await imports.claim(conn, upload.operation_id, claims)
    await revisions.record(conn, [_revision(upload, noun, word, "created") for noun, word in words])
    await _record(conn, upload, fates, before)
    await _record_episodes(conn, upload, changes.episodes)
    return settle(portion.batch, fates, portion), changes.documents


async def _leave_edited(conn: Connection, upload: Upload, fates: list[Fate]) -> None:
    """What was edited since the import was accepted stays as it is."""
    known = [fate for fate in fates if fate.action == "update"]
    edited = await cms_imports.edited_since(conn, [fate.release_id for fate in known], upload.seq) if known else set()
    for fate in known:
        if fate.release_id in edited:
            fate.action, fate.reason = "skip", EDITED


async def _record(conn: Connection, upload: Upload, fates: list[Fate], before: Mapping[int, bytes]) -> None:
    made = [fate.release_id for fate in fates if fate.action == "create"]
    changed = [fate.release_id for fate in fates if fate.action == "update"]
    after = await engine.documents(conn, "release", changed) if changed else {}
    rows = [_revision(upload, "release", release_id, "created") for release_id in made]
    for count, release_id in enumerate(changed):
        found = difference(orjson.loads(before[release_id]), orjson.loads(after[release_id]))
        # Nothing to tell where only its popularity moved, or its episodes changed.
        if found:
            rows.append(_revision(upload, "release", release_id, "updated", found))
        if count % 20 == 0:
            await asyncio.sleep(0)
    await revisions.record(conn, rows)


async def _record_episodes(conn: Connection, upload: Upload, changes: EpisodeChanges) -> None:
    """Of episodes of releases that were there before; what comes with a new release is a part of its making."""
    one_kind: tuple[tuple[revisions.RevisionAction, Sequence[Pair]], ...] = (
        ("deleted", changes.deleted), ("restored", changes.restored), ("created", changes.created),
    )  # fmt: skip
    rows = [_revision(upload, "episode", one, action) for action, pairs in one_kind for _, one in pairs]
    ids = [one for _, one in changes.updated]
    after = await engine.documents(conn, "episode", ids) if ids else {}
    for count, ((_, one), said) in enumerate(changes.updated.items()):
        then, now = orjson.loads(said or "{}"), orjson.loads(after[one])
        rows.append(_revision(upload, "episode", one, "updated", difference(then, {name: now[name] for name in then})))
        if count % 100 == 0:
            await asyncio.sleep(0)
    await revisions.record(conn, rows)


def _revision(
    upload: Upload, noun: str, entity_id: int, action: revisions.RevisionAction, diff: Mapping[str, Any] = NO_DIFF
) -> Revision:
    return Revision(noun, entity_id, action, "import", upload.user_id, upload.operation_id, diff)
