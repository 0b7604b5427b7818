"""A server that speaks as much of Elasticsearch as is used: it indexes and answers, and misbehaves when told to.

Every request is held against the official description first; one that is not in order is remembered in `forbidden`
and answered 400, as the real one would.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiohttp import web

from tests.elastic_search import search
from tests.elastic_spec import ForbiddenError, spec

# `hang`: no answer for a minute; `late`: one after `delay` seconds; `cut`: the connection ends within the answer;
# `some`: every second document of a bulk is turned away for now; the rest is what comes in place of an answer.
Trouble = Literal["", "hang", "late", "cut", "some", "429", "500", "garbage", "list", "huge", "redirect", "partial"]
SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
FIELDS: dict[str, tuple[type, ...]] = {
    "keyword": (str,), "long": (int,), "float": (int, float), "double": (int, float)
}  # fmt: skip


class Index:
    """One index: its mapping, and documents with their versions; those that were removed keep theirs."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.aliases = set(body.get("aliases", {}))
        self.properties: dict[str, Any] = body["mappings"]["properties"]
        self.strict = body["mappings"]["dynamic"] == "strict"
        self.documents: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}

    def fits(self, document: dict[str, Any]) -> bool:
        """Whether the mapping takes it."""
        for name, value in document.items():
            kind = self.properties.get(name, {}).get("type")
            if kind is None:
                if self.strict:
                    return False
                continue
            if not all(isinstance(one, FIELDS[kind]) for one in (value if isinstance(value, list) else [value])):
                return False
        return True


