"""What a search engine is asked and what it says. PostgreSQL answers by default, Elasticsearch where it is set up.

An engine finds ids; the answers' bodies are made from the catalogue's own documents (`server.bodies.search`), so that
whoever found a release, it looks the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from sql.release_list import Filter

Facet = Literal["genres", "tags", "types", "statuses", "seasons", "age_ratings", "years", "ratings"]
FACETS: tuple[Facet, ...] = ("genres", "tags", "types", "statuses", "seasons", "age_ratings", "years", "ratings")
# The facets of which a release has at most one value: any of the wanted will do, and their own choice does not narrow
# their own counts. Of genres and tags a release has many: all of the wanted have to be there.
SINGLE: tuple[Facet, ...] = ("types", "statuses", "seasons", "age_ratings", "years", "ratings")
MOST_VALUES = 100
Sort = Literal[
    "relevance", "updated", "-updated", "year", "-year", "rating", "-rating", "popularity", "-popularity",
    "title", "-title",
]  # fmt: skip
# How a query was read when as it was typed nothing was found: on the other keyboard layout, by its sound, with typing
# errors put right, with one word fewer.
Outcome = Literal["found", "layout", "sounds", "typos", "fewer", "empty"]
# Of several spellings one group of words stands for the same word of the query.
Groups = tuple[tuple[str, ...], ...]
# Whether the last word may be the beginning of another: where no whole name is just what was typed, or there as well.
Prefix = Literal["never", "unless_whole", "always"]


@dataclass(frozen=True, slots=True)
class Filters(Filter):
    """What narrows a search: what narrows lists, and the average rating. With tuples in its choices it can be a key."""

    rating_from: float | None = None
    rating_to: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search. `text` is as it was typed; empty, it browses. `words` and `key` are by `server.rules.search_text`."""

    text: str
    words: tuple[str, ...]
    key: str
    filters: Filters = field(default_factory=Filters)
    facets: tuple[Facet, ...] = ()
    sort: Sort = "relevance"
    limit: int = 20
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: ids of the page in order, how many there are in all, values and counts of each facet asked for.

    `corrected` is what was searched in place of the text, or None; `words` are those to highlight.
    """

    ids: Sequence[int]
    count: int
    facets: Mapping[Facet, Sequence[tuple[str | int, int]]]
    outcome: Outcome
    corrected: str | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suggested:
    """A release whose name begins with what is being typed, and that name as it was folded."""

    release_id: int
    matched: str


class Engine(Protocol):
    """Answers searches. Raises `Unavailable` (or TimeoutError) where it cannot; then another one is asked."""

    async def find(self, wanted: Wanted) -> Found:
        """A page of what fits, with the count of all and the facets."""

    async def suggest(self, text: str, limit: int) -> Sequence[Suggested]:
        """Releases for a text that is being typed, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Match:
    """One reading of a query. Each group has to be met by one of its lexemes (`server.rules.search_document` says which
    kinds there are: plain words, `~` and a sound).

    `whole` are lexemes of whole names: what has one of them fits best, whatever its groups. So does what has one of
    `beside`, where anything has a name that fits without them. `prefix`: the last word may
    still be being typed, so its beginning will do. `fewer`: one of the groups may be missing. `text` is for the
    synopsis, whose words are stemmed; empty where those are not to be searched. `named`: only names are to be searched.
    """

    groups: Groups
    whole: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    text: str = ""
    prefix: Prefix = "never"
    fewer: bool = False
    named: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """How a query was read in the end. `key` and `words` are what names are compared with, once the words of these are
    replaced by those of the query they stand for (`spellings`)."""

    match: Match
    outcome: Outcome
    key: str
    words: tuple[str, ...]
    corrected: str | None = None
    spellings: Mapping[str, str] = field(default_factory=dict)


class Finder(Protocol):
    """Tries one reading after another for the ladder (`server.search.ladder`)."""

    async def fits(self, match: Match) -> bool:
        """Whether anything at all fits."""

    async def first(self, matches: Sequence[Match]) -> Match | None:
        """The first of these, all of them of names alone, that anything fits."""

    async def names(self, match: Match) -> Sequence[Sequence[str]]:
        """The names (as `search_text.key` makes them) of some dozens of what fits, the most popular first."""

    async def sounding(self, sounds: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Words of the vocabulary by their sound, the commonest first."""

    async def near(self, words: Sequence[str], *, thorough: bool = False) -> Mapping[str, Sequence[str]]:
        """For each of these words those of the vocabulary that may be a typing error away, the nearest first. A word
        that the vocabulary has comes alone; or, if `thorough`, first of all, and in others there may be two errors."""
