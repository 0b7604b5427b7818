"""Requests to addresses that somebody else has chosen: checked, so that none of them reaches what is inside.

A name is resolved once, every address it has is checked, and the connection goes to those very addresses: there is no
second look-up between the check and the connection that could say something else. Redirects are never followed,
proxies of the environment never asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult

from server.adapters.addresses import Address, Addresses, Refused, Unresolved

CONNECT_TIMEOUT = 5.0
TOTAL_TIMEOUT = 15.0
# The status is what counts; for the text that follows it nobody waits long.
BODY_TIMEOUT = 2.0
MOST_READ = 4_096
MOST_KEPT = 1_024
AT_ONCE = 8
# Where the request under way in this task goes.
PINNED: ContextVar[Sequence[Address]] = ContextVar("pinned", default=())


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status and the beginning of the text, or why nothing did."""

    status: int | None
    text: str
    error: str
    milliseconds: int
    retry_after: str | None = None

    @property
    def good(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300


class PinnedResolver(AbstractResolver):
    """What the connector asks: the addresses that were checked a moment ago for this very request, and no others."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses pinned by whoever sends."""
        pinned = []
        for address in PINNED.get():
            own = socket.AF_INET if address.version == 4 else socket.AF_INET6
            if family in (socket.AF_UNSPEC, own):
                flags = socket.AI_NUMERICHOST
                pinned.append(
                    ResolveResult(hostname=host, host=str(address), port=port, family=own, proto=0, flags=flags)
                )
        return pinned

    async def close(self) -> None:
        """There is nothing to close."""


class Outgoing:
    """Sends requests; the client behind it is made when the first one is."""

    def __init__(self, addresses: Addresses, user_agent: str) -> None:
        self._addresses = addresses
        self._user_agent = user_agent
        self._session: ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send it; whatever goes wrong is told in the reply."""
        started = perf_counter()

        def reply(error: str, status: int | None = None, text: str = "", retry_after: str | None = None) -> Reply:
            return Reply(status, text, error, round((perf_counter() - started) * 1000), retry_after)

        try:
            # The whole is bounded here, too: a look-up that hangs is not one of the client's own timeouts.
            async with asyncio.timeout(TOTAL_TIMEOUT):
                return await self._post(url, body, headers, reply)
        except Refused as error:
            return reply(f"Refused: {error}")
        except Unresolved as error:
            return reply(str(error))
        except TimeoutError:
            return reply("No answer in time.")
        except (ClientError, OSError, ValueError) as error:
            return reply(_reason(error))

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str], reply: Callable[..., Reply]) -> Reply:
        parsed, found = await self._addresses.check(url)
        PINNED.set(found)
        async with self._client().post(parsed, data=body, headers=headers, allow_redirects=False) as response:
            text = await _beginning(response)
            error = "" if 200 <= response.status < 300 else f"Answered {response.status}."
            return reply(error, response.status, text, response.headers.get("Retry-After"))

    def _client(self) -> ClientSession:
        if self._session is None:
            connector = TCPConnector(
                limit=AT_ONCE, resolver=PinnedResolver(), use_dns_cache=False, keepalive_timeout=15
            )
            self._session = ClientSession(
                connector=connector,
                timeout=ClientTimeout(total=TOTAL_TIMEOUT, connect=CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                # What is compressed stays so: a small answer must not become a large one.
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        """Close the client, if there was ever one."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _beginning(response: ClientResponse) -> str:
    """The beginning of the text; what lies behind it is never read, and the connection not used again."""
    data = b""
    with suppress(TimeoutError, ClientError, OSError):
        async with asyncio.timeout(BODY_TIMEOUT):
            while len(data) < MOST_READ and (piece := await response.content.read(MOST_READ - len(data))):
                data += piece
    if not response.content.at_eof():
        response.close()
    return data[:MOST_KEPT].decode("utf-8", "replace").replace("\x00", "")


def _reason(error: Exception) -> str:
    """The kind of the error: its words may hold more than its reader should see."""
    cause = error.__cause__
    return type(cause if isinstance(error, ClientError) and isinstance(cause, OSError) else error).__name__
