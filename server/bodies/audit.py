"""The bytes of the list of revisions."""

from __future__ import annotations

from msgspec.structs import asdict

from server.bodies.analytics import moment, stop_of
from server.database import Database
from server.http.answer import link, page_body
from server.rules import cursors
from server.schemas.audit import AuditQuery
from sql import audit_log
from sql.audit_log import RevisionsWanted

KIND = "audit"


async def page(database: Database, query: AuditQuery, base: str) -> bytes:
    """Revisions, the newest first; `next` goes on by key, since they keep arriving."""
    below = None if query.cursor is None else cursors.decode(KIND, query.cursor, str)[1]
    wanted = RevisionsWanted(
        noun=query.noun, entity_id=query.entity_id, actor_id=query.actor_id, action=query.action, origin=query.origin,
        operation_id=query.operation_id, since=moment(query.from_, "/from") if query.from_ else None,
        until=stop_of(query.to) if query.to else None,
    )  # fmt: skip
    async with database.connection() as conn:
        # One row more than the page shows tells whether a cursor leads anywhere.
        rows = await audit_log.page(conn, wanted, below, query.limit + 1)
        count, exact = await audit_log.count(conn, wanted)
    following = None
    shown = rows[: query.limit]
    if len(rows) > query.limit:
        given = {name.rstrip("_"): value for name, value in asdict(query).items()}
        following = link(base, given | {"cursor": cursors.encode(KIND, "", shown[-1].id)})
    return page_body(count, following, None, [row.revision for row in shown], estimate=not exact)
