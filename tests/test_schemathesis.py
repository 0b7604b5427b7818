"""The server keeps what its OpenAPI document says, whatever is asked that the document allows, or nearly allows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

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
from server.http.route import Route
from server.identity import ROLES
from server.openapi_schemas import plain_path
from server.routes import table
from tests.apart import Apart, apart
from tests.conftest import Server
from tests.http_fixture import ON_18

pytestmark = [ON_18, pytest.mark.slow]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLES = 30
# Where it is only about who asks: a refusal, or the same answer with other headers.
FEW = 4
# Whoever asks these is nobody afterwards, or somebody else is; what comes then is only a refusal.
ENDINGS = {
    "DELETE /api/v1/profile", "POST /api/v1/auth/logout", "POST /api/v1/auth/password/change",
    "POST /api/v1/admin/users/{id}/sessions/revoke",
}  # fmt: skip
# What has no end: somebody who is let in would wait for it.
ENDLESS = {"GET /api/v1/notifications/stream"}
BOTH = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


class Question(NamedTuple):
    """An endpoint asked by somebody (`role` "" for a visitor), with what it takes or with what it does not."""

    method: str
    path: str
    mode: GenerationMode
    role: str
    examples: int

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.mode.value} {self.role or 'visitor'}"


def questions(route: Route) -> Iterator[Question]:
    """Who asks a route, and how often."""
    path = plain_path(route.path)
    # Only what takes something can be asked for something unsound; any text is a sound name of a file.
    asked = route.query or route.body or ("{" in route.path and route.path != "/docs/{name}")
    modes = BOTH if asked else BOTH[:1]
    if route.access not in ROLES:
        yield from (Question(route.method, path, mode, "", EXAMPLES) for mode in modes)
        if route.access == "public":
            yield Question(route.method, path, GenerationMode.POSITIVE, "user", FEW)
        return
    yield from (Question(route.method, path, mode, "", FEW) for mode in modes)
    if f"{route.method} {path}" not in ENDINGS | ENDLESS:
        yield from (Question(route.method, path, mode, route.access, EXAMPLES) for mode in modes)


ASKED = [question for route in table() for question in questions(route)]


def sought(examples: int) -> settings:
    """The same examples at every run: a failure can be looked at, and a change that breaks nothing breaks no build."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def place(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """A server of its own thread, since the client here is a blocking one, with somebody new for each question."""
    with apart(server, tmp_path_factory.mktemp("site"), len(ASKED)) as started:
        yield started


@pytest.fixture(scope="module")
def document(place: Apart) -> Any:
    """The document as the server gives it. Who asks is not left to chance."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    return schemathesis.openapi.from_url(place.site.url("/openapi.json"), config=config)


@pytest.mark.parametrize("question", ASKED, ids=str)
def test_every_answer_is_one_the_document_names(place: Apart, document: Any, question: Question) -> None:
    who = place.owner(question.role) if question.role else None
    turns = itertools.count()

    @sought(question.examples)
    @given(case=document[question.path][question.method].as_strategy(generation_mode=question.mode))
    def ask(case: Any) -> None:
        if who is not None and question.mode is GenerationMode.POSITIVE and next(turns) % 2:
            # Ids made up at random name nothing that is there.
            case.path_parameters.update(who.path_parameters(question.path, list(case.path_parameters)))
            case.body = grounded(case.body, who.owned)
        answer = case.call(headers=who.headers if who is not None else {})
        # A longer request line is refused before it is known which operation it means.
        assume(len(answer.request.url) < LONGEST_HEADER)
        case.validate_response(answer, checks=CHECKS)
        assert who is None or answer.status_code != 401, answer.text

    ask()


def grounded(body: Any, owned: dict[str, Any]) -> Any:
    """The body with a release or an episode in it that there is."""
    if isinstance(body, list):
        return [grounded(one, owned) for one in body]
    if isinstance(body, dict):
        return {name: owned[name] if name in owned else grounded(inner, owned) for name, inner in body.items()}
    return body


def test_every_operation_of_the_document_is_asked(document: Any) -> None:
    named = {(one.ok().method.upper(), one.ok().path) for one in document.get_all_operations()}
    # The document does not count the address it came from.
    assert named | {("GET", "/openapi.json")} == {(route.method, plain_path(route.path)) for route in table()}
