"""What is like a release: its stored neighbours, or, where none have been worked out yet, those that its genres, tags
and franchise tell of at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from server.database import Database
from server.errors import NotFound
from server.events import Recommending
from server.http.paging import links_of, offset_of
from server.rules import reasons
from server.rules.likeness import Filed, alike, rarest, words_of
from server.rules.recommending import rarity
from server.schemas.queries import PageQuery
from sql import recommendations as sql
from sql import releases
from sql.query import Connection

# Whoever works out neighbours anew, drops these.
TAG = "similar"
NO_SUCH = "There is no such release."
MOST = 30
# How many candidates are looked at of each kind.
MOST_LOOKED_AT = 120


class Near(NamedTuple):
    """Neighbours, the most alike first."""

    ids: Sequence[int]
    scores: Sequence[float]


async def page(
    database: Database, progress: Recommending, id_or_slug: str, viewer: int | None, query: PageQuery, base: str
) -> bytes:
    """A page of what is like the release, to a visitor or to a `viewer`."""
    offset = offset_of(query)
    async with database.connection() as conn:
        release_id = await _named(conn, id_or_slug)
        seed, *rows = await _beside(conn, release_id, viewer, query.limit, offset)
        stored = seed.users > 0
        progress.served["similar" if stored else "similar_live"] += 1
        if not stored:
            near = await live(conn, await _seed(conn, release_id))
            _, *rows = await _beside(conn, release_id, viewer, query.limit, offset, near)
    following, before = links_of(base, query, len(rows))
    assert seed.release is not None
    document = orjson.loads(seed.release)
    told = [_result(document, row, visitor=viewer is None) for row in rows if row.release]
    # What a neighbour was chosen for may have been deleted since.
    results = [one for one in told if one["reasons"]]
    return orjson.dumps(
        {"type": "similar", "count": len(rows), "next": following, "previous": before, "results": results}
    )


async def _beside(
    conn: Connection, release_id: int, viewer: int | None, limit: int, offset: int, near: Near | None = None
) -> list[sql.Similar]:
    found = await sql.similar_page(conn, release_id, viewer, limit, offset, near)
    if not found:
        raise NotFound(NO_SUCH)
    return found


async def _seed(conn: Connection, release_id: int) -> sql.Seed:
    seed = await sql.seed(conn, release_id)
    if seed is None:
        raise NotFound(NO_SUCH)
    return seed


async def _named(conn: Connection, id_or_slug: str) -> int:
    found = None
    if id_or_slug.isascii() and id_or_slug.isdigit():
        found = int(id_or_slug) if len(id_or_slug) <= 18 else None
    elif "\x00" not in id_or_slug:
        found = await releases.resolve(conn, id_or_slug)
    if found is None:
        raise NotFound(NO_SUCH)
    return found


async def live(conn: Connection, seed: sql.Seed) -> Near:
    """What is like a release by what both are filed under."""
    counted = await sql.frequencies(conn, seed.genre_ids, seed.tag_ids)
    total = next((one.releases for one in counted if one.kind == "all"), 0)
    # A word that nobody has counted is new, and so rare.
    carrying = dict.fromkeys(words_of(seed.genre_ids, seed.tag_ids), 0)
    carrying |= {-one.word_id if one.kind == "genre" else one.word_id: one.releases
                 for one in counted if one.kind != "all"}  # fmt: skip
    rare = rarest(carrying)
    found = await sql.candidates(
        conn, seed.id, seed.franchise_id, [-word for word in rare if word < 0], [word for word in rare if word > 0],
        MOST_LOOKED_AT,
    )  # fmt: skip
    filed = {one.id: Filed(one.franchise_id, words_of(one.genre_ids, one.tag_ids), one.popularity) for one in found}
    weights = {word: rarity(releases, total) for word, releases in carrying.items()}
    # Words of candidates that the seed lacks have not been looked up: they count as middling.
    unknown = sum(weights.values()) / len(weights) if weights else 1.0
    own = Filed(seed.franchise_id, words_of(seed.genre_ids, seed.tag_ids))
    ranked = alike(own, filed, weights, unknown, MOST)
    return Near([one for one, _ in ranked], [score for _, score in ranked])


def _result(seed: dict[str, Any], row: sql.Similar, *, visitor: bool) -> dict[str, Any]:
    assert row.release is not None
    near = None if row.near_document is None else orjson.loads(row.near_document)
    return {
        "release": orjson.Fragment(row.release),
        "score": round(row.score, 4),
        "reasons": reasons.of_similar(seed, orjson.loads(row.release), near, row.users, visitor=visitor),
    }
