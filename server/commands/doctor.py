"""`run.py doctor`: one line a check, what it found and, where something is wrong, what to do about it.

    ok    database: PostgreSQL 18.6, answered in 4 ms
    FAIL  clock: the database's clock is 7.0 s ahead of ours
    skip  redis: REDIS_URL is not set

Each check has three seconds. Nothing is changed: an embedded database that was never made is not made for this.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout

from server import database
from server.errors import ClusterError, MigrationError
from server.health import LEAST_FREE_BYTES
from server.postgres.binaries import embedded
from server.postgres.cluster import Cluster
from server.settings import Settings
from sql.migrate import available, pending
from sql.query import Connection

TIMEOUT = 3.0
# The embedded server may have to recover from a crash before it can be asked anything.
START_TIMEOUT = 60.0
EXTENSIONS = ("pg_trgm", "unaccent")
FARTHEST_CLOCK = 2.0
MIB = 2**20

Check = Callable[[], Awaitable[str]]


class WrongError(Exception):
    """The check failed; the message says what is wrong."""


class NotNeededError(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: `status` is ok, FAIL or skip."""

    status: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.status:<6}{self.name}: {self.text}"


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Check everything, print each finding as it comes; 1 if anything is wrong."""
    failed = False
    async for finding in findings(settings):
        print(finding, flush=True)
        failed |= finding.status == "FAIL"
    return 1 if failed else 0


async def findings(settings: Settings) -> AsyncIterator[Finding]:
    """Every check in turn."""
    yield Finding("ok", "configuration", f"read without fault, data in {settings.data_dir.resolve()}")
    async with AsyncExitStack() as stack:
        conn: Connection | None = None
        opened, conn = await _open(settings, stack)
        yield opened
        for name, check in DATABASE_CHECKS.items():
            yield await _of_database(name, check, conn, opened)
    for name, look in OUTSIDE_CHECKS.items():
        # mypy cannot infer a lambda that binds the loop's variable by a default.
        yield await guarded(name, lambda look=look: look(settings))  # type: ignore[misc]


async def guarded(name: str, check: Check) -> Finding:
    """Run one check within its time, whatever it raises."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return Finding("ok", name, await check())
    except NotNeededError as error:
        return Finding("skip", name, str(error))
    except TimeoutError:
        return Finding("FAIL", name, f"no answer within {TIMEOUT:.0f} s")
    except (
        WrongError,
        ClusterError,
        MigrationError,
        ClientError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
    ) as error:
        return Finding("FAIL", name, str(error) or type(error).__name__)
    except (OSError, ValueError) as error:
        return Finding("FAIL", name, getattr(error, "strerror", None) or str(error))


# The database


async def _open(settings: Settings, stack: AsyncExitStack) -> tuple[Finding, Connection | None]:
    started = perf_counter()
    try:
        async with asyncio.timeout(START_TIMEOUT):
            dsn = await stack.enter_async_context(_server(settings))
            started = perf_counter()
            conn = await stack.enter_async_context(_connected(settings.database_direct_url or dsn))
    except NotNeededError as error:
        return Finding("skip", "database", str(error)), None
    except (ClusterError, TimeoutError, OSError) as error:
        return Finding("FAIL", "database", str(error) or f"did not start within {START_TIMEOUT:.0f} s"), None
    version = await conn.fetchval("show server_version")
    where = "of DATABASE_URL" if settings.database_url else "embedded"
    milliseconds = (perf_counter() - started) * 1000
    return Finding("ok", "database", f"PostgreSQL {version}, {where}, answered in {milliseconds:.0f} ms"), conn


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[str]:
    if not settings.database_url and not (Cluster(settings.data_dir).data / "PG_VERSION").exists():
        raise NotNeededError(f"PostgreSQL {embedded().major} is at hand and will be set up at the first start")
    async with database.server(settings) as dsn:
        yield dsn


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    conn = await database.reach(dsn)
    try:
        yield conn
    finally:
        await conn.close(timeout=1)


