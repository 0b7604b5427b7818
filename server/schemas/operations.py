"""Long work as its owner sees it."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from server.schemas.answers import Page
from server.schemas.queries import Limit, PageNumber

Moment = Annotated[dt.datetime, Meta(tz=True)]


class OperationsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of one's own operations."""

    limit: Limit = 20
    page: PageNumber = 1


class OperationProgress(Struct, frozen=True, kw_only=True):
    """How far it has come."""

    done: Annotated[int, Meta(ge=0, description="What is done so far, rows mostly.")]
    total: Annotated[int, Meta(ge=0, description="Out of how many; 0 while that is not known.")]


class OperationError(Struct, frozen=True, kw_only=True):
    """Something that could not be done."""

    row: Annotated[int | None, Meta(description="Which row it is about; null where it is about the whole.")]
    detail: Annotated[str, Meta(description="What is wrong, for a reader.")]
    field: Annotated[str, Meta(description="Which field of the row; of an edit, a JSON pointer.")] | UnsetType = UNSET
    code: Annotated[str, Meta(description="As in problem documents, where it has one.")] | UnsetType = UNSET


class Operation(Struct, frozen=True, kw_only=True):
    """Long work that was asked for. It is kept for seven days after its end, and its file with it."""

    id: UUID
    kind: Annotated[str, Meta(description="What is done: `export`, `import_list` and so on.")]
    status: Annotated[
        Literal["queued", "running", "succeeded", "failed", "cancelled"],
        Meta(description="`succeeded`, `failed` and `cancelled` are final."),
    ]
    progress: OperationProgress
    percent: Annotated[int, Meta(ge=0, le=100, description="100 once it has succeeded, at most 99 before.")]
    errors: Annotated[
        list[OperationError],
        Meta(
            max_length=501,
            description="What was refused, row by row (the first hundred, of a batch the first five hundred), and why"
            " the whole failed, if so.",
        ),
    ]
    result: Annotated[
        dict[str, Any], Meta(description="What came of it, by kind; `refused` counts all rows that were refused.")
    ]
    download: Annotated[str | None, Meta(description="Where the file is that it made; null if there is none.")]
    created_at: Moment
    finished_at: Moment | None


class OperationPage(Page[Operation], frozen=True, kw_only=True):
    """One's own operations, the newest first."""


OPERATION: dict[str, Any] = {
    "id": "3f0c2b9e-54a7-4c53-8f0e-0d8a3c6f9b21",
    "kind": "export",
    "status": "succeeded",
    "progress": {"done": 1280, "total": 1280},
    "percent": 100,
    "errors": [],
    "result": {"bytes": 48_213},
    "download": "/api/v1/operations/3f0c2b9e-54a7-4c53-8f0e-0d8a3c6f9b21/download",
    "created_at": "2026-05-04T12:00:00.000Z",
    "finished_at": "2026-05-04T12:00:03.412Z",
}
OPERATION_PAGE: dict[str, Any] = {"count": 1, "next": None, "previous": None, "results": [OPERATION]}
