"""Rate limits: the arithmetic, the memory it needs, and whom the general limit before the API counts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from itertools import count
from secrets import token_hex
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rate_limiter import RateLimiter
from server.identity import API_TOKEN_PREFIX
from server.keys import DATABASE, METER
from server.meter import Meter
from server.policies import limits
from server.routes import table
from server.rules.limits import Limit, account_key, address_key, decide, token_key, user_key
from server.settings import load
from tests.conftest import Server
from tests.http_fixture import SHARED, exchange, problem, queries_seen, shared_site
from tests.people import person
from tests.running import Running

QUOTA = 5
SLOW, HOT = "/api/v1/releases/random", "/api/v1/genres"
FIELDS = ("RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


@st.composite
def policies(draw: st.DrawFn) -> Limit:
    """Any policy that lets through up to 500 requests a second."""
    quota = draw(st.integers(1, 10_000))
    return Limit("some", quota, draw(st.floats(max(0.01, quota / 500), 86_400)), "client", "Tests.")


policy = policies()
# The time since the machine started, up to four months.
clock = st.floats(0, 1e7)


class TestArithmetic:
    """The generic cell rate algorithm, without a clock."""

    @given(policy, clock)
    @settings(max_examples=60)
    def test_the_quota_may_be_spent_at_once_and_nothing_more(self, limit: Limit, now: float) -> None:
        arrival = 0.0
        for left in reversed(range(limit.quota)):
            arrival, verdict = decide(limit, arrival, now, 1)
            assert (verdict.allowed, verdict.remaining) == (True, left)
        assert not decide(limit, arrival, now, 1)[1].allowed

    @given(policy, clock, st.lists(st.floats(0, 3), max_size=300), st.integers(1, 3))
    @settings(max_examples=200)
    def test_no_stretch_of_time_holds_more_than_the_quota_and_what_refills(
        self, limit: Limit, now: float, gaps: list[float], cost: int
    ) -> None:
        step, arrival, passed = limit.window / limit.quota, 0.0, []
        for gap in gaps:
            now += gap * step
            arrival, verdict = decide(limit, arrival, now, cost)
            if verdict.allowed:
                passed.append(now)
        for first, start in enumerate(passed):
            for held, end in enumerate(passed[first:], 1):
                assert held * cost <= limit.quota + (end - start) / step + 0.05

    @given(policy, clock, st.integers(0, 20_000), st.integers(1, 3), st.booleans())
    def test_who_waits_as_long_as_told_passes(
        self, limit: Limit, now: float, spent: int, cost: int, whole_seconds: bool
    ) -> None:
        if cost > limit.quota:
            return
        arrival = now + min(spent, limit.quota) * limit.window / limit.quota
        _, verdict = decide(limit, arrival, now, cost)
        if not verdict.allowed:
            assert verdict.wait >= verdict.retry_after
            now += verdict.wait if whole_seconds else verdict.retry_after
            assert decide(limit, arrival, now, cost)[1].allowed

    @given(policy, clock, st.integers(1, 500))
    def test_a_refused_request_costs_nothing(self, limit: Limit, now: float, times: int) -> None:
        arrival = spent = now + limit.window
        for _ in range(times):
            arrival, verdict = decide(limit, arrival, now, 1)
            assert not verdict.allowed
        assert arrival == spent

    def test_addresses_users_and_tokens_never_share_a_number(self) -> None:
        numbers = [
            *(address_key(f"10.0.{high}.{low}") for high in range(8) for low in range(256)),
            *(address_key(f"2001:db8:0:{subnet:x}::1") for subnet in range(2048)),
            *(user_key(user_id) for user_id in range(1, 5000)),
            *(token_key(number.to_bytes(16, "little")) for number in range(1, 5000)),
        ]
        assert len(set(numbers)) == len(numbers)

    @pytest.mark.parametrize(
        ("one", "other", "same"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:192.0.2.7", "192.0.2.7", True),
            ("::ffff:192.0.2.7", "::ffff:192.0.2.8", False),
            ("fe80::1%eth0", "fe80::2%eth1", True),
            ("192.0.2.7", "192.0.2.8", False),
        ],
    )
    def test_an_address_is_an_ipv4_address_or_the_64_of_an_ipv6_one(self, one: str, other: str, same: bool) -> None:
        assert (address_key(one) == address_key(other)) is same

    def test_whatever_is_typed_as_a_name_has_a_key(self) -> None:
        names = ["", "a", "A", "\ud800", "\0", "x" * 100_000, "潮@example.org"]
        assert len({account_key(name) for name in names}) == len(names)


class Clock:
    """Time that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def meter_of(**environment: str) -> Meter:
    return Meter(limits(load(environment)), Clock())


