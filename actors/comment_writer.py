"""The comment writer: what many people say at a time is committed together (group commit).

Each comment by itself would cost a round trip, a commit and a flush of the log, and the processors' time goes into
these rather than into the comment. While one batch is written the next gathers; when little is said, nobody waits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from actors.base import BatchActor, Request
from server.database import Database
from server.errors import Unavailable, YojohanError
from sql import comments
from sql.comments import Draft, Posted
from sql.query import was_undone

log = logging.getLogger("yojohan.comments")

# What a comment takes in memory while it waits, beside its text, in bytes.
COMMENT_BYTES = 600

Written = Posted | YojohanError | None


@dataclass(frozen=True, slots=True)
class WriteComment(Request[Written]):
    """Commit what this author says under this release, then answer: with what was posted, why it was not, or None if
    it is to be posted alone."""

    author: int
    release_id: int
    draft: Draft


class CommentWriter(BatchActor[WriteComment]):
    """Commits the comments of many requests in one transaction."""

    name = "comment_writer"
    capacity: ClassVar[int] = 2_000
    # Few enough that those whose comments are written can be answered, and say more, while the next are being written.
    batch: ClassVar[int] = 24

    def __init__(self, database: Database, quota: tuple[int, timedelta]) -> None:
        self._database = database
        self._quota = quota

    async def receive_batch(self, messages: Sequence[WriteComment]) -> Sequence[Written]:
        """Write them all. What goes wrong with one of them goes wrong with all: then each is to be tried alone."""
        wanted = [(message.author, message.release_id, message.draft) for message in messages]
        try:
            async with self._database.single() as conn:
                return await comments.post_many(conn, wanted, self._quota)
        except Unavailable as error:
            if was_undone(error):
                # Somebody held what one of them needs: the others have no part in that.
                return [None] * len(messages)
            # Perhaps they are written: nobody may try again but those who said it.
            raise
        except Exception:
            log.exception("comments are written one by one", extra={"comments": len(messages)})
            return [None] * len(messages)
