"""Kinds of long work for tests, and the actor that runs them beside a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from actors.operations import Look, Operations, Runs
from actors.supervisor import Supervisor
from actors.system import ActorSystem
from actors.works.base import Progress, Work
from server.database import Database
from server.errors import Overloaded, Unprocessable
from server.files import Files
from sql import operations
from sql.operations import QUEUED, Operation


class Write(Work):
    """Writes a file of `rows` lines, refusing each tenth."""

    kind = "write"

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        rows = operation.request["rows"]
        for row in range(1, rows + 1):
            if row % 10 == 0:
                progress.refuse(row, f"Row {row} is round.")
            await progress.advance(row, rows)
        text = progress.brought().read_text() if operation.file else "a line\n" * rows
        progress.make(".txt").write_text(text)
        return {"lines": rows}


class Fail(Work):
    """Ends in the error it was asked for."""

    kind = "fail"

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        progress.make(".txt").write_text("half")
        progress.refuse(3, "A bad row.")
        errors = {"ours": ValueError("inner text"), "theirs": Unprocessable("The list is empty."),
                  "weather": Overloaded("Busy.")}  # fmt: skip
        raise errors[operation.request["how"]]


class Hold(Work):
    """Begins, tells so, and goes on when it is let."""

    kind = "hold"

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.go = asyncio.Event()

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        self.begun.append(operation.attempts)
        progress.make(".txt").write_text("held")
        while not self.go.is_set():
            await asyncio.sleep(0.01)
            await progress.advance(len(self.begun))
        return {"attempts": operation.attempts}


@dataclass
class Bench:
    """The actor at work. `hold` is the work that waits."""

    database: Database
    files: Files
    system: ActorSystem
    runs: Runs
    hold: Hold

    @property
    def supervisor(self) -> Supervisor:
        return next(iter(self.system))

    async def queue(self, user_id: int, kind: str, file: str | None = None, **request: Any) -> UUID:
        async with self.database.transaction() as conn:
            return (await operations.create(conn, user_id, kind, request, file)).id

    async def row(self, operation_id: UUID) -> dict[str, Any]:
        async with self.database.connection() as conn:
            found = await conn.fetchrow("select * from operations where id = $1", operation_id)
            return dict(found)

    async def ended(self, operation_id: UUID) -> dict[str, Any]:
        """The row once it has ended."""

        async def over() -> bool:
            return (await self.row(operation_id))["status"] not in ("queued", "running")

        await until(over)
        return await self.row(operation_id)

    def made(self) -> list[str]:
        return sorted(path.name for path in self.files.path("exports/x").parent.iterdir())


async def until(true: Callable[[], Awaitable[bool]], patience: float = 10.0) -> None:
    """Look until it is so."""
    async with asyncio.timeout(patience):
        while not await true():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.02)


@asynccontextmanager
async def bench(dsn: str, data_dir: Path, works: Sequence[Work] = ()) -> AsyncIterator[Bench]:
    """The runtime with the works above."""
    database, files, runs, hold = Database(dsn), Files(data_dir), Runs(), Hold()
    await database.open()
    system = ActorSystem(lambda *_: None)
    kinds = [Write(), Fail(), hold, *works]
    ref = system.add(partial(Operations, database, files, system.jobs, runs, kinds))

    def look() -> None:
        if QUEUED.get() and not system_stopped:
            ref.tell(Look())

    system_stopped: list[bool] = []
    database.bell.listeners.append(look)
    await system.start()
    try:
        yield Bench(database, files, system, runs, hold)
    finally:
        system_stopped.append(True)
        await system.stop(4.0)
        await database.close()


async def execute(dsn: str, text: str, *parameters: Any) -> Any:
    """One statement on a connection of its own."""
    conn = await asyncpg.connect(dsn)
    try:
        return await conn.fetchval(text, *parameters)
    finally:
        await conn.close()
