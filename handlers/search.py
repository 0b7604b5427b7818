"""Searching: a page of results, and titles while they are being typed."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web

from server.bodies import search as bodies
from server.errors import Fault, Unprocessable
from server.http import reading
from server.http.answer import raw
from server.http.parse import DEEPEST, decode, query, read_body, require_json
from server.keys import CACHE, DATABASE, POLICIES, SEARCH
from server.schemas.search import SearchBody, SearchQuery, SuggestionsQuery

BODY = msgspec.json.Decoder(SearchBody)


async def search_releases(request: web.Request) -> web.StreamResponse:
    """GET /search"""
    asked = _shallow(query(request, SearchQuery).body())
    load = partial(bodies.page, request.app[DATABASE], request.app[SEARCH], asked, reading.base(request))
    return await reading.answer(request, "search", bodies.canonical(asked), bodies.TAGS, load)


async def post_search(request: web.Request) -> web.StreamResponse:
    """POST /search"""
    require_json(request)
    asked = _shallow(decode(BODY, await read_body(request)))
    app = request.app
    load = partial(bodies.page, app[DATABASE], app[SEARCH], asked, reading.base(request))
    # The same bytes as of the GET; only nobody else may store them.
    key = ("search", bodies.canonical(asked))
    entry, _ = await app[CACHE].fetch(key, load, app[POLICIES]["search"], bodies.TAGS)
    return raw(entry.body)


def _shallow(asked: SearchBody) -> SearchBody:
    """The search, unless its page leads too deep: what was found goes by how well it fits, which no cursor can hold."""
    if asked.page * asked.limit > DEEPEST:
        faults = [Fault("/page", "Too deep; narrow the search by filters.")]
        raise Unprocessable(f"page × limit is at most {DEEPEST:,} here.", faults=faults)
    return asked


async def suggest_releases(request: web.Request) -> web.StreamResponse:
    """GET /search/suggestions"""
    asked = query(request, SuggestionsQuery)
    load = partial(bodies.suggestions, request.app[DATABASE], request.app[SEARCH], asked.q, asked.limit)
    return await reading.answer(request, "suggestions", (asked.q, asked.limit), bodies.TAGS, load)
