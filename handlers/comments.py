"""Comments: what is said about a release, and what is answered."""

from __future__ import annotations

from functools import partial

import msgspec
from aiohttp import web
from msgspec import UNSET

from actors.comment_writer import COMMENT_BYTES, WriteComment
from server.bodies import comments as bodies
from server.errors import NotFound, YojohanError
from server.http import reading
from server.http.answer import Answer, raw
from server.http.counted import charged, quota, refused
from server.http.guard import user_id
from server.http.idempotency import keyed, once
from server.http.parse import path_id, query, read_body, require_json
from server.http.personal import looker, moderator, own
from server.http.texts import Judgement, decode_texts, judge
from server.keys import COMMENT_WRITER, DATABASE, TALK
from server.rules import cache_tags
from server.rules.comments import LONGEST, SHORTEST
from server.schemas.comments import CommentPatch, CommentQuery, CommentsQuery, NewComment, RepliesQuery
from sql import comments
from sql.comments import Change, Draft, Posted, Reader
from sql.moderation import hide
from sql.query import Connection

NEW = msgspec.json.Decoder(NewComment)
PATCH = msgspec.json.Decoder(CommentPatch)
BOUNDS = {"text": (SHORTEST, LONGEST)}
QUOTA = "comments"
# How long a comment waits for its commit, in seconds.
DEADLINE = 10.0


async def list_comments(request: web.Request) -> web.StreamResponse:
    """GET /releases/{id}/comments"""
    wanted, name = query(request, CommentsQuery), request.match_info["id"]
    reader = _reader(request, wanted.spoilers)
    load = partial(bodies.threads, request.app[DATABASE], name, reader, wanted, reading.base(request))
    if reader.user_id is not None:
        return own(request, (await load()).body)
    answer = await reading.answer(request, "comments", (name, repr(wanted)), cache_tags.named(name), load)
    answer.anonymous_only = True
    return answer


async def list_replies(request: web.Request) -> web.StreamResponse:
    """GET /comments/{id}/replies"""
    wanted, comment_id = query(request, RepliesQuery), path_id(request)
    reader = _reader(request, wanted.spoilers)
    load = partial(bodies.replies, request.app[DATABASE], comment_id, reader, wanted, reading.base(request))
    if reader.user_id is not None:
        return own(request, (await load()).body)
    answer = await reading.answer(request, "comments", ("replies", comment_id, repr(wanted)), (), load)
    answer.anonymous_only = True
    return answer


async def get_comment(request: web.Request) -> web.StreamResponse:
    """GET /comments/{id}"""
    wanted, comment_id = query(request, CommentQuery), path_id(request)
    reader = _reader(request, wanted.spoilers)
    load = partial(bodies.one, request.app[DATABASE], comment_id, reader)
    if reader.user_id is not None:
        return own(request, (await load()).body)
    answer = await reading.answer(request, "comments", ("one", comment_id, reader.unveiled), (), load)
    answer.anonymous_only = True
    return answer


async def create_comment(request: web.Request) -> web.StreamResponse:
    """POST /releases/{id}/comments"""
    require_json(request)
    body = await read_body(request)
    wanted = decode_texts(NEW, body, BOUNDS)
    draft = Draft(wanted.text, wanted.parent_id, wanted.episode_id, wanted.spoiler, *judge(request, wanted.text))
    author, release = user_id(request), _release(request)

    posted = await _written_with_others(request, author, release, draft)
    made = [] if posted is None else [posted]

    async def effect(conn: Connection) -> Answer:
        made.append(await comments.post(conn, author, release, draft, quota(request, QUOTA)))
        return _created(request, made[0])

    answer = await once(request, body, effect, single=True) if posted is None else _created(request, posted)
    request.app[TALK].changed([cache_tags.comments(one.release_id) for one in made if one.state == "visible"])
    return answer


async def _written_with_others(request: web.Request, author: int, release: int | str, draft: Draft) -> Posted | None:
    """What became of it together with what others say now; None where it has to be written by itself."""
    if isinstance(release, str) or keyed(request):
        return None
    message = WriteComment(author, release, draft)
    size = COMMENT_BYTES + 4 * len(draft.text)
    written = await request.app[COMMENT_WRITER].ask(message, timeout=DEADLINE, size=size)
    if isinstance(written, YojohanError):
        raise written
    return written


def _created(request: web.Request, posted: Posted) -> Answer:
    if posted.full:
        refused(request, QUOTA, posted.frees_at, posted.at)
    charged(request, QUOTA, posted.used, posted.frees_at, posted.at)
    return raw(posted.document.encode(), status=201, headers={"Location": f"/api/v1/comments/{posted.comment_id}"})


async def update_comment(request: web.Request) -> web.StreamResponse:
    """PATCH /comments/{id}"""
    require_json(request)
    wanted = decode_texts(PATCH, await read_body(request), BOUNDS)
    text = None if wanted.text is UNSET else wanted.text
    judgement = Judgement() if text is None else judge(request, text)
    change = Change(text, None if wanted.spoiler is UNSET else wanted.spoiler, *judgement)
    async with request.app[DATABASE].single() as conn:
        edited = await comments.edit(conn, _reader(request), path_id(request), change)
    request.app[TALK].changed([cache_tags.comments(edited.release_id)])
    return raw(edited.document.encode())


async def delete_comment(request: web.Request) -> web.StreamResponse:
    """DELETE /comments/{id}"""
    comment_id = path_id(request)
    async with request.app[DATABASE].single() as conn:
        erased = await comments.delete(conn, _reader(request), comment_id)
        if erased.to_moderate:
            await hide(conn, moderator(request), "comment", comment_id)
    request.app[TALK].changed([cache_tags.comments(erased.release_id)])
    return web.Response(status=204)


def _reader(request: web.Request, spoilers: str = "show") -> Reader:
    return Reader(*looker(request), spoilers == "show")


def _release(request: web.Request) -> int | str:
    name = request.match_info["id"]
    if name.isascii() and name.isdigit() and len(name) <= 18:
        return int(name)
    if "\x00" in name or name.isdigit():
        raise NotFound("There is no such release.")
    return name
