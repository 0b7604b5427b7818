"""What an import does to the catalogue: identity, authority, repetition, interruption."""

from __future__ import annotations

import asyncio

import pytest

from server.importing import pipeline
from server.importing.pipeline import Item, Report, SourceFormat, import_drafts
from tests.importing import NATIVE, SUPPLEMENT, Collected, document, dump, episodes, items, load

FULL = {
    "title": "The Lighthouse",
    "titles": {"ru": "Маяк", "romaji": "Toudai"},
    "synonyms": ["Beacon"],
    "synopsis": "Ships.",
    "type": "tv",
    "status": "ongoing",
    "season": "spring",
    "year": 2021,
    "age_rating": "12+",
    "episodes_total": 2,
    "genres": ["Drama", "drama ", "Comedy"],
    "tags": ["Sea"],
    "franchise": "Lighthouse",
    "external_ids": {"mal": 1, "anidb": "x-1"},
    "popularity": 1_000_000,
    "episodes": [
        {"ordinal": 1, "title": "Fog", "duration_seconds": 1400, "opening": {"start": 1, "stop": 90}},
        {"ordinal": "1.5"},
    ],
}


async def test_a_release_enters_with_everything_it_says(conn):
    summary = await load(conn, FULL)
    found = await document(conn, "The Lighthouse")
    assert (summary.created, summary.episodes) == (1, 2)
    assert found["slug"] == "toudai"
    assert found["titles"] == FULL["titles"]
    assert found["external_ids"] == {"mal": 1, "anidb": "x-1"}
    assert [genre["name"] for genre in found["genres"]] == ["Comedy", "Drama"]
    assert found["franchise"]["name"] == "Lighthouse"
    assert await episodes(conn, "The Lighthouse") == [("1.00", "Fog", 1400), ("1.50", "", None)]
    assert await conn.fetchval("select sort_title from releases") == "lighthouse"
    assert await conn.fetchrow("select imported_popularity, popularity_score from popularity_metrics") == (
        1_000_000,
        0.5,
    )
    assert await conn.fetchval("select total from catalogue_totals where name = 'releases'") == 1


async def test_running_again_changes_nothing(conn):
    many = [
        FULL,
        *({"title": f"Title {n}", "external_ids": {"mal": n}, "episodes": [{"ordinal": n}]} for n in range(2, 40)),
    ]
    await load(conn, *many)
    before = await dump(conn)
    summary = await load(conn, *many)
    assert (summary.created, summary.updated, summary.unchanged) == (0, 0, 39)
    assert await dump(conn) == before


async def test_a_row_that_says_the_same_in_other_words_touches_no_release(conn):
    await load(conn, FULL)
    before = await dump(conn)
    summary = await load(
        conn, FULL | {"genres": ["COMEDY", "Drama"], "episodes": [{"ordinal": "1.50"}, FULL["episodes"][0]]}
    )
    after = await dump(conn)
    assert (summary.updated, summary.unchanged) == (0, 1)
    assert [table for table in before if before[table] != after[table]] == ["release_imports"]


async def test_native_replaces_what_it_says_and_leaves_the_rest(conn):
    await load(conn, FULL)
    later = {
        "title": "The Lighthouse",
        "external_ids": {"mal": 1},
        "titles": {"ru": "Маяк"},
        "synonyms": [],
        "season": None,
    }
    summary = await load(conn, later | {"episodes": [{"ordinal": 1, "title": "Mist"}], "genres": []})
    found = await document(conn, "The Lighthouse")
    assert summary.updated == 1
    assert (found["titles"], found["synonyms"], found["season"], found["genres"]) == ({"ru": "Маяк"}, [], None, [])
    assert found["external_ids"] == {"mal": 1}
    assert (found["synopsis"], found["year"], found["franchise"]["name"]) == ("Ships.", 2021, "Lighthouse")
    assert await episodes(conn, "The Lighthouse") == [("1.00", "Mist", None)]
    assert await conn.fetchval("select count(*) from episodes where deleted_at is not null") == 1
    assert await conn.fetchval("select updated_at > created_at from releases")


async def test_a_deleted_episode_comes_back_under_its_old_id_when_native_says_it_again(conn):
    await load(conn, FULL)
    before = await conn.fetchval("select id from episodes where ordinal = 1.5")
    await load(conn, FULL | {"episodes": FULL["episodes"][:1]})
    await load(conn, FULL)
    assert await conn.fetchval("select id from episodes where ordinal = 1.5 and deleted_at is null") == before


