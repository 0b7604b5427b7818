"""The server keeps what its OpenAPI document says, whatever is asked that the document allows, or nearly allows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.commands.serve import LONGEST_HEADER
from server.openapi_schemas import plain_path
from server.routes import table
from tests.conftest import Server
from tests.http_fixture import ON_18, shared_site

pytestmark = [ON_18, pytest.mark.slow]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLES = 30
# The same examples at every run: a failure can be looked at, and a change that breaks nothing breaks no build.
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# Only what takes something can be asked for something unsound; any text is a sound name of a file.
ASKED = [(route.method, plain_path(route.path), GenerationMode.POSITIVE) for route in table()] + [
    (route.method, plain_path(route.path), GenerationMode.NEGATIVE)
    for route in table()
    if route.query or route.body or ("{" in route.path and route.path != "/docs/{name}")
]


@pytest.fixture(scope="module")
def address(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a loop of its own thread, since the client here is a blocking one."""
    found: list[str] = []
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with shared_site(server, tmp_path_factory.mktemp("site")) as site:
            loops.append(asyncio.get_running_loop())
            found.append(site.url(""))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield found[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(15)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def document(address: str) -> Any:
    """The document as the server gives it."""
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(("method", "path", "mode"), ASKED, ids=[f"{m} {p} {mode.value}" for m, p, mode in ASKED])
def test_every_answer_is_one_the_document_names(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    @SETTINGS
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call()
        # A longer request line is refused before it is known which operation it means.
        assume(len(answer.request.url) < LONGEST_HEADER)
        case.validate_response(answer, checks=CHECKS)

    ask()


def test_every_operation_of_the_document_is_asked(document: Any) -> None:
    named = {(one.ok().method.upper(), one.ok().path) for one in document.get_all_operations()}
    # The document does not count the address it came from.
    assert named | {("GET", "/openapi.json")} == {(route.method, plain_path(route.path)) for route in table()}
