"""The links that stop mails: a page that asks, and the POST that does it, by its button or by a mail program."""

from __future__ import annotations

from aiohttp import web

from server.errors import NotFound
from server.http.answer import Answer, raw
from server.http.parse import query
from server.keys import DATABASE, UNSUBSCRIBE_TOKENS
from server.rules.unsubscribe_page import CONTENT_SECURITY_POLICY, page
from server.rules.unsubscribing import Unsubscribing
from server.schemas.unsubscribe import UnsubscribeQuery
from sql import unsubscribe

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


async def show_unsubscribe(request: web.Request) -> Answer:
    """`GET /notifications/unsubscribe`: asks. It changes nothing: programs that look at links open it, too."""
    return _answer(request, _wanted(request), done=False)


async def unsubscribe_by_mail(request: web.Request) -> Answer:
    """`POST /notifications/unsubscribe` (RFC 8058): no more mails of that type."""
    wanted = _wanted(request)
    async with request.app[DATABASE].transaction() as conn:
        await unsubscribe.stop_mails(conn, wanted.user_id, wanted.bits)
    return _answer(request, wanted, done=True)


def _wanted(request: web.Request) -> Unsubscribing:
    """What the link says; NotFound unless it is one of ours."""
    wanted = request.app[UNSUBSCRIBE_TOKENS].read(query(request, UnsubscribeQuery).token)
    if wanted is None:
        raise NotFound
    return wanted


def _answer(request: web.Request, wanted: Unsubscribing, *, done: bool) -> Answer:
    body = page(wanted, request.headers.get("Accept-Language", ""), done=done)
    return raw(body.encode(), headers=HEADERS, content_type="text/html; charset=utf-8")
