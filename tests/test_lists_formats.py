"""Lists from elsewhere: MyAnimeList's XML and CSV dumps, read row by row, with whatever people's files hold."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import pytest

from server.exports import myanimelist
from server.importing.reading import BrokenFileError
from server.lists import formats
from server.lists.formats import read_list
from server.lists.rows import BadRow, ListRow, make_row
from sql.exports import Listed

SOUND = {"id": "12", "title": "A", "status": "2", "score": "9", "watched": "3"}


def anime(**said: str) -> str:
    names = {"series_animedb_id": "1", "series_title": "<![CDATA[Tide & Sea]]>", "my_status": "Watching"} | said
    return "<anime>" + "".join(f"<{name}>{value}</{name}>" for name, value in names.items()) + "</anime>"


def xml(tmp_path: Path, *titles: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> Path:
    path = tmp_path / "list.xml"
    path.write_text(f"{head}<myanimelist><myinfo/>{''.join(titles)}</myanimelist>", "utf-8")
    return path


def test_an_export_of_myanimelist_is_read_title_by_title(tmp_path: Path) -> None:
    path = xml(
        tmp_path,
        anime(my_score="8", my_watched_episodes="3"),
        anime(series_animedb_id="2", my_status="Plan to Watch"),
        anime(series_animedb_id="3", my_status="On-Hold"),
    )
    assert list(read_list(path)) == [
        ListRow(1, "mal", "1", "Tide & Sea", "watching", 8, 3),
        ListRow(2, "mal", "2", "Tide & Sea", "planned", 0, 0),
        ListRow(3, "mal", "3", "Tide & Sea", "postponed", 0, 0),
    ]


def test_a_gzipped_file_needs_no_name_that_says_so(tmp_path: Path) -> None:
    packed = tmp_path / "upload"
    packed.write_bytes(gzip.compress(xml(tmp_path, anime()).read_bytes()))
    assert [row.external_id for row in read_list(packed) if isinstance(row, ListRow)] == ["1"]


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("id", "", "id"),
        ("id", "0", "id"),
        ("id", "-4", "id"),
        ("id", "٣", "id"),
        ("id", "9" * 21, "id"),
        ("status", "5", "status"),
        ("status", "", "status"),
        ("score", "11", "score"),
        ("score", "-1", "score"),
        ("score", "eight", "score"),
        ("watched", "1000000", "episodes"),
        ("watched", "-2", "episodes"),
    ],
)
def test_a_row_that_makes_no_sense_is_named_with_its_place(field: str, value: str, word: str) -> None:
    row = make_row(7, "mal", SOUND | {field: value})
    assert isinstance(row, BadRow)
    assert row.place == 7
    assert word in row.reason


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE myanimelist [<!ENTITY a "b">]><myanimelist>&a;</myanimelist>',
        '<!DOCTYPE myanimelist SYSTEM "file:///etc/passwd"><myanimelist/>',
        "<myanimelist><anime>",
        "<rss/>",
        "<",
        '<?xml version="1.0" encoding="nonsense"?><myanimelist/>',
    ],
)
def test_what_is_no_export_is_refused_and_entities_are_never_expanded(tmp_path: Path, text: str) -> None:
    path = tmp_path / "list.xml"
    path.write_text(text)
    with pytest.raises(BrokenFileError):
        list(read_list(path))


def test_a_small_file_that_unpacks_into_a_large_one_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "LARGEST_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"<myanimelist>" + b" " * (4 << 20) + b"</myanimelist>"))
    assert path.stat().st_size < 10_000
    with pytest.raises(BrokenFileError, match="too large"):
        list(read_list(path))


def test_a_file_without_the_columns_of_a_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BrokenFileError, match="anime_id"):
        list(read_list(path))


def test_every_row_of_the_real_lists_is_understood(shared_data: Path) -> None:
    path = shared_data / "ratings" / "lists.csv.gz"
    rows = [row for row in read_list(path) if isinstance(row, ListRow)]
    with gzip.open(path, "rt", newline="") as file:
        said = Counter(row["status"] for row in csv.DictReader(file))
    codes = {"watching": "1", "completed": "2", "postponed": "3", "dropped": "4", "planned": "6"}
    assert Counter(codes[row.collection] for row in rows) == said
    assert len({row.owner for row in rows}) == 576


def test_what_is_exported_is_read_back_as_it_was(tmp_path: Path) -> None:
    listed = Listed(5, 3, 9, 12, "Tide <&> \x01 潮", "tv", 12, "41")
    path = tmp_path / "out.xml"
    path.write_text(myanimelist.HEAD + myanimelist.element(listed) + myanimelist.FOOT, "utf-8")
    assert list(read_list(path)) == [ListRow(1, "mal", "41", "Tide <&> 潮", "completed", 9, 12)]
