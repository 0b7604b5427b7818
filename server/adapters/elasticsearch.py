"""Elasticsearch, where there is one: searches wait 300 ms for it at most, and while it is away not at all.

Two kinds of requests go out. A `search` is what somebody waits for: a failure sets it aside for a second, three in a
row until a `probe` has found it again. An `ask` is the indexer's: it may take longer, and what comes of it says nothing
about searches. Redirections are never followed, proxies of the environment never asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from server.adapters.breaker import Breaker
from server.errors import Unavailable

log = logging.getLogger("yojohan.elasticsearch")

# Seconds that a search may take, connecting included.
SEARCH = 0.3
# So long everybody goes elsewhere after one failure: in one request, nobody waits for it twice.
REST = 1.0
# The indexer's requests, which nobody waits for.
PATIENCE = 10.0
# Bytes of an answer that are read; what is longer is no answer to anything we ask.
MOST_READ = 8 * 2**20
AT_ONCE = 32

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a JSON object, with a status below 500 that is not 429."""

    status: int
    body: dict[str, Any]

    @property
    def good(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """The kind of error, in its own words, for the log."""
        error = self.body.get("error")
        kind = error.get("type") if isinstance(error, dict) else error
        return f"{self.status} {kind}"[:200]


class Elasticsearch:
    """One cluster, behind one session that is opened when it is first needed."""

    def __init__(self, url: str, clock: Callable[[], float] = monotonic) -> None:
        self.breaker = Breaker("Elasticsearch", clock)
        # Since the start: searches that were answered, and that were not.
        self.answered = 0
        self.failed = 0
        self._url = url
        self._clock = clock
        self._set_aside = float("-inf")
        self._session: ClientSession | None = None

    @property
    def usable(self) -> bool:
        """Whether a search may be tried now."""
        return not self.breaker.open and self._clock() >= self._set_aside

    async def search(self, path: str, query: Query, body: Mapping[str, Any], within: float = SEARCH) -> dict[str, Any]:
        """The answer to a search; Unavailable, at once or within 300 ms, if there is none for whatever reason."""
        if self._clock() < self._set_aside:
            raise Unavailable("Elasticsearch has just failed.")
        self.breaker.check()
        return await self._search(path, query, body, within)

    async def probe(self, path: str, query: Query, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same though it be set aside: what comes of it decides whether searches are tried again."""
        found = await self._search(path, query, body, SEARCH)
        self._set_aside = float("-inf")
        return found

    async def _search(self, path: str, query: Query, body: Mapping[str, Any], within: float) -> dict[str, Any]:
        try:
            reply = await self._send("POST", path, query, orjson.dumps(body), "application/json", within)
        except Unavailable:
            self.dismiss("no answer")
            raise
        if not reply.good or reply.body.get("timed_out") is True or "hits" not in reply.body:
            # An index that is not there, a version that does not understand us, an answer of a part of the shards.
            self.dismiss(reply.reason)
            raise Unavailable("Elasticsearch did not answer the search.")
        self.answered += 1
        if self.breaker.failing:
            log.info("elasticsearch answers")
        self.breaker.succeeded()
        return reply.body

    def dismiss(self, reason: str) -> None:
        """A search came to nothing, or its answer made no sense: leave it alone for a while."""
        self.failed += 1
        if not self.breaker.failing:
            log.warning("elasticsearch does not answer searches", extra={"reason": reason})
        self._set_aside = self._clock() + REST
        self.breaker.failed()

    async def ask(
        self, method: str, path: str, *, query: Query | None = None, body: Mapping[str, Any] | bytes | None = None
    ) -> Reply:
        """What it answers to the indexer; bytes are lines of JSON. Unavailable if it is away, ill or too busy."""
        if isinstance(body, bytes):
            return await self._send(method, path, query or {}, body, "application/x-ndjson", PATIENCE)
        data = orjson.dumps(body) if body is not None else None
        return await self._send(method, path, query or {}, data, "application/json", PATIENCE)

    async def close(self) -> None:
        """Close the session, if there was ever one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, method: str, path: str, query: Query, data: bytes | None, kind: str, within: float) -> Reply:
        try:
            async with (
                asyncio.timeout(within),
                self._client().request(
                    method, f"{self._url}{path}", params=query, data=data, allow_redirects=False,
                    headers={"Content-Type": kind} if data is not None else {},
                ) as response,
            ):  # fmt: skip
                status, text = response.status, await _read(response)
                body = orjson.loads(text) if text else {}
        # Without the cause, whose words may hold the address and what is secret in it.
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            log.debug("elasticsearch: nothing came back", extra={"reason": type(error).__name__})
            raise Unavailable("Elasticsearch does not answer.", retry_after=5) from None
        if status == 429 or status >= 500 or not isinstance(body, dict):
            raise Unavailable("Elasticsearch cannot answer now.", retry_after=5)
        return Reply(status, body)

    def _client(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=AT_ONCE, keepalive_timeout=30),
                # Each request has a bound of its own, for everything together.
                timeout=ClientTimeout(total=None),
                headers={"Accept": "application/json"},
                cookie_jar=DummyCookieJar(),
                trust_env=False,
            )
        return self._session


async def _read(response: ClientResponse) -> bytes:
    """The body; ValueError if it is longer than anything we ask for."""
    data = bytearray()
    while piece := await response.content.read(65_536):
        data += piece
        if len(data) > MOST_READ:
            response.close()
            raise ValueError("too long")
    return bytes(data)
