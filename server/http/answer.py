"""Answering: cached bytes with conditional requests and compression, plain JSON, lists with their links."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from server.cache import GZIP_FROM, Entry, Load, Policy, ResponseCache

JSON = "application/json"


class Answer(web.Response):
    """A response that remembers how the cache served it, for the log line, and under which key, for the edge.

    `anonymous_only`: it is what visitors get; whoever signs in gets another.
    """

    cache = "none"
    key: Hashable = None
    anonymous_only = False


def plain(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON that nobody may store."""
    return raw(orjson.dumps(value), status=status, headers=headers)


def raw(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, content_type: str = JSON
) -> Answer:
    """Finished bytes that nobody may store."""
    fixed = {"Content-Type": content_type, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Answer(status=status, body=body, headers=fixed | dict(headers or {}))


async def cached(
    request: web.Request,
    cache: ResponseCache,
    policy: Policy,
    key: Hashable,
    tags: tuple[str, ...],
    load: Load,
    content_type: str = JSON,
    *,
    negotiated: bool = False,
) -> Answer:
    """Answer from the cache, loading on a miss; 304 where the client has it already.

    `negotiated`: the target alone does not decide the body (an Accept header does), so the edge must not remember it.
    """
    entry, how = await cache.fetch(key, load, policy, tags, content_type)
    answer = send(request, cache, entry, how)
    if negotiated:
        answer.key = None
    return answer


def send(request: web.BaseRequest, cache: ResponseCache, entry: Entry, how: str) -> Answer:
    """The entry as an answer to this request: 304, gzip or as it is."""
    sent = request.headers
    packed = len(entry.body) >= GZIP_FROM and accepts_gzip(sent.get("Accept-Encoding"))
    headers = (entry.gzip_headers if packed else entry.headers).copy()
    if "Authorization" in sent:
        # A shared cache must not hand one person's answer to another, nor may a browser skip asking.
        headers["Cache-Control"] = "private, no-cache"
    known = sent.get("If-None-Match")
    if known is not None and matches(known, entry):
        del headers["Content-Type"]
        headers.popall("Content-Encoding", None)
        answer = Answer(status=304, headers=headers)
    else:
        answer = Answer(body=cache.gzipped(entry) if packed else entry.body, headers=headers)
    answer.cache = how
    answer.key = entry.key
    return answer


def same(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names this tag (weak comparison), or any."""
    if not header:
        return False
    return header.strip() == "*" or etag in (part.strip().removeprefix("W/") for part in header.split(","))


def matches(header: str, entry: Entry) -> bool:
    """If-None-Match (RFC 9110, 13.1.2): weak comparison; either encoding of the same body counts."""
    return header in (entry.etag, entry.gzip_etag) or same(header, entry.etag) or same(header, entry.gzip_etag)


def accepts_gzip(header: str | None) -> bool:
    """Whether gzip may be sent: named, or covered by `*`, and not with q=0."""
    if not header:
        return False
    if header in ("gzip, deflate, br", "gzip, deflate, br, zstd", "gzip, deflate", "gzip"):
        return True
    weights = {}
    for part in header.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        quality = parameters.strip().removeprefix("q=")
        weights[name.strip()] = quality not in ("0", "0.0", "0.00", "0.000")
    return weights.get("gzip", weights.get("*", False))


def page_body(
    count: int, next_link: str | None, previous: str | None, results: list[str], *, estimate: bool = False
) -> bytes:
    """A list's bytes from results that are JSON already."""
    head = orjson.dumps({"count": count, "next": next_link, "previous": previous})
    middle = b',"count_is_estimate":true' if estimate else b""
    return b"".join((head[:-1], middle, b',"results":[', ",".join(results).encode(), b"]}"))


def links(base: str, parameters: Mapping[str, Any], limit: int, page: int, count: int) -> tuple[str | None, str | None]:
    """The addresses of the next and the previous page, or None. `base` is the path, absolute if PUBLIC_URL is set."""
    following = link(base, {**parameters, "page": page + 1}) if page * limit < count else None
    before = link(base, {**parameters, "page": page - 1}) if page > 1 else None
    return following, before


def link(base: str, parameters: Mapping[str, Any]) -> str:
    """An address with these parameters; those that are None or empty are left out."""
    pairs = [(name, value) for name, value in parameters.items() if value not in (None, "", [], ())]
    return f"{base}?{urlencode(pairs, doseq=True)}" if pairs else base
