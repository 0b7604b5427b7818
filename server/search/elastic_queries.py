"""What Elasticsearch is asked: the same sets and the same order as `tsqueries`, `index` and `ranking` make of them.

Elasticsearch compares whole lexemes and scores nothing by itself: a clause of a fixed score says by what a document was
found, and named clauses which words of the query stand where. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.search.engine import MOST_VALUES, SINGLE, Facet, Filters, Match, Sort
from server.search.tsqueries import beginnings

Clause = dict[str, Any]
Body = dict[str, Any]

# It gives up by itself before we do.
TIMEOUT = "250ms"
# Each shard may know another value best.
ASKED_OF_A_SHARD = 1_000
WHOLE, NAMED = "whole", "named"
ORDERS: Mapping[str, tuple[str, str]] = {
    # A column, and what settles ties.
    "updated": ("updated", "id"),
    "title": ("title", "id"),
    "popularity": ("popularity", "id"),
    "year": ("years", "slot"),
    "rating": ("rating", "slot"),
}
# Of what is equally popular the one that came first counts as more popular.
OPPOSITE = {"asc": "desc", "desc": "asc"}


@dataclass(frozen=True, slots=True)
class Matching:
    """By what a text is found, as clauses: a whole name, words of names (or a whole name), words anywhere."""

    whole: Clause | None
    named: Clause | None
    anywhere: Clause | None

    @property
    def found(self) -> Clause:
        """What fits at all. The three overlap."""
        return _one_of([one for one in (self.named, self.anywhere) if one is not None])


def matching(match: Match, stems: Sequence[Sequence[str]]) -> Matching:
    """The clauses of a reading. `stems`: the words of its text as each dictionary knows them."""
    names = [*match.whole, *match.beside]
    whole = {"terms": {"names": names}} if names else None
    last = len(match.groups) - 1
    groups = [
        _of_names(group, prefix=match.prefix != "never" and place == last)
        for place, group in enumerate(match.groups)
        if group
    ]
    named = [one for one in (_all_of(groups, fewer=match.fewer), whole) if one is not None]
    plain = [[word for word in group if not word.startswith("~")] for group in match.groups]
    anywhere: list[Clause] = []
    words = _all_of([{"terms": {"words": group}} for group in plain], fewer=match.fewer)
    if words is not None and all(plain) and not match.named:
        anywhere = [words, *(_all([_term("words", stem) for stem in one]) for one in stems if one)]
    return Matching(whole, _one_of(named) if named else None, _one_of(anywhere) if anywhere else None)


def _of_names(group: Sequence[str], *, prefix: bool) -> Clause:
    words: Clause = {"terms": {"names": list(group)}}
    begun = beginnings(group) if prefix else []
    return _one_of([words, *({"prefix": {"names": {"value": word}}} for word in begun)])


def _all_of(groups: Sequence[Clause], *, fewer: bool) -> Clause | None:
    if not groups:
        return None
    if fewer and len(groups) > 1:
        return {"bool": {"should": list(groups), "minimum_should_match": len(groups) - 1}}
    return _all(groups)


def _all(clauses: Sequence[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"bool": {"filter": list(clauses)}}


def _one_of(clauses: Sequence[Clause]) -> Clause:
    if not clauses:
        return {"bool": {"must_not": [{"match_all": {}}]}}
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": list(clauses), "minimum_should_match": 1}}


def _term(field: str, value: str | float, **more: Any) -> Clause:
    return {"term": {field: {"value": value, **more}}}


# What is asked


def anything(found: Matching) -> Body:
    """Whether anything fits, and whether a name does: the first hit tells."""
    return {
        "query": _by_kind(found, [found.found]),
        "sort": [{"_score": {"order": "desc"}}],
        "size": 1,
        "_source": False,
        "track_total_hits": False,
        "timeout": TIMEOUT,
    }


def names(found: Matching, most: int, *, whole_first: bool) -> Body:
    """The names of what fits: what was found by its names first, then the most popular."""
    return {
        "query": _by_kind(found, [found.found], whole=2.0 if whole_first else 0.0),
        "sort": by_relevance(),
        "size": most,
        "_source": {"includes": ["slot", "keys"]},
        "track_total_hits": False,
        "timeout": TIMEOUT,
    }


@dataclass(frozen=True, slots=True)
class Page:
    """Which of what fits: in which order, from which place, how many. By relevance, `words` are those of the query."""

    sort: Sort
    start: int
    size: int
    words: Sequence[str] = ()


def page(found: Matching | None, filters: Filters, facets: Sequence[Facet], wanted: Page) -> Body:
    """A page of what fits, with the count of all and the values of the facets."""
    narrowing = {facet: clauses for facet in SINGLE if (clauses := narrowed(filters, facet))}
    # A facet's own choice does not narrow its own counts: such choices come after the counting.
    later = [clause for facet, clauses in narrowing.items() if facet in facets for clause in clauses]
    first = [clause for facet, clauses in narrowing.items() if facet not in facets for clause in clauses]
    base = [*([found.found] if found is not None else ()), *many(filters), *first] or [{"match_all": {}}]
    body: Body = {
        "query": {"bool": {"filter": base}},
        "sort": by_column("-updated" if wanted.sort == "relevance" else wanted.sort),
        "from": wanted.start,
        "size": wanted.size,
        "_source": False,
        "track_total_hits": True,
        "timeout": TIMEOUT,
    }
    counted: dict[str, Clause] = {facet: _counted(facet, narrowing, facets) for facet in facets}
    if found is not None and wanted.sort == "relevance":
        body |= {"query": _by_kind(found, base, wanted.words), "sort": by_relevance()}
        body["_source"] = {"includes": ["keys"]}
        # How many of them a name led to: where they end, the others begin.
        counted[NAMED] = {"filter": _all([_one_of([found.named] if found.named else []), *later])}
    if later:
        body["post_filter"] = _all(later)
    if counted:
        body["aggregations"] = counted
    return body


def _by_kind(found: Matching, filters: Sequence[Clause], words: Sequence[str] = (), *, whole: float = 2.0) -> Clause:
    """The filters, scored by what a document was found by: 3 by a whole name, 1 by words of its names, 0 else."""
    marks = [
        {"constant_score": {"filter": clause, "boost": boost, "_name": name}}
        for clause, boost, name in ((found.whole, whole, WHOLE), (found.named, 1.0, NAMED))
        if clause is not None
    ]
    places = [
        {"constant_score": {"filter": _term(field, word), "boost": 0.0, "_name": f"{field}:{place}"}}
        for place, word in enumerate(words)
        for field in ("first", "second")
    ]
    return {"bool": {"filter": list(filters), "should": [*marks, *places], "minimum_should_match": 0}}


def _counted(facet: Facet, narrowing: Mapping[Facet, Sequence[Clause]], facets: Sequence[Facet]) -> Clause:
    values: Clause = {"terms": {"field": facet, "size": MOST_VALUES, "shard_size": ASKED_OF_A_SHARD}}
    others = [clause for one, clauses in narrowing.items() if one in facets and one != facet for clause in clauses]
    return {"filter": _all(others or [{"match_all": {}}]), "aggregations": {"values": values}}


def many(filters: Filters) -> list[Clause]:
    """The filters by what a release has many of, and by its franchise."""
    made: list[Clause] = []
    for field, choice in (("genres", filters.genres), ("tags", filters.tags)):
        made += [_term(field, value) for value in choice.wanted]
        made += _without(field, choice.unwanted)
    if filters.franchises.wanted:
        made.append({"terms": {"franchises": list(filters.franchises.wanted)}})
    return [*made, *_without("franchises", filters.franchises.unwanted)]


def narrowed(filters: Filters, facet: Facet) -> list[Clause]:
    """The filters by a value of which a release has one."""
    if facet == "years":
        return _between("years", filters.year_from, filters.year_to)
    if facet == "ratings":
        return _between("rating", filters.rating_from, filters.rating_to)
    choice = getattr(filters, facet)
    wanted: list[Clause] = [{"terms": {facet: list(choice.wanted)}}] if choice.wanted else []
    return [*wanted, *_without(facet, choice.unwanted)]


def _between(field: str, least: float | None, most: float | None) -> list[Clause]:
    bounds = {word: value for word, value in (("gte", least), ("lte", most)) if value is not None}
    return [{"range": {field: bounds}}] if bounds else []


def _without(field: str, values: Sequence[Any]) -> list[Clause]:
    return [{"bool": {"must_not": [{"terms": {field: list(values)}}]}}] if values else []


# In which order


def by_relevance() -> list[Clause]:
    """Whole names, then names, then the rest, each from the most popular on; of equals the one that came first."""
    return [{"_score": {"order": "desc"}}, {"popularity": {"order": "desc"}}, {"id": {"order": "asc"}}]


def by_column(sort: str) -> list[Clause]:
    """By a column; who has no value counts as the least."""
    column, tie = ORDERS[sort.removeprefix("-")]
    order, missing = ("desc", "_last") if sort.startswith("-") else ("asc", "_first")
    settled = order if column != "popularity" else OPPOSITE[order]
    return [{column: {"order": order, "missing": missing}}, {tie: {"order": settled}}]
