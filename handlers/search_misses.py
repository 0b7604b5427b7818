"""What was searched in vain."""

from __future__ import annotations

from aiohttp import web

from server.bodies import search_misses as bodies
from server.http import reading
from server.http.answer import raw
from server.http.parse import check_depth, query
from server.keys import DATABASE
from server.schemas.search_misses import SearchMissesQuery


async def list_search_misses(request: web.Request) -> web.StreamResponse:
    """GET /admin/search/misses"""
    wanted = query(request, SearchMissesQuery)
    check_depth(wanted.limit, wanted.page)
    return raw(await bodies.page(request.app[DATABASE], wanted, reading.base(request)))
