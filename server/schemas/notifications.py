"""Notifications: lists, counts, and what people want to be told by which way."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.rules.notifications import NotificationType
from server.schemas.answers import Count, Id, Page
from server.schemas.queries import Cursor, Limit

MOMENT = "2026-11-14T18:30:00.000Z"
Email = Literal["off", "instant", "daily", "weekly"]
MuteType = Literal["release", "genre", "franchise"]
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)"
ZONE = r"^[A-Za-z0-9_+\-/]+$(?!\n)"
MOST_MUTES = 1_000


class NotificationsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the list, the newest first."""

    unread_only: Annotated[bool, Meta(description="Only what is not read yet.")] = False
    limit: Limit = 20
    cursor: Cursor = None


class NotificationTarget(Struct, frozen=True, kw_only=True):
    """What it is about."""

    type: Literal["release", "episode", "comment", "review", "user"]
    id: Id
    title: Annotated[str | None, Meta(description="Null for what has no name of its own, or is no longer there.")]


class NotificationRelease(Struct, frozen=True, kw_only=True):
    """The release it belongs to."""

    id: Id
    slug: str
    title: str


class Notification(Struct, frozen=True, kw_only=True):
    """Something you were told."""

    id: Id
    type: Annotated[
        NotificationType, Meta(description="`digest` stands for what arrived together when the hour had turned.")
    ]
    title: Annotated[str, Meta(description="A headline, in the language of your profile (English or Russian).")]
    text: Annotated[str, Meta(description="What happened, in one sentence.")]
    target: NotificationTarget
    release: Annotated[NotificationRelease | None, Meta(description="Null where there is none, or it is not shown.")]
    data: Annotated[
        dict[str, Any],
        Meta(
            description="By type: `reply` has `comment_id` and `author_id`, `moderation` has `decision` and `reason`, "
            "`digest` has `counts` by type and up to twenty `events`."
        ),
    ]
    read: bool
    created_at: dt.datetime


class NotificationPage(Page[Notification], frozen=True, kw_only=True):
    """What you were told, the newest first. Follow `next`: what arrives meanwhile moves nothing."""

    unread_count: Annotated[int, Meta(ge=0, description="How many you have not read, in the whole list.")]


class UnreadCount(Struct, frozen=True, kw_only=True):
    """How many you have not read."""

    unread_count: Count


class MarkedRead(Struct, frozen=True, kw_only=True):
    """What has been marked, and what is left."""

    marked: Annotated[int, Meta(ge=0, description="How many were unread and no longer are.")]
    unread_count: Count


class Channels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ways by which a type of notification comes."""

    in_app: Annotated[bool, Meta(description="In the list of notifications and the live stream.")] = True
    email: Annotated[
        Email,
        Meta(
            description="As soon as it happens, or together with others each day or each Monday at 08:00. "
            "Mails go to verified addresses only."
        ),
    ] = "off"


class ChannelsByType(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channels of each type."""

    new_episode: Channels = Channels()
    new_release: Channels = Channels()
    recommendation: Channels = Channels()
    reply: Channels = Channels()
    moderation: Channels = Channels()


class QuietHours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When no mail is sent: what is due then waits for their end. They may reach over midnight."""

    start: Annotated[str, Meta(pattern=CLOCK, description="By the clock of `time_zone`.")]
    end: Annotated[str, Meta(pattern=CLOCK, description="Not the same as `start`.")]


class Muted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something you want to hear nothing about."""

    target_type: MuteType
    target_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


class NotificationPreferences(Struct, frozen=True, kw_only=True):
    """What comes, by which way, and when not."""

    types: ChannelsByType
    quiet_hours: QuietHours | None
    time_zone: str
    mutes: Annotated[list[Muted], Meta(description="Moderators' decisions come even so.")]


class NotificationPreferencesDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it anew: types and quiet hours that are left out go back to what they are by default."""

    types: ChannelsByType = ChannelsByType()
    quiet_hours: QuietHours | None = None
    time_zone: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64, pattern=ZONE)] | UnsetType,
        Meta(description="Of IANA, such as Europe/Berlin. Left out: stays as it is."),
    ] = UNSET
    mutes: Annotated[
        Annotated[list[Muted], Meta(max_length=MOST_MUTES)] | UnsetType, Meta(description="Left out: stay as they are.")
    ] = UNSET


EPISODE: dict[str, Any] = {
    "id": 90120,
    "type": "new_episode",
    "title": "New episode",
    "text": "Keepers of the Tide, episode 7",
    "target": {"type": "episode", "id": 511, "title": "Keepers of the Tide, episode 7"},
    "release": {"id": 42, "slug": "keepers-of-the-tide", "title": "Keepers of the Tide"},
    "data": {},
    "read": False,
    "created_at": MOMENT,
}
DIGEST: dict[str, Any] = {
    "id": 90077,
    "type": "digest",
    "title": "What came meanwhile",
    "text": "7 new episodes",
    "target": {"type": "user", "id": 7, "title": None},
    "release": None,
    "data": {"counts": {"new_episode": 7}, "events": [4401, 4402, 4407, 4410, 4411, 4415, 4420]},
    "read": True,
    "created_at": MOMENT,
}
DRAFT: dict[str, Any] = {
    "types": {"new_episode": {"in_app": True, "email": "instant"}, "recommendation": {"in_app": False}},
    "quiet_hours": {"start": "22:00", "end": "08:00"},
    "time_zone": "Europe/Berlin",
}
OFF: dict[str, Any] = {"in_app": True, "email": "off"}
EXAMPLES: dict[Any, Any] = {
    NotificationPage: {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [EPISODE, DIGEST],
        "unread_count": 1,
    },
    UnreadCount: {"unread_count": 3},
    MarkedRead: {"marked": 3, "unread_count": 0},
    NotificationPreferences: {
        "types": {
            "new_episode": {"in_app": True, "email": "instant"},
            "new_release": OFF,
            "recommendation": {"in_app": False, "email": "off"},
            "reply": OFF,
            "moderation": OFF,
        },
        "quiet_hours": {"start": "22:00", "end": "08:00"},
        "time_zone": "Europe/Berlin",
        "mutes": [{"target_type": "genre", "target_id": 3}],
    },
}
