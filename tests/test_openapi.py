"""The OpenAPI document: valid by the specification, true to the route table, with examples that hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from server import errors
from server.openapi import document
from server.openapi_schemas import path_parameters, plain_path
from server.policies import limits
from server.routes import table
from server.schemas import queries
from server.schemas.catalogue_answers import Release
from server.schemas.examples import EXAMPLES
from server.settings import load
from tests.openapi_sample import ROUTES, sample

MIGRATIONS = Path(__file__).parent.parent / "sql" / "migrations"


def real() -> dict[str, Any]:
    return document(table(), version="1.2.3")


both = pytest.mark.parametrize("make", [sample, real], ids=["sample", "real"])


def operations(made: dict[str, Any]):
    return [operation for path in made["paths"].values() for operation in path.values()]


def operation(made: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in operations(made) if found["operationId"] == name)


def parameters(made: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {parameter["name"]: parameter for parameter in operation(made, name)["parameters"]}


def exemplified(node: Any):
    """Every (schema, example) within the document."""
    if isinstance(node, list):
        for child in node:
            yield from exemplified(child)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("schema"), dict):
        if "example" in node:
            yield node["schema"], node["example"]
        for example in node.get("examples", {}).values():
            yield node["schema"], example["value"]
    for child in node.values():
        yield from exemplified(child)


@both
def test_the_document_is_valid_openapi(make) -> None:
    OpenAPIV31SpecValidator(make()).validate()


@both
def test_every_example_fits_its_schema(make) -> None:
    made = make()
    found = list(exemplified(made))
    assert len(found) > len(made["paths"])
    for schema, example in found:
        jsonschema.Draft202012Validator({**schema, "components": made["components"]}).validate(example)


@both
def test_every_route_is_one_operation_with_a_name_of_its_own(make) -> None:
    made = make()
    names = [found["operationId"] for found in operations(made)]
    assert len(set(names)) == len(names) == len(ROUTES if make is sample else table())


@both
def test_every_json_answer_has_an_example(make) -> None:
    without = [
        (found["operationId"], status)
        for found in operations(make())
        for status, answer in found["responses"].items()
        if status.startswith("2") and "schema" in (content := answer.get("content", {}).get("application/json", {}))
        if "$ref" in content["schema"] and "example" not in content
    ]
    assert without == []


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_an_answers_example_decodes_as_that_answer(kind) -> None:
    assert isinstance(msgspec.json.decode(msgspec.json.encode(EXAMPLES[kind]), type=kind), kind)


def test_a_release_has_the_fields_that_postgresql_builds_in_that_order() -> None:
    texts = [path.read_text() for path in sorted(MIGRATIONS.glob("*.sql"))]
    body = next(text for text in reversed(texts) if "function build_release_documents" in text)
    body = body[body.index("function build_release_documents") :].split("from releases r")[0]
    built = re.findall(r' as "(\w+)",?$', body, flags=re.MULTILINE)
    assert [*built, "rating", "counters"] == list(Release.__struct_fields__)


def test_two_routes_with_one_handler_name_are_refused() -> None:
    twin = replace(ROUTES[0], path="/api/v1/other")
    with pytest.raises(ValueError, match="list_releases"):
        document([*ROUTES, twin], version="1")


def test_a_list_parameter_is_repeatable_and_a_range_is_told() -> None:
    found = parameters(sample(), "list_releases")
    assert (found["genre"]["style"], found["genre"]["explode"], found["genre"]["schema"]["type"]) == (
        "form",
        True,
        "array",
    )
    assert found["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert found["year_from"]["schema"] == {"type": "integer", "minimum": 1900, "maximum": 2100}
    assert found["sort"]["schema"]["default"] == "-updated"
    assert all(parameter["description"] for parameter in found.values())


def test_a_parameter_named_like_a_keyword_has_its_public_name() -> None:
    assert {"from", "to"} <= parameters(sample(), "count_views").keys()


def test_query_structures_do_not_appear_among_the_schemas() -> None:
    names = sample()["components"]["schemas"].keys()
    assert not [name for name in names if name.endswith("Query")]
    assert {"Release", "Problem", "Thread"} <= names


def test_a_release_may_be_named_by_slug_where_it_is_read_and_by_id_elsewhere() -> None:
    made = sample()
    kinds = parameters(made, "read_release")["id"]["schema"]["anyOf"]
    assert [kind["type"] for kind in kinds] == ["integer", "string"]
    assert "301" in operation(made, "read_release")["responses"]
    assert parameters(made, "list_episodes")["id"]["schema"]["type"] == "integer"
    assert parameters(made, "read_franchise")["id"]["schema"]["type"] == "integer"


@pytest.mark.parametrize(
    ("path", "plain", "names"),
    [
        ("/a/{id}", "/a/{id}", ["id"]),
        (r"/a/{id:\d{1,9}}/b/{slug:[a-z]+}", "/a/{id}/b/{slug}", ["id", "slug"]),
        ("/a", "/a", []),
    ],
)
def test_patterns_of_the_router_do_not_reach_the_document(path, plain, names) -> None:
    assert plain_path(path) == plain
    assert [parameter["name"] for parameter in path_parameters(path)] == names


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("list_releases", {"200", "304", "405", "422", "429", "500", "503"}),
        ("read_release", {"200", "301", "304", "404", "405", "429", "500", "503"}),
        ("record_views", {"202", "400", "404", "405", "408", "413", "415", "422", "429", "500", "503"}),
        (
            "write_comment",
            {"201", "400", "401", "403", "404", "405", "408", "409", "413", "415", "422", "429", "500", "503"},
        ),
        ("delete_release", {"204", "401", "403", "404", "405", "429", "500", "503"}),
        ("read_health", {"200", "405", "500", "503"}),
        ("read_metrics", {"200", "403", "405", "500", "503"}),
    ],
)
def test_an_operation_tells_every_status_it_may_answer(name, statuses) -> None:
    assert set(operation(sample(), name)["responses"]) == statuses


def test_an_operation_names_its_rate_policies_and_operators_have_none() -> None:
    made = document(table(), version="1", limits=limits(load({})))
    named = {policy["name"] for policy in made["info"]["x-rate-limits"]}
    for path, methods in made["paths"].items():
        for found in methods.values():
            charged = found.get("x-rate-limits", [])
            success = next(answer for status, answer in found["responses"].items() if status < "4" and status != "304")
            told = {name for name in success["headers"] if "RateLimit" in name}
            if path.startswith("/api/"):
                assert charged[0] == "api"
                assert set(charged) <= named
                assert "429" in found["responses"]
                assert len(told) == 5
            else:
                assert (charged, told, "429" in found["responses"]) == ([], set(), False)


def test_errors_of_one_status_stand_side_by_side() -> None:
    answer = operation(sample(), "record_views")["responses"]["503"]
    assert list(answer["content"]["application/problem+json"]["examples"]) == ["mailbox_full", "unavailable"]


def test_every_problem_names_its_code_and_brings_its_headers() -> None:
    made = sample()
    answer = made["components"]["responses"]["TooManyRequests"]
    value = answer["content"]["application/problem+json"]["examples"]["too_many_requests"]["value"]
    assert (value["status"], value["title"]) == (429, errors.TooManyRequests.title())
    assert "Retry-After" in answer["headers"]
    assert "Allow" in made["components"]["responses"]["MethodNotAllowed"]["headers"]


def test_a_cached_answer_tells_its_etag_and_a_created_one_its_location() -> None:
    made = sample()
    assert {"ETag", "Cache-Control", "X-Request-ID"} <= operation(made, "list_genres")["responses"]["200"][
        "headers"
    ].keys()
    assert "Location" in operation(made, "write_comment")["responses"]["201"]["headers"]
    assert "If-None-Match" in parameters(made, "list_genres")


def test_a_token_is_asked_for_exactly_where_the_route_needs_one() -> None:
    made = sample()
    asking = {found["operationId"] for found in operations(made) if found["security"]}
    assert asking == {"write_comment", "delete_release"}


def test_other_media_types_stand_beside_json() -> None:
    assert list(operation(sample(), "count_views")["responses"]["200"]["content"]) == ["application/json", "text/csv"]


def convert(kind: type, **given: Any) -> Any:
    return msgspec.convert(given, kind, strict=False)


def test_an_age_rating_gets_back_the_plus_that_addresses_lose() -> None:
    assert convert(queries.ReleasesQuery, age_rating=["16 ", "!18+", "6"]).age_rating == ["16+", "!18+", "6+"]


def test_a_moment_gets_back_the_plus_that_addresses_lose() -> None:
    query = convert(queries.AnalyticsQuery, **{"from": "2026-11-01t10:00:00 02:00", "to": "2026-11-02"})
    assert (query.from_, query.to) == ("2026-11-01T10:00:00+02:00", "2026-11-02")


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (queries.ReleasesQuery, {"limit": "101"}),
        (queries.ReleasesQuery, {"page": "0"}),
        (queries.ReleasesQuery, {"sort": "random"}),
        (queries.ReleasesQuery, {"type": ["series"]}),
        (queries.ReleasesQuery, {"type": ["tv\n"]}),
        (queries.ReleasesQuery, {"age_rating": ["16\n"]}),
        (queries.ReleasesQuery, {"year_to": "2101"}),
        (queries.ReleasesQuery, {"colour": "red"}),
        (queries.RandomQuery, {"limit": "0"}),
        (queries.ScheduleQuery, {"date": "tomorrow"}),
        (queries.ScheduleQuery, {"tz": "../../etc/passwd"}),
        (queries.ScheduleQuery, {"tz": "UTC\n"}),
        (queries.AnalyticsQuery, {"release_ids": ["0"]}),
        (queries.AnalyticsQuery, {"release_ids": [str(2**63)]}),
        (queries.AnalyticsQuery, {"from": "yesterday"}),
        (queries.AnalyticsQuery, {"to": "2026-11-01\n"}),
        (queries.TrendingQuery, {"period": "all"}),
    ],
)
def test_a_bad_query_value_is_refused(kind, given) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert(kind, **given)
