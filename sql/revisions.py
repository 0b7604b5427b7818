"""Who changed what: one row a changed thing and change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sql.query import Connection, load

QUERIES = load("revisions")

RevisionAction = Literal["created", "updated", "deleted", "restored", "published"]


class Revision(NamedTuple):
    """A change of one thing. `diff` is {"field": [before, after]}; `undoes` is the revision that it takes back."""

    noun: str
    entity_id: int
    action: RevisionAction
    origin: Literal["cms", "import", "undo", "schedule"]
    actor_id: int | None = None
    operation_id: UUID | None = None
    diff: Mapping[str, Any] = {}
    undoes: int | None = None


async def record(conn: Connection, rows: Sequence[Revision]) -> None:
    """Write them down, in one statement, in the transaction that makes the changes."""
    if rows:
        columns = list(zip(*rows, strict=True))
        await QUERIES.record.execute(conn, *map(list, columns))
