"""Reading who changed what; `sql/revisions.py` writes it.

The statement of a list is composed from fixed fragments, so that each of its filters finds its index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sql.query import Connection, Query, load

QUERIES = load("audit_log")
# Lists count up to here exactly.
MOST_COUNTED = 10_000
SHOWN = """
    select page.id, (select row_to_json(shown)::text from (
        select
            page.id, page.noun, page.entity_id,
            case page.noun
                when 'release' then (select r.title from releases r where r.id = page.entity_id)
                when 'episode' then (
                    select r.title || ' – ' || trim_scale(e.ordinal)
                    from episodes e join releases r on r.id = e.release_id where e.id = page.entity_id)
                when 'genre' then (select g.name from genres g where g.id = page.entity_id)
                when 'tag' then (select t.name from tags t where t.id = page.entity_id)
                when 'franchise' then (select f.name from franchises f where f.id = page.entity_id)
                when 'user' then (select u.username from users u where u.id = page.entity_id)
                when 'webhook' then (select w.url from webhooks w where w.id = page.entity_id)
            end as title,
            page.action, page.origin,
            (select row_to_json(one) from (
                select u.id, u.username from users u where u.id = page.actor_id) one) as actor,
            page.operation_id, page.diff, page.undoes, page.undone_by, rfc3339(page.created_at) as created_at
    ) shown) as revision
"""
CONDITIONS = {
    "noun": "noun = ${}",
    "entity_id": "entity_id = ${}",
    "actor_id": "actor_id = ${}",
    "action": "action = ${}",
    "origin": "origin = ${}",
    "operation_id": "operation_id = ${}",
    "since": "created_at >= ${}",
    "until": "created_at < ${}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionsWanted:
    """Which revisions; None means any."""

    noun: str | None = None
    entity_id: int | None = None
    actor_id: int | None = None
    action: str | None = None
    origin: str | None = None
    operation_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A revision of a list, as JSON."""

    id: int
    revision: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A revision as whoever wants to undo it needs it."""

    noun: str
    entity_id: int
    action: str
    diff: dict[str, list[Any]]
    undone_by: int | None


def _where(wanted: RevisionsWanted) -> tuple[str, list[Any]]:
    """The conditions, and the values of their parameters."""
    conditions, values = ["true"], list[Any]()
    for name, condition in CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            values.append(value)
            conditions.append(condition.format(len(values)))
    return " and ".join(conditions), values


def compose(wanted: RevisionsWanted, below: int | None, limit: int) -> tuple[str, list[Any]]:
    """The text and parameters of a page."""
    where, values = _where(wanted)
    if below is not None:
        values.append(below)
        where += f" and id < ${len(values)}"
    values.append(limit)
    rows = f"select * from revisions where {where} order by id desc limit ${len(values)}"  # noqa: S608 - fixed fragments
    return f"{SHOWN} from ({rows}) page order by page.id desc", values


async def page(conn: Connection, wanted: RevisionsWanted, below: int | None, limit: int) -> list[Row]:
    """Revisions, the newest first; those below an id."""
    text, values = compose(wanted, below, limit)
    return [Row(*row) for row in await Query("list_revisions", text).fetch(conn, *values)]


async def count(conn: Connection, wanted: RevisionsWanted) -> tuple[int, bool]:
    """How many there are; at MOST_COUNTED it stops counting, and the second is False."""
    where, values = _where(wanted)
    text = f"select count(*) from (select from revisions where {where} limit {MOST_COUNTED + 1}) reached"  # noqa: S608
    found = int(await Query("count_revisions", text).fetchval(conn, *values))
    return min(found, MOST_COUNTED), found <= MOST_COUNTED


async def get(conn: Connection, revision_id: int) -> Standing | None:
    """A revision, to be undone."""
    row = await QUERIES.get_revision.fetchrow(conn, revision_id)
    return None if row is None else Standing(*row)
