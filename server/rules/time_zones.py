"""A time zone as calendars want it (VTIMEZONE of RFC 5545): when its clocks are changed, as long as it matters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# No zone changes its clock and back within a week.
STEP = timedelta(days=7)
SECOND = timedelta(seconds=1)


def lines(zone: ZoneInfo, first: datetime, last: datetime) -> Iterator[str]:
    """The lines of its VTIMEZONE, right from `first` to `last`."""
    moment = first.astimezone(UTC).replace(microsecond=0) - STEP
    stop = last.astimezone(UTC) + STEP
    yield "BEGIN:VTIMEZONE"
    yield f"TZID:{zone.key}"
    # What held before the first change, as if it had always.
    yield from _observance(zone, moment, datetime(1970, 1, 1), before=moment)  # noqa: DTZ001 - local by nature
    while moment < stop:
        if _state(zone, moment) != _state(zone, moment + STEP):
            change = _change(zone, moment, moment + STEP)
            before = change - SECOND
            onset = change.replace(tzinfo=None) + _offset(zone, before)
            yield from _observance(zone, change, onset, before=before)
        moment += STEP
    yield "END:VTIMEZONE"


def _state(zone: ZoneInfo, moment: datetime) -> tuple[timedelta, bool, str | None]:
    local = moment.astimezone(zone)
    return local.utcoffset() or timedelta(), bool(local.dst()), local.tzname()


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return _state(zone, moment)[0]


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second in which the clock is changed, by halving."""
    old = _state(zone, before)
    while after - before > SECOND:
        middle = before + timedelta(seconds=(after - before) // SECOND // 2)
        if _state(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def _observance(zone: ZoneInfo, moment: datetime, onset: datetime, *, before: datetime) -> Iterator[str]:
    offset, summer, name = _state(zone, moment)
    kind = "DAYLIGHT" if summer else "STANDARD"
    yield f"BEGIN:{kind}"
    yield f"DTSTART:{onset:%Y%m%dT%H%M%S}"
    yield f"TZOFFSETFROM:{_written(_offset(zone, before))}"
    yield f"TZOFFSETTO:{_written(offset)}"
    if name:
        yield f"TZNAME:{name}"
    yield f"END:{kind}"


def _written(offset: timedelta) -> str:
    seconds = int(offset.total_seconds())
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{minutes:02}" + (f"{rest:02}" if rest else "")
