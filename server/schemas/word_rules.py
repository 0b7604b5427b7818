"""Word rules: what is sent, what is answered."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.rules.words import LONGEST, SHORTEST, TRIED, TRIED_SHOWN
from server.schemas.answers import Count, Id, Page

Kinds = Literal["word", "phrase"]
Actions = Literal["hold", "refuse"]
Moment = Annotated[dt.datetime, Meta(tz=True)]
LONGEST_NOTE = 500
Pattern = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LONGEST,
        description=f"The very characters to look for, {SHORTEST} to {LONGEST}; none of them is special. Case, width,"
        " kinds of white space and what cannot be seen do not count, accents do. Kept as it is compared.",
    ),
]
Kind = Annotated[
    Kinds,
    Meta(
        description="`word`: not inside of another word; of scripts without spaces between words, anywhere."
        " `phrase`: anywhere."
    ),
]
Action = Annotated[Actions, Meta(description="`hold`: it waits for a moderator; `refuse`: it is not taken (422).")]
Note = Annotated[
    str, Meta(max_length=LONGEST_NOTE * 10, description=f"For other moderators; at most {LONGEST_NOTE} characters.")
]


class NewWordRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to be."""

    pattern: Pattern
    kind: Kind
    action: Action
    note: Note | None = None
    enabled: bool = True


class WordRulePatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays as it is."""

    pattern: Pattern | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    note: Note | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class DryRun(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule to be tried."""

    pattern: Pattern
    kind: Kind


class Somebody(Struct, frozen=True, kw_only=True):
    """An account."""

    id: Id
    username: str


class WordRule(Struct, frozen=True, kw_only=True):
    """A rule."""

    id: Id
    pattern: str
    kind: Kinds
    action: Actions
    note: str
    enabled: bool
    created_by: Annotated[Somebody | None, Meta(description="Null if the account was erased.")]
    created_at: Moment
    updated_at: Moment


class WordRulePage(Page[WordRule], frozen=True, kw_only=True):
    """Rules, the newest first."""


class TriedComment(Struct, frozen=True, kw_only=True):
    """A comment that the rule would meet."""

    id: Id
    release_id: Id
    author: Somebody | None
    text: str
    state: Literal["visible", "pending", "hidden"]
    created_at: Moment


class DryRunResult(Struct, frozen=True, kw_only=True):
    """What the rule would do."""

    looked_at: Annotated[int, Meta(ge=0, le=TRIED, description=f"The newest comments, {TRIED:,} at most.")]
    matches: Count
    comments: Annotated[list[TriedComment], Meta(max_length=TRIED_SHOWN, description="The newest of those it meets.")]


NEW: dict[str, Any] = {"pattern": "tide streams", "kind": "phrase", "action": "hold", "note": "Advertising."}
TRY: dict[str, Any] = {"pattern": "tide streams", "kind": "phrase"}
RULE: dict[str, Any] = {
    "id": 12,
    **NEW,
    "enabled": True,
    "created_by": {"id": 7, "username": "alice"},
    "created_at": "2026-11-14T18:30:00.000Z",
    "updated_at": "2026-11-14T18:30:00.000Z",
}
EXAMPLES: dict[Any, Any] = {
    WordRule: RULE,
    WordRulePage: {"count": 1, "next": None, "previous": None, "results": [RULE]},
    DryRunResult: {
        "looked_at": 1000,
        "matches": 1,
        "comments": [
            {
                "id": 90312,
                "release_id": 42,
                "author": {"id": 311, "username": "tidewatcher"},
                "text": "All episodes at Tide Streams!",
                "state": "visible",
                "created_at": "2026-11-14T18:30:00.000Z",
            }
        ],
    },
}
