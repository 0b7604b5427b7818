"""Who may come where: every endpoint, asked by everybody.

What is right follows from the route table, so that a new endpoint is asked without a line here. Each question comes
from somebody of its own: some endpoints end sessions or erase accounts.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from server import revoking
from server.http.route import Route
from server.identity import ACCESS_LIFETIME, API_TOKEN_PREFIX, ROLES
from server.keys import DATABASE, IDENTITIES
from server.routes import table
from tests.conftest import Server
from tests.every_route import body, from_anywhere, target, title
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import person
from tests.running import Running

SCOPES = {"read", "write", "analytics", "admin"}
ANYBODY = ("open", "operator")
# Whose object `{id}` is in the path of an endpoint for users, and how one is made. An endpoint with an `{id}` that is
# nobody's own stands in SHARED_OBJECTS.
PRIVATE_OBJECTS = {
    "/api/v1/operations/": "insert into operations (user_id, kind, status) values ($1, 'x', 'succeeded') returning id",
    "/api/v1/subscriptions/": """insert into subscriptions (user_id, subscription_type, target_id)
                                 values ($1, 'release', 3) returning id""",
    "/api/v1/auth/sessions/": """insert into sessions (user_id, expires_at)
                                 values ($1, now() + interval '1 day') returning id""",
    "/api/v1/auth/tokens/": """insert into api_tokens (user_id, name, token_hash, scopes)
                               values ($1, 'mine', sha256(gen_random_uuid()::text::bytea), '{read}') returning id""",
    "/api/v1/notifications/": """insert into notifications (user_id, event_id) values ($1, 1) returning id""",
}
# What stands beside such an object whenever the server makes one.
BESIDE = {
    "/api/v1/notifications/": "insert into notification_budgets (user_id, window_start, unread) values ($1, now(), 1)",
}
SHARED_OBJECTS: tuple[str, ...] = (
    # Everybody may read these; what only their author may do answers others 403 (test_access_community.py).
    "/api/v1/releases/{id}/comments", "/api/v1/comments/{id}", "/api/v1/comments/{id}/reports",
    "/api/v1/releases/{id}/reviews", "/api/v1/reviews/{id}", "/api/v1/reviews/{id}/helpful",
    "/api/v1/reviews/{id}/reports",
)  # fmt: skip


@dataclass(frozen=True)
class Asking:
    """Somebody who asks: the header, and what they are."""

    who: str
    headers: dict[str, str]


def is_asked(route: Route) -> Any:
    return pytest.param(route, id=title(route))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module, behind a trusted proxy: quotas by address would end the questions early."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), TRUSTED_PROXIES="127.0.0.1") as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    """A connection to the site's database."""
    connection = await asyncpg.connect(site.app[DATABASE].dsn)
    yield connection
    await connection.close()


async def everybody(site: Running, conn: Any, route: Route) -> list[Asking]:
    """Somebody of each kind, all of them new."""
    roles = [*ROLES, "admin", "admin", "admin", "admin"]
    marker = token_hex(6)
    ids = [
        row["id"]
        for row in await conn.fetch(
            """insert into users (username, username_key, role)
               select $1 || n, $1 || n, role from unnest($2::text[]) with ordinality one (role, n) returning id""",
            marker, roles,
        )
    ]  # fmt: skip
    tokens = site.app[IDENTITIES].tokens
    found = [Asking("anonymous", {})]
    for role, user_id in zip(ROLES, ids, strict=False):
        found.append(Asking(role, bearer(tokens.issue(user_id, role, 1, uuid4()))))
    long_ago = time.time() - ACCESS_LIFETIME - 1
    found.append(Asking("expired", bearer(tokens.issue(ids[3], "admin", 1, uuid4(), long_ago))))
    revoked = uuid4()
    found.append(Asking("revoked", bearer(tokens.issue(ids[4], "admin", 1, revoked))))
    await revoke(site, conn, revoked)
    lacking = await api_token(conn, ids[5], SCOPES - {route.needed_scope})
    found.append(Asking("scope missing", lacking))
    if route.needed_scope in SCOPES:
        found.append(Asking("scope given", await api_token(conn, ids[6], {route.needed_scope})))
    return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def revoke(site: Running, conn: Any, session_id: UUID) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    await conn.execute("insert into revocations (session_id, expires_at) values ($1, $2)", session_id, until)
    revoking.mark(site.app[IDENTITIES].revocations, sessions=[session_id])


async def api_token(conn: Any, user_id: int, scopes: set[str]) -> dict[str, str]:
    token = API_TOKEN_PREFIX + token_hex(16)
    await conn.execute(
        "insert into api_tokens (user_id, name, token_hash, scopes) values ($1, 'test', $2, $3)",
        user_id, sha256(token.encode()).digest(), sorted(scopes),
    )  # fmt: skip
    return bearer(token)


