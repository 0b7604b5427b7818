"""Limits shared through Redis: one budget for all, exact; and what happens while Redis is away, slow, or has forgotten.

HTTP is left out here; tests/test_shared_limits_http.py has it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from time import monotonic, perf_counter

import pytest
import pytest_asyncio

from actors.limit_exchange import LimitExchange
from server.commands.doctor import check_redis
from server.rules.limits import Limit
from server.settings import load
from tests.redis_server import RedisServer, redis_server
from tests.sharing import Instance, instance

# Refills so slowly that no test sees it, or fast enough to see it.
SLOW = Limit("slow", 1000, 86_400.0, "client", "Tests.")
FEW = Limit("few", 5, 3600.0, "client", "Tests.")
QUICK = Limit("quick", 100, 1.0, "client", "Tests.")
ACCOUNT = Limit("of-account", 10, 300.0, "account", "Tests.")
DEAR = Limit("dear", 6, 3600.0, "client", "Tests.", cost=2)
OFF = Limit("other", 7, 60.0, "client", "Tests.")
ALL = (SLOW, FEW, QUICK, ACCOUNT, DEAR, OFF)
# What a decision may take where Redis says nothing, and what a busy machine may add to all that a test waits for: far
# less than five hundred of them would take one after another.
DEADLINE = 0.05
MACHINE = 5.0
_keys = count(1)
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """One for the tests that do it no harm."""
    with redis_server() as started:
        yield started


@pytest.fixture
def frail() -> Iterator[RedisServer]:
    """One to be killed."""
    with redis_server() as started:
        yield started


@pytest_asyncio.fixture
async def pair(redis: RedisServer) -> AsyncIterator[tuple[Instance, Instance]]:
    """Two instances."""
    async with instance(redis.url, *ALL) as one, instance(redis.url, *ALL) as other:
        yield one, other
        assert one.fatal + other.fatal == []


async def until(true: Callable[[], bool], patience: float = 8.0) -> None:
    end = monotonic() + patience
    while not true():
        assert monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.01)


async def taken(one: Instance, limit: Limit, key: int, times: int) -> list[bool]:
    """Charges one after another; no decision takes longer than it may."""
    verdicts = []
    for _ in range(times):
        started = perf_counter()
        verdicts.append((await one.shared.charge(limit, key)).allowed)
        assert perf_counter() - started < DEADLINE + MACHINE
    return verdicts


class TestTogether:
    """While Redis is there."""

    async def test_two_instances_share_one_budget_to_the_unit_under_load(self, pair: tuple[Instance, Instance]) -> None:
        for _ in range(5):
            key, before = next(_keys), sum(one.sharing.fallbacks for one in pair)
            charges = [one.shared.charge(SLOW, key) for one in pair for _ in range(SLOW.quota)]
            verdicts = await asyncio.gather(*charges)
            # On a machine that stood still for longer than Redis is waited for, nothing was shared: once more.
            if sum(one.sharing.fallbacks for one in pair) == before:
                assert sum(verdict.allowed for verdict in verdicts) == SLOW.quota
                return
        pytest.fail("Redis never answered in time")

    async def test_what_refills_is_shared_within_a_hundredth(self, pair: tuple[Instance, Instance]) -> None:
        key, end, allowed = next(_keys), perf_counter() + 1.5, 0
        started = perf_counter()

        async def keep_asking(one: Instance) -> None:
            nonlocal allowed
            while perf_counter() < end:
                verdict = await one.shared.charge(QUICK, key)
                allowed += verdict.allowed
                await asyncio.sleep(0.0005)

        await asyncio.gather(*(keep_asking(one) for one in pair for _ in range(5)))
        budget = QUICK.quota * (1 + (perf_counter() - started) / QUICK.window)
        assert 0.97 * budget < allowed <= 1.01 * budget + 1

    @pytest.mark.parametrize("limit", [one for one in ALL if one is not QUICK], ids=lambda limit: limit.name)
    async def test_the_quota_passes_and_not_one_more(self, pair: tuple[Instance, Instance], limit: Limit) -> None:
        key, allowed = next(_keys), limit.quota // limit.cost
        lefts = [(await pair[number % 2].shared.charge(limit, key)).remaining for number in range(allowed)]
        assert lefts == [limit.quota - limit.cost * (number + 1) for number in range(allowed)]
        for one in pair:
            refused = await one.shared.charge(limit, key)
            assert (refused.allowed, refused.remaining) == (False, 0)
            assert refused.wait <= limit.window / limit.quota * limit.cost + 1

    async def test_whoever_waits_as_long_as_told_passes(self, pair: tuple[Instance, Instance]) -> None:
        limit, key = OFF, next(_keys)
        await taken(pair[0], limit, key, limit.quota)
        refused = await pair[1].shared.charge(limit, key)
        for one in pair:
            now = one.meter.clock()
            one.meter.clock = lambda now=now: now + refused.retry_after  # type: ignore[misc]
            assert one.meter.refusal(limit, key) is None

    async def test_charges_that_come_together_go_in_one_question(self, pair: tuple[Instance, Instance]) -> None:
        one, before = pair[0], pair[0].sharing.questions
        await asyncio.gather(*(one.shared.charge(limit, next(_keys)) for limit in ALL for _ in range(20)))
        assert (one.sharing.questions - before, one.sharing.fallbacks) == (1, 0)

    async def test_one_key_twice_in_one_question_is_charged_twice(self, pair: tuple[Instance, Instance]) -> None:
        key = next(_keys)
        verdicts = await asyncio.gather(*(pair[0].shared.charge(FEW, key) for _ in range(FEW.quota + 3)))
        assert [verdict.allowed for verdict in verdicts] == [True] * FEW.quota + [False] * 3

    async def test_what_is_given_back_can_be_spent_in_another_instance(self, pair: tuple[Instance, Instance]) -> None:
        one, other = pair
        key = next(_keys)
        await taken(one, ACCOUNT, key, ACCOUNT.quota)
        assert not (await other.shared.charge(ACCOUNT, key)).allowed
        for _ in range(4):
            await one.shared.give_back(ACCOUNT, key)
        assert await taken(other, ACCOUNT, key, 5) == [True] * 4 + [False]

    async def test_nobody_is_charged_for_what_others_gave_back(self, pair: tuple[Instance, Instance]) -> None:
        one, other = pair
        key = next(_keys)
        await taken(one, ACCOUNT, key, 8)
        assert (await other.shared.charge(ACCOUNT, key)).remaining == 1
        for _ in range(8):
            await one.shared.give_back(ACCOUNT, key)
        assert (await other.shared.charge(ACCOUNT, key)).remaining == ACCOUNT.quota - 2

    async def test_giving_back_never_leaves_more_than_the_quota(self, pair: tuple[Instance, Instance]) -> None:
        key = next(_keys)
        await pair[0].shared.give_back(ACCOUNT, key)
        assert (await pair[0].shared.charge(ACCOUNT, key)).remaining == ACCOUNT.quota - 1

    async def test_what_is_used_up_is_refused_without_a_question(self, pair: tuple[Instance, Instance]) -> None:
        one, other = pair
        key = next(_keys)
        await taken(one, FEW, key, FEW.quota)
        await other.shared.charge(FEW, key)
        before = one.sharing.questions, other.sharing.questions
        assert await taken(one, FEW, key, 50) + await taken(other, FEW, key, 50) == [False] * 100
        assert (one.sharing.questions, other.sharing.questions) == before
        assert other.sharing.known == 50

    async def test_keys_expire_with_the_debt(self, pair: tuple[Instance, Instance], redis: RedisServer) -> None:
        key = next(_keys)
        await taken(pair[0], FEW, key, 2)
        left = int(redis.command("PTTL", f"yojohan:limits:few:{key}")[1:])
        assert 0.95 * 2 * FEW.window / FEW.quota < left / 1000 <= 2 * FEW.window / FEW.quota
        for _ in range(2):
            await pair[0].shared.give_back(FEW, key)
        assert redis.command("EXISTS", f"yojohan:limits:few:{key}") in (b":0\r\n", b":1\r\n")

    async def test_no_clock_is_compared_with_another(self, redis: RedisServer) -> None:
        async with instance(redis.url, *ALL) as one, instance(redis.url, *ALL) as other:
            one.meter.clock = lambda: monotonic() + 1e6
            other.meter.clock = lambda: monotonic() / 2
            key = next(_keys)
            verdicts = await taken(one, FEW, key, 3) + await taken(other, FEW, key, 3)
            assert verdicts == [True] * 5 + [False]

    async def test_a_clock_that_jumped_back_costs_a_window_at_most(
        self, pair: tuple[Instance, Instance], redis: RedisServer
    ) -> None:
        key = next(_keys)
        redis.command("SET", f"yojohan:limits:few:{key}", "4000000000000000")
        refused = await pair[0].shared.charge(FEW, key)
        assert not refused.allowed
        assert refused.retry_after <= FEW.window / FEW.quota
        assert refused.reset <= FEW.window


class TestForgetting:
    """Redis is there, but not what it knew."""

    async def test_a_script_it_has_forgotten_is_sent_again(
        self, pair: tuple[Instance, Instance], redis: RedisServer
    ) -> None:
        key = next(_keys)
        await taken(pair[0], FEW, key, 2)
        redis.command("SCRIPT", "FLUSH")
        assert await taken(pair[1], FEW, key, 4) == [True] * 3 + [False]
        assert [one.sharing.fallbacks for one in pair] == [0, 0]

    async def test_limits_hold_where_everything_was_forgotten(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one, instance(frail.url, *ALL) as other:
            key = next(_keys)
            await taken(one, FEW, key, 4)
            frail.command("FLUSHALL")
            assert await taken(one, FEW, key, 1) == [True]
            # Told by the first, though it has never heard of this key itself.
            assert await taken(other, FEW, key, 1) == [False]
            assert [one.sharing.fallbacks, other.sharing.fallbacks] == [0, 0]

    async def test_limits_hold_over_a_restart(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one, instance(frail.url, *ALL) as other:
            used, half = next(_keys), next(_keys)
            await taken(one, FEW, used, 5)
            await taken(one, FEW, half, 2)
            frail.kill()
            assert await taken(one, FEW, used, 10) == [False] * 10
            assert await taken(one, FEW, half, 1) == [True]
            frail.start()
            await until(lambda: not one.redis.away and not other.redis.away)
            assert await taken(one, FEW, used, 1) == [False]
            assert await taken(other, FEW, used, 1) == [False]
            assert await taken(one, FEW, half, 1) == [True]
            assert await taken(other, FEW, half, 2) == [True, False]


class TestAway:
    """Redis is not there, or as good as."""

    async def test_killed_amid_a_load_it_fails_nothing_and_limits_hold_locally(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one:
            key, decisions, slowest = next(_keys), 0, 0.0
            stop = False

            async def keep_asking() -> None:
                nonlocal decisions, slowest
                while not stop:
                    started = perf_counter()
                    await one.shared.charge(SLOW, next(_keys) if decisions % 2 else key)
                    slowest = max(slowest, perf_counter() - started)
                    decisions += 1
                    await asyncio.sleep(0.001)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(20):
                    tasks.create_task(keep_asking())
                await until(lambda: one.sharing.shared > 200)
                frail.kill()
                await until(lambda: one.redis.away)
                before = decisions
                await until(lambda: decisions > before + 500)
                frail.start()
                await until(lambda: not one.redis.away)
                before = one.sharing.shared
                await until(lambda: one.sharing.shared > before + 200)
                stop = True
            assert slowest < DEADLINE + MACHINE
            assert one.meter.allowed["slow"] + one.meter.refused["slow"] == decisions
            assert one.redis.lost == 1

    async def test_one_that_says_nothing_costs_fifty_milliseconds_and_then_nothing(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one:
            key = next(_keys)
            assert await taken(one, FEW, key, 2) == [True] * 2
            frail.pause()
            started = perf_counter()
            assert await taken(one, FEW, key, 6) == [True] * 3 + [False] * 3
            # Three that were waited for; then nobody waits any more.
            assert perf_counter() - started < 3 * DEADLINE + MACHINE
            assert one.redis.away
            started = perf_counter()
            await taken(one, SLOW, key, 500)
            assert perf_counter() - started < MACHINE
            frail.go_on()
            await until(lambda: not one.redis.away)
            before = one.sharing.shared
            assert await taken(one, SLOW, key, 1) == [True]
            assert one.sharing.shared == before + 1

    async def test_many_who_wait_at_once_wait_no_longer_than_one(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one:
            frail.pause()
            started = perf_counter()
            verdicts = await asyncio.gather(*(one.shared.charge(SLOW, next(_keys)) for _ in range(1000)))
            assert perf_counter() - started < DEADLINE + MACHINE
            assert all(verdict.allowed for verdict in verdicts)
            frail.go_on()

    async def test_what_others_used_is_known_when_it_goes(self, frail: RedisServer) -> None:
        async with instance(frail.url, *ALL) as one, instance(frail.url, *ALL) as other:
            key = next(_keys)
            await taken(one, FEW, key, 3)
            assert await taken(other, FEW, key, 1) == [True]
            frail.kill()
            assert await taken(other, FEW, key, 3) == [True, False, False]

    async def test_it_is_missed_also_where_nobody_asks(
        self, frail: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("actors.limit_exchange.IDLE", 0.0)
        monkeypatch.setattr(LimitExchange, "interval", 0.02)
        async with instance(frail.url, *ALL) as one:
            assert not one.redis.away
            frail.kill()
            await until(lambda: one.redis.away)

    @pytest.mark.parametrize(
        "url",
        [
            "redis://127.0.0.1:1/0",
            "unix:///nowhere/at/all.sock",
            "redis://name-that-is-none.invalid",
            "redis://127.0.0.1:1/0?no_such_option=1",
            "redis://127.0.0.1:1/0?db=letters",
        ],
    )
    async def test_a_wrong_address_stops_nothing(self, url: str) -> None:
        async with instance(url, *ALL) as one:
            key = next(_keys)
            assert await taken(one, FEW, key, 6) == [True] * 5 + [False]
            await one.shared.give_back(FEW, key)
            assert await taken(one, FEW, key, 2) == [True, False]
            assert one.redis.away

    async def test_a_password_and_a_database_number_are_minded(self) -> None:
        with redis_server("--requirepass", "p@ss word") as locked:
            right = f"unix://:p%40ss%20word@{locked.socket}?db=3"
            async with instance(right, *ALL) as one, instance(right, *ALL) as other:
                key = next(_keys)
                assert await taken(one, FEW, key, 3) + await taken(other, FEW, key, 3) == [True] * 5 + [False]
                assert one.sharing.fallbacks + other.sharing.fallbacks == 0
            async with instance(f"unix://:another@{locked.socket}", *ALL) as one:
                assert await taken(one, FEW, key, 6) == [True] * 5 + [False]
                assert one.redis.away
            assert "runs scripts" in await check_redis(load({"REDIS_URL": right}))

    @pytest.mark.parametrize("said", [b"+HELLO\r\n", b"*0\r\n", b"*1\r\n:1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
    async def test_what_is_no_redis_stops_nothing(self, said: bytes) -> None:
        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                writer.write(said)
            writer.close()

        server = await asyncio.start_server(chatter, "127.0.0.1", 0)
        async with server, instance(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", *ALL) as one:
            assert await taken(one, FEW, next(_keys), 6) == [True] * 5 + [False]
            assert one.sharing.shared == 0
        assert one.fatal == []


async def test_doctor_finds_it(redis: RedisServer) -> None:
    assert "PING" in await check_redis(load({"REDIS_URL": redis.url}))


def test_without_redis_url_its_library_is_never_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from server.app import Outside, build; from server.settings import load;"
        "from server.logs import LogWriter, RequestLog, Sink; from pathlib import Path;"
        "log = RequestLog(LogWriter(Sink(Path(sys.argv[1]) / 'log')), enabled=False, console=False);"
        "app = build(load({'DATA_DIR': sys.argv[1]}), Outside('postgresql://nowhere', log, print));"
        "print('redis' in sys.modules, any(key._name.endswith('shared_meter') for key in app))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert found.stdout.split() == ["False", "False"]
