"""Any row of the route table as a request: path parameters filled, a body that is sent where one is taken."""

from __future__ import annotations

import itertools
import re
from typing import Any
from uuid import uuid4

from server.http.parse import UUID_PATTERN
from server.http.route import Route

PLACEHOLDER = re.compile(r"\{(?P<name>\w+)(?::(?P<pattern>(?:[^{}]|\{[^{}]*\})*))?\}")
# Where any value does but this.
KNOWN = {"name": "docs.css"}
# Where an empty object says something of its own.
BODIES: dict[str, dict[str, Any]] = {"log_out": {"refresh_token": "none"}}
_addresses = itertools.count(1)


def target(route: Route, **known: object) -> str:
    """An address of this route. Ids that are not given name nothing that is there."""

    def fill(match: re.Match[str]) -> str:
        name, pattern = match["name"], match["pattern"] or ""
        if name in known or name in KNOWN:
            return str(known.get(name, KNOWN.get(name)))
        if pattern == UUID_PATTERN:
            return str(uuid4())
        choices = pattern.split("|")
        return choices[0] if all(re.fullmatch(r"[a-z_]+", choice) for choice in choices) else "999999999"

    return PLACEHOLDER.sub(fill, route.path)


def body(route: Route) -> dict[str, Any]:
    """Keyword arguments for the client: an empty object, or an empty file."""
    if route.upload:
        return {"data": b"", "headers": {"Content-Type": route.upload[0]}}
    return {"json": BODIES.get(route.operation_id, {})} if route.body is not None else {}


def from_anywhere(route: Route) -> dict[str, str]:
    """The header of a trusted proxy for a client nobody has seen yet; none where the address itself is asked for."""
    number = next(_addresses)
    forwarded = f"198.51.{number // 250}.{number % 250 + 1}"
    return {} if route.access == "operator" else {"X-Forwarded-For": forwarded}


def title(route: Route) -> str:
    """How a test names it."""
    return f"{route.method} {route.path.replace(':' + UUID_PATTERN, '')}"