def expected(route: Route, who: str) -> tuple[int, str] | None:
    """The status and code of the refusal, or None for who is let in."""
    if route.access in ANYBODY:
        return None
    if who in ("expired", "revoked"):
        return 401, "unauthenticated"
    if who == "scope missing":
        return 403, "insufficient_scope"
    if route.access == "public":
        return None
    if who == "anonymous":
        return 401, "unauthenticated"
    needed = route.access if route.access in ROLES else "user"
    # What an API token may do, its owner (here an administrator) may do as well.
    role = who if who in ROLES else "admin"
    return None if ROLES.index(role) >= ROLES.index(needed) else (403, "forbidden")


async def ask(site: Running, route: Route, headers: dict[str, str], path: str | None = None) -> tuple[int, str, Any]:
    """Status, code of the problem, headers."""
    request = body(route)
    sent = {**from_anywhere(route), **headers, **request.pop("headers", {})}
    where = target(route) if path is None else path
    async with site.client.request(route.method, where, headers=sent, allow_redirects=False, **request) as answer:
        # A stream has no end that could be waited for.
        raw = b"" if answer.content_type == "text/event-stream" else await answer.read()
        if answer.status < 400:
            return answer.status, "", answer.headers
        assert raw, (answer.status, where)
        document = await problem(answer, answer.status)
        return answer.status, document["code"], answer.headers


class TestEveryEndpoint:
    """Asked by visitors, users, moderators, administrators, and with tokens that do not do."""

    pytestmark = SHARED

    @pytest.mark.parametrize("route", [is_asked(route) for route in table()])
    async def test_it_lets_in_whom_the_table_says(self, site: Running, conn: Any, route: Route) -> None:
        wrong = []
        for asking in await everybody(site, conn, route):
            status, code, headers = await ask(site, route, asking.headers)
            wanted = expected(route, asking.who)
            if wanted is None:
                if status in (401, 403, 405, 429, 500):
                    wrong.append((asking.who, status, code, "should be let in"))
                continue
            if (status, code) != wanted:
                wrong.append((asking.who, status, code, f"should be {wanted}"))
            elif status == 401 and not headers["WWW-Authenticate"].startswith("Bearer"):
                wrong.append((asking.who, status, code, "without WWW-Authenticate"))
            elif headers["Cache-Control"] != "no-store":
                wrong.append((asking.who, status, code, "may be stored"))
        assert wrong == []


def test_the_questions_tell_a_wrong_table_from_a_right_one() -> None:
    route = next(one for one in table() if one.access == "user")
    answers = {access: expected(replace(route, access=access), "user") for access in ("user", "moderator", "admin")}
    assert answers == {"user": None, "moderator": (403, "forbidden"), "admin": (403, "forbidden")}
    assert expected(replace(route, access="admin"), "scope given") is None
    assert expected(replace(route, access="public"), "anonymous") is None
    assert expected(replace(route, access="public"), "revoked") == (401, "unauthenticated")


def owned() -> list[Route]:
    """Endpoints about one object of whoever asks."""
    return [route for route in table() if route.access == "user" and "{id" in route.path]


def maker(route: Route) -> str | None:
    return next((make for prefix, make in PRIVATE_OBJECTS.items() if route.path.startswith(prefix)), None)


def test_every_endpoint_with_an_id_of_ones_own_is_here() -> None:
    without = [title(route) for route in owned() if maker(route) is None and route.path not in SHARED_OBJECTS]
    assert without == [], "say in PRIVATE_OBJECTS how one is made, or in SHARED_OBJECTS that it is nobody's own"
    unused = [prefix for prefix in PRIVATE_OBJECTS if not any(route.path.startswith(prefix) for route in owned())]
    assert unused == [], "there is no endpoint for these"


class TestOthersObjects:
    """What belongs to somebody else is as if it were not there."""

    pytestmark = SHARED

    @pytest.mark.parametrize("route", [is_asked(route) for route in owned() if route.path not in SHARED_OBJECTS])
    async def test_anothers_object_is_not_found_and_stays(self, site: Running, conn: Any, route: Route) -> None:
        owner, other, admin = await person(site), await person(site), await person(site, role="admin")
        make = maker(route)
        assert make is not None, f"nothing here makes what {title(route)} is about"
        for prefix, statement in BESIDE.items():
            if route.path.startswith(prefix):
                await conn.execute(statement, owner.id)
        made = await conn.fetchval(make, owner.id)
        path = target(route, id=made)
        for stranger in (other, admin):
            assert (await ask(site, route, stranger.headers, path))[:2] == (404, "not_found")
        relation = make.split()[2]
        there = f"select * from {relation} where id = $1"
        row = await conn.fetchrow(there, made)
        assert row is not None
        assert row["user_id"] == owner.id
        assert row.get("deleted_at") is None
        assert row.get("revoked_at") is None
        status, code, _ = await ask(site, route, owner.headers, path)
        assert status < 400 or (route.path.endswith("/download") and code == "not_found") or status == 409, (
            status,
            code,
        )
