"""What administrators ask of the catalogue, and what they see of it: things as they are written, with their state."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Id, Page, Span
from server.schemas.queries import Limit, PageNumber, PageQuery

Moment = Annotated[dt.datetime, Meta(tz=True)]
State = Literal["published", "draft", "scheduled", "deleted"]
ETag = Annotated[str, Meta(min_length=1, max_length=200)]
MOST_OPERATIONS = 500
Titled = Annotated[
    Annotated[str, Meta(min_length=1, max_length=80)] | None, Meta(description="How the title, or a name, begins.")
]


class AdminReleasesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of releases, drafts and deleted ones, too."""

    state: Annotated[
        State | None, Meta(description="Only those: `scheduled` are drafts that will be published by themselves.")
    ] = None
    q: Titled = None


class AdminEpisodesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a release's episodes, deleted ones, too."""

    release_id: Annotated[int, Meta(ge=1, le=2**63 - 1, description="Of which release.")]


class AdminWordsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of genres, tags or franchises, deleted ones, too."""

    q: Titled = None


class AdminOperationsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of what changes the catalogue."""

    status: Annotated[
        Literal["queued", "running", "succeeded", "failed", "cancelled"] | None, Meta(description="Only those.")
    ] = None
    kind: Annotated[Literal["edit", "batch", "import"] | None, Meta(description="Only those.")] = None
    limit: Limit = 20
    page: PageNumber = 1


class BatchOperation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One edit, as the request it would be by itself."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, Meta(min_length=1, max_length=200, description="With or without `/api/v1`.")]
    body: dict[str, Any] | UnsetType = UNSET
    if_match: Annotated[ETag | UnsetType, Meta(description="As the header If-Match.")] = UNSET


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Edits that are accepted together."""

    operations: Annotated[list[BatchOperation], Meta(min_length=1, max_length=MOST_OPERATIONS)]
    atomic: Annotated[bool, Meta(description="All or nothing; if false, what can be done is done.")] = True


class AdminRelease(Struct, frozen=True, kw_only=True):
    """A release as it is written, with its state."""

    id: Id
    slug: str
    title: str
    titles: dict[str, str]
    synonyms: list[str]
    synopsis: str
    type: str
    status: str
    season: str | None
    year: int | None
    age_rating: str | None
    episodes_total: int | None
    genres: list[str]
    tags: list[str]
    franchise: str | None
    external_ids: dict[str, int | str]
    is_published: bool
    publish_at: Moment | None
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class AdminEpisode(Struct, frozen=True, kw_only=True):
    """An episode as it is written, with its state."""

    id: Id
    release_id: Id
    ordinal: float
    title: str
    duration_seconds: int | None
    air_at: Moment | None
    opening: Span | None
    ending: Span | None
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class AdminWord(Struct, frozen=True, kw_only=True):
    """A genre, a tag or a franchise as it is written, with its state."""

    id: Id
    name: str
    slug: str
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class AdminReleasePage(Page[AdminRelease], frozen=True, kw_only=True):
    """Releases, the last made first."""


class AdminEpisodePage(Page[AdminEpisode], frozen=True, kw_only=True):
    """Episodes of a release, by ordinal."""


class AdminWordPage(Page[AdminWord], frozen=True, kw_only=True):
    """Words, by name."""


MADE: dict[str, Any] = {
    "created_at": "2026-05-04T12:00:00.000Z",
    "updated_at": "2026-05-05T08:30:00.000Z",
    "deleted_at": None,
}
RELEASE_BODY: dict[str, Any] = {
    "title": "Keepers of the Tide",
    "titles": {"en": "Keepers of the Tide", "romaji": "Shio no Bannin"},
    "synonyms": ["Tidekeepers"],
    "synopsis": "Two sisters keep the last lighthouse.",
    "type": "tv",
    "status": "ongoing",
    "season": "spring",
    "year": 2026,
    "age_rating": "12+",
    "episodes_total": 12,
    "genres": ["Drama"],
    "tags": ["Sea"],
    "franchise": None,
    "external_ids": {"mal": 51234},
}
RELEASE: dict[str, Any] = {
    "id": 42, "slug": "keepers-of-the-tide", **RELEASE_BODY, "is_published": True, "publish_at": None, **MADE,
}  # fmt: skip
EPISODE_BODY: dict[str, Any] = {
    "release_id": 42,
    "ordinal": 3,
    "title": "Ebb",
    "duration_seconds": 1420,
    "air_at": "2026-05-18T15:00:00Z",
}
EPISODE: dict[str, Any] = {"id": 511, **EPISODE_BODY, "opening": {"start": 30, "stop": 120}, "ending": None, **MADE}
WORD: dict[str, Any] = {"id": 7, "name": "Drama", "slug": "drama", **MADE}
WORD_BODY: dict[str, Any] = {"name": "Drama", "slug": "drama"}
BATCH: dict[str, Any] = {
    "atomic": True,
    "operations": [
        {"method": "PATCH", "path": "/admin/releases/42", "body": {"status": "finished"}, "if_match": '"5f1c0a"'},
        {"method": "POST", "path": "/admin/episodes", "body": EPISODE_BODY},
        {"method": "DELETE", "path": "/admin/tags/9"},
    ],
}
ACCEPTED: dict[str, Any] = {
    "id": "8c5a1f0e-6d5f-4d39-9a54-8a5a1f0a2c11",
    "kind": "edit",
    "status": "queued",
    "progress": {"done": 0, "total": 0},
    "percent": 0,
    "errors": [],
    "result": {},
    "download": None,
    "created_at": "2026-05-04T12:00:00.000Z",
    "finished_at": None,
}
EDITED: dict[str, Any] = ACCEPTED | {
    "status": "succeeded",
    "progress": {"done": 1, "total": 1},
    "percent": 100,
    "result": {"id": 42, "noun": "release", "changed": True},
    "finished_at": "2026-05-04T12:00:00.021Z",
}

IMPORTING: dict[str, Any] = ACCEPTED | {"kind": "import"}
CANCELLED: dict[str, Any] = ACCEPTED | {"status": "cancelled", "finished_at": "2026-05-04T12:00:02.000Z"}


def page(row: dict[str, Any]) -> dict[str, Any]:
    """A list that holds nothing else."""
    return {"count": 1, "next": None, "previous": None, "results": [row]}


EXAMPLES: dict[Any, Any] = {
    AdminRelease: RELEASE,
    AdminEpisode: EPISODE,
    AdminWord: WORD,
    AdminReleasePage: page(RELEASE),
    AdminEpisodePage: page(EPISODE),
    AdminWordPage: page(WORD),
}
