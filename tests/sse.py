"""A reader of live streams in tests: a socket of its own, chunks taken apart, events one by one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict

from server.streams import Streams
from tests.people import Person, sign_in, sql
from tests.running import Running

PATH = "/api/v1/notifications/stream"
PATIENCE = 5.0


@dataclass(frozen=True)
class Event:
    """One event; `name` is empty for a comment or a mere `retry`."""

    name: str
    data: Any
    id: int | None = None
    retry: int | None = None


class Reader:
    """What came over one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._text = ""

    async def begin(self) -> None:
        """Read the headers."""
        async with asyncio.timeout(PATIENCE):
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = CIMultiDict(line.split(": ", 1) for line in lines[1:] if line)

    async def body(self) -> bytes:
        """The body of an answer that is no stream."""
        return await self._reader.readexactly(int(self.headers["Content-Length"]))

    async def next(self, patience: float = PATIENCE) -> Event | None:
        """The next event, comments left out; None at the orderly end of the stream."""
        async with asyncio.timeout(patience):
            while True:
                block = await self._block()
                if block is None:
                    return None
                event = parse(block)
                if event.name:
                    return event

    async def heartbeat(self, patience: float = PATIENCE) -> None:
        """Wait for a comment."""
        async with asyncio.timeout(patience):
            while (block := await self._block()) is not None:
                if block.startswith(":"):
                    return
        raise AssertionError("the stream ended")

    async def rest(self, patience: float = PATIENCE) -> list[Event]:
        """Everything up to the end, also what has no name."""
        found = []
        async with asyncio.timeout(patience):
            while (block := await self._block()) is not None:
                found.append(parse(block))
        return found

    async def _block(self) -> str | None:
        while "\n\n" not in self._text:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            chunk = await self._reader.readexactly(size + 2)
            if size == 0:
                return None
            self._text += chunk[:-2].decode()
        block, _, self._text = self._text.partition("\n\n")
        return block


def parse(block: str) -> Event:
    """A block of lines."""
    fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
    place, retry = fields.get("id"), fields.get("retry")
    data = json.loads(fields["data"]) if "data" in fields else None
    return Event(fields.get("event", ""), data, int(place) if place else None, int(retry) if retry else None)


@asynccontextmanager
async def connected(site: Running, query: str = "", **headers: str) -> AsyncIterator[Reader]:
    """A connection that has asked for the stream, and read the headers of the answer."""
    # A small buffer, so that a slow reader is noticed soon.
    bare = socket.socket()
    bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    bare.setblocking(False)
    await asyncio.get_running_loop().sock_connect(bare, ("127.0.0.1", site.port))
    reader, writer = await asyncio.open_connection(sock=bare, limit=2**16)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"GET {PATH}{query} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
    found = Reader(reader, writer)
    try:
        await found.begin()
        yield found
    finally:
        writer.close()


async def member(site: Running, user_id: int) -> Person:
    """The user with a session that is stored, too."""
    who = sign_in(site, user_id)
    await sql(
        site, "insert into sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 day')",
        who.session_id, user_id,
    )  # fmt: skip
    return who


async def notify(site: Running, user_id: int, *, count: int = 1, data: str = "{}") -> list[int]:
    """As many notifications, as the dispatcher would write them; their ids."""
    ids: list[int] = await sql(
        site,
        """with events as (
            insert into notification_events (type, target_type, target_id, release_id, recipient_id, data, done_at)
            select 'recommendation', 'release', 3, 3, $1, $3::text::jsonb, now() from generate_series(1, $2::int)
            returning id
        ), told as (
            insert into notifications (user_id, event_id) select $1, id from events order by id returning id
        ), counted as (
            insert into notification_budgets as b (user_id, window_start, unread) values ($1, now(), $2)
            on conflict (user_id) do update set unread = b.unread + $2
        )
        select array_agg(id order by id) from told""",
        user_id, count, data,
    )  # fmt: skip
    return ids


async def emptied(streams: Streams, patience: float = PATIENCE) -> None:
    """Wait until nobody is connected."""
    async with asyncio.timeout(patience):
        while len(streams):  # noqa: ASYNC110 - what is waited for happens in other tasks
            await asyncio.sleep(0.01)
