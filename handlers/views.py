"""Views: one event or many, acknowledged once they are committed."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web
from multidict import CIMultiDict

from actors.view_buffer import EVENT_BYTES, RecordViews, ViewsRecorded
from server.errors import Fault, NotFound, Unavailable, Unprocessable
from server.http import view_events
from server.http.answer import Answer, plain
from server.http.client import prefix
from server.http.guard import PRINCIPAL
from server.http.parse import path_id, read_body, require_json
from server.http.view_events import Parsed, Viewer
from server.keys import CLIENTS, SALTS, VIEW_BUFFER
from server.rules.crawlers import crawler_reason
from server.rules.viewers import anonymous_viewer, signed_in_viewer
from sql.views import Outcome

# How long a request waits for its commit, in seconds.
DEADLINE = 10.0
ONE_ACCEPTED = b'{"accepted":1,"duplicates":0,"filtered":0,"rejected":[]}'
# Ready made: this is the answer to most requests of a busy day.
ONE_ACCEPTED_HEADERS = CIMultiDict(
    {"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
)
DETAILS = {
    Outcome.UNKNOWN_RELEASE: "There is no such release.",
    Outcome.WRONG_EPISODE: "There is no such episode of this release.",
    Outcome.OUTSIDE_TIME: "`viewed_at` lies outside of 7 days ago and 5 minutes ahead.",
}


async def record_views(request: web.Request) -> web.StreamResponse:
    """POST /views"""
    require_json(request)
    body = await read_body(request)
    return await _record(request, view_events.parse(body, _viewer(request)))


async def record_release_views(request: web.Request) -> web.StreamResponse:
    """POST /releases/{id}/views"""
    release_id = path_id(request)
    require_json(request)
    body = await read_body(request)
    return await _record(request, view_events.parse_for_release(body, release_id, _viewer(request)))


def _viewer(request: web.Request) -> Viewer:
    agent = request.headers.get("User-Agent", "")
    if PRINCIPAL in request:
        return Viewer(signed_in_viewer(request[PRINCIPAL].user_id), crawler_reason(agent))
    salt = request.app[SALTS].by_day.get(datetime.now(UTC).date())
    if salt is None:
        raise Unavailable("Views cannot be taken right now.", retry_after=2)
    network = prefix(request.app[CLIENTS].of(request))
    return Viewer(anonymous_viewer(salt, network, agent), crawler_reason(agent))


async def _record(request: web.Request, parsed: Parsed) -> Answer:
    recorded = ViewsRecorded(0, 0, 0)
    if parsed.rows:
        count = len(parsed.rows)
        buffer = request.app[VIEW_BUFFER]
        recorded = await buffer.ask(RecordViews(parsed.rows), timeout=DEADLINE, weight=count, size=count * EVENT_BYTES)
    if parsed.single:
        return _single(recorded)
    rejected = parsed.refused + [
        (place if parsed.places is None else parsed.places[place], DETAILS[outcome])
        for place, outcome in recorded.rejected
    ]
    return _answer(recorded, sorted(rejected))


def _single(recorded: ViewsRecorded) -> Answer:
    if recorded.accepted:
        return Answer(status=202, body=ONE_ACCEPTED, headers=ONE_ACCEPTED_HEADERS.copy())
    if recorded.rejected:
        outcome = recorded.rejected[0][1]
        if outcome is Outcome.OUTSIDE_TIME:
            raise Unprocessable("Some values do not fit.", faults=[Fault("/viewed_at", DETAILS[outcome])])
        raise NotFound(DETAILS[outcome])
    return _answer(recorded, [])


def _answer(recorded: ViewsRecorded, rejected: list[tuple[int, str]]) -> Answer:
    body = {
        "accepted": recorded.accepted,
        "duplicates": recorded.duplicates,
        "filtered": recorded.filtered,
        "rejected": [{"index": index, "detail": detail} for index, detail in rejected],
    }
    return plain(body, status=202)
