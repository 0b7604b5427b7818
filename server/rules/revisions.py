"""What a revision tells of a change: the fields that are others now, with what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Which thing it is, when something happened to it, and what the kind of the revision says by itself.
NOT_CONTENT = frozenset({"id", "created_at", "updated_at", "deleted_at"})


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{"field": [before, after]} of each field that differs, in the order of the document; None where there is none."""
    fields = dict.fromkeys((*before, *after))
    return {
        field: [before.get(field), after.get(field)]
        for field in fields
        if field not in NOT_CONTENT and before.get(field) != after.get(field)
    }