def weight(meter: Meter) -> int:
    """Bytes of everything remembered."""
    generations = [part for held in meter.tables.values() for part in (held.younger, held.elder)]
    return sum(
        sys.getsizeof(part) + sum(sys.getsizeof(key) + sys.getsizeof(value) for key, value in part.items())
        for part in generations
    )


class TestMemory:
    """What the meter remembers, and for how long."""

    def test_a_million_keys_take_bounded_memory(self) -> None:
        meter = meter_of()
        api = meter.limits["api"]
        for number in range(1_000_000):
            meter.charge(api, user_key(number))
            if number % 9973 == 0:
                assert len(meter) <= api.keys
        assert api.keys // 2 <= len(meter) <= api.keys
        assert weight(meter) < 16 << 20

    def test_a_flood_under_every_policy_takes_bounded_memory(self) -> None:
        meter = meter_of()
        for limit in meter.limits.values():
            for key in range(limit.keys * 2):
                meter.charge(limit, key << 70)
        assert len(meter) <= sum(limit.keys for limit in meter.limits.values())
        assert weight(meter) < 64 << 20

    def test_a_flood_under_one_policy_makes_no_other_forget(self) -> None:
        meter = meter_of()
        login = meter.limits["login"]
        while meter.charge(login, 7).allowed:
            pass
        for name in meter.limits.keys() - {"login"}:
            for key in range(meter.limits[name].keys * 2):
                meter.charge(meter.limits[name], key)
        assert not meter.charge(login, 7).allowed

    def test_who_keeps_coming_while_refused_is_not_forgotten_in_a_flood(self) -> None:
        meter = meter_of()
        login = meter.limits["login"]
        while meter.charge(login, 7).allowed:
            pass
        for key in range(100, 100 + login.keys * 4):
            meter.charge(login, key)
            if key % 1000 == 0:
                assert not meter.charge(login, 7).allowed
        assert not meter.charge(login, 7).allowed

    def test_what_is_given_back_can_be_spent_again(self) -> None:
        meter = meter_of()
        limit = meter.limits["login-account"]
        for _ in range(limit.quota * 3):
            assert meter.charge(limit, 7).allowed
            meter.give_back(limit, 7)
        assert meter.charge(limit, 7).remaining == limit.quota - 1

    async def test_keys_whose_quota_is_whole_again_are_forgotten_and_no_others(self) -> None:
        meter = meter_of()
        clock = meter.clock
        assert isinstance(clock, Clock)
        api, register = meter.limits["api"], meter.limits["register"]
        for key in range(50_000):
            meter.charge(api, key)
        meter.charge(register, 7)
        clock.now += api.window
        for key in range(10):
            meter.charge(api, key)
        await RateLimiter(meter).on_tick()
        assert (len(meter.tables["api"]), len(meter.tables["register"])) == (10, 1)
        assert meter.charge(register, 7).remaining == register.quota - 2
        clock.now += register.window + api.window
        await RateLimiter(meter).on_tick()
        assert len(meter) == 0


_clients = count(1)


