"""When the catalogue changes: a delivery is written down for every webhook that wants to hear of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from actors.consumers.base import Consumer, Delivered
from sql import webhook_deliveries
from sql.query import Connection
from sql.webhook_deliveries import Happened

# What goes into one statement, for each webhook: an import publishes hundreds of releases in one event.
MOST_AT_ONCE = 2_000
OF_RELEASES = {"added": "release.created", "updated": "release.updated", "deleted": "release.deleted"}
OF_EPISODES = {
    "episodes": "episode.created",
    "episodes_updated": "episode.updated",
    "episodes_deleted": "episode.deleted",
}


class Webhooks(Consumer):
    """Its transaction moves the cursor, too: an event becomes one delivery for each webhook, however often it is tried.

    What a delivery says is written when it is sent; here thousands may come at once.
    """

    name = "webhooks"
    topics: ClassVar[frozenset[str]] = frozenset({"catalogue"})
    # Each of them may be hundreds of releases for each of twenty webhooks, and a pass has to end within seconds.
    most: ClassVar[int] = 20

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Write down who is to be told what."""
        if not await webhook_deliveries.anybody_listens(conn):
            return
        happened = [one for event in events for one in told(event)]
        for start in range(0, len(happened), MOST_AT_ONCE):
            await webhook_deliveries.enqueue(conn, happened[start : start + MOST_AT_ONCE])


def told(event: Delivered) -> Iterator[Happened]:
    """What an event of the catalogue tells, in the order in which a receiver can make sense of it."""
    payload, moment = event.payload, event.created_at
    for name, topic in OF_RELEASES.items():
        for release_id in payload.get(name, ()):
            yield Happened(topic, release_id, release_id, moment)
    for name, topic in OF_EPISODES.items():
        for release_id, episode_id in payload.get(name, ()):
            yield Happened(topic, release_id, episode_id, moment)
