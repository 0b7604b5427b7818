"""What every part of the service answers with: problems, health, and the page that holds any list."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

Item = TypeVar("Item")

Id = Annotated[int, Meta(ge=1, description="Never changes and is never given out again.")]
Count = Annotated[int, Meta(ge=0)]


class ProblemFault(Struct, frozen=True, kw_only=True):
    """One bad value of a request."""

    pointer: Annotated[
        str, Meta(description="Where: a JSON pointer (RFC 6901) into the body, or `/name` for a query parameter.")
    ]
    detail: Annotated[str, Meta(description="What is wrong with it, for a reader.")]


class Problem(Struct, frozen=True, kw_only=True):
    """Why a request failed (RFC 9457). Programs compare `code`; `title` and `detail` are for readers."""

    type: Annotated[str, Meta(description="A URI reference that names the kind of problem.")]
    title: Annotated[str, Meta(description="What the kind of problem is; the same for every problem of one `code`.")]
    status: Annotated[int, Meta(ge=400, le=599, description="The HTTP status of this answer.")]
    detail: Annotated[str, Meta(description="What happened this time; may be empty.")]
    instance: Annotated[str, Meta(description="The path that was asked for.")]
    code: Annotated[str, Meta(pattern="^[a-z0-9_]+$", description="The stable name of the kind of problem.")]
    request_id: Annotated[str, Meta(description="As in `X-Request-ID`; the server's logs carry it too.")]
    errors: (
        Annotated[list[ProblemFault], Meta(max_length=20, description="With 422 only: every bad value, up to twenty.")]
        | UnsetType
    ) = UNSET


class HealthCheck(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one part of the service is."""

    status: Annotated[
        Literal["ok", "degraded", "down"],
        Meta(description="`degraded`: slower or poorer than it should be; `down`: does not answer."),
    ]
    detail: Annotated[str, Meta(description="Why, in words.")] | UnsetType = UNSET


class Health(Struct, frozen=True, kw_only=True):
    """How the service is as a whole, and each part by name."""

    status: Annotated[
        Literal["healthy", "degraded", "unhealthy"],
        Meta(description="`degraded` still serves every request; `unhealthy` comes with 503."),
    ]
    checks: Annotated[dict[str, HealthCheck], Meta(description="Every part that was looked at, by its name.")]


class Alive(Struct, frozen=True, kw_only=True):
    """The process turns."""

    status: Literal["alive"]


class Ready(Struct, frozen=True, kw_only=True):
    """The server can serve."""

    status: Literal["ready"]


class Page(Struct, Generic[Item], frozen=True, kw_only=True):
    """One page of a list."""

    count: Annotated[int, Meta(ge=0, description="How many rows the whole list has.")]
    count_is_estimate: (
        Annotated[bool, Meta(description="Present and true where `count` is an estimate; otherwise it is exact.")]
        | UnsetType
    ) = UNSET
    next: Annotated[str | None, Meta(description="Where the next page is; null on the last one.")]
    previous: Annotated[str | None, Meta(description="Where the page before is; null on the first one.")]
    results: Annotated[list[Item], Meta(max_length=100, description="The rows of this page, at most `limit`.")]


class Rejected(Struct, frozen=True, kw_only=True):
    """An event of an array that was not taken, and why."""

    index: Annotated[int, Meta(ge=0, le=499, description="Its place in the array, from 0.")]
    detail: Annotated[str, Meta(description="What is wrong with it.")]


class ViewsAccepted(Struct, frozen=True, kw_only=True):
    """What became of the events sent. Those counted as accepted are committed when this answer leaves."""

    accepted: Annotated[int, Meta(ge=0, description="Stored and counted.")]
    duplicates: Annotated[int, Meta(ge=0, description="Already received under the same `event_id` within 48 hours.")]
    filtered: Annotated[int, Meta(ge=0, description="Sent by crawlers; kept apart and never counted.")]
    rejected: Annotated[
        list[Rejected], Meta(max_length=500, description="Not taken; always empty when a single event was sent.")
    ]


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of an episode, in seconds from its beginning."""

    start: Annotated[int, Meta(ge=0, description="Its first second.")]
    stop: Annotated[int, Meta(ge=0, description="The second it ends at; greater than `start`.")]


class WordReference(Struct, frozen=True, kw_only=True):
    """A genre or a tag as it stands inside a release."""

    id: Id
    name: str
    slug: str


class FranchiseReference(Struct, frozen=True, kw_only=True):
    """A franchise as it stands inside a release."""

    id: Id
    name: str


class ReleaseReference(Struct, frozen=True, kw_only=True):
    """A release as it stands inside other answers: just enough to show a link."""

    id: Id
    slug: str
    title: str


class Reason(Struct, frozen=True, kw_only=True):
    """Why a release is recommended."""

    code: Annotated[str, Meta(pattern="^[a-z0-9_]+$", description="The stable name of the reason.")]
    text: Annotated[str, Meta(description="The reason in words.")]
