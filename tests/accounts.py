"""Signing up and in over HTTP, for the tests of accounts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.running import Running

API = "/api/v1"
PASSWORD = "three quiet lanterns"
# The limits of logins and registrations are wide enough for a module's tests on one server.
WIDE = {"LOGIN_RATE_LIMIT": "100000/minute", "REGISTER_RATE_LIMIT": "100000/minute"}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Account:
    """Somebody who has signed up."""

    id: int
    email: str
    username: str


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    """The header that signs a request."""
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def post(running: Running, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of a POST below /auth."""
    async with running.client.post(f"{API}/auth/{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None) if answer.status != 204 else None


async def sign_up(running: Running, email: str = "", username: str = "", password: str = PASSWORD) -> Account:
    """A new account."""
    name = username or f"somebody{next(_numbers)}-{uuid4().hex[:6]}"
    address = email or f"{uuid4().hex[:12]}@example.org"
    status, body = await post(running, "register", {"email": address, "username": name, "password": password})
    assert status == 201, body
    return Account(body["id"], address, name)


async def log_in(running: Running, name: str, password: str = PASSWORD) -> dict[str, Any]:
    """The tokens of a new session."""
    status, body = await post(running, "login", {"email": name, "password": password})
    assert status == 200, body
    return dict(body)


async def me(running: Running, tokens: dict[str, Any]) -> int:
    """The status of asking who I am."""
    async with running.client.get(f"{API}/auth/me", headers=bearer(tokens)) as answer:
        return answer.status
