"""The four formats: small samples of every kind of dirt, and the real catalogues beside the project."""

from __future__ import annotations

import gzip
import json

import pytest

from server.importing.reading import BrokenFileError
from tests.importing import Collected, document, dump, episodes, load_file

RELEASE = {
    "id": 5,
    "code": "Some--Code-",
    "title": "Ночь &amp; день",
    "originalName": "Yoru to Hiru",
    "type": "ОNA",
    "year": "2019",
    "description": "First.\r\n<br><b>Second</b> &#039;line&#039;",
    "genres": "Драма, Комедия ,",
    "season": "Осень",
    "series": "[12 из 24]",
    "status": "Озвучка завершена",
    "isOngoing": False,
    "rating": 77,
    "timestamp": 0,
    "ageRating": "Для людей, достигших возраста шестнадцати лет (16+)",
}
NO_SPAN = {"start": None, "stop": None}


def episode(ordinal, **said):
    return {
        "ordinal": ordinal,
        "name": "",
        "nameEnglish": "",
        "duration": 1400,
        "opening": NO_SPAN,
        "ending": NO_SPAN,
    } | said


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False))
    return folder


async def test_anilibria_rows_come_out_clean(conn, tmp_path):
    said = [episode(2, name="Два", duration=0), episode(0.5), episode(0), episode(-1), episode("x"), episode(2)]
    write(tmp_path, releases=[RELEASE], episodes=[{"releaseId": 5, "items": said}, {"releaseId": 99, "items": []}])
    write(tmp_path, franchises=[{"title": "Сутки", "releasesIds": [5, 404]}])
    report = Collected()
    summary = await load_file(conn, "anilibria", tmp_path, report)
    found = await document(conn, "Ночь & день")
    assert summary.created == 1
    assert found["synopsis"] == "First.\n\nSecond 'line'"
    assert found["titles"] == {"ru": "Ночь & день", "romaji": "Yoru to Hiru"}
    assert (found["slug"], found["type"], found["status"], found["season"]) == (
        "some-code",
        "ona",
        "finished",
        "autumn",
    )
    assert (found["year"], found["episodes_total"], found["age_rating"]) == (2019, 24, "16+")
    assert (found["franchise"]["name"], found["external_ids"]) == ("Сутки", {"anilibria": 5})
    assert sorted(genre["name"] for genre in found["genres"]) == ["Драма", "Комедия"]
    assert await episodes(conn, "Ночь & день") == [("0.00", "", 1400), ("0.50", "", 1400), ("2.00", "Два", None)]
    assert await conn.fetchval("select imported_popularity from popularity_metrics") == 77
    assert {field for _, field, _ in report.said("rejected")} == {f"items[{n}].ordinal" for n in (3, 4, 5)}
    repaired = {field for _, field, _ in report.said("repaired")}
    assert repaired >= {"type", "year", "series", "description", "title", "timestamp", "items[0].duration"}
    reasons = " ".join(reason for _, _, reason in report.said("repaired"))
    assert "names release 404" in reasons
    assert "names release 99" in reasons


@pytest.mark.parametrize(
    ("opening", "stored"),
    [
        ({"start": 10, "stop": 100}, (10, 100)),
        ({"start": 100, "stop": 10}, (None, None)),
        ({"start": 10, "stop": 10}, (None, None)),
        ({"start": -5, "stop": 10}, (None, None)),
        ({"start": 10, "stop": None}, (None, None)),
        (None, (None, None)),
    ],
)
async def test_an_opening_that_makes_no_sense_is_left_out(conn, tmp_path, opening, stored):
    write(tmp_path, releases=[RELEASE], episodes=[{"releaseId": 5, "items": [episode(1, opening=opening)]}])
    await load_file(conn, "anilibria", tmp_path / "releases.json")
    assert tuple(await conn.fetchrow("select opening_start, opening_stop from episodes")) == stored


@pytest.mark.parametrize(
    ("said", "stored"), [("", "other"), ("ТВ", "tv"), ("ОVА", "ova"), ("Фильм", "movie"), ("?", "other")]
)
async def test_types_are_read_through_wrong_alphabets(conn, tmp_path, said, stored):
    await load_file(conn, "anilibria", write(tmp_path, releases=[RELEASE | {"type": said}]))
    assert await conn.fetchval("select type from releases") == stored


