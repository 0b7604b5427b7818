"""One change to the catalogue as the CMS hands it on: plain values, which a queue can keep and a later attempt read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID

from server.errors import YojohanError
from server.schemas.cms import TYPES

__all__ = [
    "TYPES",
    "Action",
    "Applied",
    "Author",
    "Edit",
    "Faulty",
    "Noun",
    "Origin",
    "Outcome",
    "from_json",
    "to_json",
]

Noun = Literal["release", "episode", "genre", "tag", "franchise"]
Action = Literal["create", "replace", "update", "delete", "restore"]
Origin = Literal["cms", "import", "undo", "schedule"]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of one thing.

    `id` is None only for a create that `reserve` has not seen yet. `body` holds JSON values that passed
    `TYPES[noun, action]`. `if_match` is the strong ETag of `GET /admin/{noun}s/{id}`, quotes and all; `*` asks only
    that the thing be there.
    """

    noun: Noun
    action: Action
    id: int | None
    body: dict[str, Any] | None = None
    if_match: str | None = None

    @property
    def entity(self) -> str:
        """What it is about, as operations name it: `release:5`."""
        return f"{self.noun}:{self.id}"


class Author(NamedTuple):
    """On whose behalf a change is made. `undoes` is the revision that it takes back."""

    user_id: int | None
    operation_id: UUID | None
    origin: Origin
    undoes: int | None = None


class Faulty(NamedTuple):
    """The place of an edit in its list, and why it cannot be."""

    index: int  # type: ignore[assignment]
    error: YojohanError


class Applied(NamedTuple):
    """What became of an edit; `changed` is false where everything was so already."""

    noun: Noun
    id: int
    changed: bool


@dataclass(slots=True)
class Outcome:
    """What a list of edits did: to each, in order; cache tags to drop, words whose releases' documents follow."""

    applied: list[Applied] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    rebuild: list[tuple[Noun, int]] = field(default_factory=list)


def to_json(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """The edits as JSON values."""
    # Not `asdict`, which copies every body: a batch has hundreds.
    return [
        {"noun": edit.noun, "action": edit.action, "id": edit.id, "body": edit.body, "if_match": edit.if_match}
        for edit in edits
    ]


def from_json(values: Sequence[dict[str, Any]]) -> list[Edit]:
    """The edits that `to_json` wrote."""
    return [Edit(**value) for value in values]