def client() -> dict[str, str]:
    """The headers of a client nobody has seen yet, as the trusted proxy of the site writes them."""
    number = next(_clients)
    return {"X-Forwarded-For": f"198.51.{number // 256}.{number % 256}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server behind a trusted proxy, with a small general limit."""
    environment = {"RATE_LIMIT_MAX": str(QUOTA), "RATE_LIMIT_TTL": "60000", "TRUSTED_PROXIES": "127.0.0.1"}
    async with shared_site(server, tmp_path_factory.mktemp("site"), **environment) as started:
        yield started


async def statuses(site: Running, path: str, times: int, headers: dict[str, str]) -> list[int]:
    """The statuses of so many requests, one after another."""
    found = []
    for _ in range(times):
        async with site.client.get(path, headers=headers) as answer:
            await answer.read()
            found.append(answer.status)
    return found


def told(answer: ClientResponse) -> set[str]:
    return {name for name in FIELDS if name in answer.headers}


ENOUGH = [200] * QUOTA
TOO_MANY = [*ENOUGH, 429]


class TestGeneralLimit:
    """The limit before every request of the API."""

    pytestmark = SHARED

    @pytest.mark.parametrize("path", [SLOW, HOT, "/api/v1/releases?limit=3", "/api/v1/limits"])
    async def test_the_quota_passes_and_the_next_one_is_refused(self, site: Running, path: str) -> None:
        await statuses(site, path, 2, client())
        assert await statuses(site, path, QUOTA + 1, client()) == TOO_MANY

    async def test_a_hot_target_is_limited_without_a_query_and_counted_once(self, site: Running) -> None:
        meter, mine = site.app[METER], client()
        await statuses(site, HOT, 2, client())
        allowed, refused = meter.allowed["api"], meter.refused["api"]
        with queries_seen() as queries:
            assert await statuses(site, HOT, QUOTA + 2, mine) == [*TOO_MANY, 429]
        assert "list_genres" not in queries
        assert (meter.allowed["api"] - allowed, meter.refused["api"] - refused) == (QUOTA, 2)

    @pytest.mark.parametrize("target", ["/%61pi/v1/genres", "http://elsewhere.example/api/v1/genres"])
    async def test_another_spelling_of_a_path_is_limited_too(self, site: Running, target: str) -> None:
        address = client()["X-Forwarded-For"]
        request = f"GET {target} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n".encode()
        found = [(await exchange(site.port, request)).status for _ in range(QUOTA + 1)]
        assert found == TOO_MANY

    async def test_what_does_not_exist_or_is_malformed_counts_as_well(self, site: Running) -> None:
        assert await statuses(site, "/api/v1/nope", QUOTA + 1, client()) == [404] * QUOTA + [429]
        assert await statuses(site, f"{HOT}?limit=0", QUOTA + 1, client()) == [422] * QUOTA + [429]

    async def test_operational_routes_and_pages_are_never_limited(self, site: Running) -> None:
        mine = client()
        assert await statuses(site, SLOW, QUOTA + 1, mine) == TOO_MANY
        routes = [route for route in table() if not route.path.startswith("/api/")]
        assert {"/health", "/health/live", "/live", "/ready", "/health/ready", "/metrics"} <= {
            one.path for one in routes
        }
        for route in routes:
            # Whoever may read the metrics is told by address; here the limit is what matters.
            headers = {} if route.access == "operator" else mine
            for _ in range(QUOTA + 2):
                async with site.client.get(route.path.replace("{name}", "docs.css"), headers=headers) as answer:
                    await answer.read()
                    assert (answer.status, told(answer)) == (200, set()), route.path

    async def test_a_refusal_is_a_problem_that_says_how_long_to_wait(self, site: Running) -> None:
        mine = client()
        await statuses(site, SLOW, QUOTA, mine)
        async with site.client.get(SLOW, headers=mine) as answer:
            document = await problem(answer, 429)
            assert document["code"] == "too_many_requests"
            # Twelve seconds a request.
            assert 11 <= int(answer.headers["Retry-After"]) <= 12
            assert answer.headers["RateLimit-Policy"] == f'"api";q={QUOTA};w=60'
            assert answer.headers["RateLimit"].startswith('"api";r=0;t=')
            assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) == (str(QUOTA), "0")
            assert 59 <= int(answer.headers["X-RateLimit-Reset"]) <= 60

    async def test_what_is_left_goes_down_by_one_a_request(self, site: Running) -> None:
        mine, left = client(), []
        for _ in range(QUOTA):
            async with site.client.get(SLOW, headers=mine) as answer:
                assert told(answer) == set(FIELDS)
                assert answer.headers["RateLimit"].startswith(f'"api";r={answer.headers["X-RateLimit-Remaining"]};t=')
                left.append(int(answer.headers["X-RateLimit-Remaining"]))
        assert left == [4, 3, 2, 1, 0]

    async def test_the_fields_are_left_out_of_what_shared_caches_keep_and_stand_on_the_rest(
        self, site: Running
    ) -> None:
        path, somebody = f"{HOT}?limit=7", await person(site)
        seen = []
        for headers in ({}, {"If-None-Match": "*"}):
            # The long way, then the short one.
            for _ in range(2):
                async with site.client.get(path, headers=client() | headers) as answer:
                    assert answer.headers["Cache-Control"].startswith("public")
                    assert told(answer) == set()
                    seen.append(answer.status)
        assert seen == [200, 200, 304, 304]
        for _ in range(3):
            async with site.client.get(path, headers=client() | somebody.headers) as answer:
                assert answer.headers["Cache-Control"] == "private, no-cache"
                assert (answer.status, told(answer)) == (200, set(FIELDS))
        for wrong in (f"{HOT}?limit=0", "/api/v1/releases/none-such"):
            async with site.client.get(wrong, headers=client()) as answer:
                assert told(answer) == set(FIELDS)


