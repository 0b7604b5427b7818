"""What the tests of the CMS share: an administrator's requests, and operations waited for to their end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from aiohttp import ClientResponse

from tests.people import Person, person
from tests.running import Running
from tests.working import until

API = "/api/v1"
ADMIN = f"{API}/admin"
OVER = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True)
class Desk:
    """An administrator at work on a site."""

    site: Running
    who: Person

    def request(self, method: str, path: str, **more: Any) -> Any:
        """A request below /api/v1/admin."""
        headers = self.who.headers | more.pop("headers", {})
        return self.site.client.request(method, ADMIN + path, headers=headers, **more)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """An operation, at its end if that comes within nine seconds."""
        sent = {} if body is None else {"json": body}
        async with self.request(method, path, headers={"Prefer": "wait=9", **headers}, **sent) as answer:
            assert answer.status == 202, await answer.text()
            found: dict[str, Any] = await answer.json()
            assert answer.headers["Location"] == f"{ADMIN}/operations/{found['id']}"
            return found

    async def done(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """The result of an operation that must succeed."""
        found = await self.ask(method, path, body, **headers)
        assert found["status"] == "succeeded", found
        result: dict[str, Any] = found["result"]
        return result

    async def queue(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        """An operation as it was accepted."""
        sent = {} if body is None else {"json": body}
        async with self.request(method, path, headers=headers, **sent) as answer:
            assert answer.status == 202, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def operation(self, operation_id: str) -> dict[str, Any]:
        """Where it stands."""
        async with self.request("GET", f"/operations/{operation_id}") as answer:
            assert answer.status == 200
            found: dict[str, Any] = await answer.json()
            return found

    async def ended(self, operation_id: str, patience: float = 30.0) -> dict[str, Any]:
        """Once it has ended."""

        async def over() -> bool:
            return (await self.operation(operation_id))["status"] in OVER

        await until(over, patience)
        return await self.operation(operation_id)

    async def read(self, path: str) -> tuple[dict[str, Any], str]:
        """What editors see there, and its ETag."""
        async with self.request("GET", path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json(), answer.headers.get("ETag", "")

    async def listed(self, path: str) -> list[int]:
        """Ids of a list."""
        found, _ = await self.read(path)
        return [row["id"] for row in found["results"]]


async def desk(site: Running) -> Desk:
    """Somebody new."""
    return Desk(site, await person(site, role="admin"))


async def public(site: Running, path: str) -> tuple[int, Any]:
    """What readers see: status and body."""
    answer: ClientResponse
    async with site.client.get(API + path) as answer:
        return answer.status, await answer.json()


def title(word: str = "Release") -> str:
    """One that nobody has."""
    return f"{word} {uuid4().hex[:10]}"