async def test_elements_that_are_no_releases_are_rejected_with_their_number(conn, tmp_path):
    report = Collected()
    summary = await load_file(
        conn, "anilibria", write(tmp_path, releases=[7, RELEASE, {"id": 6, "title": "x" * 301}]), report
    )
    assert (summary.created, summary.skipped) == (1, {"invalid": 2})
    assert [(line, field) for line, field, _ in report.said("rejected")] == [(1, ""), (3, "title")]


async def test_bangumi_works_keep_their_titles_dates_and_ids(conn, tmp_path):
    work = {
        "title": "夜&amp;昼",
        "lang": "ja",
        "type": "tv",
        "titleTranslate": {"zh-Hans": ["夜与昼", "又名"], "en": ["Night"]},
        "begin": "2019-03-31T15:00:00.000Z",
        "end": "2019-06-30T15:00:00.000Z",
        "sites": [
            {"site": "aniList", "id": "12"},
            {"site": "tmdb", "id": "tv/9"},
            {"site": "iqiyi"},
            {"site": "mal", "id": "3"},
        ],
    }
    path = tmp_path / "items.json.gz"
    path.write_bytes(gzip.compress(json.dumps([work, work | {"sites": work["sites"][1:2], "title": "第二"}]).encode()))
    assert (await load_file(conn, "bangumi", path)).created == 2
    found = await document(conn, "夜&昼")
    assert found["titles"] == {"ja": "夜&昼", "zh-Hans": "夜与昼", "en": "Night"}
    assert found["synonyms"] == ["又名"]
    assert (found["year"], found["season"], found["status"]) == (2019, "spring", "finished")
    assert found["external_ids"] == {"anilist": 12, "mal": 3, "tmdb": "tv/9"}
    assert (await document(conn, "第二"))["external_ids"] == {}


ENTRY = {
    "sources": [
        "https://anidb.net/anime/4563",
        "https://anilist.co/anime/1535",
        "https://anime-planet.com/anime/some-note",
        "https://animecountdown.com/38790",
        "https://animenewsnetwork.com/encyclopedia/anime.php?id=6592",
        "https://anisearch.com/anime/3633",
        "https://kitsu.app/anime/1376",
        "https://livechart.me/anime/3437",
        "https://myanimelist.net/anime/1535",
        "https://notify.moe/anime/0-A-5Fimg",
        "https://simkl.com/anime/37089",
        "https://example.org/anime/1",
    ],
    "title": "Some Note",
    "type": "TV",
    "episodes": 37,
    "status": "FINISHED",
    "animeSeason": {"season": "FALL", "year": 2006},
    "picture": "https://example.org/1.jpg",
    "thumbnail": "https://example.org/1t.jpg",
    "duration": {"value": 1380, "unit": "SECONDS"},
    "score": {"arithmeticMean": 8.6},
    "synonyms": ["SN", "Записка"],
    "studios": ["madhouse"],
    "producers": [],
    "relatedAnime": ["https://anidb.net/anime/8147"],
    "tags": ["crime", "detective"],
}
METADATA = {"license": {"name": "ODbL"}, "repository": "https://example.org", "lastUpdate": "2026-01-01"}


@pytest.mark.parametrize("variant", ["json", "pretty", "jsonl", "jsonl.gz"])
async def test_the_offline_database_is_read_as_a_document_and_as_lines(conn, tmp_path, variant):
    other = ENTRY | {"sources": ["https://anidb.net/anime/1"], "title": "Other", "type": "UNKNOWN", "episodes": 0}
    if variant.startswith("jsonl"):
        content = "\n".join(json.dumps(one) for one in (METADATA, ENTRY, other)).encode()
    else:
        content = json.dumps(METADATA | {"data": [ENTRY, other]}, indent=2 if variant == "pretty" else None).encode()
    path = tmp_path / f"database.{variant}"
    path.write_bytes(gzip.compress(content) if variant.endswith("gz") else content)
    report = Collected()
    assert (await load_file(conn, "anime-offline-database", path, report)).created == 2
    found = await document(conn, "Some Note")
    assert found["external_ids"] == {
        "anidb": 4563,
        "anilist": 1535,
        "anime_planet": "some-note",
        "animecountdown": 38790,
        "anisearch": 3633,
        "ann": 6592,
        "kitsu": 1376,
        "livechart": 3437,
        "mal": 1535,
        "notify_moe": "0-A-5Fimg",
        "simkl": 37089,
    }
    assert (found["type"], found["status"], found["season"], found["year"]) == ("tv", "finished", "autumn", 2006)
    assert (found["episodes_total"], found["synonyms"]) == (37, ["SN", "Записка"])
    assert [tag["name"] for tag in found["tags"]] == ["crime", "detective"]
    assert (await document(conn, "Other"))["episodes_total"] is None
    assert any("example.org" in reason for _, _, reason in report.said("repaired"))
    assert (await load_file(conn, "anime-offline-database", path)).unchanged == 2


