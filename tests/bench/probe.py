"""Single requests to a server under measurement: its answers, its catalogue, and its metrics."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench.processes import HOST, BenchError

PAGE = 100
# The value is the last word: label values may hold braces and blanks.
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*).* (\S+)$")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The Content-Type, or plain JSON where none was sent."""
        return self.headers.get("content-type", "application/json")


def exchange(
    port: int, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> Answer:
    """Send one request to 127.0.0.1:`port` and return its answer; raises BenchError where there is none in 30 s."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request(method, path, body=body or None, headers=dict(headers or {}))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{method} {path} was not answered: {error!r}") from error
    finally:
        connection.close()


def get(port: int, path: str, expect: int = 200) -> Answer:
    """GET `path`; raises BenchError for another status than `expect`."""
    answer = exchange(port, "GET", path)
    if answer.status != expect:
        raise BenchError(f"GET {path} answered {answer.status}: {answer.body[:300]!r}")
    return answer


def get_json(port: int, path: str) -> Any:
    """GET `path` and return its JSON."""
    return json.loads(get(port, path).body)


def release_ids(port: int, count: int) -> list[int]:
    """Return the ids of up to `count` releases, a hundred a page; raises BenchError for an empty catalogue."""
    ids: list[int] = []
    # Pages end where page times limit reaches 10,000, and a page beyond the end is empty.
    for page in range(1, -(-min(count, 10_000) // PAGE) + 1):
        rows = get_json(port, f"/api/v1/releases?limit={PAGE}&page={page}")["results"]
        ids.extend(int(row["id"]) for row in rows)
        if len(rows) < PAGE:
            break
    if not ids:
        raise BenchError("the catalogue is empty: did `run.py demo` fill this database?")
    return ids[:count]


def all_release_ids(port: int) -> list[int]:
    """Return every release id where they run from 1 to `count`, as in a generated catalogue; else the first 10,000."""
    count = int(get_json(port, "/api/v1/releases?limit=1")["count"])
    samples = {1, count, *range(1, count, max(1, count // 50))}
    if all(exchange(port, "GET", f"/api/v1/releases/{sample}").status == 200 for sample in samples):
        return list(range(1, count + 1))
    return release_ids(port, 10_000)


def metrics(port: int) -> dict[str, float]:
    """Return the samples of /metrics by name, those of one name with different labels added up."""
    totals: dict[str, float] = {}
    for line in get(port, "/metrics").body.decode().splitlines():
        if match := SAMPLE.match(line):
            totals[match[1]] = totals.get(match[1], 0.0) + float(match[2])
    return totals


def missing(found: Mapping[str, float], *names: str) -> str:
    """Return a sentence naming the metrics that are absent, or an empty string."""
    absent = [name for name in names if name not in found]
    return f"/metrics has no {', '.join(absent)}" if absent else ""
