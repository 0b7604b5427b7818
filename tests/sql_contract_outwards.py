"""What each query of live streams, feeds and calendars returns."""

from __future__ import annotations

from server.rules import atom, calendar
from sql import calendars, feeds, streams
from tests.sql_contract import NOTHING, VALUE, Contract

OUTWARDS: Contract = {
    "calendars": {
        "put_calendar": VALUE,
        "calendar_state": VALUE,
        "delete_calendar": NOTHING,
        "calendar_owner": calendars.Owner,
        "airings": calendar.Airing,
    },
    "feeds": {
        "feed_genre": feeds.Genre,
        "newest_releases": atom.Entry,
        "newest_releases_of_genre": atom.Entry,
    },
    "streams": {
        "create_ticket": VALUE,
        "take_ticket": streams.Ticket,
        "places": streams.Place,
        "ended": VALUE,
    },
}
