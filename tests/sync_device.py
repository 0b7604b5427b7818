"""A device as `docs/sync.md` tells its author to write it: what it has, what it did meanwhile, where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.running import Running

PATH = "/api/v1/profile/sync"
# How many edits of each kind a request carries: few, so that tests see several requests.
BATCH = 3
KINDS = ("favorites", "collections", "ratings", "ignores", "progress", "subscriptions")
KEYS = {"progress": "episode_id", "subscriptions": "id"}
VALUES = {
    "collections": ("collection",),
    "ratings": ("rating",),
    "progress": ("position_seconds", "completed"),
    "subscriptions": ("subscription_type", "target_id"),
}
State = dict[tuple[str, int], tuple[Any, ...]]


def moment(seconds: float) -> str:
    """A time as clients write it, from UNIX time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_of(kind: str, row: dict[str, Any]) -> tuple[str, int]:
    return kind, row[KEYS.get(kind, "release_id")]


@dataclass
class Request:
    """A POST that was made up; how many edits of each kind it carries."""

    body: dict[str, Any]
    counts: dict[str, int]


@dataclass
class Device:
    """`state` is what the server told, `pending` what was done since, in order, by kind."""

    site: Running
    headers: dict[str, str]
    state: State = field(default_factory=dict)
    pending: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    revision: int = 0
    following: str | None = None
    profile: dict[str, Any] | None = None
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def edit(self, kind: str, **fields: Any) -> None:
        """Do something without a connection."""
        self.pending.setdefault(kind, []).append(fields)

    def request(self) -> Request:
        """The next request to send."""
        edits = {kind: rows[:BATCH] for kind, rows in self.pending.items() if rows}
        counts = {kind: len(rows) for kind, rows in edits.items()}
        return Request({"since": self.revision, "edits": edits}, counts)

    async def deliver(self, request: Request) -> dict[str, Any]:
        """Bring a request to the server; its answer, which the device has not seen yet."""
        async with self.site.client.post(PATH, json=request.body, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    def take(self, answer: dict[str, Any], request: Request | None = None) -> None:
        """See an answer: drop what was sent, take over what it tells."""
        for kind, count in (request.counts if request else {}).items():
            del self.pending[kind][:count]
        self.rejected += answer.get("rejected", [])
        if answer["full"]:
            self.state.clear()
        for kind in KINDS:
            for row in answer[kind]:
                if row["deleted"]:
                    self.state.pop(key_of(kind, row), None)
                else:
                    self.state[key_of(kind, row)] = tuple(row[name] for name in VALUES.get(kind, ()))
        self.profile = answer["profile"] or self.profile
        self.revision, self.following = answer["revision"], answer["next"]

    async def push(self) -> None:
        """Send what is pending, in as many requests as it takes."""
        while any(self.pending.values()):
            request = self.request()
            self.take(await self.deliver(request), request)

    async def read(self) -> bool:
        """Read one page; False if there is nothing new."""
        target = self.following or f"{PATH}?since={self.revision}"
        async with self.site.client.get(target, headers=self.headers) as answer:
            if answer.status == 304:
                assert await answer.read() == b""
                return False
            assert answer.status == 200, await answer.text()
            self.take(await answer.json())
            return self.following is not None or self.revision == 0

    async def connect(self) -> None:
        """Send and read until it is quiet."""
        await self.push()
        for _ in range(100):
            if not await self.read():
                return
            if self.revision == 0 and self.following is None:
                return
        raise AssertionError("reading never ends")
