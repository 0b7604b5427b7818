"""The stored JSON of releases and episodes: compact, in the order of the contract, faithful to every character."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from server.schemas.catalogue_answers import Episode, Release
from tests import catalogue_seed
from tests.catalogue_seed import exactly

AWKWARD = 'quote " backslash \\ newline \n tab \t slash / \u2028 \x1f 漢字 𠀋 : , "a" : "b" {} null'


def texts(value: Any) -> Iterator[str]:
    """All strings inside, names included."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


async def awkward(conn: Any) -> int:
    """A release with everything there is, every text of it hard to write."""
    for table in ("genres", "tags", "franchises"):
        await conn.execute(
            f"insert into {table} (slug, name, name_key) values ('b', $1, 'b'), ('a', 'A', 'a')", AWKWARD
        )
    made = await catalogue_seed.add(
        conn, "awkward", title=AWKWARD, synopsis=AWKWARD, genre_ids=[1, 2], tag_ids=[2, 1], franchise_id=1, year=2020,
        season="winter", age_rating="16+", episodes_total=0,
    )  # fmt: skip
    await conn.execute("insert into release_titles values ($1, 'ru', $2), ($1, 'en', 'Plain')", made, AWKWARD)
    await conn.execute("insert into release_synonyms values ($1, 2, $2), ($1, 1, 'first')", made, AWKWARD)
    await conn.execute(
        "insert into external_ids values ('mal', '9007199254740992', true, $1), ('abc', $2, false, $1)", made, AWKWARD
    )
    await catalogue_seed.rebuild(conn, made)
    return made


async def shown(conn: Any, release_id: int) -> str:
    found: str = await conn.fetchval(
        "select release_json(document, m) from release_documents d left join popularity_metrics m using (release_id)"
        " where release_id = $1",
        release_id,
    )
    return found


async def test_a_release_with_everything_is_written_faithfully(conn: Any) -> None:
    made = await awkward(conn)
    found = exactly(Release, (await shown(conn, made)).encode())
    words = [{"id": 2, "name": "A", "slug": "a"}, {"id": 1, "name": AWKWARD, "slug": "b"}]
    assert (found["title"], found["synopsis"], found["genres"], found["tags"]) == (AWKWARD, AWKWARD, words, words)
    assert (found["titles"], found["synonyms"]) == ({"en": "Plain", "ru": AWKWARD}, ["first", AWKWARD])
    assert found["external_ids"] == {"abc": AWKWARD, "mal": 9007199254740992}
    assert found["franchise"] == {"id": 1, "name": AWKWARD}
    assert (found["season"], found["year"], found["age_rating"], found["episodes_total"]) == ("winter", 2020, "16+", 0)


async def test_a_release_with_nothing_has_empty_collections_and_nulls(conn: Any) -> None:
    found = exactly(Release, (await shown(conn, await catalogue_seed.add(conn, "bare"))).encode())
    assert (found["titles"], found["synonyms"], found["genres"], found["tags"], found["external_ids"]) == (
        {}, [], [], [], {},
    )  # fmt: skip
    for name in ("season", "year", "age_rating", "episodes_total", "franchise", "poster"):
        assert found[name] is None


async def test_fields_stand_in_the_order_of_the_answer(conn: Any) -> None:
    stored = await shown(conn, await awkward(conn))
    assert list(json.loads(stored)) == list(Release.__struct_fields__)


async def test_a_stored_release_has_no_space_outside_of_its_texts(conn: Any) -> None:
    stored = await shown(conn, await awkward(conn))
    written = json.loads(stored)
    spaces = sum(text.count(" ") for text in texts(written))
    assert stored.count(" ") == spaces > 0


async def test_an_episode_has_no_space_outside_of_its_texts(conn: Any) -> None:
    made = await catalogue_seed.add(conn, "with-an-episode")
    await conn.execute(
        "insert into episodes (release_id, ordinal, title, opening_start, opening_stop) values ($1, 1.50, $2, 1, 2)",
        made, AWKWARD,
    )  # fmt: skip
    stored = await conn.fetchval("select episode_json(e) from episodes e")
    assert exactly(Episode, stored.encode())["title"] == AWKWARD
    assert stored.count(" ") == AWKWARD.count(" ")
    assert list(json.loads(stored)) == list(Episode.__struct_fields__)


async def test_a_document_that_did_not_change_is_not_written_again(conn: Any) -> None:
    made = await awkward(conn)
    before = await conn.fetchval("select xmin::text from release_documents where release_id = $1", made)
    await catalogue_seed.rebuild(conn, made)
    assert await conn.fetchval("select xmin::text from release_documents where release_id = $1", made) == before
    await conn.execute("update releases set synopsis = 'another' where id = $1", made)
    await catalogue_seed.rebuild(conn, made)
    assert msgspec.json.decode(await shown(conn, made), type=Release).synopsis == "another"


@pytest.mark.parametrize(("average", "written"), [(0, "0.00"), (7.456, "7.46"), (10, "10.00")])
async def test_a_rating_is_written_with_two_places(conn: Any, average: float, written: str) -> None:
    made = await catalogue_seed.add(conn, "rated")
    await conn.execute("update popularity_metrics set average_rating = $1", average)
    assert f'"rating":{{"average":{written},"count":0}}' in await shown(conn, made)


async def test_the_total_follows_every_way_in_which_a_release_comes_and_goes(conn: Any) -> None:
    async def total() -> tuple[int, int]:
        counted = await conn.fetchval("select count(*) from releases where visible")
        return await conn.fetchval("select total from catalogue_totals where name = 'releases'"), counted

    made = [await catalogue_seed.add(conn, f"release-{n}") for n in range(5)]
    assert await total() == (5, 5)
    for change in (
        "update releases set is_published = false where id = $1",
        "update releases set deleted_at = now() where id = $1",
        "update releases set is_published = true, deleted_at = null where id = $1",
        "delete from releases where id = $1",
    ):
        await conn.execute(change, made[0])
        kept, counted = await total()
        assert kept == counted
    await conn.execute("delete from releases")
    assert await total() == (0, 0)
