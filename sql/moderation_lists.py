"""What moderators see: what waits for them, one thing as they see it, and what was decided.

The statements are composed from fixed fragments, so that each filter finds its index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sql.moderation import Kind
from sql.query import Connection, Query

# Lists count up to here exactly.
MOST_COUNTED = 10_000
MOST_REPORTS = 5
# Somebody of whom more was hidden is known well enough.
MOST_HIDDEN = 1000

# Both kinds in one order: comments have even places, reviews odd ones, and each kind's are in the order of its index.
ROWS = {
    "comment": "select 'comment' as type, t.id, t.release_id, t.parent_id, t.user_id, t.text, null::integer as rating,"
    " t.spoiler, t.state, t.held_for, t.reports, t.created_at, t.edited_at, t.queued_at, t.id * 2 as place"
    " from comments t",
    "review": "select 'review' as type, t.id, t.release_id, null::bigint as parent_id, t.user_id, t.text,"
    " t.rating::integer as rating, t.spoiler, t.state, t.held_for, t.reports, t.created_at, t.edited_at, t.queued_at,"
    " t.id * 2 + 1 as place from reviews t",
}
TABLES = {"comment": "comments", "review": "reviews"}
WAITS = "t.queued_at is not null and t.deleted_at is null"
# In the text, as a plan for any reason would walk along the whole queue for a rare one.
HELD = {
    reason: f"{WAITS} and t.held_for @> '{{{reason}}}'" for reason in ("links", "flood", "repeated", "words", "reports")
}
SHOWN = f"""
    select page.queued_at, page.place, (select row_to_json(shown)::text from (
        select page.type, page.id,
            (select row_to_json(one) from (
                select r.id, r.title from releases r where r.id = page.release_id) one) as release,
            page.parent_id,
            (select row_to_json(one) from (
                select u.id, u.username, rfc3339(u.created_at) as created_at,
                    coalesce((select s.comments from user_stats s where s.user_id = u.id), 0) as comments_count,
                    (select count(*) from (select from comments c where c.user_id = u.id and c.state = 'hidden'
                     limit {MOST_HIDDEN}) hidden)
                    + (select count(*) from (select from reviews v where v.user_id = u.id and v.state = 'hidden'
                       limit {MOST_HIDDEN}) hidden) as hidden_count
                from users u where u.id = page.user_id) one) as author,
            page.text, page.rating, page.spoiler, page.state, page.held_for,
            (select coalesce(json_agg(row_to_json(one)), '[]') from (
                select o.reason, o.note,
                    (select row_to_json(who) from (
                        select u.id, u.username from users u where u.id = o.user_id) who) as reporter,
                    rfc3339(o.created_at) as created_at
                from reports o
                where o.target_type = page.type and o.target_id = page.id and o.closed_at is null
                order by o.created_at desc limit {MOST_REPORTS}) one) as reports,
            page.reports as reports_count, rfc3339(page.created_at) as created_at,
            rfc3339(page.edited_at) as edited_at, rfc3339(page.queued_at) as queued_at
    ) shown) as thing
"""  # noqa: S608 - fixed numbers
DECISIONS = """
    select page.id, (select row_to_json(shown)::text from (
        select page.id, page.target_type as type, page.target_id,
            (select row_to_json(one) from (
                select r.id, r.title from releases r where r.id = page.release_id) one) as release,
            (select row_to_json(one) from (
                select u.id, u.username from users u where u.id = page.author_id) one) as author,
            (select row_to_json(one) from (
                select u.id, u.username from users u where u.id = page.moderator_id) one) as moderator,
            page.state_before, page.state_after, page.reason, page.held_for, page.operation_id,
            rfc3339(page.created_at) as created_at
    ) shown) as decision
