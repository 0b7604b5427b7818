"""Public pages that look different to whoever has signed in: theirs are made for them and kept by nobody else."""

from __future__ import annotations

from hashlib import blake2b

from aiohttp import web

from server.http.answer import JSON, Answer, same
from server.http.guard import PRINCIPAL, principal
from sql.moderation import Moderator

# A browser may keep it and has to ask whether it is still so.
HEADERS = {
    "Content-Type": JSON,
    "Cache-Control": "private, no-cache",
    "Vary": "Accept-Encoding, Authorization",
    "X-Content-Type-Options": "nosniff",
}


def own(request: web.Request, body: bytes) -> Answer:
    """These bytes for whoever asks; 304 if they have them already."""
    etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = HEADERS | {"ETag": etag}
    if same(request.headers.get("If-None-Match"), etag):
        del headers["Content-Type"]
        return Answer(status=304, headers=headers)
    return Answer(body=body, headers=headers)


def moderator(request: web.Request) -> Moderator:
    """Who asks, as somebody who decides about what people say."""
    who = principal(request)
    return Moderator(who.user_id, who.holds("admin"))


def looker(request: web.Request) -> tuple[int | None, bool]:
    """Who looks at what people say: their id, if they signed in, and whether they moderate."""
    who = request.get(PRINCIPAL)
    if who is None:
        return None, False
    return who.user_id, who.holds("moderator") and (who.scopes is None or "admin" in who.scopes)
