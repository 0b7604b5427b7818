"""Comments: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.rules.comments import DEEPEST, EDIT_WINDOW, LONGEST, MOST_COUNTED
from server.rules.plain_text import MOST_PER_CHARACTER
from server.schemas.answers import Id, Page
from server.schemas.queries import Cursor, Limit

AnyId = Annotated[int, Meta(ge=1, le=2**63 - 1)]
State = Literal["visible", "pending", "hidden"]
Reason = Literal["links", "flood", "repeated", "words", "reports"]
MINUTES = EDIT_WINDOW // dt.timedelta(minutes=1)
Text = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST * MOST_PER_CHARACTER,
        description=f"Plain text, 1 to {LONGEST} characters as a reader counts them (a family of emoji is one), kept in"
        " NFC. Line breaks and tabs are the only control characters.",
    ),
]
Spoilers = Annotated[
    Literal["hide", "show"],
    Meta(description="`hide`: comments on episodes beyond the reader's progress come without their text."),
]


class CommentsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which comments of a release, and in which order."""

    sort: Annotated[Literal["newest", "oldest"], Meta(description="Which come first.")] = "newest"
    episode_id: Annotated[
        AnyId | None, Meta(description=f"Only those on this episode, which are counted up to {MOST_COUNTED:,}.")
    ] = None
    spoilers: Spoilers = "hide"
    limit: Limit = 20
    cursor: Cursor = None


class RepliesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which replies, the oldest first."""

    spoilers: Spoilers = "hide"
    limit: Limit = 20
    cursor: Cursor = None


class CommentQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a comment is to be shown."""

    spoilers: Spoilers = "hide"


class NewComment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to say about a release."""

    text: Text
    parent_id: Annotated[
        AnyId | None, Meta(description=f"The comment of the same release it answers; at most {DEEPEST} deep.")
    ] = None
    episode_id: Annotated[
        AnyId | None,
        Meta(
            description="The episode it is about: whoever has not come so far does not get its text. A reply is about"
            " the episode of what it answers; another has to be a later one, else it is that."
        ),
    ] = None
    spoiler: Annotated[bool, Meta(description="For clients: it gives something away.")] = False


class CommentPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is left out stays."""

    text: Text | UnsetType = UNSET
    spoiler: bool | UnsetType = UNSET


class Author(Struct, frozen=True, kw_only=True):
    """Who wrote it."""

    id: Id
    username: str


class Comment(Struct, frozen=True, kw_only=True):
    """Something said about a release: with its `text` or, in its place, with why that is `hidden`."""

    id: Id
    release_id: Id
    parent_id: Id | None
    depth: Annotated[int, Meta(ge=0, le=DEEPEST, description="0 for a comment on a release, 1 for a reply to it, …")]
    author: Annotated[Author | None, Meta(description="Null where the account, or what it said, is gone.")]
    episode_id: Id | None
    episode: Annotated[float | None, Meta(description="The ordinal of the episode it is about.")]
    text: Annotated[str, Meta(description="Plain text: escape it.")] | UnsetType = UNSET
    hidden: (
        Annotated[
            Literal["spoiler", "deleted", "moderated"],
            Meta(
                description="Why there is no text: the reader has not come to the episode; or the comment is gone and"
                " its place keeps the thread together."
            ),
        ]
        | UnsetType
    ) = UNSET
    spoiler: bool
    state: Annotated[State, Meta(description="`pending` waits for a moderator; others do not see it meanwhile.")]
    held_for: Annotated[list[Reason], Meta(description="Why it waits; for its author and moderators.")] | UnsetType = (
        UNSET
    )
    replies_count: Annotated[int, Meta(ge=0, description="Of its direct replies, those that stand in their list.")]
    created_at: Annotated[dt.datetime, Meta(tz=True)]
    edited_at: Annotated[dt.datetime, Meta(tz=True)] | None


class CommentPage(Page[Comment], frozen=True, kw_only=True):
    """A page of comments. Follow `next`: what is said meanwhile moves nothing."""


NEW: dict[str, Any] = {"text": "The tide came in backwards. Did anybody else see it?", "episode_id": 511}
COMMENT: dict[str, Any] = {
    "id": 90210,
    "release_id": 42,
    "parent_id": None,
    "depth": 0,
    "author": {"id": 7, "username": "alice"},
    "episode_id": 511,
    "episode": 7,
    "text": "The tide came in backwards. Did anybody else see it?",
    "spoiler": False,
    "state": "visible",
    "replies_count": 2,
    "created_at": "2026-11-14T18:30:00.000Z",
    "edited_at": None,
}
VEILED: dict[str, Any] = {name: value for name, value in COMMENT.items() if name != "text"} | {
    "id": 90214,
    "hidden": "spoiler",
    "replies_count": 0,
}
EXAMPLES: dict[Any, Any] = {
    Comment: COMMENT,
    CommentPage: {
        "count": 340,
        "next": "/api/v1/releases/42/comments?cursor=WyJjb21tZW50cy1uZXdlc3QiLDAsOTAyMTBd",
        "previous": None,
        "results": [VEILED, COMMENT],
    },
}
