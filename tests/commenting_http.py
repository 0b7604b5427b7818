"""Comments over HTTP, for tests: saying something, reading it, being somewhere in a release."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from server.schemas.comments import Comment, CommentPage
from tests.http_fixture import problem
from tests.people import Person, sql
from tests.running import Running

API = "/api/v1"
ONE = msgspec.json.Decoder(Comment)
PAGE = msgspec.json.Decoder(CommentPage)
# So many that nobody comes to the end of a quota; pages are kept longer than any test takes.
RATES = {"COMMENT_RATE_LIMIT": "100000/hour", "CACHE_TTL_COMMENTS": "600"}


def under(release: int | str = 3) -> str:
    return f"{API}/releases/{release}/comments"


async def say(
    site: Running, who: Person, text: str = "Well said.", release: int | str = 3, status: int = 201, **fields: Any
) -> dict[str, Any]:
    """A comment, or the problem that comes in its place."""
    async with site.client.post(under(release), json={"text": text, **fields}, headers=who.headers) as answer:
        if status != 201:
            return await problem(answer, status)
        body = await answer.read()
        assert answer.status == 201, body
        ONE.decode(body)
        made: dict[str, Any] = json.loads(body)
        assert answer.headers["Location"] == f"{API}/comments/{made['id']}"
        assert answer.headers["Cache-Control"] == "private, no-store"
        return made


async def read(site: Running, path: str, who: Person | None = None, status: int = 200) -> Any:
    async with site.client.get(path, headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == status, body
        return json.loads(body)


async def page(site: Running, path: str, who: Person | None = None) -> dict[str, Any]:
    """A page of comments, sound by its schema."""
    async with site.client.get(path, headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        PAGE.decode(body)
        found: dict[str, Any] = json.loads(body)
        return found


async def episodes(site: Running, release: int = 3) -> list[int]:
    """The ids of the episodes 1, 2, 3.5 and 4."""
    found: list[int] = await sql(
        site, "select array_agg(id order by ordinal) from episodes where release_id = $1", release
    )
    return found


async def watch(site: Running, who: Person, episode: int, position: int = 60, *, deleted: bool = False) -> None:
    await sql(
        site,
        """insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds,
                                 changed_at, revision, deleted)
           select $1, id, release_id, $3, false, 60, now(), 1, $4 from episodes where id = $2""",
        who.id, episode, position, deleted,
    )  # fmt: skip
