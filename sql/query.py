"""Named queries: `sql/<noun>.sql` in PostgreSQL's own `$1`, each timed under its name, driver errors translated.

A file is a list of queries, each headed by a line `-- name: some_name`. `load("views")` gives them as attributes:

    QUERIES = load("views")
    row = await QUERIES.get_salt.fetchrow(conn, day)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from time import perf_counter
from typing import Any

import asyncpg

from server import errors

# What a pool hands out and what `connect` makes; the driver brings no types that mypy could see.
Connection = Any

HEADER = re.compile(r"^-- name: (?P<name>[a-z_0-9]+)\s*$", re.MULTILINE)

# By class of the driver, never by message text. InterfaceError covers a connection closed under our hands.
UNREACHABLE: tuple[type[BaseException], ...] = (
    asyncpg.InterfaceError,
    # The server's goodbye crossed our statement.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
    # Refused, reset, no such host, timed out while connecting.
    OSError,
)
# A deadlock is two writers in each other's way: the next try finds the way free.
SLOW: tuple[type[BaseException], ...] = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    TimeoutError,
)


# The first three are the server's own words: nothing is left of the statement.
UNDONE = SLOW[:3]


def was_undone(error: BaseException) -> bool:
    """Whether the database has said that nothing is left of what failed so, so that it may be tried another way."""
    return isinstance(error.__cause__, UNDONE)


def ignore_timing(name: str, seconds: float, failed: bool) -> None:
    """The observer of a process that keeps no metrics."""


class Observer:
    """Where the time of each query goes; the composition root points `report` at the metrics."""

    report: Callable[[str, float, bool], None] = staticmethod(ignore_timing)


class Translation:
    """Turns the driver's errors into ours; whatever is a fault of ours passes through and becomes a 500."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: object) -> None:
        if error is None:
            return
        if isinstance(error, SLOW):
            raise errors.DeadlineExceeded("The database took too long.", retry_after=2) from error
        if isinstance(error, asyncpg.DataError):
            raise errors.Unprocessable("A value is outside what can be stored.") from error
        if isinstance(error, UNREACHABLE):
            raise errors.DatabaseUnavailable("The database is away; try again soon.", retry_after=2) from error


TRANSLATION = Translation()


def translated() -> Translation:
    """`with translated():` around whatever talks to the driver. One object serves all; generators would cost more."""
    return TRANSLATION


def is_lost(conn: Connection) -> bool:
    """Whether the connection is gone. Of one that the pool took back meanwhile even the question is an error."""
    try:
        return bool(conn.is_closed())
    except asyncpg.InterfaceError:
        return True


class Query:
    """One statement with a name. Each call takes the connection: the caller owns the transaction."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def __repr__(self) -> str:
        return f"<Query {self.name}>"

    async def fetch(self, conn: Connection, *parameters: Any, timeout: float | None = None) -> list[asyncpg.Record]:
        """All rows."""
        return await self._timed(conn, conn.fetch, parameters, timeout)  # type: ignore[no-any-return]

    async def fetchrow(self, conn: Connection, *parameters: Any, timeout: float | None = None) -> asyncpg.Record | None:
        """The first row, or None."""
        return await self._timed(conn, conn.fetchrow, parameters, timeout)

    async def fetchval(self, conn: Connection, *parameters: Any, timeout: float | None = None) -> Any:
        """The first column of the first row, or None."""
        return await self._timed(conn, conn.fetchval, parameters, timeout)

    async def execute(self, conn: Connection, *parameters: Any, timeout: float | None = None) -> int:
        """Run it; the number of rows it touched."""
        status: str = await self._timed(conn, conn.execute, parameters, timeout)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def _timed(
        self, conn: Connection, run: Callable[..., Any], parameters: Sequence[Any], timeout: float | None
    ) -> Any:
        started = perf_counter()
        failed = True
        try:
            with translated():
                result = await run(self.text, *parameters, timeout=timeout)
            failed = False
            return result
        except errors.DatabaseUnavailable as error:
            # The driver says InterfaceError of a lost connection and of a call made wrongly; the latter is a bug.
            if isinstance(error.__cause__, asyncpg.InterfaceError) and not is_lost(conn):
                raise error.__cause__ from None
            raise
        finally:
            Observer.report(self.name, perf_counter() - started, failed)


class Queries:
    """The queries of one file, as attributes; a name that is not in the file fails at the first use."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self._queries = queries

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(f"no query is named {name!r}") from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


def parse(text: str) -> dict[str, Query]:
    """Split a `.sql` file into its named queries; a name that appears twice is an error."""
    heads = list(HEADER.finditer(text))
    queries: dict[str, Query] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        name = head["name"]
        if name in queries:
            raise ValueError(f"two queries are named {name}")
        body = text[head.end() : following.start() if following else len(text)]
        queries[name] = Query(name, body.strip().rstrip(";"))
    return queries


def load(noun: str) -> Queries:
    """The named queries of `sql/<noun>.sql`."""
    return Queries(parse(resources.files("sql").joinpath(f"{noun}.sql").read_text("utf-8")))
