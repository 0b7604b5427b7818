"""Each rate policy over real requests: the quota passes, the next one is refused, and waiting as told is enough.

`ASKS` has a row for every row of `server.policies`. The meter's clock stands still here, so that a quota that refills
ten times a second is met exactly, too; tests/test_limits.py waits for a real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import FormData

from server.errors import TooManyRequests
from server.http.route import Route
from server.keys import METER
from server.policies import limits
from server.routes import table
from server.rules.limits import API_LIMIT
from server.settings import load
from tests.conftest import Server
from tests.every_route import body, from_anywhere, target, title
from tests.http_fixture import SHARED, shared_site
from tests.people import person
from tests.running import Running

# Small where a setting says how small; the others are what they are in service.
SETTINGS = {
    "RATE_LIMIT_MAX": "12800",
    "RATE_LIMIT_TTL": "1280000",
    "LOGIN_RATE_LIMIT": "4/minute",
    "REGISTER_RATE_LIMIT": "4/hour",
    "TRUSTED_PROXIES": "127.0.0.1",
}
PASSWORD = "three quiet lanterns"
_numbers = count(1)


@dataclass(frozen=True)
class Ask:
    """One request, sent again and again. Its address and e-mail address are new each time where they are not the key.

    `answer` is the status within the quota: it shows that the request came as far as the policy.
    """

    method: str
    path: str
    answer: int
    body: Callable[[str], Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    one_address: bool = True
    one_email: bool = False
    signed: bool = False
    role: str = "user"
    form: Callable[[], FormData] | None = None


def list_file() -> FormData:
    form = FormData()
    form.add_field("file", b"<myanimelist></myanimelist>", filename="list.xml", content_type="application/xml")
    return form


def catalogue_file() -> FormData:
    form = FormData()
    form.add_field("file", b"", filename="catalogue.ndjson", content_type="application/x-ndjson")
    return form


def registration(email: str) -> dict[str, str]:
    return {"email": email, "username": f"u{uuid4().hex[:12]}", "password": PASSWORD}


def login(email: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD}


API = "/api/v1"
ASKS: dict[str, Ask] = {
    "api": Ask("GET", f"{API}/genres", 200),
    "login": Ask("POST", f"{API}/auth/login", 401, login),
    "login-account": Ask("POST", f"{API}/auth/login", 401, login, one_address=False, one_email=True),
    "register": Ask("POST", f"{API}/auth/register", 201, registration),
    "register-account": Ask("POST", f"{API}/auth/register", 201, registration, one_address=False, one_email=True),
    "password-reset": Ask(
        "POST", f"{API}/auth/password/reset", 422, lambda _: {"token": "x" * 43, "new_password": PASSWORD}
    ),
    "password-reset-account": Ask(
        "POST", f"{API}/auth/password/forgot", 202, lambda email: {"email": email}, one_address=False, one_email=True
    ),
    "password-change": Ask(
        "POST",
        f"{API}/auth/password/change",
        422,
        lambda _: {"current_password": PASSWORD, "new_password": PASSWORD + "!"},
        signed=True,
    ),
    "search": Ask("POST", f"{API}/search", 200, lambda _: {"query": "mira"}),
    "people": Ask("GET", f"{API}/users?q=mira", 200),
    "writes": Ask("DELETE", f"{API}/subscriptions/999999", 404, signed=True),
    "exports": Ask("POST", f"{API}/profile/export", 202, signed=True),
    "imports": Ask("POST", f"{API}/profile/import", 202, signed=True, form=list_file),
    "uploads": Ask("POST", f"{API}/admin/import", 422, signed=True, role="admin", form=catalogue_file),
    "reports": Ask("POST", f"{API}/comments/999999/reports", 404, lambda _: {"reason": "spam"}, signed=True),
    "helpful": Ask("PUT", f"{API}/reviews/999999/helpful", 404, signed=True),
    "moderation": Ask(
        "POST",
        f"{API}/admin/comments/999999/moderate",
        404,
        lambda _: {"state": "hidden", "reason": "spam"},
        signed=True,
        role="moderator",
    ),
}
# Counted in the database, where a stopped clock stops nothing: tests/test_counted_quotas.py.
COUNTED = {name for name, limit in limits(load({})).items() if limit.counted}
# What is told to somebody, and asked for by nobody.
UNASKED = {"notifications"}


class Clock:
    """Time that stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module, its meter's clock stopped."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), **SETTINGS) as started:
        started.app[METER].clock = Clock()
        yield started


