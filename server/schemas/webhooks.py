"""Webhooks, and what was sent to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Id, Page
from server.schemas.catalogue import NO_CONTROLS
from server.schemas.queries import Cursor, Limit

Topic = Literal[
    "release.created", "release.updated", "release.deleted", "episode.created", "episode.updated", "episode.deleted"
]
DeliveryStatus = Literal["pending", "succeeded", "failed"]

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        description="Where to send to: `https`, a public host. Redirects are not followed.",
        extra_json_schema={"format": "uri"},
    ),
]
Description = Annotated[str, Meta(max_length=200, pattern=NO_CONTROLS, description="What it is for.")]
Topics = Annotated[list[Topic], Meta(max_length=6, description="What it is told of; none of them stand for all.")]


class NewWebhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook to make."""

    url: Url
    description: Description = ""
    topics: Topics = []


class WebhookChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; the rest stays as it is."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    topics: Topics | UnsetType = UNSET
    enabled: (
        Annotated[bool, Meta(description="`true` also for one that was switched off because it failed.")] | UnsetType
    ) = UNSET


class Webhook(Struct, frozen=True, kw_only=True):
    """Somebody outside who is told of changes."""

    id: Id
    url: str
    description: str
    topics: list[Topic]
    enabled: bool
    failures: Annotated[int, Meta(ge=0, description="Attempts that failed since one last succeeded.")]
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: Annotated[
        Literal["manual", "gone", "failing"] | None,
        Meta(description="`gone`: it answered 410; `failing`: for five days, and twenty times."),
    ]
    previous_secret_until: Annotated[str | None, Meta(description="Until when the secret before signs along.")]
    created_at: str
    updated_at: str


class CreatedWebhook(Webhook, frozen=True, kw_only=True):
    """A new webhook, with its secret: shown now and never again."""

    secret: Annotated[str, Meta(description="`whsec_` and 32 bytes in base64, as Standard Webhooks has it.")]


class WebhookPage(Page[Webhook], frozen=True, kw_only=True):
    """A page of webhooks, the newest first."""


class WebhookSecret(Struct, frozen=True, kw_only=True):
    """A new secret: shown now and never again."""

    id: Id
    secret: str
    previous_secret_until: str


class DeliveriesQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the log of deliveries."""

    status: Annotated[DeliveryStatus | None, Meta(description="Only these.")] = None
    limit: Limit = 20
    cursor: Cursor = None


class WebhookDelivery(Struct, frozen=True, kw_only=True):
    """Something that was or is to be sent."""

    id: Annotated[str, Meta(description="The header `webhook-id`, the same at every attempt.")]
    type: str
    entity: Annotated[str, Meta(description="What it is about; of one entity the order is kept.")]
    status: DeliveryStatus
    attempts: Annotated[int, Meta(ge=0)]
    next_attempt_at: str | None
    response_status: int | None
    response: Annotated[str | None, Meta(description="The beginning of what came back last.")]
    error: str | None
    duration_ms: int | None
    attempted_at: str | None
    finished_at: str | None
    created_at: str


class WebhookDeliveryPage(Page[WebhookDelivery], frozen=True, kw_only=True):
    """A page of deliveries, the latest first."""

    count_is_estimate: Annotated[bool, Meta(description="There are more than were counted.")] | UnsetType = UNSET


class DeliveryQueued(Struct, frozen=True, kw_only=True):
    """It is sent within moments."""

    id: str


WEBHOOK: dict[str, Any] = {
    "id": 3,
    "url": "https://site.example.org/hooks/catalogue",
    "description": "The site's own pages",
    "topics": ["release.updated", "episode.created"],
    "enabled": True,
    "failures": 0,
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
    "previous_secret_until": None,
    "created_at": "2026-11-14T18:30:00.000Z",
    "updated_at": "2026-11-14T18:30:00.000Z",
}
NEW_WEBHOOK = {name: WEBHOOK[name] for name in ("url", "description", "topics")}
SECRET = "whsec_" + "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlYzA="
DELIVERY: dict[str, Any] = {
    "id": "6a1f2f6e-5d0e-4d0c-9a53-0b8f8a542f0d",
    "type": "release.updated",
    "entity": "release:42",
    "status": "pending",
    "attempts": 1,
    "next_attempt_at": "2026-11-14T18:30:11.402Z",
    "response_status": 500,
    "response": "Internal Server Error",
    "error": "Answered 500.",
    "duration_ms": 61,
    "attempted_at": "2026-11-14T18:30:01.117Z",
    "finished_at": None,
    "created_at": "2026-11-14T18:30:00.000Z",
}
EXAMPLES: dict[Any, Any] = {
    Webhook: WEBHOOK,
    CreatedWebhook: WEBHOOK | {"secret": SECRET},
    WebhookPage: {"count": 1, "next": None, "previous": None, "results": [WEBHOOK]},
    WebhookSecret: {"id": 3, "secret": SECRET, "previous_secret_until": "2026-11-15T18:30:00.000Z"},
    WebhookDeliveryPage: {"count": 1, "next": None, "previous": None, "results": [DELIVERY]},
    DeliveryQueued: {"id": DELIVERY["id"]},
}
