"""The OpenAPI 3.1 document, made from the route table and the types it names. Made once, when the server starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from server.http.route import Route
from server.openapi_answers import HEADERS, answers, problem_components, rate_limits
from server.openapi_schemas import Schema, Schemas, path_parameters, plain_path
from server.rules.limits import Limit
from server.schemas.limits import policy

DESCRIPTION = """\
The catalogue and its schedule, what was watched and what is watched now; people, what they keep and how far they have
come, on all of their devices.

Sign in at `/api/v1/auth/login` and send the access token as `Authorization: Bearer …`; machines send an API token. A
POST that creates takes an `Idempotency-Key`, so that it may be sent again.

Lists take `limit` (at most 100) and `page`, and say where the `next` page is. Times are RFC 3339 in UTC. Errors are
`application/problem+json` (RFC 9457): compare `code`, show `detail`. Cached answers carry an `ETag`; send it back in
`If-None-Match` to save the body. After 429 and 503 wait as many seconds as `Retry-After` says.

`x-rate-limits` of an operation names the policies that each request is charged to; their quotas are below the same
name in `info` and at `GET /api/v1/limits`."""

BEARER: Schema = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The access token of `POST /api/v1/auth/login`; valid for 15 minutes.",
}
WITH_TOKEN = frozenset({"user", "moderator", "admin"})
IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of what you already have; 304 when it is still current.",
    "schema": {"type": "string"},
}

IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Your name for this request, good for 24 hours: sent again with the same body, it has no second "
    "effect and gets the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+( +[!-~]+)*$"},
    "example": "0c2f6f0a-0f51-4e39-8a6b-3a2a5c2f7f11",
}


def document(
    routes: Sequence[Route], *, version: str, public_url: str = "", limits: Mapping[str, Limit] | None = None
) -> dict[str, Any]:
    """The document for these routes. `public_url` is the server it names; without it, the one it was read from.

    Raises ValueError when two routes share a handler name: client generators need every operationId once.
    """
    _refuse_doubles(routes)
    schemas = Schemas(routes)
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yojohan", "version": version, "description": DESCRIPTION}
        | ({"x-rate-limits": [msgspec.to_builtins(policy(limit)) for limit in limits.values()]} if limits else {}),
        "servers": [{"url": public_url or "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": _components(routes, schemas),
    }


def _refuse_doubles(routes: Sequence[Route]) -> None:
    doubles = [name for name, times in Counter(route.operation_id for route in routes).items() if times > 1]
    if doubles:
        raise ValueError(f"several routes share the operation ids {', '.join(sorted(doubles))}")


def _components(routes: Sequence[Route], schemas: Schemas) -> Schema:
    return {
        "schemas": schemas.components(),
        "responses": problem_components(routes),
        "headers": HEADERS,
        "securitySchemes": {"bearer": BEARER},
    }


def _operation(route: Route, schemas: Schemas) -> Schema:
    operation: Schema = {"operationId": route.operation_id, "tags": [route.tag], "summary": route.summary}
    if description := _description(route):
        operation["description"] = description
    parameters = [*path_parameters(route.path), *schemas.query_parameters(route)]
    if route.cached:
        parameters.append(IF_NONE_MATCH)
    if route.idempotent:
        parameters.append(IDEMPOTENCY_KEY)
    if parameters:
        operation["parameters"] = parameters
    if route.upload:
        content: Schema = {kind: {} for kind in route.upload}
        operation["requestBody"] = {"description": "At most 20 MiB.", "required": True, "content": content}
    elif route.body is not None:
        operation["requestBody"] = _request_body(route, schemas)
    operation["responses"] = answers(route, schemas)
    if charged := rate_limits(route):
        operation["x-rate-limits"] = list(charged)
    operation["security"] = [{"bearer": []}] if route.access in WITH_TOKEN else []
    return operation | {"x-access": route.access}


def _description(route: Route) -> str:
    notes = {
        "moderator": "For moderators and administrators.",
        "admin": "For administrators.",
        "operator": "Only for the addresses the operator allows (`METRICS_ALLOW`).",
    }
    return "\n\n".join(part for part in (route.description, notes.get(route.access, "")) if part)


def _request_body(route: Route, schemas: Schemas) -> Schema:
    content: Schema = {"schema": schemas.reference(route.body)}
    if route.body_example is not None:
        content["example"] = route.body_example
    return {
        "description": "At most 1 MiB of JSON in UTF-8; unknown fields are refused.",
        "required": True,
        "content": {"application/json": content},
    }
