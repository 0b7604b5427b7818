"""As much of Elasticsearch's query language as is used, over documents in memory; anything else is an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]


def values(document: Document, field: str) -> list[Any]:
    """A field always has any number of values."""
    found = document.get(field)
    return found if isinstance(found, list) else [] if found is None else [found]


def score(query: Mapping[str, Any], document: Document, names: set[str] | None = None) -> float | None:
    """How well a document fits; None if it does not. `names` takes those of the clauses it fits."""
    ((kind, said),) = query.items()
    if kind == "bool":
        return _bool(said, document, names)
    found = KINDS[kind](said, document)
    if found is not None and names is not None and "_name" in said:
        names.add(said["_name"])
    return found


def _term(said: Mapping[str, Any], document: Document) -> float | None:
    ((field, wanted),) = said.items()
    return 1.0 if wanted["value"] in values(document, field) else None


def _terms(said: Mapping[str, Any], document: Document) -> float | None:
    ((field, wanted),) = said.items()
    return 1.0 if set(wanted) & set(values(document, field)) else None


def _prefix(said: Mapping[str, Any], document: Document) -> float | None:
    ((field, wanted),) = said.items()
    return 1.0 if any(value.startswith(wanted["value"]) for value in values(document, field)) else None


def _range(said: Mapping[str, Any], document: Document) -> float | None:
    ((field, wanted),) = said.items()
    assert set(wanted) <= {"gte", "lte", "gt", "lt"}
    tests: dict[str, Callable[[Any], bool]] = {
        "gte": lambda value: value >= wanted["gte"],
        "lte": lambda value: value <= wanted["lte"],
        "gt": lambda value: value > wanted["gt"],
        "lt": lambda value: value < wanted["lt"],
    }
    return 1.0 if any(all(tests[word](value) for word in wanted) for value in values(document, field)) else None


def _constant(said: Mapping[str, Any], document: Document) -> float | None:
    return float(said.get("boost", 1.0)) if score(said["filter"], document) is not None else None


def _best(said: Mapping[str, Any], document: Document) -> float | None:
    found = [one for one in (score(query, document) for query in said["queries"]) if one is not None]
    return max(found) if found else None


def _bool(said: Mapping[str, Any], document: Document, names: set[str] | None = None) -> float | None:
    assert set(said) <= {"filter", "must", "should", "must_not", "minimum_should_match"}
    if any(score(one, document) is not None for one in said.get("must_not", ())):
        return None
    if any(score(one, document) is None for one in said.get("filter", ())):
        return None
    must = [score(one, document, names) for one in said.get("must", ())]
    should = [score(one, document, names) for one in said.get("should", ())]
    needed = said.get("minimum_should_match", 1 if should and not must and not said.get("filter") else 0)
    if None in must or sum(one is not None for one in should) < needed:
        return None
    return sum(one for one in (*must, *should) if one is not None)


KINDS: dict[str, Callable[[Any, Document], float | None]] = {
    "match_all": lambda said, document: 1.0,
    "term": _term,
    "terms": _terms,
    "prefix": _prefix,
    "range": _range,
    "exists": lambda said, document: 1.0 if values(document, said["field"]) else None,
    "constant_score": _constant,
    "dis_max": _best,
}


def search(documents: Iterable[Document], body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a search: hits in order with what was asked of their source, the total, the aggregations."""
    scored = [(score(body.get("query", {"match_all": {}}), one), one) for one in documents]
    found = [(value, one) for value, one in scored if value is not None]
    counted = {name: _aggregate(said, [one for _, one in found]) for name, said in body.get("aggregations", {}).items()}
    if "post_filter" in body:
        found = [pair for pair in found if score(body["post_filter"], pair[1]) is not None]
    total = len(found)
    for one in reversed(body.get("sort", [{"_score": {"order": "desc"}}])):
        found = _sorted(found, one)
    start = body.get("from", 0)
    hits = [_hit(value, one, body) for value, one in found[start : start + body.get("size", 10)]]
    answer: dict[str, Any] = {"took": 1, "timed_out": False, "hits": {"hits": hits}}
    if body.get("track_total_hits") is True:
        answer["hits"]["total"] = {"value": total, "relation": "eq"}
    return answer | ({"aggregations": counted} if counted else {})


def _hit(value: float, document: Document, body: Mapping[str, Any]) -> dict[str, Any]:
    names: set[str] = set()
    score(body.get("query", {"match_all": {}}), document, names)
    kept = (body.get("_source") or {}).get("includes", ())
    order = [
        value if field == "_score" else (values(document, field) or [None])[0]
        for one in body.get("sort", ())
        for field in one
    ]
    return (
        {"_index": "one", "_id": str(document["id"]), "_score": value, "sort": order}
        | ({"_source": {name: document[name] for name in kept if name in document}} if kept else {})
        | ({"matched_queries": sorted(names)} if names else {})
    )


def _sorted(found: list[Any], said: Mapping[str, Any]) -> list[Any]:
    ((field, how),) = said.items()
    descending = how["order"] == "desc"
    if field == "_score":
        return sorted(found, key=lambda pair: pair[0], reverse=descending)
    missing = how.get("missing", "_last")
    there = [pair for pair in found if values(pair[1], field)]
    without = [pair for pair in found if not values(pair[1], field)]
    if missing not in ("_first", "_last"):
        return sorted(found, key=lambda pair: (values(pair[1], field) or [missing])[0], reverse=descending)
    there.sort(key=lambda pair: values(pair[1], field)[0], reverse=descending)
    return [*without, *there] if missing == "_first" else [*there, *without]


def _aggregate(said: Mapping[str, Any], documents: list[Document]) -> dict[str, Any]:
    if "filter" in said:
        kept = [one for one in documents if score(said["filter"], one) is not None]
        inner = {name: _aggregate(one, kept) for name, one in said.get("aggregations", {}).items()}
        return {"doc_count": len(kept), **inner}
    if "filters" in said:
        parts = said["filters"]["filters"]
        counts = {name: sum(score(query, one) is not None for one in documents) for name, query in parts.items()}
        return {"buckets": {name: {"doc_count": count} for name, count in counts.items()}}
    terms = said["terms"]
    found = Counter(value for one in documents for value in set(values(one, terms["field"])))
    order = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[: terms.get("size", 10)]
    return {
        "doc_count_error_upper_bound": 0,
        "sum_other_doc_count": 0,
        "buckets": [{"key": value, "doc_count": count} for value, count in order],
    }
