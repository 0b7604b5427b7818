"""What Elasticsearch says to a search, read without trust. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.search.elastic_queries import NAMED, WHOLE
from server.search.engine import Facet

Answer = Mapping[str, Any]
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Hit:
    """A release that was found. `matched` are names of clauses; the order begins with score, popularity and id."""

    id: int
    slot: int
    keys: Sequence[str]
    matched: frozenset[str]
    order: Sequence[float]

    @property
    def whole(self) -> bool:
        """Whether it was found by a whole name."""
        return WHOLE in self.matched

    @property
    def named(self) -> bool:
        """Whether it was found by words of its names."""
        return NAMED in self.matched

    def points(self, words: int) -> int:
        """For each word of the query ten where it stands in a name, five in a genre or the like, else one."""
        places = (f"first:{place}" in self.matched for place in range(words))
        return sum(10 if first else 5 if f"second:{place}" in self.matched else 1 for place, first in enumerate(places))


def hits(answer: Answer) -> list[Hit]:
    """The hits in their order. One of UNREADABLE where they are not what was asked for."""
    return [_hit(one) for one in answer["hits"]["hits"]]


def _hit(said: Mapping[str, Any]) -> Hit:
    source = said.get("_source") or {}
    keys = source.get("keys") or ()
    if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
        raise ValueError("names are texts")
    return Hit(
        int(said["_id"]), int(source.get("slot", -1)), keys, frozenset(said.get("matched_queries") or ()), said["sort"]
    )


def total(answer: Answer) -> int:
    """How many there are in all."""
    count = answer["hits"]["total"]["value"]
    if not isinstance(count, int) or count < 0:
        raise ValueError("a count is a number")
    return count


def named(answer: Answer) -> int:
    """How many of them a name led to."""
    return int(answer["aggregations"][NAMED]["doc_count"])


def facets(answer: Answer, wanted: Sequence[Facet]) -> dict[Facet, Sequence[tuple[str | int, int]]]:
    """The values of each facet with their counts: the commonest first, then in their order."""
    found: dict[Facet, Sequence[tuple[str | int, int]]] = {}
    for facet in wanted:
        buckets = answer["aggregations"][facet]["values"]["buckets"]
        found[facet] = [(one["key"], one["doc_count"]) for one in buckets if one["doc_count"] > 0]
    return found
