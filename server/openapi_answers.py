"""The answers of an operation: its success with headers, and every problem it may end in."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from server import errors
from server.errors import YojohanError
from server.http import problems
from server.http.parse import RequestTimeout
from server.http.route import Route
from server.openapi_schemas import Schema, Schemas, plain_path, takes_slug
from server.rules.limits import API_LIMIT
from server.schemas.examples import EXAMPLES, PROBLEM

Kind = type[YojohanError]

ALWAYS: tuple[Kind, ...] = (
    errors.MethodNotAllowed,
    errors.YojohanError,
    errors.Unavailable,
)
WITH_BODY: tuple[Kind, ...] = (
    errors.MalformedBody,
    RequestTimeout,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
    errors.Unprocessable,
)
WITH_ROLE: tuple[Kind, ...] = (errors.Unauthenticated, errors.Forbidden)
DIGITS: Schema = {"type": "integer", "minimum": 0}
TEXT: Schema = {"type": "string"}

HEADERS: dict[str, Schema] = {
    "X-Request-ID": {"description": "Names this request in the logs; echoed if you sent a sane one.", "schema": TEXT},
    "ETag": {"description": "Names this very content; send it back in `If-None-Match`.", "schema": TEXT},
    "Cache-Control": {"description": "Who may keep the answer, and how long.", "schema": TEXT},
    "Vary": {"description": "The request headers that the answer depends on.", "schema": TEXT},
    "Location": {"description": "Where the object is.", "schema": TEXT},
    "Idempotency-Replayed": {"description": "`true` where this is the answer to an earlier request.", "schema": TEXT},
    "Allow": {"description": "The methods that this address takes.", "schema": TEXT},
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": TEXT},
    "Retry-After": {"description": "In how many seconds to try again.", "schema": DIGITS},
    "RateLimit-Policy": {
        "description": 'The quota and its window in seconds, such as `"api";q=100;w=60`. This field and the four '
        "below are left out of answers that shared caches may keep.",
        "schema": TEXT,
    },
    "RateLimit": {
        "description": "What is left of it, and in how many seconds all of it is there again.",
        "schema": TEXT,
    },
    "X-RateLimit-Limit": {"description": "The quota, for older clients.", "schema": DIGITS},
    "X-RateLimit-Remaining": {"description": "What is left of the quota.", "schema": DIGITS},
    "X-RateLimit-Reset": {
        "description": "In how many seconds the quota is whole again, for older clients.",
        "schema": DIGITS,
    },
}
RATE_HEADERS = ("RateLimit-Policy", "RateLimit", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
PROBLEM_HEADERS: dict[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After", *RATE_HEADERS),
    503: ("Retry-After",),
}


def header_references(names: Iterable[str]) -> dict[str, Schema]:
    """References to header components, by header name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def rate_limits(route: Route) -> tuple[str, ...]:
    """The names of the policies a request is charged to; none where operators knock."""
    return (API_LIMIT, *route.limits) if "/api/" in route.path else route.limits


def answers(route: Route, schemas: Schemas) -> dict[str, Schema]:
    """All answers of an operation by status, ascending."""
    found: dict[int, Schema] = {route.status: _success(route, schemas)}
    if route.cached:
        headers = header_references(("X-Request-ID", "ETag", "Cache-Control", "Vary"))
        found[304] = {"description": "What you have is still current.", "headers": headers}
    if route.method == "GET" and takes_slug(route.path):
        headers = header_references(("X-Request-ID", "Location"))
        found[301] = {"description": "The slug is an old one; `Location` holds the current one.", "headers": headers}
    for status, kinds in _by_status(_problems(route)).items():
        found.setdefault(status, _problem_answer(route, kinds))
    return {str(status): found[status] for status in sorted(found)}


def problem_components(routes: Iterable[Route]) -> dict[str, Schema]:
    """The components for every status that one error alone may cause somewhere: `components.responses`."""
    kinds = {kind for route in routes for kind in _problems(route)}
    return {kind.__name__: _problem_component((kind,)) for kind in sorted(kinds, key=lambda kind: kind.__name__)}


def _problems(route: Route) -> list[Kind]:
    """Every error the operation may end in; the route's own first, since they say most."""
    kinds = list(route.errors)
    if route.body is not None or route.upload:
        kinds += WITH_BODY
    if route.query is not None:
        kinds.append(errors.Unprocessable)
    if route.idempotent:
        kinds += (errors.Conflict, errors.Unprocessable)
    if rate_limits(route):
        kinds.append(errors.TooManyRequests)
    if "{" in route.path:
        kinds.append(errors.NotFound)
    if route.access in {"user", "moderator", "admin"}:
        kinds += WITH_ROLE
    if route.access == "operator":
        kinds.append(errors.Forbidden)
    return list(dict.fromkeys((*kinds, *ALWAYS)))


def _by_status(kinds: Iterable[Kind]) -> dict[int, tuple[Kind, ...]]:
    found: dict[int, tuple[Kind, ...]] = {}
    for kind in kinds:
        found[kind.status] = (*found.get(kind.status, ()), kind)
    return found


def _problem_answer(route: Route, kinds: tuple[Kind, ...]) -> Schema:
    """A reference where one error explains the status; else an answer that shows each."""
    if len(kinds) == 1:
        return {"$ref": f"#/components/responses/{kinds[0].__name__}"}
    return _problem_component(kinds, instance=plain_path(route.path))


def _problem_component(kinds: tuple[Kind, ...], *, instance: str = PROBLEM["instance"]) -> Schema:
    examples = {kind.code: {"summary": kind.title(), "value": _problem_example(kind, instance)} for kind in kinds}
    headers = ("X-Request-ID", *PROBLEM_HEADERS.get(kinds[0].status, ()))
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
    return {
        "description": "; or: ".join(kind.title() for kind in kinds) + ".",
        "headers": header_references(headers),
        "content": {"application/problem+json": content},
    }


def _problem_example(kind: Kind, instance: str) -> dict[str, Any]:
    if kind is errors.Unprocessable:
        return PROBLEM | {"instance": instance}
    return problems.document(kind(), instance, PROBLEM["request_id"])


def _success(route: Route, schemas: Schemas) -> Schema:
    names = ["X-Request-ID"]
    if route.cached:
        names += ["ETag", "Cache-Control", "Vary"]
    if rate_limits(route):
        names += ["Cache-Control", *RATE_HEADERS]
    if route.idempotent:
        names.append("Idempotency-Replayed")
    if route.idempotent or route.status == HTTPStatus.CREATED or route.status in {301, 302, 303, 307, 308}:
        names.append("Location")
    answer: Schema = {"description": _meaning(route), "headers": header_references(names)}
    if content := _content(route, schemas):
        answer["content"] = content
    return answer


def _meaning(route: Route) -> str:
    return f"{HTTPStatus(route.status).phrase}."


def _content(route: Route, schemas: Schemas) -> dict[str, Schema]:
    """The body in every media type; JSON with its schema and an example, anything else as text."""
    if route.status in {204, 205}:
        return {}
    return {kind: _representation(kind, route, schemas) for kind in route.media_types}


def _representation(media_type: str, route: Route, schemas: Schemas) -> Schema:
    if "json" not in media_type:
        return {"schema": TEXT}
    if route.answer is None:
        return {"schema": {}}
    content: Schema = {"schema": schemas.reference(route.answer)}
    example = route.example if route.example is not None else EXAMPLES.get(route.answer)
    return content if example is None else content | {"example": example}
