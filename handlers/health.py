"""For operators: health, liveness, readiness, metrics, the OpenAPI document."""

from __future__ import annotations

from aiohttp import web

from server.errors import Forbidden, Unavailable
from server.http.answer import Answer, plain, raw, send
from server.http.client import inside
from server.keys import CACHE, CLIENTS, HEALTH, METRICS, OPENAPI, SETTINGS
from server.metrics import CONTENT_TYPE


async def get_health(request: web.Request) -> web.StreamResponse:
    """GET /health"""
    serves, body = await request.app[HEALTH].report()
    return plain(body, status=200 if serves else 503, headers=None if serves else {"Retry-After": "5"})


async def get_live(_request: web.Request) -> web.StreamResponse:
    """GET /live: the loop turns."""
    return plain({"status": "alive"})


async def get_ready(request: web.Request) -> web.StreamResponse:
    """GET /ready: it can serve, whatever optional parts are missing."""
    health = request.app[HEALTH]
    serves, _ = await health.report()
    if health.stopping or not serves:
        raise Unavailable("Not ready to serve.", retry_after=2)
    return plain({"status": "ready"})


async def get_metrics(request: web.Request) -> web.StreamResponse:
    """GET /metrics: for the addresses in METRICS_ALLOW."""
    address = request.app[CLIENTS].of(request)
    if not inside(address, request.app[SETTINGS].metrics_allow):
        raise Forbidden("Metrics are for the operators of this server.")
    return raw(request.app[METRICS].exposition(), content_type=CONTENT_TYPE)


async def get_openapi(request: web.Request) -> web.StreamResponse:
    """GET /openapi.json"""
    answer: Answer = send(request, request.app[CACHE], request.app[OPENAPI], "hit")
    return answer