async def test_other_sources_supplement(conn):
    await load(conn, FULL)
    said = {
        "title": "The Lighthouse",
        "titles": {"en": "Lighthouse"},
        "synonyms": ["Beacon", "Tower"],
        "synopsis": "",
        "genres": [],
        "external_ids": {"mal": 1, "kitsu": 5},
        "year": None,
        "episodes": [{"ordinal": 1}, {"ordinal": 2, "title": "New"}],
    }
    summary = await load(conn, said, source=SUPPLEMENT)
    found = await document(conn, "The Lighthouse")
    assert summary.updated == 1
    assert found["titles"] == {"en": "Lighthouse", "ru": "Маяк", "romaji": "Toudai"}
    assert found["synonyms"] == ["Beacon", "Tower"]
    assert (found["synopsis"], found["year"], len(found["genres"])) == ("Ships.", 2021, 2)
    assert found["external_ids"] == {"anidb": "x-1", "kitsu": 5, "mal": 1}
    assert [one[:2] for one in await episodes(conn, "The Lighthouse")] == [
        ("1.00", "Fog"),
        ("1.50", ""),
        ("2.00", "New"),
    ]


async def test_what_a_source_said_before_does_not_undo_what_others_changed_since(conn):
    await load(conn, FULL, source=SUPPLEMENT)
    await load(conn, FULL | {"synopsis": "Edited."})
    summary = await load(conn, FULL, source=SUPPLEMENT)
    assert summary.unchanged == 1
    assert (await document(conn, "The Lighthouse"))["synopsis"] == "Edited."


async def test_only_popularity_moves_the_score_and_not_the_release(conn):
    await load(conn, FULL)
    before = await dump(conn)
    summary = await load(conn, FULL | {"popularity": 3_000_000})
    after = await dump(conn)
    assert summary.updated == 1
    assert after["releases"] == before["releases"]
    assert await conn.fetchval("select popularity_score from popularity_metrics") == pytest.approx(0.75)


async def test_a_row_that_fits_two_releases_is_skipped(conn):
    await load(
        conn, {"title": "One", "external_ids": {"mal": 1}}, {"title": "Two", "external_ids": {"mal": 2, "anidb": 2}}
    )
    before = await dump(conn)
    report = Collected()
    summary = await load(
        conn, {"title": "Both", "external_ids": {"mal": 1, "anidb": 2}}, source=SUPPLEMENT, report=report
    )
    assert summary.skipped == {"ambiguous": 1}
    assert report.said("skipped") == [(1, "", "ambiguous")]
    assert await dump(conn) == before


async def test_a_deleted_release_is_left_alone(conn):
    await load(conn, FULL)
    await conn.execute("update releases set deleted_at = now()")
    before = await dump(conn)
    summary = await load(conn, FULL | {"year": 2022})
    assert summary.skipped == {"deleted": 1}
    assert await dump(conn) == before


async def test_a_line_of_a_deleted_release_that_comes_again_as_it_was_is_skipped_as_deleted(conn):
    await load(conn, FULL)
    await conn.execute("update releases set deleted_at = now()")
    summary = await load(conn, FULL)
    assert (summary.unchanged, summary.skipped) == (0, {"deleted": 1})


@pytest.mark.parametrize("year", [2020, 2022], ids=["the same line", "a changed line"])
async def test_a_line_follows_its_external_id_to_the_release_that_has_it_now(conn, year):
    line = {"title": "First", "year": 2020, "external_ids": {"mal": 1}}
    await load(conn, line, {"title": "Second", "external_ids": {"anidb": 7}})
    first, second = [row["id"] for row in await conn.fetch("select id from releases order by id")]
    await conn.execute("update external_ids set external_id = '2' where release_id = $1", first)
    await conn.execute("insert into external_ids values ('mal', '1', true, $1)", second)
    summary = await load(conn, line | {"year": year})
    assert (summary.updated, summary.unchanged) == (1, 0)
    found = await conn.fetch(
        "select title, year, source || external_id as id from releases join external_ids on id = release_id"
        " where external_id in ('1', '2') order by external_id"
    )
    assert [tuple(row) for row in found] == [("First", year, "mal1"), ("First", 2020, "mal2")]
    assert await conn.fetchval("select release_id from release_imports where source_key = 'mal:1'") == second
    assert (await load(conn, line | {"year": year})).unchanged == 1


