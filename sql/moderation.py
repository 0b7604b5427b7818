"""What moderators decide, and taking back all that one user has said and done; `sql/moderation_lists.py` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from server.errors import Forbidden, NotFound
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("moderation")

Kind = Literal["comment", "review"]
State = Literal["visible", "pending", "hidden"]
# What became of a decision; `again`: one further up is about the same thing.
Outcome = Literal["changed", "unchanged", "unknown", "own", "again"]


class Decision(NamedTuple):
    """What is to become of a comment or a review."""

    kind: Kind
    id: int
    state: State
    reason: str


class Moderator(NamedTuple):
    """Who decides. Administrators may do so about what is their own."""

    user_id: int
    is_admin: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the decision at this place, from 1, and the tags of what is stale by it."""

    place: int
    outcome: Outcome
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Slice:
    """What a slice of an undoing has touched: how much of it, where it ended (None: nothing is left), stale tags."""

    touched: int
    last_at: datetime | None
    last_id: int | None
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Votes:
    """How many votes a slice has withdrawn, and stale tags."""

    touched: int
    tags: list[str]


async def moderate(conn: Connection, moderator: Moderator, decisions: Sequence[Decision]) -> list[Verdict]:
    """Carry them out, in one statement, which needs no transaction around it: each for itself, in their order."""
    kinds, ids, states, reasons = zip(*decisions, strict=True)
    rows = await QUERIES.moderate.fetch(conn, *moderator, kinds, ids, states, reasons)
    verdicts = [Verdict(*row) for row in rows]
    if any(verdict.outcome == "changed" for verdict in verdicts):
        PUBLISHED.set(True)
    return verdicts


async def hide(conn: Connection, moderator: Moderator, kind: Kind, target: int) -> None:
    """Take away what one of its readers may decide about, without a reason: what DELETE means to them."""
    await moderate(conn, moderator, [Decision(kind, target, "hidden", "")])


async def check_undoable(conn: Connection, moderator: Moderator, user_id: int) -> None:
    """NotFound if there is no such account; Forbidden if it is an administrator's, or another moderator's for one."""
    role: str | None = await QUERIES.role_of.fetchval(conn, user_id)
    if role is None:
        raise NotFound("There is no such account.")
    if role == "admin":
        raise Forbidden("What administrators have said is not undone as a whole.")
    if role == "moderator" and not moderator.is_admin:
        raise Forbidden("Only administrators may undo what a moderator has said.")


async def undo_said(
    conn: Connection,
    kind: Kind,
    user_id: int,
    by: tuple[int | None, UUID, str],
    after: tuple[datetime, int],
    most: int,
) -> Slice:
    """Hide up to `most` of what a user has said behind this place. `by`: the moderator, the operation, the reason."""
    row = await QUERIES.undo_said.fetchrow(conn, kind, user_id, *by, *after, most)
    assert row is not None
    PUBLISHED.set(True)
    return Slice(*row)


async def undo_votes(conn: Connection, user_id: int, most: int) -> Votes:
    """Withdraw up to `most` of a user's helpful votes."""
    row = await QUERIES.undo_votes.fetchrow(conn, user_id, most)
    assert row is not None
    return Votes(*row)


async def undo_reports(conn: Connection, user_id: int, most: int) -> int:
    """Close up to `most` of a user's open reports; how many."""
    return int(await QUERIES.undo_reports.fetchval(conn, user_id, most))
