"""The composition root: everything is made here, in the order in which it starts; shutdown is its mirror image.

database -> cache -> actors -> routes -> (the socket, in commands/serve.py)
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from actors.consumers.activity import Activity
from actors.consumers.base import Consumer
from actors.consumers.eraser import Eraser, LateEraser
from actors.consumers.list_matches import ListMatches
from actors.consumers.mailer import AccountMailer
from actors.consumers.release_counts import ReleaseCounts
from actors.consumers.user_stats import UserStats
from actors.gauges import Gauges
from actors.housekeeping import Housekeeping
from actors.invalidations import Invalidations
from actors.operations import Look, Operations, Runs
from actors.outbox import OutboxReader, Waker
from actors.outbox_upkeep import OutboxUpkeep
from actors.presence import Presence
from actors.rate_limiter import RateLimiter
from actors.revocations import RevocationKeeper
from actors.rollup import Rollup
from actors.system import ActorSystem
from actors.trending import TrendingCalculator
from actors.upkeep import Upkeep
from actors.view_buffer import ViewBuffer
from actors.works.base import Work
from actors.works.export import Export
from actors.works.import_list import ImportList, MatchList
from handlers.pages import PAGES, load_pages
from server import __version__, api_tokens, keys, metrics_sources
from server.accounts import Accounts
from server.adapters import mail
from server.bodies import limits as limits_body
from server.bodies import releases, trending
from server.cache import Entry, Policy, ResponseCache, policies
from server.database import Database
from server.errors import ActorStopped, MailboxFull
from server.events import ConsumerProgress, OperatorGauges, OutboxProgress, Trends, ViewCounters, ViewerSalts
from server.files import Files
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
from server.openapi_schemas import plain_path
from server.passwords import Hasher
from server.policies import limits
from server.routes import API, table
from server.rules.limits import API_LIMIT
from server.secret_key import secret_keys
from server.settings import Settings
from sql.operations import QUEUED
from sql.query import Observer

log = logging.getLogger("yojohan")

# How long actors may take to handle what waits when the server stops, in seconds.
DRAIN = 4.0
# Readers of the outbox that may hold a connection at once: requests come first.
READERS_AT_ONCE = 2
# What is fixed while the process lives.
FIXED = Policy("fixed", 10**9, 60, 300)


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
    _add_accounts(app, settings)
    edge = Edge(
        metrics, outside.request_log, clients, settings.cors_origins, cache, identities, meter, meter.limits[API_LIMIT]
    )
    app[keys.EDGE] = edge
    app[keys.CACHE] = cache
    app[keys.POLICIES] = policies(dict(settings.cache_ttl))
    if (mailer := mail.mailer(settings)) is not None:
        app[keys.MAILER] = mailer
    metrics.add(metrics_sources.of_cache(cache))
    metrics.add(metrics_sources.of_logs(outside.request_log))
    _add_actors(app, settings, outside)
    _add_health(app, settings)
    _add_routes(app, edge, table())
    return app


def _identities(app: web.Application, settings: Settings) -> Identities:
    tokens = AccessTokens(secret_keys(settings))
    return Identities(tokens, Revocations(), partial(api_tokens.find, app[keys.DATABASE]))


def _add_accounts(app: web.Application, settings: Settings) -> None:
    app[keys.HASHER] = hasher = Hasher()
    app[keys.METRICS].add(metrics_sources.of_passwords(hasher))
    app[keys.ACCOUNTS] = Accounts(app[keys.DATABASE], hasher, app[keys.IDENTITIES], mail=bool(settings.smtp_url))

    async def close(_: web.Application) -> None:
        hasher.close()

    app.on_cleanup.append(close)


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
    counters, salts, trends, shown = ViewCounters(), ViewerSalts(), Trends(), OperatorGauges()
    app[keys.SALTS], app[keys.TRENDS] = salts, trends
    base = f"{settings.public_url}{API}/recommendations/trending"
    warm = partial(trending.warm, cache, app[keys.POLICIES]["trending"], database, trends, base)
    system = ActorSystem(outside.on_fatal)
    # In the order in which they may ask: each only those above it.
    system.add(partial(Upkeep, database, salts, settings.view_retention_days))
    system.add(partial(Invalidations, settings.database_direct_url or outside.dsn, cache.drop, cache.drop_all))
    system.add(partial(RevocationKeeper, database, app[keys.IDENTITIES].revocations))
    app[keys.VIEW_BUFFER] = system.add(partial(ViewBuffer, database, counters))
    system.add(partial(Rollup, database, counters))
    system.add(partial(TrendingCalculator, database, trends, settings.trending_interval, system.jobs, warm))
    system.add(partial(Gauges, database, shown))
    system.add(partial(Presence, database, app[keys.IDENTITIES].take_seen))
    system.add(partial(RateLimiter, app[keys.METER]))
    system.add(partial(Housekeeping, database))
    _add_operations(app, settings, system)
    _add_outbox(app, settings, system)
    for source in (
        metrics_sources.of_actors(system),
        metrics_sources.of_views(counters),
        metrics_sources.of_trends(trends),
        metrics_sources.of_gauges(shown),
        metrics_sources.of_meter(app[keys.METER]),
    ):
        app[keys.METRICS].add(source)

    async def run(_: web.Application) -> AsyncIterator[None]:
        await system.start()
        yield
        await system.stop(DRAIN)

    app.cleanup_ctx.append(run)


def _works(app: web.Application) -> list[Work]:
    """Every kind of long work."""
    database = app[keys.DATABASE]
    return [Export(database), ImportList(database), MatchList(database)]


def _add_operations(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    database, runs = app[keys.DATABASE], Runs()
    app[keys.FILES] = files = Files(settings.data_dir)
    operations = system.add(partial(Operations, database, files, system.jobs, runs, _works(app)))

    def wake() -> None:
        # It looks by itself soon, and while the server stops it does not have to.
        with suppress(MailboxFull, ActorStopped):
            operations.tell(Look())

    def heard() -> None:
        # In the task whose transaction has just been committed.
        if QUEUED.get():
            QUEUED.set(False)
            wake()

    runs.wake = wake
    database.bell.listeners.append(heard)


def _consumers(app: web.Application, settings: Settings) -> list[Consumer]:
    """Whoever reads the outbox."""
    database, files = app[keys.DATABASE], app[keys.FILES]
    consumers: list[Consumer] = [
        UserStats(), ReleaseCounts(), Activity(), ListMatches(), Eraser(database, files), LateEraser(database, files)
    ]  # fmt: skip
    if keys.MAILER in app:
        consumers.append(AccountMailer(database, app[keys.MAILER], settings.public_url))
    return consumers


def _add_outbox(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    database, consumers = app[keys.DATABASE], _consumers(app, settings)
    progress = OutboxProgress({consumer.name: ConsumerProgress() for consumer in consumers})
    system.add(partial(OutboxUpkeep, database, {one.name: one.topics for one in consumers}, progress))
    turns = asyncio.Semaphore(READERS_AT_ONCE)
    for consumer in consumers:
        waker = Waker()
        waker.ref = system.add(
            partial(OutboxReader, database, consumer, progress.by_consumer[consumer.name], waker, turns)
        )
        app[keys.BELL].listeners.append(waker)
    app[keys.METRICS].add(metrics_sources.of_outbox(progress))


def _add_health(app: web.Application, settings: Settings) -> None:
    database = app[keys.DATABASE]

    async def database_answers() -> Check:
        async with database.connection(timeout=2.0) as conn:
            await conn.fetchval("select 1", timeout=2.0)
        return Check("ok")

    probes = [Probe("database", database_answers, vital=True), disk_probe(settings.data_dir)]
    if keys.MAILER in app:
        probes.append(_mail_probe(app[keys.MAILER]))
    health = Health(probes)
    app[keys.HEALTH] = health

    async def stop(_: web.Application) -> None:
        health.stopping = True

    app.on_shutdown.append(stop)


def _mail_probe(mailer: mail.Mailer) -> Probe:
    async def mail_goes_out() -> Check:
        return Check("ok") if await mailer.works() else Check("degraded", "mails wait until the mail server is back")

    return Probe("smtp", mail_goes_out)


def _add_routes(app: web.Application, edge: Edge, routes: tuple[Route, ...]) -> None:
    public_url = app[keys.SETTINGS].public_url
    policies_by_name = app[keys.METER].limits
    body = orjson.dumps(document(routes, version=__version__, public_url=public_url, limits=policies_by_name))
    app[keys.OPENAPI] = Entry("openapi", body, "application/json", FIXED, ("openapi",))
    page = limits_body.page(policies_by_name.values())
    app[keys.LIMITS] = Entry("limits", page, "application/json", FIXED, ("limits",))
    for route in routes:
        stats = app[keys.METRICS].route(route.method, plain_path(route.path))
        handler = guard(route, app[keys.METER])
        if route.upload:
            edge.uploads.append(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", route.path) + "/?"))
        # A trailing slash is answered as without it.
        for path in (route.path, f"{route.path}/"):
            added = app.router.add_route(route.method, path, handler)
            edge.routes[added] = stats
            if route.method == "GET":
                edge.routes[app.router.add_route("HEAD", path, handler)] = stats
