"""Every statement is prepared on a migrated database, and what it returns is held against what Python expects of it.

`sql_contract.py` and `sql_contract_people.py` name each query of each `sql/*.sql`. A query without an entry fails, so
does an entry without a query.
"""

from __future__ import annotations

import ast
import dataclasses
import types
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

import sql
from sql import analytics, release_list
from sql.query import load
from sql.release_list import Choice, Filter
from tests.sql_contract import CATALOGUE, NOTHING, VALUE
from tests.sql_contract_admin import ADMIN
from tests.sql_contract_cms import CMS
from tests.sql_contract_comments import COMMENTS
from tests.sql_contract_elasticsearch import ELASTICSEARCH
from tests.sql_contract_mails import MAILS
from tests.sql_contract_moderation import MODERATION
from tests.sql_contract_notifications import NOTIFICATIONS
from tests.sql_contract_outwards import OUTWARDS
from tests.sql_contract_people import PEOPLE
from tests.sql_contract_recommendations import RECOMMENDATIONS
from tests.sql_contract_recommending import RECOMMENDING
from tests.sql_contract_reviews import REVIEWS
from tests.sql_contract_search import SEARCH
from tests.sql_contract_webhooks import WEBHOOKS
from tests.sql_contract_words import WORDS

FOLDER = Path(sql.__file__).parent
CONTRACT = (
    ADMIN
    | CATALOGUE
    | CMS
    | COMMENTS
    | ELASTICSEARCH
    | MAILS
    | MODERATION
    | NOTIFICATIONS
    | OUTWARDS
    | PEOPLE
    | RECOMMENDATIONS
    | RECOMMENDING
    | REVIEWS
    | SEARCH
    | WEBHOOKS
    | WORDS
)
# What the driver makes of a PostgreSQL type.
PYTHON: dict[str, type] = {
    "int2": int, "int4": int, "int8": int, "float4": float, "float8": float, "numeric": Decimal, "text": str,
    "bool": bool, "date": date, "timestamptz": datetime, "bytea": bytes,
    "uuid": UUID, "text[]": list[str],
}  # fmt: skip
NOUNS = sorted(path.stem for path in FOLDER.glob("*.sql"))


def plain(annotation: Any) -> Any:
    """The type without its `| None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [part for part in get_args(annotation) if part is not type(None)]
    return annotation


def fits(kind: type, attributes: Any) -> list[str]:
    """Where a statement's columns are not the fields of a dataclass in their order."""
    hints = get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    columns = [attribute.name for attribute in attributes]
    if columns != fields:
        return [f"{columns} are not {fields} of {kind.__name__}"]
    return [
        f"{attribute.name} is {attribute.type.name}, not {hints[attribute.name]}"
        for attribute in attributes
        if plain(hints[attribute.name]) not in (Any, PYTHON.get(attribute.type.name))
    ]


def test_each_query_has_an_entry_and_each_entry_a_query() -> None:
    there = {noun: {query.name for query in load(noun)} for noun in NOUNS}
    assert there == {noun: set(entries) for noun, entries in CONTRACT.items()}


@pytest.mark.parametrize("noun", NOUNS)
async def test_each_query_prepares_and_returns_what_is_read_of_it(conn: Any, noun: str) -> None:
    queries = load(noun)
    if noun in ("demo", "demo_library", "demo_talk"):
        await load("demo").make_audience.execute(conn)
    if noun == "demo_library":
        await queries.make_picks.execute(conn, [], [], 1, datetime.now(UTC))
    if noun == "demo_talk":
        await queries.make_remarks.execute(conn, *[[]] * 13, datetime.now(UTC))
        await queries.make_reviews.execute(conn, *[[]] * 8, datetime.now(UTC))
    faults = []
    for query in queries:
        attributes = (await conn.prepare(query.text)).get_attributes()
        expected = CONTRACT[noun].get(query.name, NOTHING)
        if isinstance(expected, type):
            faults += [f"{query.name}: {fault}" for fault in fits(expected, attributes)]
        elif expected is not VALUE and expected.split() != [attribute.name for attribute in attributes]:
            faults.append(f"{query.name}: {[attribute.name for attribute in attributes]} instead of {expected!r}")
        elif expected is VALUE and not attributes:
            faults.append(f"{query.name}: returns nothing")
    assert faults == []


