"""The CDN in front of us: told by surrogate keys what it must not serve any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import aiohttp
import msgspec

from server.adapters.breaker import Breaker
from server.errors import Unavailable

# Seconds a purge may take.
PATIENCE = 5.0
# Tags in one request: their header has to fit into the eight kilobytes that proxies take.
MOST_TAGS = 200
LONGEST_HEADER = 6_000


class PurgeRefusedError(Exception):
    """The CDN answered, and did not do it."""


class Cdn:
    """Purges by POST to CDN_PURGE_URL: `{"tags": [...]}` as the body, the same in `Surrogate-Key`.

    An answer below 300 means that it is done.
    """

    def __init__(self, url: str) -> None:
        self.breaker = Breaker("The CDN")
        self._url = url

    async def purge(self, tags: Iterable[str]) -> None:
        """Purge everything under these tags; `*` is everything there is. May be repeated.

        Unavailable if the CDN is away or asks to wait, PurgeRefusedError if it does not want to.
        """
        for portion in portions(tags):
            self.breaker.check()
            try:
                status = await self._post(portion)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                self.breaker.failed()
                # Without the cause, which may name the address and what is secret in it.
                raise Unavailable("The CDN is away.", retry_after=30) from None
            if status == 429 or status >= 500:
                self.breaker.failed()
                raise Unavailable("The CDN cannot purge now.", retry_after=30)
            if status >= 300:
                self.breaker.failed()
                raise PurgeRefusedError(f"status {status}")
            self.breaker.succeeded()

    async def _post(self, tags: Sequence[str]) -> int:
        """A connection for each: purges are few, and a kept one would have died meanwhile."""
        headers = {"Content-Type": "application/json", "Surrogate-Key": " ".join(tags)}
        body = msgspec.json.encode({"tags": tags})
        async with (
            asyncio.timeout(PATIENCE),
            aiohttp.ClientSession(trust_env=False) as session,
            # Whoever stands behind a redirection is not whom the operator named.
            session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status


def portions(tags: Iterable[str]) -> list[list[str]]:
    """The tags in requests of a size that is taken."""
    found: list[list[str]] = []
    size = 0
    for tag in sorted(set(tags)):
        size += 1 + len(tag)
        if not found or len(found[-1]) == MOST_TAGS or size > LONGEST_HEADER:
            found.append([])
            size = len(tag)
        found[-1].append(tag)
    return found
