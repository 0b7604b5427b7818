"""The path of a request as the log may have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from server.metrics import RouteStats

LONGEST = 200
SLASHES = re.compile("/+")


class LoggedPaths:
    """Knows which paths hold secrets. `routes` hold all routes, once they are made; `unmatched` stands for none."""

    def __init__(self, unmatched: RouteStats, routes: Mapping[Any, RouteStats]) -> None:
        self._unmatched = unmatched
        self._routes = routes
        # Where the paths begin that hold secrets; made of the routes when it is needed first.
        self._secrets: re.Pattern[str] | None = None

    def of(self, path: str, stats: RouteStats) -> str:
        """What to write down for a request that led to this route."""
        if stats.secret:
            return stats.route
        return (path if stats is not self._unmatched else self._without_secret(path))[:LONGEST]

    def _without_secret(self, path: str) -> str:
        """What led to no route may still hold the secret of one: a calendar's address without its end, or asked for by
        a method that it does not have, or more often than is allowed."""
        if self._secrets is None:
            starts = {one.route.partition("{token")[0] for one in self._routes.values() if one.secret}
            self._secrets = re.compile("|".join(map(re.escape, sorted(starts))) or "(?!)", re.IGNORECASE)
        plain = SLASHES.sub("/", path)
        found = self._secrets.search(plain)
        return path if found is None else f"{plain[: found.end()]}…"