class TestWhoIsCounted:
    """A client is an API token, a user, or an address."""

    pytestmark = SHARED

    async def test_each_client_behind_a_trusted_proxy_has_a_quota_of_its_own(self, site: Running) -> None:
        one, other = client(), client()
        assert await statuses(site, HOT, QUOTA + 1, one) == TOO_MANY
        assert await statuses(site, HOT, QUOTA + 1, other) == TOO_MANY

    async def test_what_a_client_writes_before_the_proxy_does_not_count(self, site: Running) -> None:
        behind = client()["X-Forwarded-For"]
        found = []
        for number in range(QUOTA + 1):
            found += await statuses(site, HOT, 1, {"X-Forwarded-For": f"203.0.113.{number}, {behind}"})
        assert found == TOO_MANY

    async def test_an_ipv6_client_is_its_64(self, site: Running) -> None:
        found = []
        for number in range(QUOTA + 1):
            found += await statuses(site, HOT, 1, {"X-Forwarded-For": f"2001:db8:7:7::{number + 1:x}"})
        assert found == TOO_MANY
        assert await statuses(site, HOT, 1, {"X-Forwarded-For": "2001:db8:7:8::1"}) == [200]

    async def test_an_ipv4_address_inside_ipv6_is_that_address(self, site: Running) -> None:
        address = client()["X-Forwarded-For"]
        assert await statuses(site, HOT, QUOTA, {"X-Forwarded-For": f"::ffff:{address}"}) == ENOUGH
        assert await statuses(site, HOT, 1, {"X-Forwarded-For": address}) == [429]

    async def test_a_user_is_counted_wherever_they_are_and_not_with_their_neighbours(self, site: Running) -> None:
        somebody, other, address = await person(site), await person(site), client()
        for path in (SLOW, HOT):
            site.app[METER].tables["api"].younger.clear()
            found = []
            for _ in range(QUOTA + 1):
                found += await statuses(site, path, 1, client() | somebody.headers)
            assert found == TOO_MANY
            assert await statuses(site, path, QUOTA + 1, address) == TOO_MANY
            assert await statuses(site, path, 1, address | other.headers) == [200]

    async def test_an_api_token_is_counted_for_itself(self, site: Running) -> None:
        somebody = await person(site)
        one, other = await api_token(site, somebody.id), await api_token(site, somebody.id)
        for path in (SLOW, HOT):
            site.app[METER].tables["api"].younger.clear()
            assert await statuses(site, path, QUOTA + 1, one) == TOO_MANY
            assert await statuses(site, path, QUOTA + 1, other) == TOO_MANY
            assert await statuses(site, path, 1, somebody.headers) == [200]

    async def test_tokens_that_do_not_count_are_charged_to_the_address(self, site: Running) -> None:
        mine, found = client(), []
        for number in range(QUOTA + 1):
            found += await statuses(site, HOT, 1, mine | {"Authorization": f"Bearer {API_TOKEN_PREFIX}{number}"})
        assert found == [401] * QUOTA + [429]


