"""What somebody may like: what they keep speaks for what they do not know; who keeps nothing yet gets a beginning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from heapq import nlargest
from typing import Any, NamedTuple

import orjson

from server.bodies import cold_start, similar
from server.bodies.cold_start import Chosen
from server.cache import Tagged
from server.database import Database
from server.events import Recommending, Trends
from server.http.paging import links_of, offset_of
from server.rules import cache_tags, library, reasons
from server.rules.recommending import (
    CANDIDATES,
    PAGE,
    Kept,
    Row,
    chosen,
    history_of,
    ranked,
    row_of,
    score,
    width_of,
)  # fmt: skip
from server.schemas.queries import PageQuery
from sql import recommendations as sql
from sql.query import Connection

# Of everybody: who works out the model anew drops it.
TAG = "personal"
# So many pages make the list, each varied in itself.
PAGES = 3
# Of so many releases without stored neighbours they are worked out in the request.
LIVE = 2
# So many are remembered until it is written down that they looked.
MOST_VIEWERS = 1_000
# How many of the releases that spoke for one are looked at for its reason, and how many are told.
CAUSES, TOLD = 4, 2


class Library(NamedTuple):
    """What somebody keeps: all of it, by release, the franchises of which they dropped or ignore a part, and what says
    something of their taste, with its weight."""

    kept: Mapping[int, Kept]
    ignored: AbstractSet[int]
    barred: AbstractSet[int]
    history: Mapping[int, float]


async def page(
    database: Database, progress: Recommending, trends: Trends, user_id: int, query: PageQuery, base: str
) -> Tagged:
    """A page of what they may like."""
    async with database.connection() as conn:
        mine = library_of(await sql.kept(conn, user_id))
        found, rows = await _own(conn, mine)
        kind = "personal" if found else "cold_start"
        progress.served[kind] += 1
        if len(progress.viewers) < MOST_VIEWERS:
            progress.viewers.add(user_id)
        filled_up = len(found) < PAGE
        if filled_up:
            found = [*found, *await _beginning(conn, trends, user_id, mine, found)]
        start = offset_of(query)
        shown = found[start : start + query.limit]
        told = causes({one.id for one in shown if one.pool == "own"}, mine.history, rows)
        mentioned = {release for causing in told.values() for release in causing}
        mentioned |= {one.wished for one in shown if one.wished is not None}
        documents = await sql.shown(conn, [one.id for one in shown], sorted(mentioned))
    following, before = links_of(base, query, len(found))
    results = [_result(one, told.get(one.id, ()), mine, documents) for one in shown]
    body = orjson.dumps(
        {
            "type": kind,
            "count": len(found),
            "next": following,
            "previous": before,
            "results": [result for result in results if result is not None],
        }
    )
    # A beginning shows what is popular and new, and so does a list that had to be filled up.
    tags = [cache_tags.RELEASES] if filled_up else [cache_tags.release(one) for one in documents]
    return Tagged(body, tuple(tags))


def library_of(keeping: Sequence[sql.Keeping]) -> Library:
    """What they keep, and the part of it that tells most of their taste, the latest of equals."""
    kept = {one.release_id: Kept(one.rating, one.collection, one.favorite, one.started) for one in keeping}
    ignored = {one.release_id for one in keeping if one.ignored}
    history = history_of((release, one) for release, one in kept.items() if release not in ignored)
    barred = {one.barred for one in keeping if one.barred is not None}
    return Library(kept, ignored, barred, history)


async def _own(conn: Connection, mine: Library) -> tuple[list[Chosen], Mapping[int, Row]]:
    """What their history speaks for, the best first, and the rows that said so."""
    if not any(weight > 0 for weight in mine.history.values()):
        return [], {}
    rows = await _rows(conn, mine.history)
    scores = score(mine.history, rows)
    candidates = [release for release in ranked(scores, mine.kept, CANDIDATES) if scores[release] > 0]
    known = await sql.facts(conn, candidates)
    facts = known.facts
    return [
        Chosen(one, scores[one], "own", facts[one].franchise_id, genres=facts[one].genre_ids)
        for one in varied(candidates, known, mine)
    ], rows


async def _rows(conn: Connection, history: Mapping[int, float]) -> dict[int, Row]:
    rows: dict[int, Row] = {}
    silent = set()
    for one in await sql.rows(conn, list(history), width_of(history)):
        row = row_of(_row(one.others, one.weights), _row(one.neighbours, one.scores))
        if row is not None:
            rows[one.id] = row
        else:
            silent.add(one.id)
    # In the order of the history: what tells most comes first.
    for release_id in [one for one in history if one in silent][:LIVE]:
        seed = await sql.seed(conn, release_id)
        if seed is not None:
            near = await similar.live(conn, seed)
            row = row_of(None, (near.ids, near.scores))
            if row is not None:
                rows[release_id] = row
    return rows


def _row(others: Sequence[int] | None, weights: Sequence[float] | None) -> Row | None:
    return None if others is None or weights is None else (others, weights)


def varied(candidates: Sequence[int], known: sql.Known, mine: Library, before: Sequence[Chosen] = ()) -> list[int]:
    """Of the candidates those that make a varied list, page by page, the first page behind what stands there `before`;
    without sequels of what they have not begun, dropped, or do not care for, and without franchises that do."""
    facts, begun = known.facts, _begun(known.parts, mine)
    franchises = {one.franchise for one in before} - {None}
    carried = [genre for one in before for genre in one.genres]
    room = PAGE - len(before)
    left = [one for one in candidates if one in facts and facts[one].franchise_id not in franchises]
    found: list[int] = []
    for _ in range(PAGES):
        portion = chosen(left, facts, begun, mine.barred, room, carried)
        found += portion
        # One part of a franchise is enough, on whichever page.
        franchises = {facts[one].franchise_id for one in portion} - {None}
        taken = set(portion)
        left = [one for one in left if one not in taken and facts[one].franchise_id not in franchises]
        if len(portion) < room:
            break
        room, carried = PAGE, []
    return found


def _begun(parts: Mapping[int, Sequence[int]], mine: Library) -> dict[int, int]:
    """By franchise the furthest part they have seen."""
    begun: dict[int, int] = {}
    for franchise_id, ids in parts.items():
        for part, one in enumerate(ids):
            kept = mine.kept.get(one)
            if kept is not None and seen(kept):
                begun[franchise_id] = part
    return begun


def seen(kept: Kept) -> bool:
    """Whether they have watched of it."""
    return (
        kept.started
        or kept.favorite
        or kept.rating > 0
        or kept.collection in (library.COMPLETED, library.COLLECTIONS["watching"])
    )


def causes(shown: set[int], history: Mapping[int, float], rows: Mapping[int, Row]) -> dict[int, list[int]]:
    """For each that is shown, what of the history spoke for it, the loudest first."""
    spoken: dict[int, list[tuple[float, int]]] = {one: [] for one in shown}
    for item, (others, weights) in rows.items():
        # Most rows speak for nothing of the page: that is found out without a step of ours for each of their entries.
        for other in shown.intersection(others):
            said = history[item] * weights[others.index(other)]
            if said > 0:
                spoken[other].append((said, -item))
    return {other: [-item for _, item in nlargest(CAUSES, said)] for other, said in spoken.items()}


async def _beginning(
    conn: Connection, trends: Trends, user_id: int, mine: Library, found: Sequence[Chosen]
) -> list[Chosen]:
    """What stands behind what is theirs: some picks by what they plan and follow, then what anybody may like."""
    planned = library.COLLECTIONS["planned"]
    wished = [one for one, kept in mine.kept.items() if kept.collection == planned and one not in mine.ignored]
    offered = await cold_start.offered(conn, trends, user_id, wished)
    theirs = {one.id for one in found} | mine.kept.keys()
    # Of a release that is offered twice the first offer counts.
    by_id = {one.id: one for one in reversed(offered) if one.id not in theirs}
    order = [release for release in dict.fromkeys(one.id for one in offered) if release in by_id]
    known = await sql.facts(conn, order)
    first = varied([one for one in order if by_id[one].pool == "picked"], known, mine, found)[: cold_start.PICKS]
    rest = [one for one in order if by_id[one].pool != "picked"]
    picked = varied([*first, *rest], known, mine, found)
    lowest = min((one.score for one in found), default=1.0)
    return [
        by_id[one]._replace(score=lowest * (1 - place / (len(picked) + 1)), franchise=known.facts[one].franchise_id)
        for place, one in enumerate(picked, 1)
    ]


def _result(
    one: Chosen, causing: Sequence[int], mine: Library, documents: Mapping[int, sql.Shown]
) -> dict[str, Any] | None:
    shown = documents.get(one.id)
    if shown is None or shown.release is None:
        return None
    document = orjson.loads(shown.release)
    told = _of_history(document, causing, mine, documents) if one.pool == "own" else _of_pool(one, document, documents)
    if not told:
        return None
    return {"release": orjson.Fragment(shown.release), "score": round(one.score, 4), "reasons": told}


def _of_history(
    document: dict[str, Any], causing: Sequence[int], mine: Library, documents: Mapping[int, sql.Shown]
) -> list[reasons.Reason]:
    told: list[reasons.Reason] = []
    for release_id in [one for one in causing if one in documents][:TOLD]:
        cause = documents[release_id]
        release = {"id": cause.id, "slug": cause.slug, "title": cause.title}
        told.append(reasons.because(mine.kept[release_id], release))
        told += reasons.shares_genres_with(release, cause.genre_ids, document)
    return told


def _of_pool(one: Chosen, document: dict[str, Any], documents: Mapping[int, sql.Shown]) -> list[reasons.Reason]:
    told: list[reasons.Reason] = []
    if one.wished is not None and one.wished in documents:
        cause = documents[one.wished]
        release = {"id": cause.id, "slug": cause.slug, "title": cause.title}
        told += [reasons.planned(release), *reasons.shares_genres_with(release, cause.genre_ids, document)]
    told += reasons.follows(one.followed, document)
    said = None if one.pool == "picked" else reasons.of_pool(one.pool, document)
    return told if said is None else [*told, said]
