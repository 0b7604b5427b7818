"""The pages for people: `/docs` and `/console`, with the files they load, from bytes made ready at the start."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from aiohttp import hdrs, web

from server.errors import NotFound
from server.http.answer import Answer, accepts_gzip

CONTENT_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
# No inline script or style anywhere, nothing from elsewhere, and no other page may frame these.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    # Short, so that files of one version seldom meet files of the next; then an ETag saves the body.
    hdrs.CACHE_CONTROL: "public, max-age=60, s-maxage=60, stale-while-revalidate=60",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file in one coding, with the strong entity tag of exactly these bytes."""

    body: bytes
    tag: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pages:
    """Every file by its name, as it is and as gzip."""

    plain: Mapping[str, File]
    gzipped: Mapping[str, File]

    def find(self, name: str, *, compressed: bool) -> File:
        """The file of this name; raises NotFound."""
        found = (self.gzipped if compressed else self.plain).get(name)
        if found is None:
            raise NotFound
        return found


PAGES = web.AppKey("PAGES", Pages)


def load_pages() -> Pages:
    """Reads all files of `server/static`. Called once, when the application is composed."""
    files = [entry for entry in resources.files("server").joinpath("static").iterdir() if _kind(entry.name)]
    contents = {entry.name: entry.read_bytes() for entry in files}
    return Pages(
        plain={name: _file(name, body) for name, body in contents.items()},
        gzipped={name: _gzipped(name, body) for name, body in contents.items()},
    )


async def docs(request: web.Request) -> web.Response:
    """`GET /docs`: the viewer of the OpenAPI document."""
    return _answer(request, "docs.html")


async def console(request: web.Request) -> web.Response:
    """`GET /console`: the operator's live page."""
    return _answer(request, "console.html")


async def page_file(request: web.Request) -> web.Response:
    """`GET /docs/{name}`: the styles and scripts of both pages."""
    return _answer(request, request.match_info["name"])


def _kind(name: str) -> str | None:
    return CONTENT_TYPES.get(name.rpartition(".")[2])


def _file(name: str, body: bytes, **more: str) -> File:
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    headers = {hdrs.CONTENT_TYPE: CONTENT_TYPES[name.rpartition(".")[2]], hdrs.ETAG: f'"{tag}"', **more}
    return File(body=body, tag=tag, headers=HEADERS | headers)


def _gzipped(name: str, body: bytes) -> File:
    # mtime=0 makes the bytes, and so the entity tag, the same after every start.
    return _file(name, gzip.compress(body, mtime=0), **{hdrs.CONTENT_ENCODING: "gzip"})


def _answer(request: web.Request, name: str) -> web.Response:
    file = request.app[PAGES].find(name, compressed=accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING)))
    if _has_it(request, file.tag):
        return Answer(status=304, headers={key: file.headers[key] for key in (*HEADERS, hdrs.ETAG)})
    return Answer(body=file.body, headers=file.headers)


def _has_it(request: web.Request, tag: str) -> bool:
    return any(known.value in {tag, "*"} for known in request.if_none_match or ())