async def test_native_lines_that_cannot_be_read_are_rejected_with_line_field_and_reason(conn, tmp_path):
    lines = [
        b"\xef\xbb\xbf" + b'{"title": "Good"}',
        b"",
        b"{oops",
        b'{"title": "a", "colour": 1}',
        b'{"title": "a", "year": "2004"}',
        b'{"title": "\xff"}',
        b'{"title": "a\\u0000b"}',
        b"[" * 100_000,
        b'{"title": "a", "external_ids": {"MAL": 1}}',
        b'{"title": "a", "episodes": [{"ordinal": 1}, {"ordinal": -2}]}',
        b'{"title": "Last"}',
    ]
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(b"\r\n".join(lines))
    report = Collected()
    summary = await load_file(conn, "native", path, report)
    assert (summary.created, summary.skipped) == (2, {"invalid": 8})
    rejected = {line: (field, reason) for line, field, reason in report.said("rejected")}
    assert sorted(rejected) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert rejected[5] == ("year", "Expected `int | null`, got `str`")
    assert rejected[7] == ("title", "holds characters that are not allowed")
    assert rejected[10] == ("episodes[1].ordinal", "must lie between 0 and 99999")


async def test_a_file_that_is_cut_off_keeps_what_came_before(conn, tmp_path):
    path = tmp_path / "items.json"
    path.write_text(json.dumps([{"title": "One", "type": "tv", "sites": []}, {"title": "Two"}])[:-8])
    with pytest.raises(BrokenFileError, match="after element 1"):
        await load_file(conn, "bangumi", path)
    packed = tmp_path / "catalogue.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"title": "Three"}\n' * 3)[:-4])
    with pytest.raises(BrokenFileError):
        await load_file(conn, "native", packed)
    assert {row[0] for row in await conn.fetch("select title from releases")} >= {"One"}
    with pytest.raises(BrokenFileError, match="missing"):
        await load_file(conn, "native", tmp_path / "missing.jsonl")


async def test_the_real_anilibria_catalogue_enters_whole_and_only_once(conn, shared_data):
    report = Collected()
    summary = await load_file(conn, "anilibria", shared_data / "anilibria", report)
    assert (summary.created, summary.skipped, summary.episodes) == (1867, {}, 23277)
    assert await conn.fetchval("select count(*) from releases where synopsis ~ '[\\r<>]|&#'") == 0
    assert await conn.fetchval("select count(*) from releases where type = 'ona'") == 86
    assert await conn.fetchval("select count(*) from episodes where ordinal = 0 or ordinal % 1 <> 0") == 19
    assert await conn.fetchval("select count(*) from episodes where duration_seconds is null") == 550
    assert await conn.fetchval("select count(*) from releases where episodes_total is null or year is null") == 0
    assert sum("which is not in the file" in reason for _, _, reason in report.said("repaired")) == 25
    before = await dump(conn)
    assert (await load_file(conn, "anilibria", shared_data / "anilibria")).unchanged == 1867
    assert await dump(conn) == before


async def test_the_real_bangumi_catalogue_enters_but_for_doubled_ids_and_only_once(conn, shared_data):
    path = shared_data / "bangumi" / "items.json.gz"
    planned = await load_file(conn, "bangumi", path, dry_run=True)
    summary = await load_file(conn, "bangumi", path)
    assert planned == summary
    assert (summary.created, summary.skipped) == (8810, {"duplicate": 11})
    before = await dump(conn)
    again = await load_file(conn, "bangumi", path)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 8810)
    assert await dump(conn) == before
