"""The official description of Elasticsearch's interface as a judge of every request that is sent.

Its schemas say which members an object may have and let any other pass. Here other members are refused, too, as
Elasticsearch itself does: that is what catches a misspelt parameter. The validator is the one written in Rust: the one
in Python takes seconds for a search, so deep are the schemas.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

FILE = Path(__file__).resolve().parents[2] / "shared" / "specs" / "elasticsearch-openapi.json.gz"
SCHEMAS = "#/components/schemas/"
# Members of a schema whose value is a schema that stands for a whole value, not for one aspect of it.
WHOLE = ("items", "additionalProperties")
ASPECTS = ("allOf", "anyOf", "oneOf")


# Objects whose members are named by fields, and what such a member may be.
NAMED_BY_FIELDS: dict[str, dict[str, Any]] = {
    "_types.query_dsl.TermsQuery": {"type": ["array", "object", "number"]},
    "_types.SortOptions": {
        "type": "object",
        "properties": {"order": {"enum": ["asc", "desc"]}, "missing": {"enum": ["_first", "_last"]}},
        "additionalProperties": False,
    },
}


class ForbiddenError(AssertionError):
    """A request that the description does not know, or knows otherwise."""


def closed(schema: Any) -> Any:
    """The schema of a whole value: no members but those it names."""
    made = opened(schema)
    if isinstance(made, dict) and ("$ref" in made or "properties" in made or any(word in made for word in ASPECTS)):
        # In the dialect of 2020 this sees through references and unions.
        return made | {"unevaluatedProperties": False}
    return made


def opened(schema: Any) -> Any:
    """The same schema in the dialect of JSON Schema's version 2020-12; its parts closed, itself not."""
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for word, value in schema.items():
        if word == "properties":
            made[word] = {name: closed(part) for name, part in value.items()}
        elif word in WHOLE:
            made[word] = closed(value)
        elif word == "allOf":
            made[word] = [_aspect(part) for part in value]
        elif word in ASPECTS:
            # Its unions are told apart by more than it says: two forms of a value may both fit.
            made["anyOf"] = [opened(part) for part in value]
        elif word in ("type", "required", "enum", "$ref", "minProperties", "maxProperties", "minimum", "maximum"):
            made[word] = value
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    free = not any(word in made for word in ("properties", "additionalProperties", *ASPECTS))
    if made.get("type") == "object" and free:
        made["additionalProperties"] = True
    return made


def _aspect(part: Any) -> Any:
    """A member of `allOf`: one that only says "object" allows nothing more, and a bound speaks of its own members."""
    made = opened(part)
    return {word: value for word, value in made.items() if word != "maxProperties" and value is not True}


