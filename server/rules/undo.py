"""Taking a change back: what has to be done, and whether it still can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal

from server.errors import Conflict, Fault

UndoAction = Literal["delete", "restore", "update"]
Diff = Mapping[str, list[Any]]


def inverse(
    action: str, diff: Diff, current: Mapping[str, Any], writable: Collection[str], now: datetime
) -> tuple[UndoAction, dict[str, Any] | None]:
    """The edit that takes a revision back, given the thing as it is now and the fields that can be written.

    Conflict where the thing is gone, or was changed since in a field that would be set back.
    """
    deleted = current["deleted_at"] is not None
    if action == "deleted":
        if not deleted:
            raise Conflict("It has been restored already.")
        return "restore", None
    if deleted:
        raise Conflict("It has been deleted since; restore it first.")
    if action in ("created", "restored"):
        return "delete", None
    if action == "published":
        diff = {"is_published": [False, True]}
    return "update", _values_before(diff, current, writable, now)


def _values_before(diff: Diff, current: Mapping[str, Any], writable: Collection[str], now: datetime) -> dict[str, Any]:
    mine = {name: values for name, values in diff.items() if name in writable}
    changed = [name for name, (_, after) in mine.items() if current.get(name) != after]
    if changed:
        raise Conflict(
            f"Changed again since: {', '.join(changed)}.",
            faults=[Fault(f"/{name}", "Has been changed since.") for name in changed],
        )
    body = {name: before for name, (before, _) in mine.items()}
    if _is_past(body.get("publish_at"), now):
        # A moment that has gone by publishes nothing any more.
        body["publish_at"] = None
    if not body:
        raise Conflict("There is nothing in it that could be set back.")
    return body


def _is_past(moment: object, now: datetime) -> bool:
    return isinstance(moment, str) and datetime.fromisoformat(moment) <= now
