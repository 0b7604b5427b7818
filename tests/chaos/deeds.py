"""What somebody does to their library: one thing on-line, or several that were done without a connection."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.chaos.model import Change, Deed, Key, Step, Watching
from tests.chaos.process import EPISODES

# Few, so that what one did is soon done over.
KEPT = 12
LENGTH = 1440
COLLECTIONS = ("planned", "watching", "completed", "postponed", "dropped")
MOST_EDITS = 6
Edit = tuple[str, dict[str, Any], Key, Change]


def episode(release: int, place: int) -> int:
    """The id of an episode of the catalogue that `process.catalogue` makes."""
    return (release - 1) * EPISODES + place + 1


def deed(chance: random.Random, revision: int) -> Deed:
    """Something to do; `revision` is the last one heard of."""
    make: list[Callable[[random.Random], Deed]] = [favorite, rating, collection, progress]
    if chance.random() < 0.3:
        return synchronised(chance, revision)
    return chance.choice(make)(chance)


def favorite(chance: random.Random) -> Deed:
    """A favourite, or one no longer."""
    release, wanted = chance.randint(1, KEPT), chance.random() < 0.6
    method = "PUT" if wanted else "DELETE"
    return Deed(method, f"profile/favorites/{release}", None, [(("favorites", release), lambda _: wanted)])


def rating(chance: random.Random) -> Deed:
    """A rating, or one taken back."""
    release, value = chance.randint(1, KEPT), chance.choice([None, *range(1, 11)])
    method, body = ("DELETE", None) if value is None else ("PUT", {"rating": value})
    return Deed(method, f"profile/ratings/{release}", body, [(("ratings", release), lambda _: value)])


def collection(chance: random.Random) -> Deed:
    """A release goes into a collection, or out of one that it may not be in."""
    release, name = chance.randint(1, KEPT), chance.choice(COLLECTIONS)
    path = f"profile/collections/{name}/{release}"
    if chance.random() < 0.7:
        return Deed("PUT", path, None, [(("watching", release), partial(_collected, name))])
    return Deed("DELETE", path, None, [(("watching", release), partial(_without, name))])


def progress(chance: random.Random) -> Deed:
    """An episode is watched, or begun anew, or never was."""
    release, place, step = chance.randint(1, KEPT), chance.randrange(EPISODES), _step(chance)
    path = f"profile/progress/{episode(release, place)}"
    if chance.random() < 0.2:
        return Deed("DELETE", path, None, [(("watching", release), partial(_watched, place, None))])
    body = {"position_seconds": step[0], "completed": step[1]}
    return Deed("PUT", path, body, [(("watching", release), partial(_watched, place, step))])


def synchronised(chance: random.Random, revision: int) -> Deed:
    """A device comes back: one edit of each of some releases, all of them later than whatever was done before."""
    now = datetime.now(UTC)
    lists: dict[str, list[dict[str, Any]]] = {}
    changes = []
    releases = chance.sample(range(1, KEPT + 1), chance.randint(1, MOST_EDITS))
    for number, release in enumerate(releases):
        make = chance.choice([_favorite_edit, _rating_edit, _collection_edit, _progress_edit])
        kind, fields, key, change = make(chance, release)
        # Microseconds apart, so that the server need not decide between two.
        at = (now + timedelta(microseconds=number)).isoformat().replace("+00:00", "Z")
        lists.setdefault(kind, []).append({"changed_at": at, **fields})
        changes.append((key, change))
    return Deed("POST", "profile/sync", {"since": revision, "edits": lists}, changes)


def _favorite_edit(chance: random.Random, release: int) -> Edit:
    deleted = chance.random() < 0.4
    key: Key = ("favorites", release)
    return "favorites", {"release_id": release, "deleted": deleted}, key, lambda _: not deleted


def _rating_edit(chance: random.Random, release: int) -> Edit:
    value = chance.choice([None, *range(1, 11)])
    said = {"deleted": True} if value is None else {"rating": value}
    return "ratings", {"release_id": release, **said}, ("ratings", release), lambda _: value


def _collection_edit(chance: random.Random, release: int) -> Edit:
    name = chance.choice([None, *COLLECTIONS])
    said = {"deleted": True} if name is None else {"collection": name}
    return "collections", {"release_id": release, **said}, ("watching", release), partial(_collected, name)


def _progress_edit(chance: random.Random, release: int) -> Edit:
    place, step = chance.randrange(EPISODES), _step(chance)
    fields: dict[str, Any] = {"episode_id": episode(release, place), "position_seconds": step[0], "completed": step[1]}
    key: Key = ("watching", release)
    if chance.random() < 0.2:
        return "progress", fields | {"restart": True}, key, partial(_watched, place, step)
    return "progress", fields, key, partial(_furthest, place, step)


def _step(chance: random.Random) -> Step:
    return chance.randrange(LENGTH), chance.random() < 0.4


def _watching(state: object) -> Watching:
    assert isinstance(state, Watching)
    return state


def _collected(name: str | None, state: object) -> Watching:
    return _watching(state).collected(name)


def _without(name: str, state: object) -> Watching:
    return _watching(state).without(name)


def _watched(place: int, step: Step | None, state: object) -> Watching:
    return _watching(state).watched(place, step)


def _furthest(place: int, step: Step, state: object) -> Watching:
    return _watching(state).furthest(place, step)
