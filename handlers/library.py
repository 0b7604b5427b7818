"""What one keeps: favourites, collections, ratings, and what one does not care for."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.bodies import library as bodies
from server.http import reading, written
from server.http.answer import Answer, raw
from server.http.guard import user_id
from server.http.parse import check_depth, decode, path_id, query, read_body, require_json
from server.keys import DATABASE
from server.schemas.library import CollectionsQuery, RatingGiven, ReleaseIds, ReleaseRatings
from server.schemas.queries import PageQuery
from sql.library import COLLECTION, COLLECTIONS, FAVORITE, IGNORED, RATING

RELEASE_IDS = msgspec.json.Decoder(ReleaseIds)
GIVEN = msgspec.json.Decoder(RatingGiven)
RATINGS = msgspec.json.Decoder(ReleaseRatings)


async def list_favorites(request: web.Request) -> web.StreamResponse:
    """GET /profile/favorites"""
    return await _list(request, FAVORITE)


async def put_favorite(request: web.Request) -> web.StreamResponse:
    """PUT /profile/favorites/{release_id}"""
    return await _put(request, FAVORITE)


async def delete_favorite(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/favorites/{release_id}"""
    return await _delete(request, FAVORITE)


async def put_favorites(request: web.Request) -> web.StreamResponse:
    """PUT /profile/favorites"""
    return await _put_many(request, FAVORITE)


async def delete_favorites(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/favorites"""
    return await _delete_many(request, FAVORITE)


async def list_collections(request: web.Request) -> web.StreamResponse:
    """GET /profile/collections"""
    wanted = query(request, CollectionsQuery)
    check_depth(wanted.limit, wanted.page)
    base = reading.base(request)
    return raw(await bodies.collections(request.app[DATABASE], user_id(request), wanted, base))


async def put_collected(request: web.Request) -> web.StreamResponse:
    """PUT /profile/collections/{collection}/{release_id}"""
    return await _put(request, COLLECTION, _collection(request))


async def delete_collected(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/collections/{collection}/{release_id}: of another collection than it is in, nothing happens."""
    return await _delete(request, COLLECTION, _collection(request))


async def put_collection(request: web.Request) -> web.StreamResponse:
    """PUT /profile/collections/{collection}"""
    return await _put_many(request, COLLECTION, _collection(request))


async def delete_collection(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/collections/{collection}"""
    return await _delete_many(request, COLLECTION, _collection(request))


async def list_ratings(request: web.Request) -> web.StreamResponse:
    """GET /profile/ratings"""
    return await _list(request, RATING)


async def put_rating(request: web.Request) -> web.StreamResponse:
    """PUT /profile/ratings/{release_id}"""
    release_id = path_id(request, "release_id")
    require_json(request)
    given = decode(GIVEN, await read_body(request))
    return written.put(await written.write(request, written.entries(RATING, [release_id], given.rating)))


async def delete_rating(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/ratings/{release_id}"""
    return await _delete(request, RATING)


async def put_ratings(request: web.Request) -> web.StreamResponse:
    """PUT /profile/ratings"""
    require_json(request)
    given = decode(RATINGS, await read_body(request))
    result = await written.write(request, written.ratings(given))
    return written.many(result, [one.release_id for one in given], written.NO_RELEASE)


async def list_ignores(request: web.Request) -> web.StreamResponse:
    """GET /profile/ignores"""
    return await _list(request, IGNORED)


async def put_ignore(request: web.Request) -> web.StreamResponse:
    """PUT /profile/ignores/{release_id}"""
    return await _put(request, IGNORED)


async def delete_ignore(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/ignores/{release_id}"""
    return await _delete(request, IGNORED)


def _collection(request: web.Request) -> int:
    # The route takes no other names.
    return COLLECTIONS[request.match_info["collection"]]


async def _list(request: web.Request, kind: int) -> Answer:
    wanted = query(request, PageQuery)
    check_depth(wanted.limit, wanted.page)
    base = reading.base(request)
    return raw(await bodies.entries(request.app[DATABASE], user_id(request), kind, wanted, base))


async def _put(request: web.Request, kind: int, value: int = 0) -> Answer:
    edits = written.entries(kind, [path_id(request, "release_id")], value)
    return written.put(await written.write(request, edits))


async def _delete(request: web.Request, kind: int, value: int = 0) -> Answer:
    edits = written.entries(kind, [path_id(request, "release_id")], value, deleted=True)
    return written.gone(await written.write(request, edits))


async def _put_many(request: web.Request, kind: int, value: int = 0) -> Answer:
    require_json(request)
    ids = decode(RELEASE_IDS, await read_body(request))
    result = await written.write(request, written.entries(kind, ids, value))
    return written.many(result, ids, written.NO_RELEASE)


async def _delete_many(request: web.Request, kind: int, value: int = 0) -> Answer:
    require_json(request)
    ids = decode(RELEASE_IDS, await read_body(request))
    return written.many(await written.write(request, written.entries(kind, ids, value, deleted=True)), ids)
