"""What a change of one's own library looks like from outside: edits of many things at once, and the answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from aiohttp import web

from server.errors import NotFound
from server.http.answer import Answer, plain
from server.http.guard import user_id
from server.keys import DATABASE
from server.schemas.library import EpisodeProgress, ReleaseRating
from sql import library
from sql.library import RATING, EntryEdit, ProgressEdit, Written

NO_RELEASE = "There is no such release."
NO_EPISODE = "There is no such episode."


async def write(
    request: web.Request, entries: Sequence[EntryEdit] = (), progress: Sequence[ProgressEdit] = ()
) -> Written:
    """Make these edits the truth for whoever asks, in one transaction."""
    async with request.app[DATABASE].transaction() as conn:
        return await library.write(conn, user_id(request), entries, progress, origin="user", merge=False)


def entries(kind: int, release_ids: Sequence[int], value: int = 0, *, deleted: bool = False) -> list[EntryEdit]:
    """The same edit of each release."""
    now = datetime.now(UTC)
    return [EntryEdit(kind, release_id, value, deleted, now) for release_id in release_ids]


def ratings(given: Sequence[ReleaseRating]) -> list[EntryEdit]:
    """Each release's rating."""
    now = datetime.now(UTC)
    return [EntryEdit(RATING, one.release_id, one.rating, deleted=False, changed_at=now) for one in given]


def progress(made: Sequence[EpisodeProgress]) -> list[ProgressEdit]:
    """Each episode's progress."""
    now = datetime.now(UTC)
    return [
        ProgressEdit(one.episode_id, one.position_seconds, one.completed, deleted=False, restart=False, changed_at=now)
        for one in made
    ]


def removed(episode_id: int) -> list[ProgressEdit]:
    """The episode as if it had never been watched."""
    return [ProgressEdit(episode_id, 0, completed=False, deleted=True, restart=False, changed_at=datetime.now(UTC))]


def put(written: Written) -> Answer:
    """204 with the user's revision; NotFound if there is no such thing to keep."""
    if written.unknown_releases:
        raise NotFound(NO_RELEASE)
    if written.unknown_episodes:
        raise NotFound(NO_EPISODE)
    return gone(written)


def gone(written: Written) -> Answer:
    """204 with the user's revision. What was not there is gone as well."""
    return Answer(status=204, headers={"X-Revision": str(written.revision), "X-Content-Type-Options": "nosniff"})


def many(written: Written, ids: Sequence[int], detail: str = "") -> Answer:
    """What became of many edits, in their order; with a `detail`, those of unknown things were rejected for it."""
    unknown: Collection[int] = {*written.unknown_releases, *written.unknown_episodes} if detail else ()
    rejected = [{"index": index, "detail": detail} for index, one in enumerate(ids) if one in unknown]
    body = {"changed": written.changed, "revision": written.revision, "rejected": rejected}
    return plain(body, headers={"X-Revision": str(written.revision)})
