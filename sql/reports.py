"""Reports of what others have said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from server.errors import Conflict, Forbidden, NotFound, Unauthenticated
from sql.moderation import Kind
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("reports")


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a report: `made` is when it was written, `tags` are of what is stale by it."""

    outcome: str
    made: datetime | None
    tags: list[str]


async def report(
    conn: Connection, kind: Kind, target_id: int, reporter: int, reason: str, note: str
) -> tuple[datetime, list[str]]:
    """Report a comment or a review, in one statement: when that was, and the tags of what is stale by it.

    NotFound if it is not to be read, Forbidden if it is one's own, Conflict if one has reported it before and it is the
    same still, Unauthenticated if the account is gone; then nothing has changed.
    """
    row = await QUERIES.report.fetchrow(conn, kind, target_id, reporter, reason, note)
    assert row is not None
    found = Report(*row)
    match found.outcome:
        case "made":
            assert found.made is not None
            if found.tags:
                PUBLISHED.set(True)
            return found.made, found.tags
        case "gone":
            raise Unauthenticated("This account is gone.", error="invalid_token")
        case "own":
            raise Forbidden(f"This {kind} is your own; you may change or delete it.")
        case "again":
            raise Conflict(f"You have reported this {kind} already.")
        case _:
            raise NotFound(f"There is no such {kind}.")