async def test_a_line_whose_external_id_an_editor_took_away_stays_with_its_release(conn):
    await load(conn, {"title": "First", "external_ids": {"mal": 1}})
    await conn.execute("delete from external_ids")
    assert (await load(conn, {"title": "First", "external_ids": {"mal": 1}})).unchanged == 1
    assert (await load(conn, {"title": "First", "year": 2000, "external_ids": {"mal": 1}})).updated == 1


@pytest.mark.parametrize("batch_rows", [1, 1000])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_second_row_for_a_release_is_a_duplicate_in_the_same_batch_and_in_another(
    conn, monkeypatch, batch_rows, dry_run
):
    monkeypatch.setattr(pipeline, "BATCH_ROWS", batch_rows)
    said = [{"title": "One", "external_ids": {"mal": 1}}, {"title": "Other", "external_ids": {"mal": 1, "anidb": 3}}]
    for created in (1, 1 if dry_run else 0):
        summary = await load(conn, *said, dry_run=dry_run)
        assert (summary.created, summary.skipped) == (created, {"duplicate": 1})


@pytest.mark.parametrize("batch_rows", [1, 1000])
async def test_rows_with_keys_of_their_own_are_works_of_their_own(conn, monkeypatch, batch_rows):
    monkeypatch.setattr(pipeline, "BATCH_ROWS", batch_rows)
    source, report = SourceFormat("keyed", own_keys=True), Collected()
    said = [{"title": "One", "external_ids": {"mal": 1}}, {"title": "Two", "external_ids": {"mal": 1, "anidb": 3}}]
    summary = await load(conn, *said, source=source, keys=("1", "2"), report=report)
    before = await dump(conn)
    again = await load(conn, *said, source=source, keys=("1", "2"))
    assert (summary.created, again.unchanged) == (2, 2)
    assert (await document(conn, "Two"))["external_ids"] == {"anidb": 3}
    assert report.said("repaired") == [(2, "external_ids", "mal:1 belongs to another release")]
    assert await dump(conn) == before


async def test_a_line_without_ids_is_known_by_title_type_and_year(conn):
    said = {"title": "Nameless", "type": "movie", "year": 1999}
    await load(conn, said)
    summary = await load(conn, said | {"synopsis": "Now with text."}, said | {"year": 2000})
    assert (summary.created, summary.updated) == (1, 1)


async def test_a_row_that_returns_to_what_it_said_under_another_key_is_applied(conn):
    await load(conn, {"title": "First", "external_ids": {"mal": 1}})
    await load(conn, {"title": "Second", "external_ids": {"anidb": 1, "mal": 1}})
    summary = await load(conn, {"title": "First", "external_ids": {"mal": 1}})
    assert summary.updated == 1
    assert await conn.fetchval("select title from releases") == "First"


async def test_slugs_are_unique_and_old_ones_are_kept(conn):
    said = [{"title": "Same", "external_ids": {"mal": n}} for n in (1, 2)] + [{"title": "1984"}, {"title": "Latest"}]
    await load(conn, *said)
    rows = await conn.fetch("select id, slug from releases order by id")
    assert [row["slug"] for row in rows] == ["same", f"same-{rows[1]['id']}", "release-1984", "release-latest"]
    await load(conn, {"title": "Same", "slug": "renamed", "external_ids": {"mal": 1}})
    await load(conn, {"title": "Same", "external_ids": {"mal": 3}})
    assert await conn.fetchval("select release_id from release_slugs where slug = 'same'") == rows[0]["id"]
    assert await conn.fetchval("select count(*) from releases where slug = 'same'") == 0
    await load(conn, {"title": "Same", "slug": "same", "external_ids": {"mal": 1}})
    assert await conn.fetchval("select slug from releases where id = $1", rows[0]["id"]) == "same"
    assert [row["slug"] for row in await conn.fetch("select slug from release_slugs")] == ["renamed"]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"title": "  "}, "title"),
        ({"title": "a", "genres": ["ok", "  "]}, "genres"),
        ({"title": "a", "episodes": [{"ordinal": "-1"}]}, "episodes[0].ordinal"),
        ({"title": "a", "episodes": [{"ordinal": "NaN"}]}, "episodes[0].ordinal"),
        ({"title": "a", "episodes": [{"ordinal": "1.255"}]}, "episodes[0].ordinal"),
        ({"title": "a", "episodes": [{"ordinal": 1}, {"ordinal": "1.00"}]}, "episodes[1].ordinal"),
        ({"title": "a", "episodes": [{"ordinal": 1, "ending": {"start": 5, "stop": 5}}]}, "episodes[0].ending"),
        ({"title": "a", "episodes": [{"ordinal": 1, "air_at": "0001-01-01T00:00:00+14:00"}]}, "episodes[0].air_at"),
    ],
)
async def test_what_cannot_be_stored_is_rejected_and_the_rest_goes_on(conn, said, field):
    report = Collected()
    summary = await load(conn, said, {"title": "Sound"}, report=report)
    assert (summary.created, summary.skipped) == (1, {"invalid": 1})
    assert [one[:2] for one in report.said("rejected")] == [(1, field)]


