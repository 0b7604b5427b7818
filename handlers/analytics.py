"""Analytics: views by interval, and the tops; JSON, or CSV for spreadsheets."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from aiohttp import web

from server.bodies import analytics as bodies
from server.cache import Load
from server.http import reading
from server.http.answer import JSON
from server.http.parse import check_depth, query
from server.keys import DATABASE
from server.rules.cache_tags import RELEASES
from server.schemas.queries import AnalyticsQuery, TopQuery

CSV = "text/csv; charset=utf-8"


async def list_views(request: web.Request) -> web.StreamResponse:
    """GET /analytics/views"""
    wanted = query(request, AnalyticsQuery)
    check_depth(wanted.limit, wanted.page)
    now = datetime.now(UTC)
    span = bodies.wanted_by(wanted, now)
    as_csv = _wants_csv(request, wanted.format)
    # What touches today still moves.
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    policy = "analytics_live" if span.stop > midnight else "analytics"
    load = partial(bodies.views, request.app[DATABASE], wanted, span, reading.base(request), as_csv=as_csv)
    key = (repr(wanted), span.start, span.stop, as_csv)
    return await _answer(request, policy, key, ("views",), load, as_csv=as_csv, negotiated=wanted.format is None)


async def list_top(request: web.Request) -> web.StreamResponse:
    """GET /analytics/top"""
    wanted = query(request, TopQuery)
    as_csv = _wants_csv(request, wanted.format)
    load = partial(bodies.top, request.app[DATABASE], wanted, as_csv=as_csv)
    key = (wanted.period, wanted.limit, as_csv)
    # It names releases: their titles may change, and they may go.
    tags = ("views", RELEASES)
    return await _answer(request, "top", key, tags, load, as_csv=as_csv, negotiated=wanted.format is None)


async def _answer(
    request: web.Request,
    policy: str,
    key: Hashable,
    tags: tuple[str, ...],
    load: Load,
    *,
    as_csv: bool,
    negotiated: bool,
) -> web.StreamResponse:
    kind = CSV if as_csv else JSON
    answer = await reading.answer(request, policy, key, tags, load, kind, negotiated=negotiated)
    if negotiated:
        answer.headers["Vary"] = "Accept, Accept-Encoding, Authorization"
    return answer


def _wants_csv(request: web.Request, asked: Literal["json", "csv"] | None) -> bool:
    if asked is not None:
        return asked == "csv"
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    return "text/csv" in accepted and JSON not in accepted
