"""JSON schemas out of msgspec types: components for bodies and answers, parameters for query structures and paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from server.http.parse import UUID_PATTERN
from server.http.route import Route
from server.schemas.answers import Problem

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
# `{name}` or aiohttp's `{name:pattern}`, whose pattern may itself hold braces one level deep.
PLACEHOLDER = re.compile(r"\{(?P<name>\w+)(?::(?P<pattern>(?:[^{}]|\{[^{}]*\})+))?\}")
# A pattern that names its words.
WORDS = re.compile(r"[a-z]+(\|[a-z]+)+")
SLUG = r"^[a-z0-9]+(-[a-z0-9]+)*$"
UUID_ID: Schema = {"type": "string", "format": "uuid"}
INTEGER_ID: Schema = {"type": "integer", "format": "int64", "minimum": 1}


class Schemas:
    """The schemas of all types that the routes name, made in one go so that each stands once under one name."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types = [
            Problem,
            *(kind for route in routes for kind in (route.answer, route.body, route.query) if kind is not None),
        ]
        unique = list({repr(kind): kind for kind in types}.values())
        schemas, components = msgspec.json.schema_components(unique, ref_template=REFERENCE)
        self._by_type = {repr(kind): schema for kind, schema in zip(unique, schemas, strict=True)}
        self._all = components
        self._queries = {self._name(route.query) for route in routes if route.query is not None}

    def reference(self, kind: Any) -> Schema:
        """The schema to put where `kind` stands: a reference for structures, the schema itself for the rest."""
        return dict(self._by_type[repr(kind)])

    def components(self) -> dict[str, Schema]:
        """What goes under `components.schemas`, by name; query structures are left out, they become parameters."""
        return {name: schema for name, schema in sorted(self._all.items()) if name not in self._queries}

    def query_parameters(self, route: Route) -> list[Schema]:
        """The fields of the route's query structure as parameters, in the order of the structure."""
        if route.query is None:
            return []
        schema = self._all[self._name(route.query)]
        required = set(schema.get("required", ()))
        return [_query_parameter(name, field, name in required) for name, field in schema["properties"].items()]

    def _name(self, kind: Any) -> str:
        reference: str = self._by_type[repr(kind)]["$ref"]
        return reference.rpartition("/")[2]


def _query_parameter(name: str, field: Schema, required: bool) -> Schema:
    schema = _never_null(field)
    parameter: Schema = {"name": name, "in": "query", "required": required}
    if description := schema.pop("description", ""):
        parameter["description"] = description
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}
        if schema.get("default") == []:
            del schema["default"]
    if examples := schema.pop("examples", None):
        parameter["example"] = examples[0]
    return parameter | {"schema": schema}


def _never_null(field: Schema) -> Schema:
    """A query parameter is there or not, it is never null: takes the null that stands for "not given" away."""
    schema = dict(field)
    if "anyOf" in schema:
        kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        schema = (kinds[0] | schema) if len(kinds) == 1 else schema | {"anyOf": kinds}
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    return schema


def plain_path(path: str) -> str:
    """The path as OpenAPI writes it: `/releases/{id:\\d+}` becomes `/releases/{id}`."""
    return PLACEHOLDER.sub(r"{\g<name>}", path)


def path_parameters(path: str) -> list[Schema]:
    """A parameter for every name in braces."""
    return [_path_parameter(path, match) for match in PLACEHOLDER.finditer(path)]


def _path_parameter(path: str, match: re.Match[str]) -> Schema:
    name = match["name"]
    description, schema, example = _path_schema(path, name, match["pattern"])
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        "example": example,
    }


def takes_slug(path: str) -> bool:
    """Whether the path names a release by its id or its slug."""
    return plain_path(path).endswith("/releases/{id}")


def _path_schema(path: str, name: str, pattern: str | None) -> tuple[str, Schema, Any]:
    if takes_slug(path) and name == "id":
        return (
            "The id or the slug.",
            {"anyOf": [INTEGER_ID, {"type": "string", "pattern": SLUG}]},
            "keepers-of-the-tide",
        )
    if pattern == UUID_PATTERN:
        return "The id.", UUID_ID, "7d0c3a52-7a0f-4f7e-9b43-0a4c5d1f2e60"
    if pattern in {r"\d+", "[0-9]+"} or (pattern is None and (name == "id" or name.endswith("_id"))):
        return "The id.", INTEGER_ID, 42
    if pattern is not None and WORDS.fullmatch(pattern):
        words = pattern.split("|")
        return f"The {name}.", {"type": "string", "enum": words}, words[0]
    if pattern is not None:
        return f"The {name}.", {"type": "string", "pattern": f"^(?:{pattern})$"}, name
    return f"The {name}.", {"type": "string", "minLength": 1}, name