class Spec:
    """All operations. `check` refuses a request that none of them describes."""

    def __init__(self, text: bytes) -> None:
        document = json.loads(text)
        self._components = document["components"]
        self._schemas = {name: opened(one) for name, one in self._components["schemas"].items()}
        # Members named as fields are, which the description leaves out; and a base that allows nothing by itself.
        for name, member in NAMED_BY_FIELDS.items():
            self._schemas[name]["additionalProperties"] = member
        del self._schemas["_types.aggregations.Aggregation"]["additionalProperties"]
        self._validators: dict[str, Any] = {}
        # Paths without parameters first, as `/_bulk` must not be taken for the index of that name.
        self._paths = [
            (re.compile(re.sub(r"\{[^}]*\}", "([^/]+)", path) + "$"), operations)
            for path, operations in sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
        ]
        # What was sent, by operation: (operation, how often).
        self.seen: dict[str, int] = {}

    def check(self, method: str, path: str, query: dict[str, str], content_type: str, body: bytes) -> str:
        """The name of the operation that this request is; ForbiddenError if it is none, or not in order."""
        operation = self._operation(method, path)
        name: str = operation["operationId"]
        self._check_query(operation, query)
        self._check_body(name, operation, content_type, body)
        self.seen[name] = self.seen.get(name, 0) + 1
        return name

    def check_answer(self, method: str, path: str, answer: dict[str, Any]) -> None:
        """ForbiddenError unless a good answer to this request may look so; aggregations within others are left out, as
        the description leaves them out."""
        answer = {name: value for name, value in answer.items() if name != "aggregations"}
        operation = self._operation(method, path)
        described = self._resolved(operation["responses"]["200"])
        if "content" in described:
            name = f"{operation['operationId']} answer"
            self._must_fit(name, opened(described["content"]["application/json"]["schema"]), answer)

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for pattern, operations in self._paths:
            found = pattern.match(path)
            # Names that begin with an underscore are Elasticsearch's own.
            if found and not any(value.startswith("_") for value in found.groups()) and method.lower() in operations:
                operation: dict[str, Any] = operations[method.lower()]
                return operation
        raise ForbiddenError(f"no operation {method} {path}")

    def _check_query(self, operation: dict[str, Any], query: dict[str, str]) -> None:
        parameters = map(self._resolved, operation.get("parameters", ()))
        known = {one["name"]: one for one in parameters if one["in"] == "query"}
        # Known to every operation, and therefore not listed with any.
        known |= {name: {"name": name, "schema": {"type": "string"}} for name in ("filter_path", "error_trace")}
        for name, value in query.items():
            if name not in known:
                raise ForbiddenError(f"{operation['operationId']} has no parameter {name}")
            schema = closed(known[name]["schema"])
            readings = list(_readings(value))
            if not any(self._validator(f"{operation['operationId']}?{name}", schema).is_valid(one) for one in readings):
                raise ForbiddenError(f"{operation['operationId']}?{name}={value}")
        if missing := [name for name, one in known.items() if one.get("required") and name not in query]:
            raise ForbiddenError(f"{operation['operationId']} needs {missing}")

    def _check_body(self, name: str, operation: dict[str, Any], content_type: str, body: bytes) -> None:
        described = self._resolved(operation["requestBody"]) if "requestBody" in operation else None
        if not body:
            if described is not None and described.get("required"):
                raise ForbiddenError(f"{name} needs a body")
            return
        if described is None:
            raise ForbiddenError(f"{name} takes no body")
        schema = described["content"]["application/json"]["schema"]
        if schema.get("type") == "array":
            self._check_lines(name, content_type, body)
            return
        if content_type != "application/json":
            raise ForbiddenError(f"{name} takes application/json, not {content_type}")
        self._must_fit(name, closed(schema), json.loads(body))

    def _check_lines(self, name: str, content_type: str, body: bytes) -> None:
        """Lines of a bulk: an action, and after an `index` or `create` its document, which may be any object."""
        if content_type != "application/x-ndjson":
            raise ForbiddenError(f"{name} takes application/x-ndjson, not {content_type}")
        if not body.endswith(b"\n"):
            raise ForbiddenError(f"{name} must end with a newline")
        lines = iter(body.decode("utf-8").splitlines())
        for line in lines:
            action = json.loads(line)
            self._must_fit(f"{name} action", closed({"$ref": f"{SCHEMAS}_global.bulk.OperationContainer"}), action)
            if len(action) != 1:
                raise ForbiddenError(f"{name}: one action a line")
            if "delete" not in action and not isinstance(json.loads(next(lines, "null")), dict):
                raise ForbiddenError(f"{name}: an action without its document")

    def _must_fit(self, name: str, schema: Any, value: Any) -> None:
        error = next(iter(self._validator(name, schema).iter_errors(value)), None)
        if error is not None:
            raise ForbiddenError(f"{name}: {error.message} at {list(error.instance_path)}")

    def _validator(self, name: str, schema: Any) -> Any:
        if name not in self._validators:
            needed = schema | {"components": {"schemas": self._reachable(schema)}}
            self._validators[name] = jsonschema_rs.Draft202012Validator(needed)
        return self._validators[name]

    def _reachable(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        waiting = list(_references(schema))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._schemas[name]
                waiting += _references(found[name])
        return found

    def _resolved(self, one: dict[str, Any]) -> dict[str, Any]:
        """The parameter or body behind a reference."""
        if "$ref" not in one:
            return one
        _, _, kind, name = one["$ref"].split("/", 3)
        resolved: dict[str, Any] = self._components[kind][name]
        return resolved


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for word, inner in value.items():
            if word == "$ref" and isinstance(inner, str):
                yield inner.removeprefix(SCHEMAS)
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _readings(value: str) -> Iterator[Any]:
    """What the text of a parameter may mean."""
    yield value
    if value in ("true", "false"):
        yield value == "true"
    if re.fullmatch(r"-?\d+", value):
        yield int(value)
    yield value.split(",")


@cache
def spec() -> Spec:
    """The description, read once."""
    return Spec(gzip.decompress(FILE.read_bytes()))
