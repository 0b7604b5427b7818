"""Long answers, sent portion by portion as fast as the client takes them, within limits of time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from server.errors import YojohanError

log = logging.getLogger("yojohan.http")

# Seconds for one portion to be read and taken, and for all of them.
PORTION_PATIENCE = 30.0
WHOLE_PATIENCE = 1_800.0


class Portions(web.StreamResponse):
    """An answer whose body is an iterator of portions, the first of which is there already.

    It is sent when aiohttp finishes the answer, and not in the handler: by then the edge has completed the headers.
    Once it has begun there is no status left to tell of a failure, so the connection is cut: the client sees that the
    body has no end.
    """

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(headers=headers)
        self._first = first
        self._rest = rest
        self._asked: web.BaseRequest | None = None

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers."""
        self._asked = request
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the body."""
        if self._asked is not None and self._asked.method != "HEAD":
            try:
                async with asyncio.timeout(WHOLE_PATIENCE):
                    await self._send()
            except (YojohanError, TimeoutError, ConnectionError) as error:
                log.warning("an answer was cut off", extra={"reason": type(error).__name__})
                self._cut_off(self._asked)
                return
            finally:
                await self._rest.aclose()
        await super().write_eof(data)

    async def _send(self) -> None:
        portion: bytes | None = self._first
        while portion is not None:
            async with asyncio.timeout(PORTION_PATIENCE):
                # Waits while the client has not taken what was sent before.
                await self.write(portion)
                portion = await anext(self._rest, None)

    def _cut_off(self, request: web.BaseRequest) -> None:
        self.force_close()
        if request.transport is not None:
            request.transport.abort()


async def begun(portions: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> Portions:
    """The answer, once its first portion is there: what fails until then gets a status of its own."""
    return Portions(await anext(portions), portions, headers)