async def test_a_column_that_moved_or_changed_its_type_is_noticed(conn: Any) -> None:
    @dataclasses.dataclass
    class Pair:
        id: int
        name: str | None

    async def faults(text: str) -> list[str]:
        return fits(Pair, (await conn.prepare(text)).get_attributes())

    assert await faults("select 1::bigint as id, 'a'::text as name") == []
    assert await faults("select 'a'::text as name, 1::bigint as id") != []
    assert await faults("select 1::numeric as id, 'a'::text as name") != []


FULL = {
    name: Choice([value], [value])
    for name, value in (
        ("genres", 1), ("tags", 1), ("types", "tv"), ("statuses", "ongoing"), ("seasons", "winter"),
        ("age_ratings", "16+"), ("franchises", 1),
    )
}  # fmt: skip
YEARS = [{}, {"year_from": 1990}, {"year_to": 1999}, {"year_from": 1990, "year_to": 1999}]
KEYS = {"updated": datetime(2026, 1, 1), "year": 2000, "title": "a", "rating": 5.0, "popularity": 0.5}  # noqa: DTZ001


async def parameters_match(conn: Any, text: str, parameters: list[Any]) -> Any:
    """The prepared statement, which takes as many parameters as were collected."""
    prepared = await conn.prepare(text)
    assert len(prepared.get_parameters()) == len(parameters), text
    return prepared


async def test_the_count_of_any_combination_of_filters_prepares(conn: Any) -> None:
    for present in product((False, True), repeat=len(FULL)):
        chosen = {name: choice for (name, choice), there in zip(FULL.items(), present, strict=True) if there}
        for years in YEARS:
            await parameters_match(conn, *release_list.compose_count(Filter(**chosen, **years)))


async def test_each_order_prepares_with_each_filter_by_page_and_by_key(conn: Any) -> None:
    parts = [Choice([1]), Choice(unwanted=[1])]
    single = [Filter(**{name: choice}) for name, choice in FULL.items()]
    single += [Filter(genres=part, tags=part, franchises=part) for part in parts]
    wanted = [Filter(), *single, Filter(**FULL, **YEARS[3])]
    for (name, key), sign, after, filters in product(KEYS.items(), ("", "-"), (False, True), wanted):
        text, parameters = release_list.compose_page(filters, sign + name, 20, 0, (key, 1) if after else None)
        prepared = await parameters_match(conn, text, parameters)
        assert fits(release_list.Row, prepared.get_attributes()) == []


async def test_a_random_draw_runs_with_each_filter(conn: Any) -> None:
    for wanted in (Filter(), *(Filter(**{name: choice}) for name, choice in FULL.items()), Filter(**FULL, **YEARS[3])):
        assert await release_list.draw(conn, wanted, 5) == []


async def test_views_of_any_interval_and_filter_prepare(conn: Any) -> None:
    moment = datetime(2026, 1, 1)  # noqa: DTZ001 - never sent
    for interval, by_episode, release_ids, episode_ids, counting in product(
        analytics.BUCKETS, (False, True), ([], [1]), ([], [1]), (False, True)
    ):
        wanted = analytics.ViewsWanted(moment, moment, interval, by_episode, release_ids, episode_ids)
        text, parameters = analytics.compose(wanted, counting=counting, limit=20)
        prepared = await parameters_match(conn, text, parameters)
        if not counting:
            assert len(prepared.get_attributes()) == len(dataclasses.fields(analytics.ViewsRow))


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_each_function_of_the_sql_room_is_fully_typed(path: Path) -> None:
    untyped = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            named = [one for one in taken if one is not None and one.arg not in ("self", "cls")]
            if node.returns is None or any(one.annotation is None for one in named):
                untyped.append(node.name)
    assert untyped == []