async def _of_database(
    name: str, check: Callable[[Connection], Awaitable[str]], conn: Connection | None, opened: Finding
) -> Finding:
    if conn is None:
        return Finding("skip", name, "there is no database to ask" if opened.status == "FAIL" else "no database yet")
    return await guarded(name, lambda: check(conn))


async def check_migrations(conn: Connection) -> str:
    """Whether the schema is one this code can work with; what is pending is applied by the next start."""
    brought = available()
    applied: list[tuple[int, str, str]] = []
    if await conn.fetchval("select to_regclass('schema_migrations') is not null"):
        rows = await conn.fetch("select version, name, checksum from schema_migrations order by version")
        applied = [tuple(row) for row in rows]
    todo = pending(applied, brought)
    return f"{len(applied)} applied, {len(todo)} pending" + (" (applied at the next start)" if todo else "")


async def check_extensions(conn: Connection) -> str:
    """Whether the extensions are installed in the database, or can be."""
    rows = await conn.fetch(
        "select name, installed_version from pg_available_extensions where name = any ($1)", list(EXTENSIONS)
    )
    found = {row["name"]: row["installed_version"] for row in rows}
    missing = [name for name in EXTENSIONS if name not in found]
    if missing:
        raise WrongError(f"{', '.join(missing)} not available; install PostgreSQL's contrib package")
    return ", ".join(f"{name} {found[name] or 'available'}" for name in EXTENSIONS)


async def check_locale(conn: Connection) -> str:
    """Whether letters beyond ASCII have a case, and pg_trgm sees them."""
    row = await conn.fetchrow(
        "select datctype as ctype, lower('É') = 'é' as folds, current_setting('server_encoding') as encoding,"
        " exists (select from pg_extension where extname = 'pg_trgm') as has_trigrams"
        " from pg_database where datname = current_database()"
    )
    assert row is not None
    if row["encoding"] != "UTF8":
        raise WrongError(f"the database is encoded in {row['encoding']}; make it with encoding UTF8")
    blind = row["ctype"] in ("C", "POSIX")
    if row["has_trigrams"]:
        blind = not await conn.fetchval("select cardinality(show_trgm('аниме')) > 0")
    if blind or not row["folds"]:
        raise WrongError(f"lc_ctype {row['ctype']} knows ASCII only; make the database with LC_CTYPE C.UTF-8")
    return f"UTF8, lc_ctype {row['ctype']}"


async def check_clock(conn: Connection) -> str:
    """Whether the database's clock agrees with ours, and our sessions are in UTC (a pooler may drop that setting)."""
    before = datetime.now(UTC)
    row = await conn.fetchrow("select clock_timestamp() as now, current_setting('TimeZone') as zone")
    after = datetime.now(UTC)
    assert row is not None
    ahead = (row["now"] - before - (after - before) / 2).total_seconds()
    if abs(ahead) > FARTHEST_CLOCK:
        raise WrongError(f"the database's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} ours")
    if row["zone"] not in ("UTC", "Etc/UTC"):
        raise WrongError(f"sessions are in {row['zone']} instead of UTC; let the pooler pass TimeZone on")
    return f"{abs(ahead) * 1000:.0f} ms from the database's, UTC"


# The world outside


def _nearest(directory: Path) -> Path:
    """The directory, or the first one above it that exists."""
    here = directory.resolve()
    return here if here.is_dir() else _nearest(here.parent)


async def check_disk(settings: Settings) -> str:
    """Whether DATA_DIR has room."""
    free = shutil.disk_usage(_nearest(settings.data_dir)).free
    if free < LEAST_FREE_BYTES:
        raise WrongError(f"{free:,} bytes free, PostgreSQL may stop at any time")
    return f"{free:,} bytes free"


