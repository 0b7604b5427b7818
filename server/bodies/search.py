"""The answers of searches: ids from the engine, bodies from the catalogue's own documents."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from msgspec.structs import asdict

from server.database import Database
from server.http.answer import links
from server.http.parse import DEEPEST
from server.rules.cache_tags import LISTS
from server.rules.search_rank import MOST_HIGHLIGHTS, highlights
from server.rules.search_text import is_cjk
from server.rules.search_text import key as key_of
from server.rules.search_text import words as words_of
from server.schemas.search import SearchBody, SearchFilters
from server.search.engine import Facet, Filters, Found, Wanted
from server.search.searching import Search
from sql import search as sql
from sql import vocabularies
from sql.query import Connection
from sql.release_list import Choice

# Of all that was found; the index says so whenever what it knows has changed.
SEARCHES = "searches"
TAGS = (*LISTS, SEARCHES)
WORDS: tuple[Facet, Facet] = ("genres", "tags")
# Releases whose texts are looked through in one go.
MARKED_AT_ONCE = 10


def canonical(asked: SearchBody) -> str:
    """One key for all ways to ask for the same."""
    chosen = asdict(asked.filters)
    filters = [
        (name, sorted(value) if isinstance(value, list) else value)
        for name, value in chosen.items()
        if value not in (None, [])
    ]
    # Signs count: on the other keyboard layout they are letters. A space behind the last word says that it is over.
    text = " ".join(asked.query.casefold().split()) + (" " if asked.query[-1:].isspace() else "")
    return repr((text, filters, sorted(asked.facets), asked.sort, asked.limit, asked.page))


async def page(database: Database, search: Search, asked: SearchBody, base: str) -> bytes:
    """A page of what fits, with highlights, facets and the query as it was corrected."""
    text = asked.query
    wanted = Wanted(
        text=text.lstrip() if text.strip() else "",
        words=tuple(words_of(text)),
        key=key_of(text),
        filters=await _filters(database, asked.filters),
        facets=tuple(dict.fromkeys(asked.facets)),
        sort=asked.sort,
        limit=asked.limit,
        offset=(asked.page - 1) * asked.limit,
    )
    found = await search.find(wanted)
    results: list[str] = []
    labels: Mapping[str, Mapping[int, str]] = {}
    if found.ids or any(found.facets.values()):
        async with database.connection() as conn:
            results = await sql.found(conn, found.ids) if found.ids else []
            labels = await _labels(conn, found)
    return _body(asked, found, labels, await _marked(results, found.words), base)


def _body(
    asked: SearchBody, found: Found, labels: Mapping[str, Mapping[int, str]], results: Sequence[bytes], base: str
) -> bytes:
    reachable = min(found.count, DEEPEST // asked.limit * asked.limit)
    following, before = links(base, _parameters(asked), asked.limit, asked.page, reachable)
    head = {"count": found.count, "next": following, "previous": before, "corrected_query": found.corrected}
    facets = {name: _counted(values, labels.get(name)) for name, values in found.facets.items()}
    start = orjson.dumps(head | {"facets": facets})
    return b"".join((start[:-1], b',"results":[', b",".join(results), b"]}"))


def _counted(values: Sequence[tuple[str | int, int]], labels: Mapping[int, str] | None) -> list[dict[str, str | int]]:
    if labels is None:
        return [{"value": value, "count": count} for value, count in values]
    named = [(labels[int(value)], count) for value, count in values if value in labels]
    return [{"value": value, "count": count} for value, count in sorted(named, key=lambda pair: (-pair[1], pair[0]))]


def _parameters(asked: SearchBody) -> dict[str, Any]:
    """The same search as an address."""
    given: dict[str, Any] = {"q": asked.query, **asdict(asked.filters), "facets": ",".join(asked.facets)}
    return given | {"sort": None if asked.sort == "relevance" else asked.sort, "limit": asked.limit}


async def _filters(database: Database, asked: SearchFilters) -> Filters:
    chosen: dict[str, Choice] = {"genres": Choice(), "tags": Choice(), "franchises": Choice()}
    if asked.genres or asked.tags or asked.franchises:
        async with database.connection() as conn:
            chosen["genres"] = _fixed(await vocabularies.choose(conn, "genres", asked.genres))
            chosen["tags"] = _fixed(await vocabularies.choose(conn, "tags", asked.tags))
            chosen["franchises"] = _fixed(await vocabularies.choose(conn, "franchises", asked.franchises))
    return Filters(
        **chosen, types=_split(asked.types), statuses=_split(asked.statuses), seasons=_split(asked.seasons),
        age_ratings=_split(asked.age_ratings), year_from=asked.year_from, year_to=asked.year_to,
        rating_from=asked.rating_from, rating_to=asked.rating_to,
    )  # fmt: skip


def _fixed(choice: Choice) -> Choice:
    return Choice(tuple(choice.wanted), tuple(choice.unwanted), choice.never)


def _split(texts: Sequence[str]) -> Choice:
    wanted = tuple(sorted(text for text in texts if not text.startswith("!")))
    return Choice(wanted, tuple(sorted(text[1:] for text in texts if text.startswith("!"))))


async def _labels(conn: Connection, found: Found) -> dict[str, dict[int, str]]:
    """The names of genres and tags that were counted."""
    genres, tags = ([int(value) for value, _ in found.facets.get(name, ())] for name in WORDS)
    return await sql.labels(conn, genres, tags) if genres or tags else {}


async def _marked(releases: Sequence[str], words: Sequence[str]) -> list[bytes]:
    """The releases with their highlights, with a turn for others after every few: synopses are long."""
    marked: list[bytes] = []
    for place, release in enumerate(releases, 1):
        marked.append(_with_highlights(release, words))
        if place % MARKED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return marked


def _with_highlights(release: str, words: Sequence[str]) -> bytes:
    text = release.encode()
    marks: list[dict[str, Any]] = []
    if words:
        said = orjson.loads(text)
        found = highlights(words, _names(said))
        if len(found) < MOST_HIGHLIGHTS:
            # A single letter begins every other word of a text; a sign that is a word by itself does not.
            longer = [word for word in words if len(word) > 1 or is_cjk(word)]
            found += highlights(longer, {"synopsis": said["synopsis"]})
        marks = [{"field": mark.field.partition("#")[0], "text": mark.text, "ranges": mark.ranges} for mark in found]
    return b"".join((text[:-1], b',"highlights":', orjson.dumps(marks), b"}"))


def _names(release: dict[str, Any]) -> dict[str, str]:
    fields = {"title": release["title"]}
    fields |= {
        f"titles.{language}": title for language, title in release["titles"].items() if title != release["title"]
    }
    return fields | {f"synonyms#{place}": synonym for place, synonym in enumerate(release["synonyms"])}


async def suggestions(database: Database, search: Search, text: str, limit: int) -> bytes:
    """Titles for what is being typed."""
    found = await search.suggest(text, limit)
    documents: list[str] = []
    if found:
        async with database.connection() as conn:
            documents = await sql.suggested(conn, [one.release_id for one in found])
    matched = {one.release_id: one.matched for one in found}
    results = [_suggestion(orjson.loads(document), matched) for document in documents]
    return orjson.dumps({"count": len(results), "next": None, "previous": None, "results": results})


def _suggestion(release: dict[str, Any], matched: Mapping[int, str]) -> dict[str, Any]:
    names = dict.fromkeys((release["title"], *release["titles"].values(), *release["synonyms"]))
    key = matched[release["id"]]
    name = next((name for name in names if key_of(name) == key), release["title"])
    shown = {field: release[field] for field in ("id", "slug", "title", "year", "type", "poster")}
    return shown | {"matched": name}