def sender(
    site: Running, ask: Ask, headers: dict[str, str]
) -> Callable[[], Awaitable[tuple[int, dict[str, Any], Any]]]:
    """What sends one such request: its status, its body and its headers."""
    email = f"{uuid4().hex}@example.org"

    def address() -> str:
        number = next(_numbers)
        return f"198.{51 + number // 65536}.{number // 256 % 256}.{number % 256}"

    mine = address()

    async def send() -> tuple[int, dict[str, Any], Any]:
        to = email if ask.one_email else f"{uuid4().hex}@example.org"
        sent = {**headers, "X-Forwarded-For": mine if ask.one_address else address()}
        body: dict[str, Any] = {"json": ask.body(to)} if ask.body is not None else {}
        if ask.form is not None:
            body["data"] = ask.form()
        async with site.client.request(ask.method, ask.path, headers=sent, **body) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if answer.status == 429 else {}, answer.headers

    return send


def test_every_policy_has_a_request_here() -> None:
    assert ASKS.keys() == limits(load({})).keys() - COUNTED
    assert sorted(COUNTED) == ["comments", "notifications", "reviews"]


def test_every_policy_is_named_by_a_route_and_no_route_names_another() -> None:
    named = {name for route in table() for name in route.limits} | {API_LIMIT}
    assert named == limits(load({})).keys() - UNASKED


def test_every_change_to_ones_own_things_is_limited() -> None:
    free = {
        f"{route.method} {route.path}"
        for route in table()
        if route.access == "user" and route.method != "GET" and not route.limits
    }
    assert free == set()


def test_every_policy_is_documented() -> None:
    text = (Path(__file__).parents[1] / "docs" / "limits.md").read_text("utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \| (?:`[A-Z_]+`.*\()?(\d+) ", text, flags=re.MULTILINE)
    assert documented == [(limit.name, str(limit.quota)) for limit in limits(load({})).values()]


def test_no_request_costs_more_than_the_whole_quota() -> None:
    assert [limit.name for limit in limits(load({})).values() if not 1 <= limit.cost <= limit.quota] == []


class TestEachPolicy:
    """N requests, then one more."""

    pytestmark = SHARED

    @pytest.mark.parametrize("name", ASKS)
    async def test_the_quota_passes_the_next_is_refused_and_waiting_helps(self, site: Running, name: str) -> None:
        ask, limit, clock = ASKS[name], site.app[METER].limits[name], site.app[METER].clock
        assert isinstance(clock, Clock)
        send = sender(site, ask, (await person(site, role=ask.role)).headers if ask.signed else {})
        for number in range(limit.quota // limit.cost):
            status, document, _ = await send()
            assert status != 429, f"number {number + 1} of {limit.quota} was refused: {document}"
            assert status == ask.answer
        for _ in range(2):
            status, document, headers = await send()
            assert (status, document["code"]) == (429, TooManyRequests.code)
            assert f"({name})" in document["detail"]
            assert f'"{name}";q={limit.quota};w={limit.window:.0f}' in headers["RateLimit-Policy"]
            assert f'"{name}";r=0;t=' in headers["RateLimit"]
        clock.now += int(headers["Retry-After"])
        assert (await send())[0] != 429
        # A second at least came back; where that is one request, it has been spent.
        assert (await send())[0] == 429 or limit.window / limit.quota < 1

    @pytest.mark.parametrize("route", [pytest.param(route, id=title(route)) for route in table() if route.limits])
    async def test_a_route_charges_the_policies_it_names_once(self, site: Running, route: Route) -> None:
        meter, somebody = site.app[METER], await person(site, role="admin")
        names = [name for name in route.limits if meter.limits[name].by != "account" and name not in COUNTED]
        before = {name: meter.allowed[name] for name in names}
        request = body(route)
        headers = {**from_anywhere(route), **somebody.headers, **request.pop("headers", {})}
        async with site.client.request(route.method, target(route), headers=headers, **request) as answer:
            await answer.read()
            told = answer.headers["RateLimit-Policy"]
        assert {name: meter.allowed[name] - before[name] for name in names} == dict.fromkeys(names, 1)
        assert [name for name in names if f'"{name}";' not in told] == []
