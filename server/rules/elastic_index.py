"""What an index of Elasticsearch looks like, and how documents get into it. Pure: JSON in, JSON out.

Words are made by our own rules and by PostgreSQL's dictionaries; Elasticsearch gets them ready made and compares them
whole. So a text means the same to both, and whoever answers finds the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Moves whenever the mapping or what documents hold does: another index is then filled beside the one there is.
SHAPE = 1
WORD: dict[str, Any] = {"type": "keyword", "doc_values": False}
VALUE: dict[str, Any] = {"type": "keyword"}
NUMBER: dict[str, Any] = {"type": "long"}
PROPERTIES: dict[str, dict[str, Any]] = {
    "id": NUMBER,
    # By which ties are broken.
    "slot": NUMBER,
    # Words of names, `~` and how they sound, `=` and hashes of whole names.
    "names": WORD,
    # Words of everything, stems included; those of names; those of genres, tags and franchise.
    "words": WORD,
    "first": WORD,
    "second": WORD,
    # The names whole.
    "keys": WORD,
    "types": VALUE,
    "statuses": VALUE,
    "seasons": VALUE,
    "age_ratings": VALUE,
    "years": NUMBER,
    # By id.
    "genres": NUMBER,
    "tags": NUMBER,
    "franchises": NUMBER,
    # The average and its bucket.
    "rating": {"type": "double"},
    "ratings": VALUE,
    "popularity": {"type": "double"},
    # Microseconds.
    "updated": NUMBER,
    "title": VALUE,
}
# Half an answer is none.
SEARCH_PARAMETERS: Mapping[str, str] = {"allow_partial_search_results": "false"}
# Whether searches are answered.
PROBE: Mapping[str, Any] = {"query": {"match_all": {}}, "size": 1, "_source": False}
# Statuses of single documents.
CONFLICT, TOO_MANY = 409, 429


@dataclass(frozen=True, slots=True)
class Action:
    """A document to be put into the index as of a version, or to be taken out where there is none."""

    id: int
    version: int
    document: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a bulk. `again`: some could not be taken now; `missing`: the index is not there."""

    written: int = 0
    removed: int = 0
    # Elasticsearch had something newer.
    outdated: int = 0
    refused: Sequence[str] = ()
    again: bool = False
    missing: bool = False


def write_alias(index: str) -> str:
    """The name that bulks use: with it a bulk into an index that is gone fails instead of making one of its own."""
    return f"{index}-write"


def creation(index: str) -> dict[str, Any]:
    """The body of the request that makes the index."""
    return {
        "aliases": {write_alias(index): {}},
        # Refreshed by the clock, also where nobody has searched for a while: whoever comes first must not wait for it.
        "settings": {"index": {"refresh_interval": "1s", "auto_expand_replicas": "0-1"}},
        "mappings": {
            "dynamic": "strict",
            # Nothing else is ever read back.
            "_source": {"includes": ["slot", "keys"]},
            "properties": PROPERTIES,
        },
    }


def bulk(actions: Iterable[Action]) -> bytes:
    """The lines of a bulk. What Elasticsearch has from a later look at the database stays."""
    lines: list[str] = []
    for one in actions:
        told = {"_id": str(one.id), "version": one.version, "version_type": "external_gte"}
        lines.append(json.dumps({"index" if one.document is not None else "delete": told}, separators=(",", ":")))
        if one.document is not None:
            lines.append(one.document)
    return ("\n".join(lines) + "\n").encode() if lines else b""


def outcome(actions: Sequence[Action], answer: Mapping[str, Any]) -> Outcome:
    """Read the answer to a bulk; one that does not speak of every document counts for none."""
    items = answer.get("items")
    if not isinstance(items, list) or len(items) != len(actions):
        return Outcome(again=True)
    written = removed = outdated = 0
    refused: list[str] = []
    again = missing = False
    for action, item in zip(actions, items, strict=True):
        kind, said = next(iter(item.items())) if isinstance(item, dict) and item else ("", {})
        said = said if isinstance(said, dict) else {}
        status = said.get("status")
        if not isinstance(status, int) or status == TOO_MANY or status >= 500:
            again = True
        elif status == CONFLICT:
            outdated += 1
        elif 200 <= status < 300 or (kind == "delete" and status == 404 and "error" not in said):
            written, removed = written + (kind == "index"), removed + (kind == "delete")
        elif status == 404:
            missing = True
        else:
            refused.append(f"{action.id}: {_reason(said)}")
    return Outcome(written, removed, outdated, refused, again, missing)


def swap(alias: str, index: str, held_by: Iterable[str]) -> dict[str, Any]:
    """The body that lets the alias name this index and removes those that held it, in one step."""
    others = [{"remove_index": {"index": other}} for other in sorted(held_by) if other != index]
    return {"actions": [{"add": {"index": index, "alias": alias}}, *others]}


def holders(answer: Mapping[str, Any]) -> list[str]:
    """Which indexes an alias names, by the answer to that question."""
    return sorted(name for name, said in answer.items() if isinstance(said, dict) and "aliases" in said)


def _reason(said: Mapping[str, Any]) -> str:
    error = said.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    return str(kind or said.get("status"))[:100]
