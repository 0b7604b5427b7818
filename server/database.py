"""The way to PostgreSQL: which server, one pool, connections with limits.

Nothing outside this file opens a connection. Pooled connections carry no session state (no SET, LISTEN, session
locks, temporary tables): the pool's reset round trip is switched off, it would triple the price of a short query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic, perf_counter
from typing import Any

import asyncpg
import orjson

from server.errors import ClusterError, DatabaseUnavailable, Overloaded, YojohanError
from server.events import Bell
from server.leases import Leases
from server.postgres.cluster import DATABASE, Cluster
from server.settings import Settings
from sql.migrate import migrate
from sql.outbox import PUBLISHED
from sql.query import UNREACHABLE, Connection, translated

ACQUIRE_TIMEOUT = 1.0
# How long a statement that was given up may take to say so; then its connection is thrown away.
RELEASE_TIMEOUT = 0.5
CONNECT_TIMEOUT = 3.0
POOL_MAX = 6
OLDEST_SERVER = 15
# Limits the server enforces even if our own cancellation is lost. Long jobs raise theirs with SET LOCAL.
LIMITS = {
    "timezone": "UTC",
    "application_name": "yojohan",
    "statement_timeout": "5000",
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
}
# A command (import, demo) works for minutes on a connection of its own.
UNLIMITED = LIMITS | {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}


async def _prepare_connection(conn: Connection) -> None:
    await conn.set_type_codec("json", schema="pg_catalog", format="binary", encoder=orjson.dumps, decoder=orjson.loads)
    # On the wire jsonb begins with the number of its format.
    await conn.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda data: orjson.loads(data[1:]),
    )


async def _keep_session(_: Connection) -> None:
    """Stands in for the pool's reset: there is no session state to reset."""


class Database:
    """The pool. `waiting` and `in_use` are gauges, `waited` the seconds spent waiting for a connection so far."""

    def __init__(self, dsn: str, *, size: int = POOL_MAX) -> None:
        self.dsn = dsn
        self.size = size
        self.in_use = 0
        self.waiting = 0
        self.waited = 0.0
        self.acquired = 0
        self.bell = Bell()
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._leases: Leases | None = None

    async def open(self) -> None:
        """Make the pool; connections are opened as they are needed."""
        self._pool = await asyncpg.create_pool(
            self.dsn, min_size=0, max_size=self.size, reset=_keep_session, init=_prepare_connection,
            server_settings=LIMITS, command_timeout=10, timeout=CONNECT_TIMEOUT, max_inactive_connection_lifetime=300,
        )  # fmt: skip
        self._leases = Leases(self._pool, self.size, RELEASE_TIMEOUT)

    async def close(self, timeout: float = 3.0) -> None:
        """Close it, within `timeout` seconds whatever the server does."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(timeout):
                if self._leases is not None:
                    await self._leases.close()
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.InterfaceError):
            self._pool.terminate()
        self._pool = self._leases = None

    @property
    def idle(self) -> int:
        """Open connections nobody uses."""
        return self._leases.idle if self._leases is not None else 0

    def connection(self, timeout: float | None = None) -> Use:
        """A connection for one use. Overloaded if none is free in time (`ACQUIRE_TIMEOUT` seconds if none are given),
        DatabaseUnavailable if there is no server."""
        return Use(self, ACQUIRE_TIMEOUT if timeout is None else timeout)

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """A connection inside a transaction. Its commit rings the bell if something was put into the outbox."""
        PUBLISHED.set(False)
        async with self.connection(timeout) as conn:
            with translated():
                transaction = conn.transaction()
                await transaction.start()
            try:
                yield conn
            except BaseException:
                with translated():
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()
        if PUBLISHED.get():
            self.bell.ring()

    @asynccontextmanager
    async def single(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """A connection for one statement that writes: a transaction by itself, without the round trips of one.

        Rings the bell if the statement has put something into the outbox.
        """
        PUBLISHED.set(False)
        async with self.connection(timeout) as conn:
            yield conn
        if PUBLISHED.get():
            self.bell.ring()

    async def _acquire(self, timeout: float) -> Connection:
        if self._leases is None:
            raise Overloaded("The server is stopping.")
        started = perf_counter()
        self.waiting += 1
        try:
            with translated():
                conn = await self._leases.take(timeout)
        finally:
            self.waiting -= 1
            self.waited += perf_counter() - started
        self.acquired += 1
        self.in_use += 1
        return conn

    async def _give_back(self, conn: Connection, error: BaseException | None) -> None:
        self.in_use -= 1
        assert self._leases is not None
        if isinstance(error, asyncpg.InternalClientError):
            # The server has just said goodbye: the driver has read that and does not yet call the connection closed.
            conn.terminate()
        # What a client did wrong says nothing against the connection.
        sound = error is None or (isinstance(error, YojohanError) and error.status < 500)
        with translated():
            await (self._leases.give_back(conn) if sound else self._leases.discard(conn))
        if isinstance(error, asyncpg.InternalClientError):
            raise DatabaseUnavailable("The database is away; try again soon.", retry_after=2) from error


class Use:
    """One use of a connection: `async with database.connection() as conn`. A generator would cost twice as much."""

    __slots__ = ("_conn", "_database", "_timeout")

    def __init__(self, database: Database, timeout: float) -> None:
        self._database = database
        self._timeout = timeout
        self._conn: Connection = None

    async def __aenter__(self) -> Connection:
        self._conn = await self._database._acquire(self._timeout)  # noqa: SLF001 - two halves of one thing
        return self._conn

    async def __aexit__(self, _: type[BaseException] | None, error: BaseException | None, __: object) -> None:
        await self._database._give_back(self._conn, error)  # noqa: SLF001 - as above


async def connect(dsn: str, **settings: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection outside the pool, for commands, LISTEN and locks that live as long as the session."""
    conn = await asyncpg.connect(dsn, server_settings=UNLIMITED | settings, timeout=CONNECT_TIMEOUT)
    await _prepare_connection(conn)
    return conn


