"""How far one has watched: by episode, by time, and what to go on with."""

from __future__ import annotations

import msgspec
from aiohttp import web

from server.bodies import library as bodies
from server.http import reading, written
from server.http.answer import raw
from server.http.guard import user_id
from server.http.parse import check_depth, decode, path_id, query, read_body, require_json
from server.keys import DATABASE
from server.schemas.library import (
    ContinueQuery,
    EpisodeProgress,
    EpisodesProgress,
    HistoryQuery,
    ProgressMade,
    ProgressQuery,
)

MADE = msgspec.json.Decoder(ProgressMade)
ALL_MADE = msgspec.json.Decoder(EpisodesProgress)


async def list_progress(request: web.Request) -> web.StreamResponse:
    """GET /profile/progress"""
    wanted = query(request, ProgressQuery)
    check_depth(wanted.limit, wanted.page)
    return raw(await bodies.progress(request.app[DATABASE], user_id(request), wanted, reading.base(request)))


async def get_progress(request: web.Request) -> web.StreamResponse:
    """GET /profile/progress/{episode_id}"""
    return raw(await bodies.episode(request.app[DATABASE], user_id(request), path_id(request, "episode_id")))


async def put_progress(request: web.Request) -> web.StreamResponse:
    """PUT /profile/progress/{episode_id}"""
    episode_id = path_id(request, "episode_id")
    require_json(request)
    made = decode(MADE, await read_body(request))
    whole = EpisodeProgress(episode_id=episode_id, position_seconds=made.position_seconds, completed=made.completed)
    return written.put(await written.write(request, progress=written.progress([whole])))


async def delete_progress(request: web.Request) -> web.StreamResponse:
    """DELETE /profile/progress/{episode_id}"""
    edits = written.removed(path_id(request, "episode_id"))
    return written.gone(await written.write(request, progress=edits))


async def put_all_progress(request: web.Request) -> web.StreamResponse:
    """PUT /profile/progress"""
    require_json(request)
    made = decode(ALL_MADE, await read_body(request))
    result = await written.write(request, progress=written.progress(made))
    return written.many(result, [one.episode_id for one in made], written.NO_EPISODE)


async def list_continue(request: web.Request) -> web.StreamResponse:
    """GET /profile/continue"""
    wanted = query(request, ContinueQuery)
    return raw(await bodies.continue_with(request.app[DATABASE], user_id(request), wanted.limit))


async def list_history(request: web.Request) -> web.StreamResponse:
    """GET /profile/history"""
    wanted = query(request, HistoryQuery)
    return raw(await bodies.history(request.app[DATABASE], user_id(request), wanted, reading.base(request)))
