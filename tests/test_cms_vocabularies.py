"""Genres, tags and franchises by the CMS: names and slugs that only one may have, and what vanishes with a word."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from server.cms import rebuild
from server.cms.edits import Edit, Noun, Outcome
from server.errors import Conflict, NotFound, Unprocessable
from server.rules.titles import name_key
from server.schemas.cms import TYPES
from sql import activity, imports, releases, subscriptions, trends, user_stats, vocabularies
from sql.subscriptions import SubscriptionType
from tests.http_fixture import queries_seen
from tests.seeding import seed_releases
from tests.words import edit, facts, made, new, refused, shown

NOUNS: tuple[Noun, ...] = ("genre", "tag", "franchise")
COLUMNS = {"genre": "genre_ids", "tag": "tag_ids", "franchise": "franchise_id"}


def every_noun(test: Callable[[Any, Noun], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """The test with each of the three, which have tables of their own in one database."""

    async def with_each(conn: Any) -> None:
        for noun in NOUNS:
            await test(conn, noun)

    with_each.__name__ = test.__name__
    return with_each


async def put_on(conn: Any, noun: Noun, word: int, *ids: int) -> None:
    """Give releases the word and write their documents."""
    value = "$1" if noun == "franchise" else "array[$1::bigint]"
    await conn.execute(f"update releases set {COLUMNS[noun]} = {value} where id = any ($2)", word, list(ids))
    await conn.execute("select build_release_documents($1)", list(ids))


async def somebody(conn: Any) -> int:
    """The id of an account."""
    found: int = await conn.fetchval("insert into users (username, username_key) values ('a', 'a') returning id")
    return found


async def follow(conn: Any, outcome: Outcome, most: int = 500) -> list[int]:
    """Do what an edit of words leaves to be done; the releases it came upon."""
    met: list[int] = []
    for noun, word in outcome.rebuild:
        last = 0
        while True:
            async with conn.transaction():
                done = await rebuild.slice(conn, noun, word, last, most)
            met += done.release_ids
            last = done.last_id
            if len(done.release_ids) < most:
                break
    return met


async def words_of(conn: Any, noun: Noun, release_id: int) -> list[str]:
    """The words of this noun in a release's document."""
    document = json.loads(
        await conn.fetchval("select document from release_documents where release_id = $1", release_id)
    )
    found = document["franchise"] if noun == "franchise" else document[f"{noun}s"]
    return [word["name"] for word in ([found] if isinstance(found, dict) else found or [])]


@every_noun
async def test_a_new_word_gets_its_slug_from_its_name(conn: Any, noun: Noun) -> None:
    outcome = await made(conn, edit(noun, "create", name="  Космическая  опера "))
    (applied,) = outcome.applied
    document = await shown(conn, noun, applied.id)
    assert document == {
        "id": applied.id, "name": "Космическая  опера", "slug": "kosmicheskaya-opera", "deleted_at": None,
        "created_at": document["created_at"], "updated_at": document["updated_at"],
    }  # fmt: skip
    assert (outcome.tags, outcome.rebuild) == ({"releases"}, [])
    assert await facts(conn) == {}


@every_noun
async def test_a_slug_that_was_not_asked_for_gives_way(conn: Any, noun: Noun) -> None:
    first = await new(conn, noun, name="Science Fiction")
    assert (await shown(conn, noun, first))["slug"] == "science-fiction"
    second = await new(conn, noun, name="Science-Fiction!")
    assert (await shown(conn, noun, second))["slug"] == f"science-fiction-{second}"
    # Nor does it take that of one that asks for it in the same list.
    outcome = await made(conn, edit(noun, "create", name="A", slug="b"), edit(noun, "create", name="B"))
    one, two = (applied.id for applied in outcome.applied)
    assert [(await shown(conn, noun, id_))["slug"] for id_ in (one, two)] == ["b", f"b-{two}"]


@every_noun
async def test_a_name_or_slug_that_is_taken_is_a_conflict(conn: Any, noun: Noun) -> None:
    drama = await new(conn, noun, name="Drama")
    other = await new(conn, noun, name="Other")
    found = await refused(
        conn,
        edit(noun, "create", name="ＤＲＡＭＡ "),
        edit(noun, "create", name="New", slug="drama"),
        edit(noun, "update", other, name="drama"),
        edit(noun, "replace", other, name="Other", slug="drama"),
        edit(noun, "update", drama, name="DRAMA", slug="drama"),
        edit(noun, "create", name="Twice"),
        edit(noun, "create", name="twice"),
    )
    assert {index: type(error) for index, error in found.items()} == dict.fromkeys((0, 1, 2, 3, 6), Conflict)
    assert found[0].detail == f"The {noun} {drama} has this name already."
    assert found[1].detail == f"The {noun} {drama} has the slug drama already."


