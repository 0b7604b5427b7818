"""One row of the route table: what the router, the validator, the metrics and the OpenAPI document all read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from msgspec import Struct

from server.errors import YojohanError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# `public` takes a token if there is one, `open` does not look at it, `operator` goes by address (METRICS_ALLOW).
Access = Literal["open", "public", "user", "moderator", "admin", "operator"]
# What an API token must hold. `session` is for sessions only: no token may make tokens or erase an account.
Scope = Literal["read", "write", "analytics", "admin", "session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint: `query` holds its query parameters as fields, `body` the type its JSON is decoded into,
    `answer` the type of its success body (None: no JSON body), `errors` what it may raise beyond the general ones."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    summary: str
    tag: str
    description: str = ""
    access: Access = "public"
    # Only where it is not what method and access imply.
    scope: Scope | None = None
    # Rate policies beyond the general one, by name.
    limits: tuple[str, ...] = ()
    query: type[Struct] | None = None
    body: Any = None
    answer: Any = None
    status: int = 200
    media_types: tuple[str, ...] = ("application/json",)
    errors: tuple[type[YojohanError], ...] = ()
    cached: bool = False
    # A POST that creates, through `server.http.idempotency.once`.
    idempotent: bool = False
    # A one-time `ticket` in its query may stand for an access token, which the handler then looks at.
    by_ticket: bool = False
    # The types of file it takes as its body, up to 20 MiB; empty where the body is JSON.
    upload: tuple[str, ...] = ()
    example: Any = None
    body_example: Any = None
    # Only where two routes share a handler.
    operation: str = ""

    @property
    def needed_scope(self) -> Scope:
        """What an API token must hold to come here."""
        if self.scope is not None:
            return self.scope
        if self.access in ("moderator", "admin"):
            return "admin"
        return "read" if self.method == "GET" else "write"

    @property
    def personal(self) -> bool:
        """Whether answers are for one person's eyes."""
        return self.access in ("user", "moderator", "admin")

    @property
    def operation_id(self) -> str:
        """A stable name for client generators: the handler's own."""
        return self.operation or self.handler.__name__