async def check_redis(settings: Settings) -> str:
    """Whether Redis answers, and lets us run scripts, as shared limits do."""
    if not settings.redis_url:
        raise NotNeededError("REDIS_URL is not set")
    address = urlsplit(settings.redis_url)
    if address.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        tls = ssl.create_default_context() if address.scheme == "rediss" else None
        reader, writer = await asyncio.open_connection(address.hostname or "localhost", address.port or 6379, ssl=tls)
    try:
        return await _ping(reader, writer, address.username, address.password)
    finally:
        writer.close()


async def _ping(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str | None, password: str | None
) -> str:
    commands = [["PING"], ["EVAL", "redis.call('TIME') return redis.status_reply('OK')", "0"]]
    if password:
        commands.insert(0, ["AUTH", *([unquote(user)] if user else []), unquote(password)])
    for words in commands:
        arguments = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        writer.write(f"*{len(words)}\r\n{arguments}".encode())
        answer = (await reader.readline()).decode("utf-8", "replace").strip()
        if not answer.startswith("+"):
            raise WrongError(f"{words[0]} was answered {answer!r}")
    return "answers PING, runs scripts"


async def check_elasticsearch(settings: Settings) -> str:
    """Whether Elasticsearch answers at its address."""
    if not settings.elasticsearch_url:
        raise NotNeededError("ELASTICSEARCH_URL is not set")
    # The client takes a name and password in the address for basic authentication.
    async with (
        ClientSession(timeout=ClientTimeout(total=TIMEOUT)) as session,
        session.get(settings.elasticsearch_url + "/") as answer,
    ):
        if answer.status != 200:
            raise WrongError(f"answered {answer.status} {answer.reason}")
        try:
            said: Any = await answer.json(content_type=None)
            return f"version {said['version']['number']}"
        except (ValueError, KeyError, TypeError):
            raise WrongError("something answers there that is not Elasticsearch") from None


async def check_media(settings: Settings) -> str:
    """Whether media can be stored: by a file written and removed, or by a connection to the object store."""
    if settings.media_url:
        host, port = _s3_endpoint()
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return f"{host}:{port} takes connections"
    directory = _nearest(settings.data_dir / "media")
    try:
        with tempfile.TemporaryFile(dir=directory):
            return f"{directory} is writable"
    except OSError as error:
        raise WrongError(f"{directory} is not writable: {error.strerror}") from None


def _s3_endpoint() -> tuple[str, int]:
    given = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    address = urlsplit(given or f"https://s3.{region}.amazonaws.com")
    if not address.hostname:
        raise WrongError("AWS_ENDPOINT_URL is not an address like https://s3.example.org")
    return address.hostname, address.port or (80 if address.scheme == "http" else 443)


async def check_memory(_: Settings) -> str:
    """What the control group allows, or what the machine has."""
    limits = [limit for limit in map(_limit, _limit_files()) if limit is not None]
    if limits:
        return f"limited to {min(limits) // MIB:,} MiB by the control group"
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"no limit, {total // MIB:,} MiB in the machine"


def _limit_files() -> list[Path]:
    """`memory.max` of our control group and of each above it (version 2), or the one file of version 1."""
    root = Path("/sys/fs/cgroup")
    lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    ours = next((line[3:].lstrip("/") for line in lines if line.startswith("0::")), "")
    groups = [root / ours, *(root / ours).parents]
    return [group / "memory.max" for group in groups if group.is_relative_to(root)] + [
        root / "memory" / "memory.limit_in_bytes"
    ]


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text("ascii").strip()
    except OSError:
        return None
    # Version 1 says "no limit" by a number that no machine has.
    return int(text) if text.isdigit() and int(text) < 2**60 else None


DATABASE_CHECKS: dict[str, Callable[[Connection], Awaitable[str]]] = {
    "migrations": check_migrations,
    "extensions": check_extensions,
    "locale": check_locale,
    "clock": check_clock,
}
OUTSIDE_CHECKS: dict[str, Callable[[Settings], Awaitable[str]]] = {
    "disk": check_disk,
    "redis": check_redis,
    "elasticsearch": check_elasticsearch,
    "media": check_media,
    "memory": check_memory,
}