class ElasticServer:
    """One server on a port that stays the same. What it holds survives `stop`; `wipe` is the end of that."""

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self.requests: list[tuple[str, str]] = []
        self.forbidden: list[str] = []
        self.trouble: Trouble = ""
        # Which requests are troubled: those whose path ends so.
        self.troubled = ""
        self.delay = 1.0
        self.password: str | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """For ELASTICSEARCH_URL."""
        user = f"elastic:{self.password}@" if self.password else ""
        return f"http://{user}127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, at the port it had before if it had one."""
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections; those that are open end."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def wipe(self) -> None:
        """Forget everything, as after a loss of its disk."""
        self.indexes.clear()

    def named(self, name: str) -> list[tuple[str, Index]]:
        """The index of this name, or those of this alias."""
        if name in self.indexes:
            return [(name, self.indexes[name])]
        return [(own, index) for own, index in self.indexes.items() if name in index.aliases]

    def documents(self, alias: str) -> dict[str, dict[str, Any]]:
        """What searches of this alias see."""
        return {key: one for _, index in self.named(alias) for key, one in index.documents.items()}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path))
        if self.password:
            expected = "Basic " + b64encode(f"elastic:{self.password}".encode()).decode()
            if request.headers.get("Authorization") != expected:
                return web.json_response({"error": {"type": "security_exception"}, "status": 401}, status=401)
        try:
            spec().check(request.method, request.path, dict(request.query), request.content_type, body)
        except ForbiddenError as error:
            self.forbidden.append(str(error))
            return web.json_response({"error": {"type": "illegal_argument_exception"}, "status": 400}, status=400)
        if self.trouble and request.path.endswith(self.troubled) and self.trouble not in ("some", "partial"):
            return await self._misbehave(request)
        answer = self._act(request, body)
        if "error" not in answer:
            # What is made up here has to look like the real thing, too.
            spec().check_answer(request.method, request.path, answer)
        return web.json_response(answer, status=answer.get("status", 200) if "error" in answer else 200)

    async def _misbehave(self, request: web.Request) -> web.StreamResponse:
        if self.trouble in ("hang", "late"):
            await asyncio.sleep(60.0 if self.trouble == "hang" else self.delay)
        if self.trouble == "cut":
            response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
            await response.prepare(request)
            await response.write(b'{"took": 1, "hi')
            assert request.transport is not None
            request.transport.abort()
            return response
        made: dict[str, Callable[[], web.Response]] = {
            "429": lambda: web.json_response(
                {"error": {"type": "es_rejected_execution_exception", "reason": "told to"}}, status=429
            ),
            "500": lambda: web.json_response({"error": {"type": "internal", "reason": "told to"}}, status=500),
            "garbage": lambda: web.Response(text="<html>Welcome to nginx!</html>", content_type="text/html"),
            "list": lambda: web.json_response([1, 2]),
            "huge": lambda: web.Response(body=b'{"a": "' + b"x" * 2**24 + b'"}', content_type="application/json"),
            "redirect": lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        }
        return made.get(self.trouble, lambda: web.json_response({}))()

    def _act(self, request: web.Request, body: bytes) -> dict[str, Any]:  # noqa: PLR0911 - a table of requests
        match request.method, request.path.strip("/").split("/"):
            case "POST", [name, "_bulk"]:
                return self._bulk(name, body, require_alias=request.query.get("require_alias") == "true")
            case "POST", [name, "_search"]:
                return self._search(name, json.loads(body))
            case "POST", [name, "_refresh"]:
                return {"_shards": SHARDS} if self.named(name) else missing(name)
            case "POST", ["_aliases"]:
                return self._alias(json.loads(body)["actions"])
            case "GET", ["_alias", alias]:
                found = {name: {"aliases": {alias: {}}} for name, one in self.indexes.items() if alias in one.aliases}
                return found or missing(alias)
            case "PUT", [name]:
                if name in self.indexes:
                    return {"error": {"type": "resource_already_exists_exception"}, "status": 400}
                self.indexes[name] = Index(json.loads(body))
                return {"acknowledged": True, "shards_acknowledged": True, "index": name}
            case "DELETE", [name]:
                if self.indexes.pop(name, None) is None and request.query.get("ignore_unavailable") != "true":
                    return missing(name)
                return {"acknowledged": True}
        raise AssertionError(f"nobody answers {request.method} {request.path}")

    def _search(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        found = self.named(name)
        if not found:
            return missing(name)
        answer = {"_shards": SHARDS} | search([one for _, index in found for one in index.documents.values()], body)
        return answer | {"timed_out": True} if self.trouble == "partial" else answer

    def _bulk(self, name: str, body: bytes, *, require_alias: bool) -> dict[str, Any]:
        lines = iter(body.decode().splitlines())
        items: list[dict[str, Any]] = []
        for number, line in enumerate(lines):
            ((kind, said),) = json.loads(line).items()
            document = json.loads(next(lines)) if kind == "index" else None
            written = self._write(name, said, document, number, require_alias)
            items.append({kind: {"_index": name, "_id": said["_id"], "_version": said["version"]} | written})
        return {"took": 1, "errors": any("error" in one for item in items for one in item.values()), "items": items}

    def _write(
        self, name: str, said: dict[str, Any], document: dict[str, Any] | None, number: int, require_alias: bool
    ) -> dict[str, Any]:
        if self.trouble == "some" and number % 2:
            return {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "told to"}}
        found = self.named(name)
        if not found and document is None:
            # As the real one does where versions come from outside.
            self.indexes[name] = Index({"mappings": {"dynamic": "true", "properties": {}}})
            return {"status": 404}
        if not found or (require_alias and name in self.indexes):
            return {"status": 404, "error": {"type": "index_not_found_exception", "reason": "told to"}}
        return put(found[0][1], said, document)

    def _alias(self, actions: list[dict[str, Any]]) -> dict[str, Any]:
        for action in actions:
            ((_, said),) = action.items()
            if said["index"] not in self.indexes:
                return missing(said["index"])
        for action in actions:
            ((kind, said),) = action.items()
            if kind == "remove_index":
                del self.indexes[said["index"]]
            else:
                assert kind == "add"
                self.indexes[said["index"]].aliases.add(said["alias"])
        return {"acknowledged": True}


def put(index: Index, said: dict[str, Any], document: dict[str, Any] | None) -> dict[str, Any]:
    """Write or remove a document, unless there is a later version of it."""
    key, version = said["_id"], said["version"]
    assert said["version_type"] == "external_gte"
    if version < index.versions.get(key, 0):
        return {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "told to"}}
    if document is not None and not index.fits(document):
        return {"status": 400, "error": {"type": "strict_dynamic_mapping_exception", "reason": "told to"}}
    index.versions[key] = version
    if document is None:
        return {"status": 404 if index.documents.pop(key, None) is None else 200}
    index.documents[key] = document
    return {"status": 201}


def missing(name: str) -> dict[str, Any]:
    """How it says that there is no such index."""
    return {"error": {"type": "index_not_found_exception", "index": name}, "status": 404}


@asynccontextmanager
async def elastic_server() -> AsyncIterator[ElasticServer]:
    """One that listens; at the end every request must have been in order."""
    server = ElasticServer()
    await server.start()
    try:
        yield server
        assert server.forbidden == []
    finally:
        await server.stop()


async def until(done: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait until it is so."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        found = done()
        if found if isinstance(found, bool) else await found:
            return
        assert asyncio.get_running_loop().time() < end, "it never came to be so"
        await asyncio.sleep(0.02)