@every_noun
async def test_words_change_places_in_one_list(conn: Any, noun: Noun) -> None:
    a, b, c = [await new(conn, noun, name=name) for name in ("A", "B", "C")]
    await made(
        conn,
        edit(noun, "update", c, name="D", slug="d"),
        edit(noun, "update", b, name="C", slug="c"),
        edit(noun, "update", a, name="B", slug="b"),
        edit(noun, "update", c, name="A", slug="a"),
    )
    table = {"genre": "genres", "tag": "tags", "franchise": "franchises"}[noun]
    rows = await conn.fetch(f"select id, name, slug, name_key from {table} where deleted_at is null order by name")
    assert [tuple(row) for row in rows] == [(c, "A", "a", "a"), (a, "B", "b", "b"), (b, "C", "c", "c")]


async def test_a_word_keeps_its_slug_unless_another_is_said(conn: Any) -> None:
    genre = await new(conn, "genre", name="Action")
    for body in ({"name": "Fights"}, {"name": "Battles"}):
        await made(conn, edit("genre", "replace", genre, **body))
    assert (await shown(conn, "genre", genre))["slug"] == "action"
    await made(conn, edit("genre", "update", genre, slug="new"))
    # What could be taken for a path is prefixed.
    assert (await shown(conn, "genre", genre))["slug"] == "genre-new"
    assert (await shown(conn, "genre", genre))["name"] == "Battles"


@every_noun
async def test_what_is_so_already_is_no_change(conn: Any, noun: Noun) -> None:
    word = await new(conn, noun, name="Same")
    outcome = await made(conn, edit(noun, "replace", word, name="Same"), edit(noun, "update", word, slug="same"))
    assert [applied.changed for applied in outcome.applied] == [False, False]
    assert (outcome.tags, outcome.rebuild) == (set(), [])


