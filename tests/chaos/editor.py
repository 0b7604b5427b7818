"""An administrator who edits the catalogue that thousands follow, whatever happens to the server."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import uuid4

import asyncpg
from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout

from tests.chaos.person import AGAIN, CUT_OFF, PASSWORD, PAUSE, SESSION_SECONDS, Said
from tests.chaos.process import EPISODES, Served

NAME = "editor"
FOLLOWERS = 3_000
# Those whose new episodes everybody is told of, and those whose titles change. Nobody keeps them in a library: what
# completes a release depends on its episodes.
FOLLOWED = (27, 28)
RENAMED = range(20, 26)
BATCH = 12
FOLLOW = """
with made as (
    insert into users (username, username_key, created_at)
    select 'follower' || n, 'follower' || n, now() from generate_series(1, $1::integer) n
    returning id
)
insert into subscriptions (user_id, subscription_type, target_id)
select id, 'release', release_id from made cross join unnest($2::bigint[]) release_id
"""


@dataclass
class Record:
    """What the editor asked for and what was acknowledged: keys of what must be there once, titles that may stand."""

    episodes: set[tuple[int, int]] = field(default_factory=set)
    releases: set[int] = field(default_factory=set)
    # Perhaps done: the answer never came, and nobody asked again.
    perhaps: set[tuple[int, int] | int] = field(default_factory=set)
    titles: dict[int, set[str]] = field(default_factory=dict)
    operations: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)


@dataclass
class Editor:
    """Adds episodes and releases under keys that make repeats harmless, and renames releases again and again."""

    base: str
    session: ClientSession
    chance: random.Random
    record: Record = field(default_factory=Record)
    token: str = ""
    signed_in_at: float = 0.0
    number: int = 0

    async def act(self) -> None:
        """Do something."""
        if monotonic() - self.signed_in_at > SESSION_SECONDS:
            await self.sign_in()
        what = self.chance.random()
        if what < 0.4:
            await self._add_episode()
        elif what < 0.55:
            await self._add_releases()
        else:
            await self._rename()

    async def sign_up(self, server: Served) -> None:
        """Make the account, make it an administrator's, sign in."""
        account = {"email": f"{NAME}@example.org", "username": NAME, "password": PASSWORD}
        said = await self._ask("POST", "auth/register", account)
        assert said.status == 201, said
        async with server.connection() as conn:
            await conn.execute("update users set role = 'admin' where username_key = $1", NAME)
        await self.sign_in()

    async def sign_in(self) -> None:
        """Take a fresh token."""
        while True:
            said = await self._ask("POST", "auth/login", {"email": NAME, "password": PASSWORD})
            if said.status == 200:
                self.token, self.signed_in_at = said.body["access_token"], monotonic()
                return
            await asyncio.sleep(PAUSE)

    async def _add_episode(self) -> None:
        self.number += 1
        release, ordinal = self.chance.choice(FOLLOWED), EPISODES + self.number
        body = {"release_id": release, "ordinal": ordinal, "title": f"Episode {ordinal}", "duration_seconds": 1440}
        await self._make(
            "admin/episodes", body, lambda: self.record.episodes.add((release, ordinal)), (release, ordinal)
        )

    async def _add_releases(self) -> None:
        numbers = range(self.number + 1, self.number + 1 + self.chance.choice([1, BATCH]))
        self.number += len(numbers)
        drafts = [{"title": f"Made {n}", "type": "tv", "external_ids": {"edited": n}} for n in numbers]
        done = lambda: self.record.releases.update(numbers)  # noqa: E731 - said once, used once
        if len(drafts) == 1:
            await self._make("admin/releases", drafts[0], done, *numbers)
            return
        edits = [{"method": "POST", "path": "/admin/releases", "body": draft} for draft in drafts]
        await self._make("admin/batch", {"operations": edits}, done, *numbers)

    async def _make(self, path: str, body: Any, done: Callable[[], Any], *keys: tuple[int, int] | int) -> None:
        """Ask under one key until it is acknowledged, or leave it open after one try."""
        key, patience = str(uuid4()), 1 if self.chance.random() < 0.1 else 1000
        for _ in range(patience):
            said = await self._ask("POST", path, body, key)
            if said.status == 202:
                done()
                self.record.operations.add(said.body["id"])
                return
            if said.status not in AGAIN:
                return
            await asyncio.sleep(PAUSE)
        self.record.perhaps.update(keys)

    async def _rename(self) -> None:
        self.number += 1
        release, title = self.chance.choice(RENAMED), f"Renamed {self.number}"
        said = await self._ask("PATCH", f"admin/releases/{release}", {"title": title})
        if said.status == 202:
            # Edits of one release are done in the order in which they were acknowledged.
            self.record.titles[release] = {title}
            self.record.operations.add(said.body["id"])
        elif said.status == CUT_OFF:
            self.record.titles.setdefault(release, {f"Title {release}"}).add(title)

    async def _ask(self, method: str, path: str, body: Any, key: str = "") -> Said:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        while True:
            try:
                async with self.session.request(
                    method, f"{self.base}/api/v1/{path}", json=body, headers=headers
                ) as answer:
                    raw = await answer.read()
                    said = Said(answer.status, answer.headers, json.loads(raw) if raw else None)
            except ClientConnectorError:
                await asyncio.sleep(PAUSE)
                continue
            except (ClientError, OSError, TimeoutError):
                said = Said(CUT_OFF, {}, None)
            self.record.statuses["cut off" if said.status == CUT_OFF else str(said.status)] += 1
            if said.status >= 400 and said.status not in AGAIN:
                self.record.unexpected[f"{method} {path}: {said.status} {said.body}"] += 1
            return said


async def gather_followers(conn: asyncpg.Connection[asyncpg.Record], count: int = FOLLOWERS) -> None:
    """Make people who follow what gets new episodes."""
    await conn.execute(FOLLOW, count, list(FOLLOWED))


@asynccontextmanager
async def editing(server: Served, seed: int, deadline: float = 30.0) -> AsyncIterator[Record]:
    """Let an editor work until the block ends; what was begun is finished."""
    async with ClientSession(timeout=ClientTimeout(total=deadline)) as session:
        one = Editor(server.base, session, random.Random(f"{seed}/editor"))
        await one.sign_up(server)
        stopping = asyncio.Event()

        async def work() -> None:
            while not stopping.is_set():
                await one.act()

        task = asyncio.create_task(work())
        try:
            yield one.record
            stopping.set()
            async with asyncio.timeout(60):
                await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
