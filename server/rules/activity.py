"""The activity log: which acts are one and the same, and how an entry is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

ActionType = Literal[
    "release_added", "release_updated", "episode_added", "started", "completed", "rated", "reviewed", "commented",
    "replied", "favorited", "collection_changed", "subscribed", "recommendation_viewed", "profile_updated",
]  # fmt: skip
TargetType = Literal["release", "episode", "genre", "franchise", "user"]
ACTION_TYPES: tuple[str, ...] = get_args(ActionType)
# The same act on the same target within this time is one.
COLLAPSE = timedelta(seconds=5)
# What is shown of a target that is gone or hidden.
GONE = {
    "release": "a release that is no longer here",
    "episode": "an episode that is no longer here",
    "genre": "a genre that is no longer here",
    "franchise": "a franchise that is no longer here",
    "user": "somebody who is no longer here",
}
# Entries of the catalogue have no actor; whoever acted comes before the others.
SENTENCES = {
    "release_added": "{title} was added to the catalogue",
    "release_updated": "{title} was updated",
    "episode_added": "{title} was added",
    "started": "{actor} started watching {title}",
    "completed": "{actor} watched {title} to the end",
    "reviewed": "{actor} reviewed {title}",
    "commented": "{actor} commented on {title}",
    "replied": "{actor} replied to a comment on {title}",
    "favorited": "{actor} added {title} to the favourites",
    "subscribed": "{actor} follows {title}",
    "recommendation_viewed": "{actor} looked at recommendations",
    "profile_updated": "{actor} updated the profile",
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happened. `actor_id` is None where the catalogue changed by itself."""

    actor_id: int | None
    action_type: str
    target_type: str
    target_id: int
    details: Mapping[str, Any]
    created_at: datetime


def collapse(acts: Iterable[Act]) -> list[Act]:
    """The acts; one that repeats an earlier one within COLLAPSE is folded into it: its time, the later details."""
    kept: list[Act] = []
    places: dict[tuple[int | None, str, str, int], int] = {}
    for act in acts:
        key = (act.actor_id, act.action_type, act.target_type, act.target_id)
        place = places.get(key)
        if place is not None and abs(act.created_at - kept[place].created_at) < COLLAPSE:
            kept[place] = replace(kept[place], details=act.details)
        else:
            places[key] = len(kept)
            kept.append(act)
    return kept


def title_of(target_type: str, title: str | None, ordinal: str | None) -> str:
    """What to call a target; neutral words where it has no title."""
    if title is None or (target_type == "episode" and ordinal is None):
        return GONE.get(target_type, "something that is no longer here")
    return f"{title}, episode {ordinal}" if target_type == "episode" else title


def describe(action_type: str, actor: str | None, title: str, details: Mapping[str, Any]) -> str:
    """What happened as a sentence, without its full stop."""
    who = actor or "Somebody"
    if action_type == "rated":
        rating = details.get("rating")
        sentence = f"{who} rated {title}" + (f" {rating} out of 10" if rating else "")
    elif action_type == "collection_changed":
        collection = details.get("collection")
        into = f"moved {title} to the collection {collection}" if collection else f"took {title} out of the collections"
        sentence = f"{who} {into}"
    else:
        # Titles may hold braces: they are put in, never read as a pattern.
        sentence = SENTENCES.get(action_type, "{actor} did something with {title}").format(actor=who, title=title)
    return sentence


def estimate(seen: int, last: int, oldest: int, newest: int) -> int:
    """About how many entries there are, if they are as dense as the `seen` ones from `last` to `newest`."""
    return max(seen, round(seen * (newest - oldest + 1) / max(newest - last + 1, 1)))