async def test_a_name_needs_a_letter(conn: Any) -> None:
    found = await refused(conn, edit("tag", "create", name="   "), edit("tag", "create", name="\u3000"))
    assert [type(error) for error in found.values()] == [Unprocessable] * 2
    assert [fault.pointer for error in found.values() for fault in error.faults] == ["/name"] * 2


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "a\x00"}, {"name": "a" * 101}, {"name": "a", "slug": "A B"}, {"name": "a", "x": 1}],
)
def test_a_body_that_does_not_fit_is_refused_by_its_type(body: dict[str, Any]) -> None:
    for noun in ("genre", "tag"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(body, TYPES[noun, "create"])


@every_noun
async def test_the_documents_of_its_releases_follow_a_word_in_slices(conn: Any, noun: Noun) -> None:
    word = await new(conn, noun, name="Old")
    with_it = await seed_releases(conn, 5)
    with_it += await seed_releases(conn, 1, visible=False)
    (without,) = await seed_releases(conn, 1)
    await put_on(conn, noun, word, *with_it)
    before = dict(await conn.fetch("select id, updated_at from releases"))
    for action, shows in (({"action": "update", "name": "New"}, ["New"]), ({"action": "delete"}, []),
                          ({"action": "restore"}, ["New"])):  # fmt: skip
        outcome = await made(conn, edit(noun, **action, id=word))
        assert outcome.rebuild == [(noun, word)]
        assert await follow(conn, outcome, most=2) == with_it
        assert [await words_of(conn, noun, one) for one in with_it] == [shows] * 6
        assert await words_of(conn, noun, without) == []
    # The releases themselves have not changed.
    assert dict(await conn.fetch("select id, updated_at from releases")) == before


async def test_a_slice_tells_all_servers_and_leaves_alone_what_is_right(conn: Any) -> None:
    genre = await new(conn, "genre", name="Old")
    ids = await seed_releases(conn, 3)
    await put_on(conn, "genre", genre, *ids)
    await made(conn, edit("genre", "update", genre, name="New"))
    heard: list[str] = []
    await conn.add_listener("yojohan_invalidate", lambda *said: heard.extend(said[3].split()))
    written = "select xmin::text, document from release_documents order by release_id"
    async with conn.transaction():
        first = await rebuild.slice(conn, "genre", genre, 0, 2)
    after_first = await conn.fetch(written)
    assert (first, sorted(heard)) == ((ids[1], ids[:2]), [f"release:{one}" for one in ids[:2]])
    heard.clear()
    async with conn.transaction():
        again = await rebuild.slice(conn, "genre", genre, 0, 2)
    assert (again, await conn.fetch(written), sorted(heard)) == (
        first,
        after_first,
        [f"release:{one}" for one in ids[:2]],
    )
    heard.clear()
    async with conn.transaction():
        last = await rebuild.slice(conn, "genre", genre, first.last_id, 2)
    await conn.fetchval("select 1")
    # Lists are stale once all is done.
    assert (last, sorted(heard)) == ((ids[2], ids[2:]), [f"release:{ids[2]}", "releases"])


@pytest.mark.parametrize("noun", ["genre", "tag"])
async def test_a_frequent_word_is_walked_through_completely(conn: Any, noun: Noun) -> None:
    word = await new(conn, noun, name="Frequent")
    ids = await seed_releases(conn, 2_500)
    some = ids[::2] + ids[1:1501:2]
    await put_on(conn, noun, word, *some)
    with queries_seen() as names:
        met = await follow(conn, await made(conn, edit(noun, "update", word, name="Very frequent")))
    assert met == sorted(some)
    assert names.count(f"next_of_{noun}") == 5


@every_noun
async def test_a_deleted_word_comes_back_if_its_name_is_free(conn: Any, noun: Noun) -> None:
    word = await new(conn, noun, name="Mecha")
    await made(conn, edit(noun, "delete", word))
    heir = await new(conn, noun, name="Mecha")
    assert (await shown(conn, noun, heir))["slug"] == "mecha"
    found = await refused(conn, edit(noun, "restore", word))
    assert found[0].detail == f"The {noun} {heir} has this name already."
    # With the name free and the slug taken it gets another slug.
    await made(conn, edit(noun, "update", heir, name="Robots"), edit(noun, "restore", word))
    assert (await shown(conn, noun, word))["slug"] == f"mecha-{word}"


async def test_an_import_does_not_bring_back_what_was_deleted(conn: Any) -> None:
    genre = await new(conn, "genre", name="Gone")
    await made(conn, edit("genre", "delete", genre))
    key = name_key("gone")
    assert await imports.vocabulary(conn, "genres", {key: "gone"}, ["gone"]) == ({key: genre}, [])
    assert (await shown(conn, "genre", genre))["deleted_at"] is not None
    assert await conn.fetchval("select count(*) from genres") == 1


@pytest.fixture
async def deleted(conn: Any) -> dict[str, int]:
    """A word of each noun on a release and another release; then the words are deleted."""
    found: dict[str, int] = {}
    ids = await seed_releases(conn, 2)
    for noun in NOUNS:
        found[noun] = await new(conn, noun, name="Doomed")
        await put_on(conn, noun, found[noun], *ids)
    await conn.execute("update popularity_metrics set total_views = 5")
    await conn.execute(
        "insert into trend_windows (period, release_id, views, view_hours_sum) values ('day', $1, 5, 0)", ids[0]
    )
    edits: list[Edit] = [edit(noun, "delete", found[noun]) for noun in NOUNS]
    await made(conn, *edits)
    return found | {"release": ids[0]}


async def test_lists_and_counts_are_without_deleted_words(conn: Any, deleted: dict[str, int]) -> None:
    assert await vocabularies.words(conn, "genres", 10, 0) == (0, [])
    assert await vocabularies.words(conn, "tags", 10, 0) == (0, [])
    assert await vocabularies.franchises(conn, 10, 0) == (0, [])
    assert await vocabularies.franchise(conn, deleted["franchise"]) is None


async def test_filters_do_not_know_deleted_words(conn: Any, deleted: dict[str, int]) -> None:
    for kind, noun in (("genres", "genre"), ("tags", "tag"), ("franchises", "franchise")):
        for text in ("doomed", "Doomed", str(deleted[noun])):
            assert (await vocabularies.choose(conn, kind, [text])).never  # type: ignore[arg-type]


async def test_a_deleted_franchise_relates_nothing(conn: Any, deleted: dict[str, int]) -> None:
    assert await releases.related(conn, deleted["release"], 10, 0) == (0, [])
    await made(conn, edit("franchise", "restore", deleted["franchise"]))
    count, found = await releases.related(conn, deleted["release"], 10, 0)
    assert (count, len(found)) == (1, 1)


async def test_tops_and_statistics_name_no_deleted_genre(conn: Any, deleted: dict[str, int]) -> None:
    user = await somebody(conn)
    await conn.execute(
        """insert into user_stats (user_id, favorite_genres)
           values ($1, jsonb_build_array(jsonb_build_object('id', $2::bigint, 'weight', 1)))""",
        user, deleted["genre"],
    )  # fmt: skip

    async def named() -> list[int]:
        stats = await user_stats.get(conn, user)
        assert stats is not None
        return [len(await trends.top_genres(conn, None, 5)), len(await trends.top_genres(conn, "day", 5)),
                len(json.loads(stats.stats)["favorite_genres"])]  # fmt: skip

    assert await named() == [0, 0, 0]
    await made(conn, edit("genre", "restore", deleted["genre"]))
    assert await named() == [1, 1, 1]


async def test_what_people_did_with_a_deleted_word_no_longer_names_it(conn: Any, deleted: dict[str, int]) -> None:
    user = await somebody(conn)
    for noun in ("genre", "franchise"):
        await conn.execute(
            """insert into activity (actor_id, action_type, target_type, target_id, details, created_at)
               values ($1, 'subscribed', $2, $3, '{}', now())""",
            user, noun, deleted[noun],
        )  # fmt: skip
    rows = await activity.QUERIES.show.fetch(conn, [row["seq"] for row in await conn.fetch("select seq from activity")])
    assert [(row["title"], row["slug"]) for row in rows] == [(None, None)] * 2


async def test_nobody_can_follow_a_deleted_word(conn: Any, deleted: dict[str, int]) -> None:
    user = await somebody(conn)
    nouns: tuple[SubscriptionType, ...] = ("genre", "franchise")
    for noun in nouns:
        with pytest.raises(NotFound):
            await subscriptions.create(conn, user, noun, deleted[noun])
        await made(conn, edit(noun, "restore", deleted[noun]))
        assert (await subscriptions.create(conn, user, noun, deleted[noun])).title == "Doomed"
