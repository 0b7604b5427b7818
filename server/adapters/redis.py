"""Redis, where there is one: every wait is short, and while it does not answer it is left alone.

redis-py takes seven megabytes and is imported only where REDIS_URL is set. As it comes it tries ten times and waits for
five seconds; here nothing is tried twice and nothing waits longer than it is told to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

from server.errors import Unavailable

log = logging.getLogger("yojohan.redis")

# Seconds to open a connection, which happens while nobody waits for it.
CONNECT = 0.2
# So many failures in a row, and it counts as away until a `probe` finds it.
FAILURES = 3
# A timer that comes later than this, in seconds, tells of our own loop; and how often it is then set anew.
BUSY = 0.005
EXTENSIONS = 4


class Script:
    """What Redis runs as one step, nothing else in between. It answers with a list."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Not a secret: the name that Redis gives it.
        self.name = sha1(text.encode(), usedforsecurity=False).hexdigest()


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """TimeoutError after so many seconds; a little later where the loop was too busy to read the answer yet.

    Else a server under load would take its own slowness for that of Redis.
    """
    loop = asyncio.get_running_loop()
    due, extensions = loop.time() + seconds, 0
    timer: asyncio.TimerHandle | None = None
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal due, extensions, timer
            now = loop.time()
            if now - due <= BUSY or extensions == EXTENSIONS:
                limit.reschedule(now)
                return
            due, extensions = now + BUSY, extensions + 1
            timer = loop.call_at(due, look)

        timer = loop.call_at(due, look)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()


class Redis:
    """One connection, for one caller at a time. `away` until it was found for the first time."""

    def __init__(self, url: str) -> None:
        # Here, so that a server without Redis never pays for it.
        from redis import exceptions  # noqa: PLC0415
        from redis.asyncio import connection  # noqa: PLC0415

        self._connections = connection
        self._unknown_script = exceptions.NoScriptError
        self._broken = exceptions.ConnectionError
        self._troubles = (exceptions.RedisError, OSError, TimeoutError, ValueError, TypeError)
        self._url = url
        self._connection: Any = None
        self.away = True
        self.failures = 0
        # Since the start: how often it went away.
        self.lost = 0

    async def run(self, script: Script, keys: Sequence[str], values: Sequence[str], within: float) -> list[Any]:
        """What the script answers; Unavailable if it does not within so many seconds.

        Where the connection breaks it may run twice.
        """
        try:
            async with patience(within):
                answer = await self._run(script, keys, values)
        except self._troubles as error:
            self._failed(error)
            raise Unavailable("Redis does not answer.") from error
        self.failures = 0
        return answer

    async def probe(self, script: Script, keys: Sequence[str], values: Sequence[str], within: float) -> list[Any]:
        """The same over a connection that was opened anew if need be: what comes of it decides whether it is away."""
        try:
            async with patience(CONNECT):
                await self._open()
        except self._troubles as error:
            self._failed(error)
            raise Unavailable("Redis cannot be reached.") from error
        answer = await self.run(script, keys, values, within)
        if self.away:
            self.away = False
            log.info("redis answers")
        return answer

    async def close(self) -> None:
        """Let go of the connection."""
        opened, self._connection = self._connection, None
        if opened is not None:
            try:
                await opened.disconnect(nowait=True)
            except self._troubles:
                log.debug("a connection to redis did not close in order")

    async def _run(self, script: Script, keys: Sequence[str], values: Sequence[str]) -> list[Any]:
        opened = self._connection is not None and self._connection.is_connected
        try:
            return await self._evaluate(script, keys, values)
        except self._broken:
            # An old connection breaks where Redis was started anew; a new one tells that it is not there.
            if not opened:
                raise
            return await self._evaluate(script, keys, values)

    async def _evaluate(self, script: Script, keys: Sequence[str], values: Sequence[str]) -> list[Any]:
        await self._open()
        try:
            answer = await self._ask("EVALSHA", script.name, str(len(keys)), *keys, *values)
        except self._unknown_script:
            # Forgotten over a restart, or by SCRIPT FLUSH.
            answer = await self._ask("EVAL", script.text, str(len(keys)), *keys, *values)
        if not isinstance(answer, list):
            raise TypeError("something answers there that is not Redis")
        return answer

    async def _open(self) -> None:
        if self._connection is None:
            # The second version of the protocol greets nobody, and has all that is needed here. No timeouts of its own:
            # each would be a task more for every question.
            pool = self._connections.ConnectionPool.from_url(
                self._url, protocol=2, driver_info=None, socket_timeout=None, socket_connect_timeout=CONNECT
            )
            self._connection = pool.make_connection()  # type: ignore[no-untyped-call]
        if not self._connection.is_connected:
            await self._connection.connect()

    async def _ask(self, *words: str) -> Any:
        sent = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        await self._connection.send_packed_command(f"*{len(words)}\r\n{sent}".encode(), check_health=False)
        return await self._connection.read_response()

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        if self.failures == FAILURES:
            # Its words name host and port, never the password.
            log.warning("redis is away", extra={"reason": repr(error)[:200]})
            self.lost += not self.away
            self.away = True
