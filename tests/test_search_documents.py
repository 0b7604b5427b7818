"""Search documents: written in the transaction that changes a release, with the words of its titles."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest

from server.database import connect
from server.search import building, documents, vocabulary
from server.search.documents import RULES
from sql import imports, release_counts, search_documents, search_words
from tests.importing import SUPPLEMENT, load

SAILS = {
    "title": "Sails of Autumn 2nd Season",
    "titles": {"ru": "Паруса осени", "ja": "秋の帆"},
    "synonyms": ["Aki no Ho", "Sails' \\Autumn\\"],
    "genres": ["Drama"],
    "tags": ["Sea"],
    "franchise": "Sails",
    "synopsis": "Keepers were counting the ships.",
    "external_ids": {"mal": 1},
}
TIDES = {"title": "Tides", "synopsis": "Хранители считали корабли.", "external_ids": {"mal": 2}}


async def row(conn: Any, title: str) -> Any:
    found = await conn.fetchrow(
        "select d.* from search_documents d join releases r on r.id = d.release_id where r.title = $1", title
    )
    assert found is not None
    return found


async def marks(conn: Any) -> dict[str, Any]:
    """By title: the transaction that last changed its document."""
    rows = await conn.fetch(
        "select r.title, d.changed::text from search_documents d join releases r on r.id = d.release_id"
    )
    return {one["title"]: one["changed"] for one in rows}


async def finds(conn: Any, column: str, query: str) -> list[str]:
    rows = await conn.fetch(
        f"select r.title from search_documents d join releases r on r.id = d.release_id"
        f" where d.{column} @@ $1::text::tsquery order by r.title",
        query,
    )
    return [one["title"] for one in rows]


async def test_an_import_writes_documents_by_which_names_topics_and_synopses_are_found(conn: Any) -> None:
    await load(conn, SAILS, TIDES)
    for word in ("'sails'", "'осени'", "'sails' & 'autumn' & '2'", "'秋の'", "'aki' & 'ho'"):
        assert await finds(conn, "names", word) == [SAILS["title"]], word
        assert await finds(conn, "words", word) == [SAILS["title"]], word
    assert await finds(conn, "words", "'drama':B & 'sea':B") == [SAILS["title"]]
    assert await finds(conn, "words", "'drama':A") == []
    assert await finds(conn, "names", "'drama'") == []
    # A stem of the synopsis in its own language, and of a name.
    assert await finds(conn, "words", "'keeper':C & 'count':C & 'sail':A") == [SAILS["title"]]
    assert await finds(conn, "words", "'хранител':C") == ["Tides"]
    # What is only there to be compared stands beside the names alone.
    sails = await row(conn, SAILS["title"])
    assert [lexeme for lexeme in sails["words"].split() if lexeme.startswith(("'~", "'="))] == []
    assert (sails["config"], sails["rules"], sails["rating"]) == ("english", RULES, None)
    assert sails["keys"][0] == "sails of autumn 2"
    assert (await row(conn, "Tides"))["config"] == "russian"


async def test_slots_are_dense_and_a_document_keeps_its_own(conn: Any) -> None:
    await load(conn, SAILS)
    first = (await row(conn, SAILS["title"]))["slot"]
    for count in range(4):
        await load(conn, SAILS | {"synopsis": f"Another {count}."}, TIDES)
    assert (await row(conn, SAILS["title"]))["slot"] == first
    await load(conn, {"title": "Third", "external_ids": {"mal": 3}})
    assert sorted(one["slot"] for one in await conn.fetch("select slot from search_documents")) == [0, 1, 2]


async def test_wide_values_lie_apart_from_the_rows(conn: Any) -> None:
    await load(conn, *(TIDES | {"title": f"Tides {n}", "external_ids": {"mal": n}} for n in range(300)))
    await conn.execute("vacuum search_documents")
    pages = await conn.fetchval("select pg_relation_size('search_documents') / current_setting('block_size')::integer")
    assert pages <= 8


async def test_a_change_moves_the_mark_of_its_document_and_no_other(conn: Any) -> None:
    await load(conn, SAILS, TIDES)
    before = await marks(conn)
    await load(conn, SAILS, TIDES)
    assert await marks(conn) == before
    # Nothing that is a word: filters read it.
    await load(conn, SAILS | {"year": 1999}, TIDES)
    after = await marks(conn)
    assert {title for title in after if after[title] != before[title]} == {SAILS["title"]}
    await load(conn, SAILS | {"year": 1999, "episodes": [{"ordinal": 1}]}, TIDES)
    assert await marks(conn) == after


async def test_two_sources_of_one_release_are_one_document(conn: Any) -> None:
    await load(conn, SAILS)
    await load(conn, SAILS | {"synonyms": ["Harbours"]}, source=SUPPLEMENT, keys=("1",))
    assert await conn.fetchval("select count(*) from search_documents") == 1
    assert await finds(conn, "names", "'harbours'") == [SAILS["title"]]


async def test_what_is_made_ahead_is_what_would_be_read(conn: Any) -> None:
    await load(conn, SAILS)
    await conn.execute("update tags set deleted_at = now()")
    await load(conn, SAILS | {"title": "Oars", "genres": ["DRAMA"], "external_ids": {"mal": 3}}, TIDES)
    assert await rebuilt(conn) == 1  # The sails, whose tag has gone since.
    assert await finds(conn, "words", "'drama':B") == ["Oars", SAILS["title"]]
    assert await finds(conn, "words", "'sea'") == []


async def test_what_was_written_lately_is_brought_into_the_indexes(conn: Any) -> None:
    async with conn.transaction():
        await imports.lock(conn)
        await conn.execute("insert into releases (title, slug, sort_title) values ('Tides', 'tides', 'tides')")
        await documents.write(conn, [one["id"] for one in await conn.fetch("select id from releases")])
    cleaned = "select gin_clean_pending_list('search_documents_names')"
    await search_documents.tidy(conn)
    assert await conn.fetchval(cleaned) == 0
    assert await finds(conn, "names", "'tides'") == ["Tides"]


async def test_a_dry_run_leaves_no_document_and_no_word(conn: Any) -> None:
    await load(conn, SAILS, dry_run=True)
    assert await conn.fetchval("select count(*) from search_documents") == 0
    assert await conn.fetchval("select count(*) from search_words") == 0


async def test_an_endless_synopsis_and_many_names_do_no_harm(conn: Any) -> None:
    names = [f"Name {'x' * 250} {n}" for n in range(60)]
    await load(conn, SAILS | {"synopsis": "a'b\\c " * 3_000, "synonyms": names, "tags": ["it's \\ a 'tag'"]})
    assert await finds(conn, "words", "'tag':B") == [SAILS["title"]]


async def test_the_vocabulary_has_the_words_of_titles_with_what_belongs_to_them(conn: Any) -> None:
    await load(conn, SAILS, TIDES)
    rows = {one["word"]: one for one in await conn.fetch("select * from search_words")}
    assert {"sails", "autumn", "паруса", "осени", "tides"} <= set(rows)
    assert {"drama", "sea", "keepers", "2", "of"} & set(rows) == set()
    (expected,) = await vocabulary.entries(["autumn"])
    assert (rows["autumn"]["skeleton"], rows["autumn"]["variants"]) == (expected.skeleton, list(expected.variants))
    assert {one["rules"] for one in rows.values()} == {RULES}


async def count_words(conn: Any, *, anew: bool = False) -> building.Words:
    async with conn.transaction():
        return await building.go_over_words(conn, "", 1_000, anew=anew)


async def frequencies(conn: Any) -> dict[str, int]:
    return {one["word"]: one["frequency"] for one in await conn.fetch("select word, frequency from search_words")}


async def test_words_are_counted_and_those_that_nobody_uses_go(conn: Any) -> None:
    await load(conn, SAILS, TIDES | {"title": "Tides of Autumn"})
    await load(conn, SAILS, TIDES | {"title": "Waves of Autumn"})
    assert (await frequencies(conn))["tides"] == 1
    done = await count_words(conn)
    found = await frequencies(conn)
    assert (found["autumn"], found["waves"], "tides" in found) == (2, 1, False)
    assert (done.looked_at, done.dropped) == (len(found) + 1, 1)
    await conn.execute("update search_words set skeleton = 'x', variants = '{1}' where word = 'waves'")
    await count_words(conn)
    assert await conn.fetchval("select skeleton from search_words where word = 'waves'") == "x"
    await count_words(conn, anew=True)
    (waves,) = await vocabulary.entries(["waves"])
    stored = await conn.fetchrow("select skeleton, variants from search_words where word = 'waves'")
    assert tuple(stored) == (waves.skeleton, list(waves.variants))


async def test_a_count_is_begun_once_in_a_while_and_only_after_a_change(conn: Any) -> None:
    never, now = timedelta(days=1), timedelta(0)
    assert await search_words.begin_count(conn, never) is None
    await load(conn, SAILS)
    mark = await search_words.begin_count(conn, never)
    assert mark is not None
    assert await search_words.begin_count(conn, never) is None
    await search_words.end_count(conn, mark)
    assert await search_words.begin_count(conn, now) is None
    await load(conn, TIDES)
    assert await search_words.begin_count(conn, now) is not None


async def test_ratings_are_rounded_down_and_move_the_mark_when_that_is_another(conn: Any) -> None:
    await load(conn, SAILS, TIDES)
    ids = {one["title"]: one["id"] for one in await conn.fetch("select id, title from releases")}
    before = await marks(conn)
    await release_counts.apply(conn, [(ids["Tides"], 0, 2, 15), (ids[SAILS["title"]], 1, 0, 0)])
    assert ((await row(conn, "Tides"))["rating"], (await row(conn, SAILS["title"]))["rating"]) == (7, None)
    after = await marks(conn)
    assert {title for title in after if after[title] != before[title]} == {"Tides"}
    await release_counts.apply(conn, [(ids["Tides"], 0, 1, 8)])
    assert await marks(conn) == after
    await release_counts.apply(conn, [(ids["Tides"], 0, -3, -23)])
    assert (await row(conn, "Tides"))["rating"] is None
    await conn.execute("update search_documents set rating = 3")
    async with conn.transaction(isolation="repeatable_read"):
        await release_counts.mend(conn, list(ids.values()))
    assert (await row(conn, "Tides"))["rating"] is None


async def rebuilt(conn: Any, most: int = 100) -> int:
    async with conn.transaction():
        return (await building.rebuild(conn, 0, most)).written


async def test_a_rebuild_writes_what_differs_and_leaves_the_rest_alone(conn: Any) -> None:
    await load(conn, SAILS, TIDES)
    before = await marks(conn)
    assert await rebuilt(conn) == 0
    assert await marks(conn) == before
    await conn.execute("update search_documents set keys = '{}' where config = 'russian'")
    before = await marks(conn)
    assert await rebuilt(conn) == 1
    assert (await row(conn, "Tides"))["keys"] == ["tides"]
    after = await marks(conn)
    assert {title for title in after if after[title] != before[title]} == {"Tides"}


async def test_filling_writes_what_is_missing_or_older_in_slices(conn: Any) -> None:
    await load(conn, *(TIDES | {"title": f"Tides {n}", "external_ids": {"mal": n}} for n in range(5)))
    await conn.execute("delete from search_documents where keys = '{tides 1}'")
    await conn.execute("update search_documents set rules = 0, words = '' where keys in ('{tides 2}', '{tides 4}')")
    written, after, slices = 0, 0, 0
    while after is not None:
        async with conn.transaction():
            done = await building.fill(conn, after, 2)
        after, written, slices = done.last_id, written + done.written, slices + 1
    assert (written, slices) == (3, 3)
    assert await conn.fetchval("select count(*) from search_documents where rules = $1 and words <> ''", RULES) == 5


async def test_the_lock_of_imports_keeps_others_out_of_a_slice(conn: Any, dsn: str) -> None:
    other = await connect(dsn)
    try:
        async with conn.transaction():
            await imports.lock(conn)
            await other.execute("set lock_timeout = '50ms'")
            with pytest.raises(Exception, match="too long"):
                async with other.transaction():
                    await building.rebuild(other, 0, 10)
    finally:
        await other.close()


async def test_sources_leave_out_words_that_were_deleted(conn: Any) -> None:
    await load(conn, SAILS)
    await conn.execute("update genres set deleted_at = now()")
    await conn.execute("update franchises set deleted_at = now()")
    (source,) = await search_documents.sources(conn, [await conn.fetchval("select id from releases")])
    assert (source.genres, source.tags, source.franchise) == ([], ["Sea"], None)
    assert json.loads(json.dumps(source.languages)) == ["ja", "ru"]


async def test_whatever_people_call_things_can_be_written(conn: Any) -> None:
    chance = random.Random(20)
    signs = [chr(one) for one in range(0x20, 0x11000) if not (0xD800 <= one <= 0xDFFF or one == 0x7F)]
    signs += [*"ﷺ㍿ẞİıŉﬃ①½🏴\u200d\u0301\u3099ーゝ々'\\:*&|!()<>~="] * 400

    def text(longest: int) -> str:
        return "".join(chance.choices(signs, k=chance.randrange(1, longest)))

    rows = [
        {"title": f"{n} {text(60)}", "titles": {"ja": f"{n} {text(290)}"}, "synonyms": [f"{n}{text(290)}"] * 2,
         "genres": [f"g{text(40)}"], "synopsis": text(2_000), "external_ids": {"mal": n}}
        for n in range(1, 301)
    ]  # fmt: skip
    summary = await load(conn, *rows)
    assert summary.created > 250, summary
    assert await conn.fetchval("select count(*) from search_documents") == summary.created
    assert await rebuilt(conn, 400) == 0
    assert await conn.fetchval("select max(length(names)) from search_documents") <= 400
