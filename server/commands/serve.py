"""`run.py serve`: the server in the foreground, from the first log line to exit 0.

Boot: logs, database server, migrations, demo catalogue, application, socket, READY. Stop on SIGTERM or SIGINT:
readiness goes, the socket closes, what is in flight is finished, actors drain, the pool closes, PostgreSQL stops.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import aiohttp.http_parser
from aiohttp import web

from server import database
from server.app import Outside, build
from server.commands.demo_on_start import fill_if_empty
from server.errors import ClusterError, Unavailable
from server.http import connections
from server.http.protocol import Server
from server.keys import CONNECTIONS, EDGE, METRICS
from server.logs import LogWriter, RequestLog, set_up
from server.metrics import Metrics
from server.rules.pressure import mean_lag
from server.settings import Settings
from server.systemd import Notifier, listening_sockets, watchdog_interval
from sql.migrate import migrate

log = logging.getLogger("yojohan")

# aiohttp may take twice this: once for requests, once for what it then cancels. Actors, pool and PostgreSQL follow,
# and all of it fits into ten seconds.
SHUTDOWN = 1.5
# Behind a proxy longer than nginx keeps its side (60 s), or nginx would now and then write into a closed connection.
# Exposed to the world, short: the same clock ends idle sockets and headers that drip.
KEEPALIVE_BEHIND_PROXY = 75.0
KEEPALIVE = 15.0
BACKLOG = 2048
# uvloop accepts one connection of a socket in a turn of its loop. A busy loop turns a hundred times a second: newcomers
# would wait for seconds before anybody could even turn them away. So it listens on the same socket several times.
ACCEPTED_AT_ONCE = 8
LONGEST_HEADER = 8190
LAG_PERIOD = 0.1
# How long an absent database is waited for at the start, in seconds. Then systemd starts us anew.
PATIENCE = 60.0
# The watchdog is fed only while the loop turns at least this fast, in seconds.
LAG_LIMIT = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments: settings say it all."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Serve until told to stop; the exit status."""
    _require_c_parser()
    connections.raise_file_limit()
    writer = set_up(settings.log_level, settings.log_format, settings.log_file)
    try:
        return await _Server(settings, writer).run()
    finally:
        writer.close()


def _require_c_parser() -> None:
    # The pure Python parser is slow and is where request smuggling was found.
    if aiohttp.http_parser.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise ClusterError("aiohttp runs without its C parser; install its wheel and unset AIOHTTP_NO_EXTENSIONS")


class Runner(web.AppRunner):
    """aiohttp's runner with our server, which puts the edge in front of the application."""

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server(), self.app[EDGE], self.app[CONNECTIONS])


