"""What administrators change, and what they see of it. Every change is an operation: 202, and its address."""

from __future__ import annotations

from aiohttp import web

from server.bodies import cms as bodies
from server.cms import engine
from server.http import reading
from server.http.accepted import accepted, waited
from server.http.answer import Answer, raw
from server.http.cms import document, noun_of, read_batch, read_edit, submit
from server.http.guard import user_id
from server.http.idempotency import once
from server.http.parse import path_id, query, read_body, require_json
from server.http.uploads import keep_upload
from server.keys import DATABASE, FILES
from server.schemas.cms_answers import AdminEpisodesQuery, AdminReleasesQuery, AdminWordsQuery
from sql import operations
from sql.query import Connection


async def edit(request: web.Request) -> web.StreamResponse:
    """POST|PUT|PATCH|DELETE /admin/{noun}s[/{id}], POST /admin/{noun}s/{id}/restore"""
    body, wanted = await read_edit(request)
    return await submit(request, body, [wanted])


async def edit_batch(request: web.Request) -> web.StreamResponse:
    """POST /admin/batch"""
    require_json(request)
    body = await read_body(request)
    edits, atomic = await read_batch(body)
    return await submit(request, body, edits, "batch", atomic=atomic)


async def import_catalogue(request: web.Request) -> web.StreamResponse:
    """POST /admin/import"""
    name, digest = await keep_upload(request, request.app[FILES], ".ndjson")

    async def effect(conn: Connection) -> Answer:
        made = await operations.create(
            conn, user_id(request), "import", {}, name, entities=("import",), barrier=True, shared=True
        )
        return await accepted(request, conn, made, shared=True)

    return await waited(request, await once(request, digest, effect))


async def show_written(request: web.Request) -> web.StreamResponse:
    """GET /admin/{noun}s/{id}"""
    async with request.app[DATABASE].connection() as conn:
        body = await document(conn, noun_of(request), path_id(request))
    return raw(body, headers={"ETag": engine.etag(body)})


async def list_written_releases(request: web.Request) -> web.StreamResponse:
    """GET /admin/releases"""
    return raw(await bodies.releases(request.app[DATABASE], query(request, AdminReleasesQuery), reading.base(request)))


async def list_written_episodes(request: web.Request) -> web.StreamResponse:
    """GET /admin/episodes"""
    return raw(await bodies.episodes(request.app[DATABASE], query(request, AdminEpisodesQuery), reading.base(request)))


async def list_written_words(request: web.Request) -> web.StreamResponse:
    """GET /admin/genres, /admin/tags, /admin/franchises"""
    wanted, noun = query(request, AdminWordsQuery), noun_of(request)
    return raw(await bodies.words(request.app[DATABASE], noun, wanted, reading.base(request)))