"""
CONDITIONS = {
    "kind": "d.target_type = ${}",
    "target_id": "d.target_id = ${}",
    "author_id": "d.author_id = ${}",
    "moderator_id": "d.moderator_id = ${}",
}


class Place(NamedTuple):
    """Where the queue was left."""

    queued_at: datetime
    place: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits, as JSON, and where it stands in the queue."""

    queued_at: datetime
    place: int
    thing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionsWanted:
    """Which decisions; None means any. `target_id` goes with `kind`."""

    kind: Kind | None = None
    target_id: int | None = None
    author_id: int | None = None
    moderator_id: int | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of a list, as JSON."""

    id: int
    decision: str


def _kinds(kind: Kind | None) -> tuple[str, ...]:
    return tuple(ROWS) if kind is None else (kind,)


def compose_queue(kind: Kind | None, reason: str | None, after: Place | None, limit: int) -> tuple[str, list[Any]]:
    """The text and parameters of a page of the queue, the oldest first."""
    values: list[Any] = [limit]
    waits = WAITS if reason is None else HELD[reason]
    parts = []
    for one in _kinds(kind):
        behind = ""
        if after is not None:
            # The last id of this kind at or before the place.
            values += [after.queued_at, after.place // 2 if one == "comment" else (after.place - 1) // 2]
            behind = f" and (t.queued_at, t.id) > (${len(values) - 1}::timestamptz, ${len(values)}::bigint)"
        parts.append(f"({ROWS[one]} where {waits}{behind} order by t.queued_at, t.id limit $1)")
    rows = f"select * from ({' union all '.join(parts)}) mixed order by queued_at, place limit $1"  # noqa: S608 - fixed fragments
    return f"{SHOWN} from ({rows}) page order by page.queued_at, page.place", values


def compose_decisions(wanted: DecisionsWanted, below: int | None, limit: int) -> tuple[str, list[Any]]:
    """The text and parameters of a page of decisions, the newest first."""
    where, values = _where(wanted)
    if below is not None:
        values.append(below)
        where += f" and d.id < ${len(values)}"
    values.append(limit)
    rows = f"select * from moderation_decisions d where {where} order by d.id desc limit ${len(values)}"  # noqa: S608
    return f"{DECISIONS} from ({rows}) page order by page.id desc", values


def _where(wanted: DecisionsWanted) -> tuple[str, list[Any]]:
    conditions, values = ["true"], list[Any]()
    for name, condition in CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    return " and ".join(conditions), values


async def queue(
    conn: Connection, kind: Kind | None, reason: str | None, after: Place | None, limit: int
) -> list[Waiting]:
    """What waits for a decision, the longest first; what stands behind a place."""
    text, values = compose_queue(kind, reason, after, limit)
    return [Waiting(*row) for row in await Query("list_waiting", text).fetch(conn, *values)]


async def count_queue(conn: Connection, kind: Kind | None, reason: str | None) -> tuple[int, bool]:
    """How much waits; of a kind it stops counting at MOST_COUNTED, and the second is False."""
    waits = WAITS if reason is None else HELD[reason]
    parts = [f"(select 1 from {TABLES[one]} t where {waits} limit {MOST_COUNTED + 1})" for one in _kinds(kind)]  # noqa: S608
    text = f"select count(*) from ({' union all '.join(parts)}) reached"  # noqa: S608 - as above
    found = int(await Query("count_waiting", text).fetchval(conn))
    return min(found, MOST_COUNTED), found <= MOST_COUNTED


async def thing(conn: Connection, kind: Kind, thing_id: int) -> str | None:
    """One comment or review as moderators see it; None if there is none any more."""
    rows = f"{ROWS[kind]} where t.id = $1 and t.deleted_at is null"
    row = await Query("show_moderated", f"{SHOWN} from ({rows}) page").fetchrow(conn, thing_id)
    return None if row is None else row["thing"]


async def decisions(conn: Connection, wanted: DecisionsWanted, below: int | None, limit: int) -> list[Decided]:
    """Decisions, the newest first; those below an id."""
    text, values = compose_decisions(wanted, below, limit)
    return [Decided(*row) for row in await Query("list_decisions", text).fetch(conn, *values)]


async def count_decisions(conn: Connection, wanted: DecisionsWanted) -> tuple[int, bool]:
    """How many there are; at MOST_COUNTED it stops counting, and the second is False."""
    where, values = _where(wanted)
    text = f"select count(*) from (select from moderation_decisions d where {where} limit {MOST_COUNTED + 1}) reached"  # noqa: S608
    found = int(await Query("count_decisions", text).fetchval(conn, *values))
    return min(found, MOST_COUNTED), found <= MOST_COUNTED