class _Server:
    """One run of the server."""

    def __init__(self, settings: Settings, writer: LogWriter) -> None:
        self._settings = settings
        self._writer = writer
        self._notifier = Notifier()
        self._watchdog = watchdog_interval()
        self._sockets = listening_sockets()
        self._stop = asyncio.Event()
        self._status = 0
        self._announced = False

    async def run(self) -> int:
        main = asyncio.current_task()
        assert main is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._told_to_stop, main)
        try:
            await self._serve()
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
            log.info("told to stop before serving")
        log.info("stopped", extra={"status": self._status})
        return self._status

    def _told_to_stop(self, main: asyncio.Task[int]) -> None:
        # Starting may take minutes (crash recovery, a migration, an absent database); it can be cut anywhere.
        if not self._announced and not self._stop.is_set():
            main.cancel()
        self._stop.set()

    async def _serve(self) -> None:
        started = perf_counter()
        async with database.server(self._settings, lambda: self._notifier.extend_timeout(30)) as dsn:
            await self._prepare(dsn)
            app = build(self._settings, Outside(dsn, self._request_log(), self._give_up))
            async with self._serving(app), self._pulse(app[METRICS]):
                self._tidy_memory()
                self._announce(perf_counter() - started)
                await self._stop.wait()
                log.info("stopping")
                self._notifier.stopping()

    async def _prepare(self, dsn: str) -> None:
        conn = await database.reach(self._settings.database_direct_url or dsn, PATIENCE, self._waiting)
        try:
            self._notifier.extend_timeout(600)
            for name in await migrate(conn):
                log.info("migrated", extra={"migration": name})
            if self._settings.demo:
                await fill_if_empty(conn)
        finally:
            await conn.close(timeout=5)

    def _waiting(self, reason: str) -> None:
        self._notifier.extend_timeout(30)
        log.warning("waiting for the database", extra={"reason": reason})

    def _request_log(self) -> RequestLog:
        enabled = logging.getLogger("yojohan.http").isEnabledFor(logging.INFO)
        on_terminal = not self._settings.log_file and sys.stdout.isatty()
        console = self._settings.log_format == "console" or (not self._settings.log_format and on_terminal)
        return RequestLog(self._writer, enabled=enabled, console=console)

    def _give_up(self, name: str, error: BaseException) -> None:
        log.critical(
            "stopping because an actor cannot be kept alive", extra={"actor": name, "reason": repr(error)[:200]}
        )
        self._status = 1
        self._stop.set()

    @asynccontextmanager
    async def _serving(self, app: web.Application) -> AsyncIterator[None]:
        runner = Runner(
            app, access_log=None, keepalive_timeout=self._keepalive(), shutdown_timeout=SHUTDOWN, lingering_time=2,
            max_line_size=LONGEST_HEADER, max_field_size=LONGEST_HEADER, auto_decompress=False,
        )  # fmt: skip
        try:
            await self._set_up(runner)
            for site in self._sites(runner):
                await site.start()
            yield
        finally:
            await runner.cleanup()

    def _keepalive(self) -> float:
        behind_proxy = bool(self._settings.trusted_proxies) or self._settings.host in ("127.0.0.1", "::1", "localhost")
        return KEEPALIVE_BEHIND_PROXY if behind_proxy else KEEPALIVE

    @staticmethod
    async def _set_up(runner: web.AppRunner) -> None:
        try:
            await runner.setup()
        except (Unavailable, TimeoutError) as error:
            # The database may have gone again since the migrations.
            raise ClusterError(f"the server could not start: {error or 'it was not ready in time'}") from None

    def _sites(self, runner: web.AppRunner) -> list[web.BaseSite]:
        listening = list(self._sockets) or [self._bind()]
        for one in listening:
            connections.set_up(one)
        listening += [one.dup() for one in listening for _ in range(ACCEPTED_AT_ONCE - 1)]
        return [web.SockSite(runner, one, backlog=BACKLOG) for one in listening]

    def _bind(self) -> socket.socket:
        host, port = self._settings.host, self._settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except OSError as error:
            bound.close()
            raise ClusterError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        self._sockets.append(bound)
        return bound

    @asynccontextmanager
    async def _pulse(self, metrics: Metrics) -> AsyncIterator[None]:
        task = asyncio.create_task(self._beat(metrics), name="pulse")
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self, metrics: Metrics) -> None:
        """Measures how late timers come, and feeds systemd's watchdog while they come."""
        fed = perf_counter()
        while True:
            before = perf_counter()
            await asyncio.sleep(LAG_PERIOD)
            now = perf_counter()
            metrics.loop_lag = max(0.0, now - before - LAG_PERIOD)
            metrics.loop_lag_max = max(metrics.loop_lag_max, metrics.loop_lag)
            metrics.loop_lag_mean = mean_lag(metrics.loop_lag_mean, metrics.loop_lag, now - before)
            if self._watchdog is not None and now - fed >= self._watchdog and metrics.loop_lag < LAG_LIMIT:
                self._notifier.watchdog()
                fed = now

    @staticmethod
    def _tidy_memory() -> None:
        # What start-up made lives as long as the process: no collection need look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def _announce(self, seconds: float) -> None:
        where = self._settings.public_url or self._address()
        self._announced = True
        self._notifier.ready()
        self._notifier.status(f"serving on {where}")
        log.info("serving", extra={"address": where, "startup_seconds": round(seconds, 3), "pid": os.getpid()})
        if sys.stdout.isatty() or not self._settings.log_file:
            self._writer.flush()
            lines = (("API", "/api/v1"), ("Docs", "/docs"), ("Console", "/console"), ("Metrics", "/metrics"))
            text = "\n".join(f"  {name + ':':<9}{where}{path}" for name, path in lines)
            sys.stderr.write(f"Yojohan is serving.\n{text}\n")
            sys.stderr.flush()

    def _address(self) -> str:
        host, port = self._sockets[0].getsockname()[:2] if self._sockets else (self._settings.host, self._settings.port)
        return f"http://{f'[{host}]' if ':' in str(host) else host}:{port}"
