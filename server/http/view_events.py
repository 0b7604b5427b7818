"""From the body of a view request to the rows of a batch: validated, each event with its place in the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import msgspec

from server.errors import Fault, Unprocessable
from server.http.faults import all_faults
from server.http.parse import decode, loosely
from server.schemas.views import MOST_EVENTS, ReleaseViewEvent, ViewEvent, ViewEvents, ViewFacts
from sql.views import ViewRow

ONE_OR_MANY = msgspec.json.Decoder(ViewEvent | ViewEvents)
OF_RELEASE = msgspec.json.Decoder(ReleaseViewEvent)


class Viewer(NamedTuple):
    """Who sent the request, as far as views are concerned; `reason` says why their views do not count, or None."""

    number: int
    reason: str | None


@dataclass(slots=True)
class Parsed:
    """The sound events. `places` are their positions in the request, None where all are sound."""

    rows: list[ViewRow]
    single: bool
    places: list[int] | None = None
    refused: list[tuple[int, str]] = field(default_factory=list)


def parse(body: bytes, viewer: Viewer) -> Parsed:
    """One event or an array of them. One that is invalid is Unprocessable; inside an array it is set aside."""
    try:
        events = ONE_OR_MANY.decode(body)
    except msgspec.ValidationError:
        return _one_by_one(body, viewer)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        events = decode(ONE_OR_MANY, body)
    if isinstance(events, list):
        return Parsed([_row(event, event.release_id, viewer) for event in events], single=False)
    return Parsed([_row(events, events.release_id, viewer)], single=True)


def parse_for_release(body: bytes, release_id: int, viewer: Viewer) -> Parsed:
    """One event of the release in the address."""
    event = decode(OF_RELEASE, body)
    if isinstance(event.release_id, int) and event.release_id != release_id:
        fault = Fault("/release_id", "Is not the release in the address.")
        raise Unprocessable("Some values do not fit.", faults=[fault])
    return Parsed([_row(event, release_id, viewer)], single=True)


def _row(event: ViewFacts, release_id: int, viewer: Viewer) -> ViewRow:
    return ViewRow(
        event.event_id or uuid4(), release_id, event.episode_id, viewer.number, event.duration_seconds,
        event.completion_percentage, event.viewed_at, viewer.reason,
    )  # fmt: skip


def _one_by_one(body: bytes, viewer: Viewer) -> Parsed:
    values = loosely(body)
    if not isinstance(values, list):
        raise Unprocessable("Some values do not fit.", faults=all_faults(values, ViewEvent))
    if len(values) > MOST_EVENTS:
        raise Unprocessable(
            f"At most {MOST_EVENTS} events a request.", faults=[Fault("", f"Has {len(values)} events.")]
        )
    parsed = Parsed([], single=False, places=[])
    assert parsed.places is not None
    for index, value in enumerate(values):
        try:
            event = msgspec.convert(value, ViewEvent)
        except (msgspec.ValidationError, RecursionError):
            parsed.refused.append((index, _sentence(all_faults(value, ViewEvent))))
        else:
            parsed.rows.append(_row(event, event.release_id, viewer))
            parsed.places.append(index)
    return parsed


def _sentence(faults: Sequence[Fault]) -> str:
    return " ".join(f"{fault.pointer or 'The event'}: {fault.detail}" for fault in faults[:5])
