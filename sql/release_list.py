"""Lists of releases: the one statement that is composed, from a closed set of fragments.

Which filters are present decides the text; values are always parameters. A constant text with `$1 is null or …` would
give the planner nothing to choose an index by. Pages are cut over ids first (index only), documents joined after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sql.query import Connection, Query


@dataclass(frozen=True, slots=True)
class Choice:
    """Values asked for and values ruled out. `never` if something asked for does not exist at all."""

    wanted: Sequence[Any] = ()
    unwanted: Sequence[Any] = ()
    never: bool = False


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list shows. Genres and tags: all of the wanted; everything else: any of the wanted."""

    genres: Choice = field(default_factory=Choice)
    tags: Choice = field(default_factory=Choice)
    types: Choice = field(default_factory=Choice)
    statuses: Choice = field(default_factory=Choice)
    seasons: Choice = field(default_factory=Choice)
    age_ratings: Choice = field(default_factory=Choice)
    franchises: Choice = field(default_factory=Choice)
    year_from: int | None = None
    year_to: int | None = None

    @property
    def nothing_fits(self) -> bool:
        """Whether the answer is empty without asking."""
        return any(choice.never for choice in (self.genres, self.tags, self.franchises))

    @property
    def everything(self) -> bool:
        """Whether nothing is filtered."""
        return self == type(self)()


@dataclass(frozen=True, slots=True)
class Sort:
    """An order: the expression, its SQL type for the keyset, and the metrics table where it lives there."""

    expression: str
    kind: str
    metrics: bool = False


SORTS = {
    "updated": Sort("r.updated_at", "timestamptz"),
    "year": Sort("coalesce(r.year, 0)", "integer"),
    "title": Sort("left(r.sort_title, 80)", "text"),
    "rating": Sort("m.average_rating", "real", metrics=True),
    "popularity": Sort("m.popularity_score", "double precision", metrics=True),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A release of a list: its JSON, and where it stands in the order."""

    release: str
    key: Any
    id: int


class _Statement:
    """Collects conditions and their parameters."""

    def __init__(self) -> None:
        self.conditions = ["r.visible"]
        self.parameters: list[Any] = []

    def parameter(self, value: Any) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    def add(self, condition: str, value: Any) -> None:
        self.conditions.append(condition.format(self.parameter(value)))


def _conditions(wanted: Filter) -> _Statement:
    statement = _Statement()
    for column, choice in (("genre_ids", wanted.genres), ("tag_ids", wanted.tags)):
        if choice.wanted:
            statement.add(f"r.{column} @> {{}}::bigint[]", list(choice.wanted))
        if choice.unwanted:
            statement.add(f"not r.{column} && {{}}::bigint[]", list(choice.unwanted))
    plain = (
        ("type", "text", wanted.types),
        ("status", "text", wanted.statuses),
        ("season", "text", wanted.seasons),
        ("age_rating", "text", wanted.age_ratings),
        ("franchise_id", "bigint", wanted.franchises),
    )
    for column, kind, choice in plain:
        if choice.wanted:
            statement.add(f"r.{column} = any ({{}}::{kind}[])", list(choice.wanted))
        if choice.unwanted:
            statement.add(f"(r.{column} is null or r.{column} <> all ({{}}::{kind}[]))", list(choice.unwanted))
    if wanted.year_from is not None:
        statement.add("coalesce(r.year, 0) >= {}::integer", wanted.year_from)
    if wanted.year_to is not None:
        # Releases without a year are in no range.
        statement.add("coalesce(r.year, 0) between 1 and {}::integer", wanted.year_to)
    return statement


def compose_page(
    wanted: Filter, sort: str, limit: int, offset: int, after: tuple[Any, int] | None
) -> tuple[str, list[Any]]:
    """The text and parameters of one page. `after` is the key and id of the row before it (keyset), else `offset`."""
    descending = sort.startswith("-")
    order = SORTS[sort.removeprefix("-")]
    direction, beyond = ("desc", "<") if descending else ("asc", ">")
    statement = _conditions(wanted)
    identity = "m.release_id" if order.metrics else "r.id"
    if after is not None:
        key, row_id = statement.parameter(after[0]), statement.parameter(after[1])
        statement.conditions.append(
            f"({order.expression}, {identity}) {beyond} ({key}::{order.kind}, {row_id}::bigint)"
        )
    source = "popularity_metrics m join releases r on r.id = m.release_id" if order.metrics else "releases r"
    bounds = f"limit {statement.parameter(limit)} offset {statement.parameter(offset)}"
    text = f"""
        select release_json(d.document, n) as release, page.key, page.id
        from (
            select {identity} as id, {order.expression} as key
            from {source}
            where {" and ".join(statement.conditions)}
            order by key {direction}, id {direction}
            {bounds}
        ) page
        join release_documents d on d.release_id = page.id
        left join popularity_metrics n on n.release_id = page.id
        order by page.key {direction}, page.id {direction}
    """  # noqa: S608 - composed from the fragments above; every value is a parameter
    return text, statement.parameters


def compose_count(wanted: Filter) -> tuple[str, list[Any]]:
    """The text and parameters of the exact count."""
    statement = _conditions(wanted)
    text = f"select count(*) from releases r where {' and '.join(statement.conditions)}"  # noqa: S608 - as above
    return text, statement.parameters


async def page(
    conn: Connection, wanted: Filter, sort: str, limit: int, offset: int = 0, after: tuple[Any, int] | None = None
) -> list[Row]:
    """One page of releases in the order `sort` (a name of SORTS, `-` in front reverses)."""
    if wanted.nothing_fits:
        return []
    text, parameters = compose_page(wanted, sort, limit, offset, after)
    return [Row(*row) for row in await Query("list_releases", text).fetch(conn, *parameters)]


async def count(conn: Connection, wanted: Filter) -> int:
    """How many releases the filter lets through, exactly."""
    if wanted.nothing_fits:
        return 0
    text, parameters = compose_count(wanted)
    return int(await Query("count_releases", text).fetchval(conn, *parameters))


async def draw(conn: Connection, wanted: Filter, limit: int) -> list[int]:
    """Ids of up to `limit` releases that fit, each equally likely."""
    statement = _conditions(wanted)
    text = f"""
        select r.id from releases r where {" and ".join(statement.conditions)}
        order by random() limit {statement.parameter(limit)}
    """  # noqa: S608 - as above
    return [row["id"] for row in await Query("draw_releases", text).fetch(conn, *statement.parameters)]


async def among(conn: Connection, wanted: Filter, ids: Sequence[int]) -> set[int]:
    """Those of these ids whose releases fit."""
    if wanted.nothing_fits or not ids:
        return set()
    statement = _conditions(wanted)
    statement.add("r.id = any ({}::bigint[])", list(ids))
    text = f"select r.id from releases r where {' and '.join(statement.conditions)}"  # noqa: S608 - as above
    return {row["id"] for row in await Query("filter_releases", text).fetch(conn, *statement.parameters)}