async def reach(
    dsn: str, patience: float = 0.0, waiting: Callable[[str], None] = lambda _: None
) -> asyncpg.Connection[asyncpg.Record]:
    """The first connection of a command. While nothing answers, tries for `patience` seconds and tells `waiting` why.

    ClusterError if nothing answers by then, if the server turns us away, or if it is older than PostgreSQL 15.
    """
    deadline = monotonic() + patience
    pause = 0.1
    while (conn := await _try(dsn, waiting, last=monotonic() >= deadline)) is None:
        pause = min(2.0, pause * 1.6)
        await asyncio.sleep(min(pause, max(0.0, deadline - monotonic())))
    major = conn.get_server_version().major
    if major < OLDEST_SERVER:
        await conn.close(timeout=1)
        raise ClusterError(f"the database server is PostgreSQL {major}; version {OLDEST_SERVER} or newer is needed")
    return conn


async def _try(dsn: str, waiting: Callable[[str], None], *, last: bool) -> asyncpg.Connection[asyncpg.Record] | None:
    try:
        return await connect(dsn)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
        reason = str(error) or f"no answer within {CONNECT_TIMEOUT:.0f} s"
        # A wrong address or password does not mend itself.
        passing = isinstance(error, (*UNREACHABLE, TimeoutError)) and not isinstance(error, ValueError)
        if not passing:
            raise ClusterError(f"the database turns us away: {reason}") from None
        if last:
            raise ClusterError(f"the database cannot be reached: {reason}") from None
        waiting(reason)
        return None


async def _create_database(cluster: Cluster) -> None:
    conn = await asyncpg.connect(cluster.dsn("postgres"), timeout=CONNECT_TIMEOUT)
    try:
        if not await conn.fetchval("select true from pg_database where datname = $1", DATABASE):
            # Another of our processes may be faster.
            with suppress(asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                await conn.execute(f"create database {DATABASE}")
    finally:
        await conn.close()


@asynccontextmanager
async def server(settings: Settings, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[str]:
    """The address of the database: DATABASE_URL, or the embedded server, started if need be and left tidily."""
    if settings.database_url:
        yield settings.database_url
        return
    cluster = Cluster(settings.data_dir)
    keeper: asyncio.Task[None] | None = None
    try:
        await cluster.start(waiting)
        keeper = asyncio.create_task(cluster.keep_running(), name="postgresql")
        await _create_database(cluster)
        yield cluster.dsn()
    finally:
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait((keeper,))
        await asyncio.shield(cluster.stop())


@asynccontextmanager
async def dedicated_connection(settings: Settings) -> AsyncIterator[Any]:
    """One connection to a migrated database, for a command."""
    async with server(settings) as dsn:
        conn = await reach(settings.database_direct_url or dsn)
        try:
            await migrate(conn)
            yield conn
        finally:
            await conn.close(timeout=5)
