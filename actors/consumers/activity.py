"""The chronicler: writes down what people did and what happened to the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from actors.consumers.base import Consumer, Delivered
from server.rules.activity import Act, collapse
from sql import activity
from sql.query import Connection

# What goes into one statement: an import publishes hundreds of releases in one event.
MOST_AT_ONCE = 1000


class Activity(Consumer):
    """Its transaction moves the cursor, too: an event is written down once, however often it is tried."""

    name = "activity"
    topics: ClassVar[frozenset[str]] = frozenset({"library", "community", "profile", "subscription", "catalogue"})

    async def handle(self, conn: Connection, events: Sequence[Delivered]) -> None:
        """Write down what the events tell."""
        acts = collapse(act for event in events for act in acts_of(event))
        for start in range(0, len(acts), MOST_AT_ONCE):
            await activity.record(conn, acts[start : start + MOST_AT_ONCE])


def acts_of(event: Delivered) -> Iterator[Act]:
    """What an event tells."""
    payload, moment = event.payload, event.created_at
    if event.topic == "catalogue":
        yield from _of_catalogue(event)
    elif event.user_id is None:
        return
    elif event.topic in ("library", "community"):
        for action_type, target_type, target_id, details in payload.get("activity", ()):
            yield Act(event.user_id, action_type, target_type, target_id, details, moment)
    elif event.topic == "profile":
        yield Act(event.user_id, "profile_updated", "user", event.user_id, {}, moment)
    elif event.topic == "subscription":
        yield Act(event.user_id, "subscribed", payload["subscription_type"], payload["target_id"], {}, moment)


def _of_catalogue(event: Delivered) -> Iterator[Act]:
    def act(action_type: str, target_type: str, target_id: int, **details: Any) -> Act:
        return Act(None, action_type, target_type, target_id, details, event.created_at)

    for release_id in event.payload.get("added", ()):
        yield act("release_added", "release", release_id)
    for release_id in event.payload.get("updated", ()):
        yield act("release_updated", "release", release_id)
    for release_id, episode_id in event.payload.get("episodes", ()):
        yield act("episode_added", "episode", episode_id, release_id=release_id)
