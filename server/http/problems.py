"""RFC 9457 problem documents: how every error leaves the server, whatever raised it."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from server import errors
from server.errors import YojohanError

MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 20
TYPE_PREFIX = "urn:yojohan:problem:"

# What aiohttp itself raises, by status. Anything else it raises is a bug of ours.
BY_STATUS: dict[int, type[YojohanError]] = {
    400: errors.BadRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.BodyTooLarge,
    415: errors.UnsupportedMediaType,
    416: errors.RangeNotSatisfiable,
}


def document(error: YojohanError, path: str, request_id: str) -> dict[str, Any]:
    """The members of the document."""
    members: dict[str, Any] = {
        "type": TYPE_PREFIX + error.code.replace("_", "-"),
        "title": error.title(),
        "status": error.status,
        "detail": error.detail or error.title(),
        "instance": path,
        "code": error.code,
        "request_id": request_id,
    }
    if error.faults:
        members["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.faults[:MOST_FAULTS]]
    return members


def response(error: YojohanError, path: str, request_id: str) -> web.Response:
    """The answer. Errors are nobody's to cache."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **error.headers}
    body = orjson.dumps(document(error, path, request_id))
    answer = web.Response(status=error.status, body=body, content_type=MEDIA_TYPE, headers=headers)
    if error.status == 413:
        # Whatever is left of the body is not worth reading.
        answer.force_close()
    return answer


def from_aiohttp(raised: web.HTTPException) -> YojohanError | None:
    """Our error for one of aiohttp's, or None for redirects and the like, which are answers."""
    if raised.status < 400:
        return None
    error = BY_STATUS.get(raised.status, errors.BadRequest if raised.status < 500 else YojohanError)()
    if isinstance(raised, web.HTTPMethodNotAllowed):
        error.headers["Allow"] = ", ".join(sorted(raised.allowed_methods))
    return error
