"""Reviews and helpful votes."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web
from msgspec import UNSET

from server.bodies import reviews as bodies
from server.bodies.releases import known
from server.http import counted, reading
from server.http.answer import Answer, raw
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import check_depth, path_id, query, read_body, require_json
from server.http.personal import looker, moderator, own
from server.http.texts import decode_texts, judge
from server.keys import DATABASE, TALK
from server.rules import cache_tags
from server.rules.reviews import LONGEST, SHORTEST
from server.schemas.reviews import NewReview, ReviewPatch, ReviewsQuery
from sql import reviews
from sql.moderation import hide
from sql.query import Connection
from sql.reviews import Judged

NEW = msgspec.json.Decoder(NewReview)
PATCH = msgspec.json.Decoder(ReviewPatch)
BOUNDS = {"text": (SHORTEST, LONGEST)}


async def list_reviews(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id}/reviews"""
    name, (viewer, _) = request.match_info["id"], looker(request)
    wanted = query(request, ReviewsQuery)
    check_depth(wanted.limit, wanted.page)
    load = partial(bodies.page, request.app[DATABASE], name, wanted, reading.base(request), viewer)
    if viewer is not None:
        return own(request, (await load()).body)
    key = (name, wanted.sort, wanted.limit, wanted.page, wanted.cursor)
    return _for_visitors(await reading.answer(request, "reviews", key, cache_tags.named(name), load))


async def get_review(request: web.Request) -> web.StreamResponse:
    """GET /reviews/{id}"""
    review_id, (viewer, moderates) = path_id(request), looker(request)
    load = partial(bodies.one, request.app[DATABASE], review_id, viewer, moderates=moderates)
    if viewer is not None:
        return own(request, (await load()).body)
    return _for_visitors(await reading.answer(request, "reviews", review_id, (), load))


async def create_review(request: web.Request) -> web.StreamResponse:
    """POST /releases/{id}/reviews"""
    require_json(request)
    body = await read_body(request)
    draft, author, tags = decode_texts(NEW, body, BOUNDS), user_id(request), set[str]()
    said, quota = Judged(draft.text, *judge(request, draft.text)), counted.quota(request, "reviews")

    async def effect(conn: Connection) -> Answer:
        release_id = await known(conn, request.match_info["id"])
        made = await reviews.post(conn, author, release_id, draft.rating, said, quota, spoiler=draft.spoiler)
        if made.review is None:
            counted.refused(request, "reviews", made.frees_at, made.moment)
        counted.charged(request, "reviews", made.used or 0, made.frees_at, made.moment)
        tags.add(cache_tags.reviews(release_id))
        return raw(made.review.encode(), status=201, headers={"Location": f"/api/v1/reviews/{made.review_id}"})

    answer = await once(request, body, effect, single=True)
    if tags:
        request.app[TALK].changed(tags)
    return answer


async def update_review(request: web.Request) -> web.StreamResponse:
    """PATCH /reviews/{id}"""
    require_json(request)
    patch = decode_texts(PATCH, await read_body(request), BOUNDS)
    said = None if patch.text is UNSET else Judged(patch.text, *judge(request, patch.text))
    rating = None if patch.rating is UNSET else patch.rating
    spoiler = None if patch.spoiler is UNSET else patch.spoiler
    author, moderates = user_id(request), looker(request)[1]
    async with request.app[DATABASE].single() as conn:
        edited = await reviews.edit(conn, author, path_id(request), rating, said, spoiler, moderates=moderates)
    request.app[TALK].changed((cache_tags.reviews(edited.release_id),))
    return raw(edited.review.encode())


async def delete_review(request: web.Request) -> web.StreamResponse:
    """DELETE /reviews/{id}"""
    author, review_id = user_id(request), path_id(request)
    async with request.app[DATABASE].single() as conn:
        erased = await reviews.delete(conn, author, review_id, moderates=looker(request)[1])
        if erased.to_moderate:
            await hide(conn, moderator(request), "review", review_id)
    request.app[TALK].changed((cache_tags.reviews(erased.release_id),))
    return web.Response(status=204)


async def put_helpful(request: web.Request) -> web.StreamResponse:
    """PUT /reviews/{id}/helpful"""
    async with request.app[DATABASE].single() as conn:
        release_id = await reviews.vote(conn, user_id(request), path_id(request))
    return _voted(request, release_id)


async def delete_helpful(request: web.Request) -> web.StreamResponse:
    """DELETE /reviews/{id}/helpful"""
    async with request.app[DATABASE].single() as conn:
        release_id = await reviews.unvote(conn, user_id(request), path_id(request))
    return _voted(request, release_id)


def _voted(request: web.Request, release_id: int | None) -> web.StreamResponse:
    if release_id is not None:
        request.app[TALK].changed((cache_tags.reviews(release_id),))
    return web.Response(status=204)


def _for_visitors(answer: Answer) -> Answer:
    answer.anonymous_only = True
    return answer
