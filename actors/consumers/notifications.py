"""The messenger: turns what the outbox tells into events that the dispatcher fans out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar

from actors.consumers.base import Consumer, Delivered
from server.rules.notifications import News, collapse
from sql import notifications
from sql.query import Connection

# What goes into one statement: an import publishes hundreds of releases in one event.
MOST_AT_ONCE = 1000


class Notifications(Consumer):
    """Its transaction moves the cursor, too: what happened is written down once, and so told once."""

    name = "notifications"
    topics: ClassVar[frozenset[str]] = frozenset({"catalogue", "reply", "moderation"})
    # An import names hundreds of releases or episodes in one event.
    most: ClassVar[int] = 20

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Write down what is to be told."""
        news = (one for event in events for one in news_of(event))
        # What repeats something of an earlier portion is found by the statement.
        while portion := list(islice(news, MOST_AT_ONCE)):
            await notifications.record(conn, collapse(portion))


def news_of(event: Delivered) -> Iterator[News]:
    """What there is to tell of an event. What was changed, deleted or restored is no news."""
    if event.topic == "catalogue":
        for release_id in event.payload.get("added", ()):
            yield News("new_release", "release", release_id, release_id, None, {}, event.created_at)
        for release_id, episode_id in event.payload.get("episodes", ()):
            yield News("new_episode", "episode", episode_id, release_id, None, {}, event.created_at)
    elif event.topic == "reply":
        yield from _of_reply(event)
    elif event.topic == "moderation":
        yield _of_decision(event)


def _of_reply(event: Delivered) -> Iterator[News]:
    said = event.payload
    recipient, author, comment = int(said["recipient_id"]), int(said["author_id"]), int(said["comment_id"])
    # Whoever answers themselves knows.
    if recipient != author:
        data: dict[str, Any] = {"comment_id": comment, "author_id": author}
        yield News("reply", "comment", comment, int(said["release_id"]), recipient, data, event.created_at)


def _of_decision(event: Delivered) -> News:
    said = event.payload
    data = {"decision": str(said["decision"]), "reason": said.get("reason")}
    return News(
        "moderation", str(said["target_type"]), int(said["target_id"]), int(said["release_id"]),
        int(said["recipient_id"]), data, event.created_at,
    )  # fmt: skip