async def api_token(site: Running, user_id: int) -> dict[str, str]:
    """The header of a new API token that may read."""
    token = API_TOKEN_PREFIX + token_hex(16)
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    await conn.execute(
        "insert into api_tokens (user_id, name, token_hash, scopes) values ($1, 'test', $2, '{read}')",
        user_id, sha256(token.encode()).digest(),
    )  # fmt: skip
    await conn.close()
    return {"Authorization": f"Bearer {token}"}


class TestOtherSites:
    """Settings that make a difference; each test has its own server."""

    pytestmark = SHARED

    async def test_a_forged_header_changes_nothing_unless_the_peer_is_trusted(
        self, server: Server, tmp_path: Any
    ) -> None:
        environment = {"RATE_LIMIT_MAX": str(QUOTA), "TRUSTED_PROXIES": "192.0.2.0/24"}
        async with shared_site(server, tmp_path, **environment) as site:
            found = []
            for _ in range(QUOTA + 1):
                found += await statuses(site, HOT, 1, client())
            assert found == TOO_MANY

    async def test_who_waits_as_long_as_a_real_refusal_says_passes(self, server: Server, tmp_path: Any) -> None:
        async with shared_site(server, tmp_path, RATE_LIMIT_MAX="2", RATE_LIMIT_TTL="2500") as site:
            assert await statuses(site, HOT, 2, {}) == [200, 200]
            async with site.client.get(HOT) as answer:
                await problem(answer, 429)
                wait = int(answer.headers["Retry-After"])
            assert 1 <= wait <= 2
            await asyncio.sleep(wait)
            assert await statuses(site, HOT, 1, {}) == [200]

    async def test_every_policy_is_shown_and_the_general_one_can_be_off(self, server: Server, tmp_path: Any) -> None:
        async with shared_site(server, tmp_path, RATE_LIMIT_MAX="0", LOGIN_RATE_LIMIT="7/minute") as site:
            async with site.client.get("/api/v1/limits") as answer:
                page = await answer.json()
                etag = answer.headers["ETag"]
            async with site.client.get("/api/v1/limits", headers={"If-None-Match": etag}) as answer:
                assert answer.status == 304
            shown = {row["name"]: row for row in page["results"]}
            assert page["count"] == len(shown) == len(site.app[METER].limits)
            assert {name for name, row in shown.items() if not row["enabled"]} == {"api"}
            assert shown["login"] == {
                "name": "login", "quota": 7, "window_seconds": 60.0, "by": "address", "cost": 1,
                "purpose": "Attempts to sign in from one address.", "enabled": True,
            }  # fmt: skip
            assert set(await statuses(site, HOT, 300, {})) == {200}
            async with site.client.get(SLOW) as answer:
                assert told(answer) == set()

    async def test_metrics_tell_verdicts_and_keys_by_policy(self, server: Server, tmp_path: Any) -> None:
        async with shared_site(server, tmp_path, RATE_LIMIT_MAX="2") as site:
            assert await statuses(site, HOT, 5, {}) == [200, 200, 429, 429, 429]
            async with site.client.get("/metrics") as answer:
                lines = (await answer.text()).splitlines()
        assert 'yojohan_rate_limit_charges_total{outcome="allowed",policy="api"} 2.0' in lines
        assert 'yojohan_rate_limit_charges_total{outcome="refused",policy="api"} 3.0' in lines
        assert 'yojohan_rate_limit_keys{policy="api"} 1.0' in lines
