"""The composition root: everything is made here, in the order in which it starts; shutdown is its mirror image.

database -> cache -> actors -> routes -> (the socket, in commands/serve.py)
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from handlers import notifications as told
from handlers import recommendations as recommended
from handlers.pages import PAGES, load_pages
from server import __version__, api_tokens, keys, metrics_sources
from server.accounts import Accounts
from server.adapters import cgroup, mail
from server.adapters.cdn import Cdn
from server.adapters.redis import Redis
from server.bodies import limits as limits_body
from server.bodies import releases
from server.cache import Entry, Policy, ResponseCache, policies
from server.crew import add_actors
from server.database import Database
from server.gate import Gate
from server.gate_sizes import measured
from server.health import Check, Health, Probe, disk_probe
from server.http.client import ClientAddress
from server.http.connections import Connections, bounds
from server.http.edge import AtOnce, Edge
from server.http.guard import guard
from server.http.parse import LARGEST_BODY
from server.http.route import Handler, Route
from server.identity import AccessTokens, Identities, Revocations
from server.loader import Loader
from server.logs import RequestLog
from server.meter import Meter
from server.metrics import Metrics
from server.metrics_gate import of_gate
from server.metrics_pressure import of_connections, of_pressure
from server.openapi import document
from server.openapi_schemas import plain_path
from server.passwords import Hasher
from server.policies import limits
from server.pressure import Pressure
from server.routes import table
from server.rules.limits import API_LIMIT
from server.rules.pressure import SHED
from server.search.searching import Search
from server.secret_key import secret_keys
from server.settings import Settings
from sql.query import Observer

log = logging.getLogger("yojohan")

# What is fixed while the process lives.
FIXED = Policy("fixed", 10**9, 60, 300)
LOOPBACK = ("127.0.0.1", "::1", "localhost")


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
    pressure = _add_bounds(app, settings)
    app[keys.CLIENTS] = clients
    app[PAGES] = load_pages()
    _add_database(app, outside.dsn)
    app[keys.IDENTITIES] = identities = _identities(app, settings)
    _add_accounts(app, settings)
    app[keys.GATE] = gate = Gate(measured(settings, app[keys.DATABASE].size), pressure)
    edge = Edge(
        metrics, outside.request_log, clients, settings.cors_origins, cache, identities, meter, meter.limits[API_LIMIT],
        gate,
    )  # fmt: skip
    app[keys.EDGE] = edge
    app[keys.CACHE] = cache
    app[keys.POLICIES] = policies(dict(settings.cache_ttl))
    if (mailer := mail.mailer(settings)) is not None:
        app[keys.MAILER] = mailer
    if settings.cdn_purge_url:
        app[keys.CDN] = Cdn(settings.cdn_purge_url)
    _add_gate(app, gate)
    metrics.add(metrics_sources.of_cache(cache))
    metrics.add(metrics_sources.of_logs(outside.request_log))
    app[keys.PROBES] = []
    add_actors(app, settings, outside.dsn, outside.on_fatal)
    _add_health(app, settings)
    _add_routes(app, edge, table())
    return app


def _add_gate(app: web.Application, gate: Gate) -> None:
    refusals = app[keys.EDGE].refusals
    app[keys.METRICS].add(of_gate(gate, lambda: refusals.unlogged))

    async def answer_who_waits(_: web.Application) -> None:
        gate.close()

    app.on_shutdown.append(answer_who_waits)


def _add_bounds(app: web.Application, settings: Settings) -> Pressure:
    app[keys.PRESSURE] = pressure = Pressure()
    # Behind a proxy all connections come from it.
    proxied = bool(settings.trusted_proxies) or settings.host in LOOPBACK
    app[keys.CONNECTIONS] = connections = Connections(bounds(cgroup.bound(), proxied=proxied))
    app[keys.METRICS].add(of_pressure(pressure))
    app[keys.METRICS].add(of_connections(connections))
    return pressure


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


def _add_health(app: web.Application, settings: Settings) -> None:
    database = app[keys.DATABASE]

    async def database_answers() -> Check:
        async with database.connection(timeout=2.0) as conn:
            await conn.fetchval("select 1", timeout=2.0)
        return Check("ok")

    memory_left = _memory_probe(app[keys.PRESSURE])
    probes = [Probe("database", database_answers, vital=True), disk_probe(settings.data_dir), memory_left]
    probes += [_search_probe(app[keys.SEARCH]), *app[keys.PROBES]]
    if keys.MAILER in app:
        probes.append(_mail_probe(app[keys.MAILER]))
    if keys.CDN in app:
        probes.append(_cdn_probe(app[keys.CDN]))
    if keys.REDIS in app:
        probes.append(_redis_probe(app[keys.REDIS]))
    health = Health(probes)
    app[keys.HEALTH] = health

    async def stop(_: web.Application) -> None:
        health.stopping = True

    app.on_shutdown.append(stop)


def _memory_probe(pressure: Pressure) -> Probe:
    async def there_is_room() -> Check:
        tight = pressure.standing.memory.level >= SHED
        return Check("degraded", "nearly none is left; expensive requests are turned away") if tight else Check("ok")

    return Probe("memory", there_is_room)


def _mail_probe(mailer: mail.Mailer) -> Probe:
    async def mail_goes_out() -> Check:
        return Check("ok") if await mailer.works() else Check("degraded", "mails wait until the mail server is back")

    return Probe("smtp", mail_goes_out)


def _search_probe(search: Search) -> Probe:
    """How searches are answered: by full text, or by what else there is meanwhile."""

    async def searches_are_answered() -> Check:
        status, detail = search.standing()
        return Check(status, detail)

    return Probe("search", searches_are_answered)


def _redis_probe(redis: Redis) -> Probe:
    async def redis_answers() -> Check:
        return Check("degraded", "rate limits count in this process alone") if redis.away else Check("ok")

    return Probe("redis", redis_answers)


def _cdn_probe(cdn: Cdn) -> Probe:
    async def cdn_purges() -> Check:
        failing = cdn.breaker.failing
        return Check("degraded", "the CDN does not purge: what changed waits") if failing else Check("ok")

    return Probe("cdn", cdn_purges)


def _add_routes(app: web.Application, edge: Edge, routes: tuple[Route, ...]) -> None:
    public_url = app[keys.SETTINGS].public_url
    policies_by_name = app[keys.METER].limits
    body = orjson.dumps(document(routes, version=__version__, public_url=public_url, limits=policies_by_name))
    app[keys.OPENAPI] = Entry("openapi", body, "application/json", FIXED, ("openapi",))
    page = limits_body.page(policies_by_name.values())
    app[keys.LIMITS] = Entry("limits", page, "application/json", FIXED, ("limits",))
    # Personal answers from memory, by the handler that gives them otherwise.
    at_once: dict[Handler, AtOnce] = {
        told.count_unread: told.unread_at_once(app[keys.UNREAD]),
        **recommended.at_once(app[keys.CACHE]),
    }
    for route in routes:
        stats = app[keys.METRICS].route(route.method, plain_path(route.path))
        handler = guard(route, app[keys.METER], app.get(keys.SHARED_METER))
        if (answer := at_once.get(route.handler)) is not None:
            edge.answer_at_once(route, answer, stats)
        if route.upload:
            edge.uploads.append(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", route.path) + "/?"))
        # A trailing slash is answered as without it.
        for path in (route.path, f"{route.path}/"):
            added = app.router.add_route(route.method, path, handler)
            edge.routes[added] = stats
            if route.method == "GET":
                edge.routes[app.router.add_route("HEAD", path, handler)] = stats
