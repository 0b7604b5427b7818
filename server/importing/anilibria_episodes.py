"""Episodes as the `anilibria` format has them, in our words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from server.importing.drafts import ordinal_fault
from server.importing.reading import Notes, whole

EPISODES_MAX = 5_000
DURATION_MAX = 864_000


def episodes_of(items: list[Any], notes: Notes) -> list[dict[str, Any]]:
    """Drafts of the episodes that can be stored; the others are rejected one by one."""
    found: dict[Decimal, dict[str, Any]] = {}
    for place, item in enumerate(items[:EPISODES_MAX]):
        field = f"items[{place}]"
        if not isinstance(item, dict):
            notes.rejected(field, "must be an object")
            continue
        ordinal = ordinal_of(item, field, notes)
        if ordinal is None:
            continue
        if ordinal in found:
            notes.rejected(f"{field}.ordinal", f"{ordinal} appears twice")
            continue
        found[ordinal] = episode_of(ordinal, item, field, notes)
    if len(items) > EPISODES_MAX:
        notes.rejected("items", f"more than {EPISODES_MAX} episodes: the rest left out")
    return list(found.values())


def ordinal_of(item: dict[str, Any], field: str, notes: Notes) -> Decimal | None:
    """The number of the episode: zero and fractions are legitimate, less than zero is not."""
    value = item.get("ordinal")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        notes.rejected(f"{field}.ordinal", "must be a number")
        return None
    ordinal = Decimal(value)
    if fault := ordinal_fault(ordinal):
        notes.rejected(f"{field}.ordinal", fault)
        return None
    return ordinal


def episode_of(ordinal: Decimal, item: dict[str, Any], field: str, notes: Notes) -> dict[str, Any]:
    """One episode."""
    name = notes.cleaned(f"{field}.name", item.get("name")) or notes.cleaned(
        f"{field}.nameEnglish", item.get("nameEnglish")
    )
    return {
        "ordinal": ordinal,
        "title": name[:300],
        "duration_seconds": duration_of(item.get("duration"), f"{field}.duration", notes),
        "opening": span_of(item.get("opening"), f"{field}.opening", notes),
        "ending": span_of(item.get("ending"), f"{field}.ending", notes),
    }


def duration_of(value: Any, field: str, notes: Notes) -> int | None:
    """Seconds, or None where they are not known; zero means that too."""
    seconds = whole(value)
    if seconds is not None and 1 <= seconds <= DURATION_MAX:
        return seconds
    if value is not None:
        notes.repaired(field, "is zero or out of bounds: left out")
    return None


def span_of(value: Any, field: str, notes: Notes) -> dict[str, int] | None:
    """A stretch of the episode, or None where it is not known or ends before it starts."""
    if not isinstance(value, dict) or (value.get("start") is None and value.get("stop") is None):
        return None
    start, stop = whole(value.get("start")), whole(value.get("stop"))
    if start is not None and stop is not None and 0 <= start < stop <= DURATION_MAX:
        return {"start": start, "stop": stop}
    notes.repaired(field, "start must lie before stop: left out")
    return None
