"""What tests of recommendations share: a small catalogue with a shape, people, and a judge of reasons."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from server.database import connect
from server.keys import CACHE, DATABASE
from tests.catalogue_seed import rebuild
from tests.people import Person
from tests.running import Running

API = "/api/v1/recommendations"
COLLECTIONS = {"planned": 1, "watching": 2, "completed": 3, "postponed": 4, "dropped": 5}


async def forget_catalogue(conn: Any) -> None:
    """Let no earlier test's releases and words be in the way: deleted, and called otherwise."""
    await conn.execute("delete from release_neighbours")
    await conn.execute("delete from release_audience")
    await conn.execute(
        "update releases set deleted_at = now(), slug = id::text || '-' || slug where deleted_at is null"
    )
    for table in ("genres", "tags", "franchises"):
        await conn.execute(f"update {table} set slug = slug || '-' || id, name_key = name_key || '-' || id")


@dataclass
class World:
    """A server, a connection to its database, and what was made there by name."""

    site: Running
    conn: Any
    ids: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)

    async def word(self, table: str, name: str) -> int:
        """The id of a genre, tag or franchise, made if need be."""
        if f"{table}/{name}" not in self.words:
            self.words[f"{table}/{name}"] = await self.conn.fetchval(
                f"insert into {table} (slug, name, name_key) values (lower($1), $1, lower($1)) returning id", name
            )
        return self.words[f"{table}/{name}"]

    async def release(
        self,
        name: str,
        genres: str = "",
        tags: str = "",
        franchise: str = "",
        year: int = 2000,
        popularity: float = 0.0,
    ) -> int:
        """A release filed under these words; its id."""
        genre_ids = [await self.word("genres", one) for one in genres.split()]
        tag_ids = [await self.word("tags", one) for one in tags.split()]
        franchise_id = await self.word("franchises", franchise) if franchise else None
        made: int = await self.conn.fetchval(
            """insert into releases (slug, title, sort_title, genre_ids, tag_ids, franchise_id, year)
               values (lower($1), $1, lower($1), $2, $3, $4, $5) returning id""",
            name, genre_ids, tag_ids, franchise_id, year,
        )  # fmt: skip
        await self.conn.execute(
            "insert into popularity_metrics (release_id, popularity_score) values ($1, $2)", made, popularity
        )
        await rebuild(self.conn, made)
        self.ids[name] = made
        return made

    async def near(self, name: str, *neighbours: tuple[str, float] | tuple[str, float, int]) -> None:
        """Store what a worker would have found out: (name, score) or (name, score, people who liked both)."""
        ids = [self.ids[one[0]] for one in neighbours]
        scores = [one[1] for one in neighbours]
        shared = [one[2] if len(one) > 2 else 0 for one in neighbours]
        await self.conn.execute(
            """insert into release_neighbours (release_id, neighbours, scores, shared) values ($1, $2, $3, $4)
               on conflict (release_id) do update set neighbours = $2, scores = $3, shared = $4""",
            self.ids[name], ids, scores, shared,
        )  # fmt: skip

    async def speaks(self, name: str, *others: tuple[str, float]) -> None:
        """Store a row of the model."""
        ids, weights = [self.ids[one[0]] for one in others], [one[1] for one in others]
        await self.conn.execute(
            """insert into release_audience (release_id, others, weights) values ($1, $2, $3)
               on conflict (release_id) do update set others = $2, weights = $3""",
            self.ids[name], ids, weights,
        )  # fmt: skip

    async def get(self, path: str, who: Person | None = None, status: int = 200) -> Any:
        """The JSON of a GET below the API of recommendations."""
        target = path if path.startswith("/api") else API + path
        async with self.site.client.get(target, headers=who.headers if who else {}) as answer:
            body = await answer.read()
            assert answer.status == status, body
            return json.loads(body)

    async def keep(self, who: Person, what: str, name: str, body: Any = None, method: str = "PUT") -> None:
        """Have somebody keep a release: `favorites`, `ignores`, `ratings`, `collections/completed`."""
        path = f"/api/v1/profile/{what}/{self.ids[name]}"
        async with self.site.client.request(method, path, headers=who.headers, json=body) as answer:
            assert answer.status == 204, await answer.read()

    async def watch(self, who: Person, name: str) -> None:
        """Have somebody begin a release: a minute of the first of its two episodes."""
        release_id = self.ids[name]
        await self.conn.execute(
            """insert into episodes (release_id, ordinal, duration_seconds) values ($1, 1, 1400), ($1, 2, 1400)
               on conflict do nothing""",
            release_id,
        )
        episode = await self.conn.fetchval("select min(id) from episodes where release_id = $1", release_id)
        path, body = f"/api/v1/profile/progress/{episode}", {"position_seconds": 60, "completed": False}
        async with self.site.client.put(path, headers=who.headers, json=body) as answer:
            assert answer.status == 204, await answer.read()

    def titles(self, page: Any) -> list[str]:
        """The names of the releases of a page."""
        return [row["release"]["title"] for row in page["results"]]

    async def check(self, page: Any, who: Person | None = None, seed: str = "") -> None:
        """Every reason of every result is true, by what stands in the database."""
        assert page["results"], "there is nothing to check"
        for row in page["results"]:
            assert row["reasons"], row["release"]["title"]
            for reason in row["reasons"]:
                told = await self.is_true(reason, row["release"], who, self.ids.get(seed))
                assert told, (row["release"]["title"], reason)

    async def is_true(self, reason: Any, found: Any, who: Person | None, seed: int | None) -> bool:
        """Whether a reason for `found` holds."""
        code, other = reason["code"], reason.get("release", {}).get("id")
        assert reason["text"].endswith(".")
        if other is not None:
            title, slug = await self.conn.fetchrow("select title, slug from releases where id = $1 and visible", other)
            assert (reason["release"]["title"], reason["release"]["slug"]) == (title, slug)
            assert title in reason["text"]
        if code in ("shares_genres", "shares_tags"):
            return await self._shared(reason, found["id"], seed if other is None else other)
        if code == "same_franchise":
            same = await self.conn.fetchval(
                "select count(*) = 1 from releases a join releases b on a.franchise_id = b.franchise_id"
                " where a.id = $1 and b.id = $2 and a.franchise_id = $3",
                found["id"], seed, reason["franchise"]["id"],
            )  # fmt: skip
            return bool(same)
        if code == "same_audience":
            stored = await self.conn.fetchval(
                "select shared[array_position(neighbours, $2)] from release_neighbours where release_id = $1",
                seed, found["id"],
            )  # fmt: skip
            return bool(stored == reason["users"] > 0 and f"At least {stored} people" in reason["text"])
        if code in ("first_part", "first_unseen_part"):
            return await self._is_first_part(found["id"], other, seed, who)
        if code.startswith("because_"):
            assert who is not None
            return await self._kept(code, reason, who, other)
        return await self._of_pool(code, reason, found, who)

    async def _shared(self, reason: Any, found: int, other: int | None) -> bool:
        noun = "genres" if "genres" in reason else "tags"
        column = {"genres": "genre_ids", "tags": "tag_ids"}[noun]
        both = await self.conn.fetch(
            f"select unnest({column}) as id from releases where id = $1 intersect"
            f" select unnest({column}) from releases where id = $2",
            found, other,
        )  # fmt: skip
        assert all(word["name"] in reason["text"] or " more" in reason["text"] for word in reason[noun])
        return bool(both) and {word["id"] for word in reason[noun]} == {row["id"] for row in both}

    async def _is_first_part(self, found: int, near: int, seed: int | None, who: Person | None) -> bool:
        if who is not None:
            return await self._is_first_unseen_part(found, near, seed, who)
        rows = await self.conn.fetch(
            "select b.id from releases a join releases b on b.franchise_id = a.franchise_id where a.id = $1"
            " and b.visible order by b.year, b.id",
            near,
        )
        stored = await self.conn.fetchval("select neighbours from release_neighbours where release_id = $1", seed)
        parts = [row["id"] for row in rows]
        return bool(near in stored and parts.index(found) < parts.index(near))

    async def _is_first_unseen_part(self, found: int, near: int, seed: int | None, who: Person) -> bool:
        first = await self.conn.fetchval(
            """select b.id from releases a join releases b on b.franchise_id = a.franchise_id
               where a.id = $1 and b.visible and b.id <> $2 and not exists (
                   select from library_entries e where e.user_id = $3 and e.release_id = b.id and not e.deleted
                       and (e.kind in (1, 3, 4) or e.kind = 2 and e.value in (3, 5)))
               order by b.year, b.id limit 1""",
            near, seed, who.id,
        )  # fmt: skip
        return bool(first == found != near)

    async def _kept(self, code: str, reason: Any, who: Person, other: int) -> bool:
        kept = dict(
            await self.conn.fetch(
                "select kind, value from library_entries where user_id = $1 and release_id = $2 and not deleted",
                who.id,
                other,
            )
        )
        begun = await self.conn.fetchval(
            "select count(*) from progress where user_id = $1 and release_id = $2", who.id, other
        )
        return {
            "because_favorited": 1 in kept,
            "because_rated": kept.get(3) == reason.get("rating"),
            "because_completed": kept.get(2) == COLLECTIONS["completed"],
            "because_watching": kept.get(2) == COLLECTIONS["watching"] or begun > 0,
            "because_planned": kept.get(2) == COLLECTIONS["planned"],
        }[code]

    async def _of_pool(self, code: str, reason: Any, found: Any, who: Person | None) -> bool:
        numbers = await self.conn.fetchrow("select * from popularity_metrics where release_id = $1", found["id"])
        if code == "top_rated":
            rating = round(numbers["average_rating"], 2), numbers["rating_count"]
            return bool(rating == (reason["rating"], reason["users"]) and rating[1] >= 3)
        if code == "popular":
            return bool(numbers["imported_popularity"] > 0)
        if code == "newest":
            return found["created_at"][:10] in reason["text"]
        if code == "trending":
            views = await self.conn.fetchval(
                "select views from trend_windows where period = 'week' and release_id = $1", found["id"]
            )
            return bool(views)
        assert code == "follows_genres"
        assert who is not None
        followed = await self.conn.fetch(
            "select target_id from subscriptions where user_id = $1 and subscription_type = 'genre'",
            who.id,
        )
        genres = {word["id"] for word in reason["genres"]}
        return genres <= {row["target_id"] for row in followed} and genres <= {one["id"] for one in found["genres"]}


@asynccontextmanager
async def new_world(site: Running) -> AsyncIterator[World]:
    """A world in which nothing of earlier tests is seen."""
    conn = await connect(site.app[DATABASE].dsn)
    await forget_catalogue(conn)
    site.app[CACHE].drop_all()
    yield World(site, conn)
    await conn.close()
