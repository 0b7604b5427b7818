"""What instances share of the rate limits: the counts in Redis, asked in one script call for all who came meanwhile.

Both sides keep durations, never times of day: Redis answers how long a key is in debt, and is told so in turn. So no
clock is ever compared with another, and one that jumps costs at most a window.

The local memory follows what Redis says. It goes along as a hint for one window after it may know more than Redis:
after Redis was away, or came back without memory (its `marker` is another then). At other times the hint is left out,
for others may have given back meanwhile what is remembered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any, ClassVar

from actors.base import BatchActor, Request
from server.adapters.redis import Redis, Script
from server.errors import Unavailable
from server.events import Sharing
from server.meter import Meter
from server.rules.limits import Charge, Limit, told

MICRO = 1_000_000
# Seconds for one question. Whoever comes while one is under way waits for it and for the next, together 50 ms; if it
# fails they do not wait for the next.
ANSWER = 0.025
# After so many seconds without a question Redis is asked whether it is there.
IDLE = 5.0
# How much too long a debt may be remembered: the way to Redis and back.
SLACK = 0.1
MARKER = "yojohan:limits"

# KEYS: the marker, then a key for each charge. ARGV: the marker as it was known (empty: not yet); then for each charge
# what it costs (less than nothing: it is given back), the window and the hint, in microseconds. Answers with the marker
# and, in one text that is read faster than a list, for each charge the debt afterwards and how much too early it came
# (0: it may pass); with the marker alone, having charged nothing, where the marker is another. A debt longer than the
# window can only be a clock's mistake.
SCRIPT = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local marker = redis.call('GET', KEYS[1])
if not marker then
    marker = string.format('%.0f', now)
    redis.call('SET', KEYS[1], marker)
end
if ARGV[1] ~= '' and ARGV[1] ~= marker then
    return {marker}
end
local answer = {}
for i = 2, #KEYS do
    local cost, window, hint = tonumber(ARGV[3 * i - 4]), tonumber(ARGV[3 * i - 3]), tonumber(ARGV[3 * i - 2])
    local stored = tonumber(redis.call('GET', KEYS[i]) or 0)
    local arrival = math.min(math.max(stored, now + hint), now + window)
    local after, late = math.max(arrival + cost, now), 0
    if cost > 0 and after - window > now then
        after, late = arrival, after - window - now
    end
    if after > now then
        if after ~= stored then
            redis.call('SET', KEYS[i], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
        end
    elseif stored > 0 then
        redis.call('DEL', KEYS[i])
    end
    answer[#answer + 1] = after - now
    answer[#answer + 1] = late
end
return {marker, table.concat(answer, ' ')}
"""
)


@dataclass(frozen=True, slots=True)
class Take(Request[Charge | None]):
    """Take the limit's cost from a key's quota in all instances at once, or give it `back`; None if Redis cannot say.

    `since`: when it was asked, on the clock of `perf_counter`.
    """

    limit: Limit
    key: int
    since: float
    back: bool = False


class LimitExchange(BatchActor[Take]):
    """Asks Redis for all who wait, one question at a time; looks for it while it is away."""

    name = "limit_exchange"
    capacity: ClassVar[int] = 4096
    batch: ClassVar[int] = 512
    interval = 1.0

    def __init__(self, redis: Redis, meter: Meter, sharing: Sharing) -> None:
        self._redis = redis
        self._meter = meter
        self._sharing = sharing
        self._marker = ""
        self._asked_at = float("-inf")
        self._failed_at = float("-inf")

    async def on_start(self) -> None:
        """Look whether it is there, and start without it if it is not."""
        await self.on_tick()

    async def on_stop(self) -> None:
        """Close the connection."""
        await self._redis.close()

    async def on_tick(self) -> None:
        """Look for it while it is away, and whether it is still there where nobody asks."""
        if self._redis.away or perf_counter() - self._asked_at > IDLE:
            self._asked_at = perf_counter()
            try:
                self._meet(await self._redis.probe(SCRIPT, [MARKER], [""], ANSWER))
            except Unavailable:
                self._sharing.failures += 1

    async def receive_batch(self, messages: Sequence[Take]) -> list[Charge | None]:
        """One question for all of them, but for those who waited for one that failed."""
        if messages[0].since <= self._failed_at:
            messages, waited = [one for one in messages if one.since > self._failed_at], len(messages)
            given_up: list[Charge | None] = [None] * (waited - len(messages))
            return given_up + (await self.receive_batch(messages) if messages else [])
        started = self._asked_at = perf_counter()
        try:
            # Nothing: it has forgotten everything and charged nothing. Now it is told what is remembered here.
            answer = await self._ask(messages) or await self._ask(messages)
            if len(answer) != 2 * len(messages):
                raise Unavailable("Redis forgets faster than it is told.")
        except Unavailable:
            self._sharing.failures += 1
            self._failed_at = perf_counter()
            return [None] * len(messages)
        self._sharing.questions += 1
        self._sharing.latency.observe(perf_counter() - started)
        now = self._meter.clock()
        pairs = zip(messages, answer[::2], answer[1::2], strict=True)
        return [self._follow(message, debt / MICRO, late / MICRO, now) for message, debt, late in pairs]

    async def _ask(self, messages: Sequence[Take]) -> list[int]:
        now = self._meter.clock()
        keys, values = [MARKER], [self._marker]
        for message in messages:
            step, window = _microseconds(message.limit)
            keys.append(f"{MARKER}:{message.limit.name}:{message.key}")
            values += (f"-{step}" if message.back else step, window, self._hint(message, now))
        answer = self._meet(await self._redis.run(SCRIPT, keys, values, ANSWER))
        return [int(number) for number in answer[1].split()] if len(answer) > 1 else []

    def _hint(self, message: Take, now: float) -> str:
        if not self._sharing.in_doubt(now, message.limit.window):
            return "0"
        debt = self._meter.tables[message.limit.name].get(message.key) - now - SLACK
        return str(int(debt * MICRO)) if debt > 0 else "0"

    def _meet(self, answer: list[Any]) -> list[Any]:
        """The answer, its marker learnt; from another one on Redis is in doubt."""
        if not answer or not isinstance(answer[0], bytes):
            raise Unavailable("Something answers there that is not Redis.")
        marker = answer[0].decode("utf-8", "replace")
        if self._marker not in ("", marker):
            self._sharing.doubted_at = self._meter.clock()
        self._marker = marker
        return answer

    def _follow(self, message: Take, debt: float, late: float, now: float) -> Charge:
        verdict = told(message.limit, debt, late)
        self._meter.follow(message.limit, message.key, now + debt)
        if not message.back:
            self._meter.count(verdict)
        return verdict


@lru_cache(maxsize=256)
def _microseconds(limit: Limit) -> tuple[str, str]:
    """What one request costs, and the window. Rounded down, so that the quota itself always fits."""
    window = int(limit.window * MICRO)
    return str(max(1, window // limit.quota) * limit.cost), str(window)
