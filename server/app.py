"""The composition root: everything is made here, in the order in which it starts; shutdown is its mirror image.

database -> cache -> actors -> routes -> (the socket, in commands/serve.py)
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from actors.invalidations import Invalidations
from actors.rollup import Rollup
from actors.system import ActorSystem
from actors.trending import TrendingCalculator
from actors.upkeep import Upkeep
from actors.view_buffer import ViewBuffer
from handlers.pages import PAGES, load_pages
from server import __version__, api_tokens, keys, metrics_sources
from server.bodies import releases, trending
from server.cache import Entry, Policy, ResponseCache, policies
from server.database import Database
from server.events import Trends, ViewCounters, ViewerSalts
from server.health import Check, Health, Probe, disk_probe
from server.http.client import ClientAddress
from server.http.edge import Edge
from server.http.guard import guard
from server.http.parse import LARGEST_BODY
from server.http.route import Route
from server.identity import AccessTokens, Identities, Revocations
from server.loader import Loader
from server.logs import RequestLog
from server.meter import Meter
from server.metrics import Metrics
from server.openapi import document
from server.policies import API_LIMIT, limits
from server.routes import API, table
from server.secret_key import secret_keys
from server.settings import Settings
from sql.query import Observer

log = logging.getLogger("yojohan")

# How long actors may take to handle what waits when the server stops, in seconds.
DRAIN = 4.0
OPENAPI_POLICY = Policy("openapi", 10**9, 60, 300)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the command hands in: where the database is, where request lines go, whom to tell when all is lost."""

    dsn: str
    request_log: RequestLog
    on_fatal: Callable[[str, BaseException], None]


def build(settings: Settings, outside: Outside) -> web.Application:
    """The application, complete but not started."""
    metrics = Metrics(_log_slow_query, settings.slow_query_ms / 1000)
    Observer.report = metrics.observe_query
    # The parser of the setting lets through these three words only, which its type does not say.
    clients = ClientAddress(settings.trusted_proxies, settings.log_client_address)  # type: ignore[arg-type]
    cache = ResponseCache(settings.cache_max_bytes)
    app = web.Application(client_max_size=LARGEST_BODY)
    app[keys.METER] = meter = Meter(limits(settings))
    app[keys.SETTINGS] = settings
    app[keys.METRICS] = metrics
    app[keys.CLIENTS] = clients
    app[PAGES] = load_pages()
    _add_database(app, outside.dsn)
    app[keys.IDENTITIES] = identities = _identities(app, settings)
    edge = Edge(
        metrics, outside.request_log, clients, settings.cors_origins, cache, identities, meter, meter.limits[API_LIMIT]
    )
    app[keys.EDGE] = edge
    app[keys.CACHE] = cache
    app[keys.POLICIES] = policies(dict(settings.cache_ttl))
    metrics.add(metrics_sources.of_cache(cache))
    metrics.add(metrics_sources.of_logs(outside.request_log))
    _add_actors(app, settings, outside)
    _add_health(app, settings)
    _add_routes(app, edge, table())
    return app


def _identities(app: web.Application, settings: Settings) -> Identities:
    tokens = AccessTokens(secret_keys(settings))
    return Identities(tokens, Revocations(), partial(api_tokens.find, app[keys.DATABASE]))


def _log_slow_query(name: str, seconds: float) -> None:
    log.warning("slow query", extra={"query": name, "duration_ms": round(seconds * 1000, 1)})


def _add_database(app: web.Application, dsn: str) -> None:
    database = Database(dsn)
    app[keys.DATABASE] = database
    app[keys.BELL] = database.bell
    app[keys.RELEASES] = Loader(partial(releases.many, database))
    app[keys.METRICS].add(metrics_sources.of_database(database))

    async def run(_: web.Application) -> AsyncIterator[None]:
        await database.open()
        yield
        await database.close()

    app.cleanup_ctx.append(run)


def _add_actors(app: web.Application, settings: Settings, outside: Outside) -> None:
    database, cache = app[keys.DATABASE], app[keys.CACHE]
    counters, salts, trends = ViewCounters(), ViewerSalts(), Trends()
    app[keys.SALTS], app[keys.TRENDS] = salts, trends
    base = f"{settings.public_url}{API}/recommendations/trending"
    warm = partial(trending.warm, cache, app[keys.POLICIES]["trending"], database, trends, base)
    system = ActorSystem(outside.on_fatal)
    # In the order in which they may ask: each only those above it.
    system.add(partial(Upkeep, database, salts, settings.view_retention_days))
    system.add(partial(Invalidations, settings.database_direct_url or outside.dsn, cache.drop, cache.drop_all))
    app[keys.VIEW_BUFFER] = system.add(partial(ViewBuffer, database, counters))
    system.add(partial(Rollup, database, counters))
    system.add(partial(TrendingCalculator, database, trends, settings.trending_interval, system.jobs, warm))
    for source in (
        metrics_sources.of_actors(system),
        metrics_sources.of_views(counters),
        metrics_sources.of_trends(trends),
    ):
        app[keys.METRICS].add(source)

    async def run(_: web.Application) -> AsyncIterator[None]:
        await system.start()
        yield
        await system.stop(DRAIN)

    app.cleanup_ctx.append(run)


def _add_health(app: web.Application, settings: Settings) -> None:
    database = app[keys.DATABASE]

    async def database_answers() -> Check:
        async with database.connection(timeout=2.0) as conn:
            await conn.fetchval("select 1", timeout=2.0)
        return Check("ok")

    health = Health([Probe("database", database_answers, vital=True), disk_probe(settings.data_dir)])
    app[keys.HEALTH] = health

    async def stop(_: web.Application) -> None:
        health.stopping = True

    app.on_shutdown.append(stop)


def _add_routes(app: web.Application, edge: Edge, routes: tuple[Route, ...]) -> None:
    public_url = app[keys.SETTINGS].public_url
    body = orjson.dumps(document(routes, version=__version__, public_url=public_url))
    app[keys.OPENAPI] = Entry("openapi", body, "application/json", OPENAPI_POLICY, ("openapi",))
    for route in routes:
        stats = app[keys.METRICS].route(route.method, route.path)
        handler = guard(route, app[keys.METER])
        # A trailing slash is answered as without it.
        for path in (route.path, f"{route.path}/"):
            added = app.router.add_route(route.method, path, handler)
            edge.routes[added] = stats
            if route.method == "GET":
                edge.routes[app.router.add_route("HEAD", path, handler)] = stats
