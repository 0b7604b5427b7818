"""What follows when a word gets another name, goes or comes back: the documents of its releases, slice by slice."""

from __future__ import annotations

from typing import NamedTuple

from server.cms.edits import Noun
from server.rules import cache_tags
from server.search import documents
from sql import cms_rebuild, imports
from sql.query import Connection


class Slice(NamedTuple):
    """How far it is now, and the releases whose answers are stale (`release:ID`), in order.

    Fewer releases than asked for: that was the last slice, after which lists are stale, too.
    """

    last_id: int
    release_ids: list[int]


async def slice(conn: Connection, noun: Noun, id: int, after_release: int, most: int) -> Slice:  # noqa: A001, A002
    """Write the documents of a word's next releases anew, in the caller's transaction, and NOTIFY.

    It may be done again for the same releases: documents that are as they should be are left alone. But their tags are
    told once more, as whoever wrote them may have died before dropping them.
    """
    assert noun in ("genre", "tag", "franchise")
    # Whoever changes a release writes its document under this lock; without it an older one could overwrite a newer.
    await imports.lock(conn)
    release_ids = await cms_rebuild.releases_of(conn, noun, id, after_release, most)
    if release_ids:
        await imports.build_documents(conn, release_ids)
        await documents.write(conn, release_ids)
    tags = {cache_tags.release(release_id) for release_id in release_ids}
    if len(release_ids) < most:
        tags.add(cache_tags.RELEASES)
    await imports.invalidate(conn, tags)
    return Slice(release_ids[-1] if release_ids else after_release, release_ids)