async def test_a_dry_run_says_the_same_and_writes_nothing(conn):
    await load(conn, FULL, {"title": "Old", "external_ids": {"mal": 7}})
    before = await dump(conn)
    said = [FULL | {"year": 2001}, {"title": "Old", "external_ids": {"mal": 7}}, {"title": "New", "genres": ["Unseen"]}]
    planned = await load(conn, *said, dry_run=True)
    assert await dump(conn) == before
    assert (planned.created, planned.updated, planned.unchanged) == (1, 1, 1)
    assert await load(conn, *said) == planned


async def test_an_interrupted_import_keeps_whole_batches_and_finishes_when_run_again(conn, monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 10)
    said = [{"title": f"Title {n}", "external_ids": {"mal": n}, "episodes": [{"ordinal": 1}]} for n in range(1, 101)]
    task: asyncio.Task[object]

    def stop(summary) -> None:
        if summary.total >= 30:
            task.cancel()

    task = asyncio.create_task(load(conn, *said, progress=stop))
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = await conn.fetchval("select count(*) from releases")
    assert 30 <= kept < 100
    assert kept % 10 == 0
    assert await conn.fetchval("select count(*) from release_documents") == kept
    summary = await load(conn, *said)
    assert (summary.created, summary.unchanged) == (100 - kept, kept)
    assert await conn.fetchval("select count(*) from episodes") == 100


async def test_a_batch_that_fails_leaves_nothing_behind(conn, monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH_ROWS", 2)
    await conn.execute("alter table releases add constraint no_third check (title <> 'Third')")
    with pytest.raises(Exception, match="no_third"):
        await load(conn, {"title": "First"}, {"title": "Second"}, {"title": "Third"}, {"title": "Fourth"})
    assert [row[0] for row in await conn.fetch("select title from releases order by id")] == ["First", "Second"]
    assert await conn.fetchval("select count(*) from import_claims") == 0


async def test_items_may_come_from_an_asynchronous_source_and_settle_with_their_ids(conn):
    async def source():
        for item in items({"title": "One"}, {"title": "Two"}):
            await asyncio.sleep(0)
            yield item

    report = Collected()
    await import_drafts(conn, NATIVE, source(), report)
    rows = await conn.fetch("select id from releases order by id")
    assert report.rows == [(1, "created", rows[0]["id"]), (2, "created", rows[1]["id"])]


async def test_servers_hear_of_a_batch_that_changed_something_and_of_no_other(conn):
    heard: list[str] = []
    await conn.add_listener("yojohan_invalidate", lambda *said: heard.append(said[3]))
    await load(conn, FULL)
    await load(conn, FULL)
    await conn.execute("select 1")
    assert heard == ["releases"]


def test_batches_are_bounded_by_their_episodes(monkeypatch):
    monkeypatch.setattr(pipeline, "BATCH_EPISODES", 5)
    said = [{"title": f"T{n}", "episodes": [{"ordinal": 1}, {"ordinal": 2}, {"ordinal": 3}]} for n in range(5)]
    remaining = iter(items(*said))
    assert [len(pipeline.take(remaining, Report()).rows) for _ in range(4)] == [2, 2, 1, 0]


async def test_a_long_title_of_expanding_letters_fits_every_index(conn):
    summary = await import_drafts(conn, NATIVE, [Item(1, None, items({"title": "ﷺ" * 300})[0].draft)], Report())
    assert summary.created == 1
