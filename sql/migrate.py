"""Migrations: numbered files, forward only, each in one transaction, checksummed, under one advisory lock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources

from server.errors import MigrationError
from sql.query import Connection

# Any fixed number; this one spells "yojohan" in no alphabet.
LOCK = 4_500_045
NAME = re.compile(r"^(?P<version>\d{4})_[a-z0-9_]+\.sql$")

# Earlier forms of files that had to be mended because newer servers refuse them; what they leave behind is the same.
MENDED = {7: "d45a2725f23a4f9e8dd887987bf89a8680243a6b8c5e576a3f3431faba6d07db"}

LEDGER = """
create table if not exists schema_migrations (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `sql/migrations`."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def available() -> list[Migration]:
    """The migrations this code brings, in order, without gaps."""
    found = sorted(_read(), key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise MigrationError("the migration files are not numbered 1, 2, 3 …")
    return found


def _read() -> Iterator[Migration]:
    for path in resources.files("sql").joinpath("migrations").iterdir():
        match = NAME.match(path.name)
        if match:
            yield Migration(int(match["version"]), path.name, path.read_text("utf-8"))


def pending(applied: Sequence[tuple[int, str, str]], brought: Sequence[Migration]) -> list[Migration]:
    """What is still to be applied; MigrationError where the database and this code do not belong together."""
    if len(applied) > len(brought):
        newest = applied[-1]
        raise MigrationError(
            f"the database is newer than this code: it knows migration {newest[1]}. Start a newer version of Yojohan."
        )
    for (version, name, checksum), migration in zip(applied, brought, strict=False):
        if version != migration.version or checksum not in (migration.checksum, MENDED.get(version)):
            raise MigrationError(f"migration {name} was changed after it was applied; restore the file as it was")
    return list(brought[len(applied) :])


@asynccontextmanager
async def _locked(conn: Connection) -> AsyncIterator[None]:
    # Another instance may be migrating for minutes: wait for it, whatever the usual limits are.
    await conn.execute("set lock_timeout = 0; set statement_timeout = 0")
    await conn.execute("select pg_advisory_lock($1)", LOCK)
    try:
        yield
    finally:
        await conn.execute("select pg_advisory_unlock($1)", LOCK)
        await conn.execute("reset lock_timeout; reset statement_timeout")


async def migrate(conn: Connection) -> list[str]:
    """Apply what is pending; the names of the files applied. `conn` must not be in a transaction."""
    async with _locked(conn):
        await conn.execute(LEDGER)
        rows = await conn.fetch("select version, name, checksum from schema_migrations order by version")
        todo = pending([tuple(row) for row in rows], available())
        for migration in todo:
            async with conn.transaction():
                await conn.execute(migration.text)
                await conn.execute(
                    "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
                    migration.version, migration.name, migration.checksum,
                )  # fmt: skip
        return [migration.name for migration in todo]
