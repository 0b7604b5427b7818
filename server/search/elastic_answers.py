"""What Elasticsearch says to a search, read without trust. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.search.elastic_queries import NAMED, WHOLE
from server.search.engine import Facet

Answer = Mapping[str, Any]
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)
# The largest id that PostgreSQL can be asked for.
LARGEST = 2**63 - 1
# Facets whose values are numbers; those of the others are texts.
NUMBERS: frozenset[Facet] = frozenset({"genres", "tags", "years"})


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
    matched = frozenset(said.get("matched_queries") or ())
    return Hit(_number(int(said["_id"])), _number(source.get("slot", -1), least=-1), keys, matched, said["sort"])


def ranked(answer: Answer) -> list[Hit]:
    """The hits of a search by relevance: each tells its score, its popularity and its id."""
    found = hits(answer)
    for hit in found:
        if len(hit.order) != 3 or not all(isinstance(one, int | float) for one in hit.order):
            raise ValueError("the order is made of three numbers")
    return found


def _number(said: Any, *, least: int = 0) -> int:
    if type(said) is not int or not least <= said <= LARGEST:
        raise ValueError("a count or an id is a number")
    return said


def total(answer: Answer) -> int:
    """How many there are in all."""
    return _number(answer["hits"]["total"]["value"])


def named(answer: Answer) -> int:
    """How many of them a name led to."""
    return _number(answer["aggregations"][NAMED]["doc_count"])


def facets(answer: Answer, wanted: Sequence[Facet]) -> dict[Facet, Sequence[tuple[str | int, int]]]:
    """The values of each facet with their counts: the commonest first, then in their order."""
    found: dict[Facet, Sequence[tuple[str | int, int]]] = {}
    for facet in wanted:
        buckets = answer["aggregations"][facet]["values"]["buckets"]
        counted = ((_value(facet, one["key"]), _number(one["doc_count"])) for one in buckets)
        found[facet] = [(value, count) for value, count in counted if count]
    return found


def _value(facet: Facet, said: Any) -> str | int:
    if facet in NUMBERS:
        return _number(said)
    if not isinstance(said, str):
        raise TypeError("the value of a facet is a text")
    return said
