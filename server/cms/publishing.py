"""Scheduled publishing: a draft with a `publish_at` becomes public when that has come, by the clock of the database."""

from __future__ import annotations

from typing import NamedTuple

from server.rules import cache_tags
from server.search import documents
from sql import imports, outbox, publishing, revisions
from sql.outbox import Event
from sql.publishing import Due, anything_due
from sql.query import Connection
from sql.revisions import Revision

__all__ = ["Published", "anything_due", "publish_due"]


class Published(NamedTuple):
    """Releases that are public now, and the cache tags to drop once that is committed."""

    ids: list[int]
    tags: set[str]


async def publish_due(conn: Connection, most: int) -> Published:
    """Publish those that waited longest, at most 500, in the caller's transaction, with all that this brings about.

    Another instance may do the same at the same time, and it may be done again after a crash: each draft is published
    once, and announced once in its life.
    """
    # Whoever changes a release writes its document under this lock; without it an older one could overwrite a newer.
    await imports.lock(conn)
    due = await publishing.lock_due(conn, most)
    ids = [one.id for one in due]
    if not due:
        return Published([], set())
    await publishing.publish(conn, ids)
    await imports.build_documents(conn, ids)
    await documents.stir(conn, ids)
    facts = {
        "added": [one.id for one in due if not one.announced],
        "updated": [one.id for one in due if one.announced],
    }
    await outbox.publish(conn, [Event("catalogue", "catalogue", {name: told}) for name, told in facts.items() if told])
    await revisions.record(conn, [revision_of(one) for one in due])
    tags = cache_tags.changed(ids)
    await imports.invalidate(conn, tags)
    return Published(ids, tags)


def revision_of(due: Due) -> Revision:
    """Nobody in person did it: the clock."""
    diff = {"is_published": [False, True], "publish_at": [due.publish_at, None]}
    return Revision("release", due.id, "published", "schedule", diff=diff)
