"""Somebody with an account who keeps a library, follows things and takes exports, whatever happens to the server."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiohttp import ClientConnectorError, ClientError, ClientSession

from tests.chaos.deeds import deed
from tests.chaos.model import Deed, Library
from tests.chaos.orders import Order, Orders
from tests.chaos.process import RELEASES

if TYPE_CHECKING:
    from tests.chaos.voice import Voice

PAUSE = 0.03
# Access tokens live for a quarter of an hour.
SESSION_SECONDS = 600
PASSWORD = "three quiet lanterns"
CUT_OFF = 0
# Nothing was done, or nobody knows: the next try tells. 409: the first try is still in flight.
AGAIN = {CUT_OFF, 409, 429, 503}


@dataclass
class Notes:
    """What everybody saw. `backwards` counts revisions smaller than one heard of before."""

    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    given_up: int = 0
    backwards: int = 0
    replayed: int = 0


@dataclass(frozen=True)
class Said:
    """An answer; status CUT_OFF where the connection broke before it came."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Person:
    """Does one thing after another. What they do is random and repeatable, when is not."""

    name: str
    base: str
    session: ClientSession
    chance: random.Random
    notes: Notes
    id: int = 0
    revision: int = 0
    library: Library = field(default_factory=Library)
    follows: Orders = field(default_factory=Orders)
    exports: Orders = field(default_factory=Orders)
    voice: Voice | None = None
    token: str = ""
    signed_in_at: float = 0.0

    async def sign_up(self) -> None:
        """Make the account and sign in."""
        account = {"email": f"{self.name}@example.org", "username": self.name, "password": PASSWORD}
        said = await self.ask("POST", "auth/register", account)
        assert said.status == 201, said
        self.id = said.body["id"]
        await self._sign_in()

    async def act(self) -> None:
        """Do something."""
        if monotonic() - self.signed_in_at > SESSION_SECONDS:
            await self._sign_in()
        what = self.chance.random()
        if what < 0.06:
            await self._follow()
        elif what < 0.09 and self.follows.done():
            await self._unfollow(self.chance.choice(self.follows.done()))
        elif what < 0.12 and self.follows.known():
            # Also of something that was deleted meanwhile: the key does not bring it back.
            await self._order_follow(self.chance.choice(self.follows.known()))
        elif what < 0.125:
            await self._export()
        elif what < 0.35 and self.voice is not None:
            await self.voice.act(self)
        else:
            await self._do(deed(self.chance, self.revision))

    async def _do(self, one: Deed) -> None:
        persistent = self.chance.random() < 0.7
        while True:
            said = await self.ask(one.method, one.path, one.body)
            if said.status in (200, 204):
                self.notes.acknowledged += 1
                self.library.acknowledged(one)
                rejected = said.body["rejected"] if said.status == 200 else []
                self._hear(int(said.body["revision"] if said.status == 200 else said.headers["X-Revision"]))
                self.notes.unexpected.update(f"{kind['kind']}: {kind['detail']}" for kind in rejected)
                return
            if said.status != 429:
                self.library.cut_off(one)
            if not persistent or said.status not in AGAIN:
                self.notes.given_up += 1
                return
            await asyncio.sleep(PAUSE)

    def _hear(self, revision: int) -> None:
        self.notes.backwards += revision < self.revision
        self.revision = max(self.revision, revision)

    async def _follow(self) -> None:
        free = sorted(set(range(1, RELEASES + 1)) - self.follows.open_targets())
        if free:
            await self._order_follow(self.follows.add(Order(self.chance.choice(free))))

    async def _order_follow(self, order: Order) -> None:
        body = {"subscription_type": "release", "target_id": order.target}
        await self._order(self.follows, order, "subscriptions", body, 201)

    async def _export(self) -> None:
        await self._order(self.exports, self.exports.add(Order()), "profile/export", None, 202)

    async def _order(self, orders: Orders, order: Order, path: str, body: Any, status: int) -> None:
        patience = 1 if self.chance.random() < 0.1 else 1000
        for _ in range(patience):
            said = await self.ask("POST", path, body, order.key)
            if said.status == status:
                self.notes.acknowledged += 1
                self.notes.replayed += "Idempotency-Replayed" in said.headers
                orders.answered(order, str(said.body["id"]))
                return
            if said.status not in AGAIN or (said.status == 429 and path == "profile/export"):
                return
            await asyncio.sleep(PAUSE)

    async def _unfollow(self, order: Order) -> None:
        said = await self._insist("DELETE", f"subscriptions/{order.made}")
        order.undone = said.status == 204

    async def _sign_in(self) -> None:
        credentials = {"email": self.name, "password": PASSWORD}
        said = await self._insist("POST", "auth/login", credentials)
        self.token, self.signed_in_at = said.body["access_token"], monotonic()

    async def _insist(self, method: str, path: str, body: Any = None) -> Said:
        """Ask until it is done or refused for good."""
        while True:
            said = await self.ask(method, path, body)
            if said.status not in AGAIN:
                return said
            await asyncio.sleep(PAUSE)

    async def ask(
        self, method: str, path: str, body: Any = None, key: str = "", expected: AbstractSet[int] = frozenset()
    ) -> Said:
        """The answer, or that it was cut off. While nobody listens it was not asked. Refusals may be `expected`."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        target = f"{self.base}/api/v1/{path}"
        while True:
            try:
                async with self.session.request(method, target, json=body, headers=headers) as answer:
                    raw = await answer.read()
                    said = Said(answer.status, answer.headers, json.loads(raw) if raw else None)
            except ClientConnectorError:
                await asyncio.sleep(PAUSE)
                continue
            except (ClientError, OSError, TimeoutError):
                said = Said(CUT_OFF, {}, None)
            self._note(method, path, said, expected)
            return said

    def _note(self, method: str, path: str, said: Said, expected: AbstractSet[int]) -> None:
        self.notes.statuses["cut off" if said.status == CUT_OFF else str(said.status)] += 1
        if said.status >= 400 and said.status not in AGAIN | expected:
            self.notes.unexpected[f"{method} {path}: {said.status} {said.body}"] += 1
