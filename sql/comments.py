"""Comments: written by functions of the database (`0014_comments.sql`), read page by page, for one reader or nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from server.errors import Conflict, Fault, Forbidden, NotFound, Unauthenticated, Unprocessable, YojohanError
from server.rules.comments import DEEPEST, EDIT_WINDOW, FIRST, LAST, MOST_COUNTED
from sql.outbox import PUBLISHED
from sql.query import Connection, load

QUERIES = load("comments")


class Reader(NamedTuple):
    """Who looks: their id (None: a visitor), whether they moderate, whether they want to read spoilers."""

    user_id: int | None = None
    moderates: bool = False
    unveiled: bool = False


class Draft(NamedTuple):
    """A comment to be: what was sent, and what the rules say of its text."""

    text: str
    parent_id: int | None
    episode_id: int | None
    spoiler: bool
    has_link: bool
    worded: bool


class Change(NamedTuple):
    """What is to be changed of a comment (None: nothing), and what the rules say of its text."""

    text: str | None
    spoiler: bool | None
    has_link: bool
    worded: bool


@dataclass(frozen=True, slots=True)
class Posted:
    """A new comment, unless `full` says that the quota is used up: then nothing was written, and the id is 0.

    `document` is its JSON; `used`, `frees_at` and `at` are the quota's.
    """

    full: bool
    comment_id: int
    release_id: int
    state: str
    document: str
    used: int
    frees_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Edited:
    """A comment that was changed, and whether that has moved counters."""

    release_id: int
    document: str
    published: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """A comment that was taken back, unless it is `to_moderate`: another's, and whoever asked may decide about it."""

    to_moderate: bool
    release_id: int
    published: bool


@dataclass(frozen=True, slots=True)
class Threads:
    """A page of comments without a parent: how many there are, the ids of the page, and their JSON."""

    count: int
    ids: list[int]
    comments: list[str]


@dataclass(frozen=True, slots=True)
class Replies:
    """A page of replies, as above, and the release they stand under."""

    release_id: int
    count: int
    ids: list[int]
    comments: list[str]


@dataclass(frozen=True, slots=True)
class One:
    """A comment's JSON, and the release it stands under."""

    release_id: int
    comment: str


REFUSALS: dict[str, tuple[str, str, str]] = {
    "parent": ("There is no such comment to answer.", "/parent_id", "Is no comment of this release that can be read."),
    "deep": ("The thread is deep enough.", "/parent_id", f"Stands at depth {DEEPEST} and takes no answers."),
    "episode": ("There is no such episode.", "/episode_id", "Is no episode of this release."),
}


async def post(conn: Connection, author: int, release: int | str, draft: Draft, quota: tuple[int, timedelta]) -> Posted:
    """Write a comment under the release of this id or slug, in one statement, which needs no transaction around it.

    NotFound if there is no such release, Unauthenticated if the account is gone, Unprocessable for a parent or episode
    that does not fit. Where the quota is used up nothing is written, and the result says so.
    """
    named: tuple[int | None, str | None] = (release, None) if isinstance(release, int) else (None, release)
    row = await QUERIES.post.fetchrow(
        conn, author, *named, draft.parent_id, draft.episode_id, draft.text, draft.spoiler, draft.has_link,
        draft.worded, *quota, DEEPEST,
    )  # fmt: skip
    assert row is not None
    posted = _posted(row)
    if isinstance(posted, YojohanError):
        raise posted
    PUBLISHED.set(posted.state == "visible")
    return posted


async def post_many(
    conn: Connection, wanted: Sequence[tuple[int, int, Draft]], quota: tuple[int, timedelta]
) -> list[Posted | YojohanError | None]:
    """Write what these authors say under these releases, in one statement; for each what `post` returns or raises.

    None where somebody else is at the same author or release: nobody is waited for, `post` it alone.
    """
    authors, releases, drafts = zip(*wanted, strict=True)
    texts, parents, episodes, spoilers, links, worded = zip(*drafts, strict=True)
    rows = await QUERIES.post_many.fetch(
        conn, authors, releases, parents, episodes, texts, spoilers, links, worded, *quota, DEEPEST
    )
    PUBLISHED.set(any(row["state"] == "visible" for row in rows))
    return [None if row["outcome"] == "busy" else _posted(row) for row in rows]


def _posted(row: Mapping[str, Any]) -> Posted | YojohanError:
    match outcome := row["outcome"]:
        case "unknown":
            return NotFound("There is no such release.")
        case "gone":
            return Unauthenticated("This account is gone.", error="invalid_token")
        case "parent" | "deep" | "episode":
            detail, pointer, wrong = REFUSALS[outcome]
            return Unprocessable(detail, faults=[Fault(pointer, wrong)])
        case "full":
            return Posted(True, 0, row["release_id"], "", "", row["used"], row["frees_at"], row["at"])
    return Posted(False, *tuple(row.values())[1:])


async def edit(conn: Connection, reader: Reader, comment_id: int, change: Change) -> Edited:
    """Change one's own comment. NotFound if there is none that can be seen, Forbidden if it is another's, Conflict if
    its words stand too long already or moderators have taken it away."""
    row = await QUERIES.edit.fetchrow(conn, reader.user_id, reader.moderates, comment_id, *change, EDIT_WINDOW)
    assert row is not None
    match row["outcome"]:
        case "unknown":
            raise NotFound("There is no such comment.")
        case "forbidden":
            raise Forbidden("Only its author may change a comment.")
        case "late":
            minutes = EDIT_WINDOW // timedelta(minutes=1)
            raise Conflict(f"The words of a comment may be changed for {minutes} minutes.")
        case "hidden":
            raise Conflict("Moderators have taken this comment away.")
    PUBLISHED.set(row["published"])
    return Edited(*tuple(row)[1:])


async def delete(conn: Connection, reader: Reader, comment_id: int) -> Erased:
    """Take one's own comment back; nothing changes if that is so already. NotFound if there is none that can be seen,
    Forbidden if it is another's; of a moderator the result says that it is for them to decide."""
    row = await QUERIES.erase.fetchrow(conn, reader.user_id, reader.moderates, comment_id)
    assert row is not None
    outcome, release_id, published = row
    if outcome == "unknown":
        raise NotFound("There is no such comment.")
    if outcome == "forbidden":
        raise Forbidden("Only its author may delete a comment.")
    PUBLISHED.set(published)
    return Erased(outcome == "moderate", release_id, published)


async def threads(
    conn: Connection, reader: Reader, release_id: int, episode_id: int | None, behind: int | None, limit: int,
    *, newest: bool,
) -> Threads | None:  # fmt: skip
    """Up to `limit` comments without a parent, behind the one with this id; None if there is no such release.

    Those of one episode are counted up to MOST_COUNTED + 1.
    """
    start = behind if behind is not None else LAST if newest else FIRST
    row = await QUERIES.threads.fetchrow(conn, release_id, *reader, episode_id, newest, start, limit, MOST_COUNTED + 1)
    return None if row is None else Threads(*row)


async def replies(conn: Connection, reader: Reader, comment_id: int, behind: int | None, limit: int) -> Replies | None:
    """Up to `limit` replies, the oldest first; None if there is no such comment that can be seen."""
    row = await QUERIES.replies.fetchrow(conn, comment_id, *reader, FIRST if behind is None else behind, limit)
    return None if row is None else Replies(*row)


async def get(conn: Connection, reader: Reader, comment_id: int) -> One | None:
    """A comment; None if there is none that can be seen."""
    row = await QUERIES.get.fetchrow(conn, comment_id, *reader)
    return None if row is None else One(*row)
