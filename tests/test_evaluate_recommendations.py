"""`run.py evaluate-recommendations`: what is hidden, what counts as found, and how well real lists are answered."""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import os
import re
import sys
from collections import Counter
from math import log2
from pathlib import Path
from random import Random
from typing import Any

import pytest

from server.commands import evaluate_recommendations
from server.importing.reading import BrokenFileError
from server.recommending import reading
from server.recommending.evaluate import evaluate
from server.recommending.protocol import Ratings, Split, Tally, split
from server.recommending.reading import add_file
from server.rules.recommending import Facts
from server.settings import Settings, load
from tests.http_fixture import ON_18

ROOT = Path(__file__).resolve().parents[1]
HEADER = ["user", "anime_id", "score", "status", "watched_episodes"]


def ratings(rows: list[tuple[int, int, int]]) -> Ratings:
    found = Ratings()
    for row in rows:
        found.add(*row)
    return found


def crowds(people: int = 80, titles: int = 60) -> list[tuple[int, int, int]]:
    """Two crowds, each of which likes half of the titles and has little to do with the other half."""
    random, found = Random(3), []
    for person in range(people):
        for title in range(1, titles + 1):
            mine = title % 2 == person % 2
            if random.random() < (0.7 if mine else 0.1):
                found.append((person, title, random.randint(7, 10) if mine else random.randint(2, 5)))
    return found


def taking_part(rows: list[tuple[int, int, int]]) -> list[int]:
    counts = Counter(person for person, _, _ in rows)
    return sorted(person for person, count in counts.items() if count >= 20)


def write(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *((*row, 2, 12) for row in rows)])
    return path


def settings(dsn: str, data_dir: Path) -> Settings:
    return load({"DATABASE_URL": dsn, "DATA_DIR": str(data_dir)})


def table(printed: str) -> dict[str, tuple[float, float]]:
    found = re.findall(r"^(\S.*?)  +(\d\.\d{3})  +(\d\.\d{3})$", printed, re.MULTILINE)
    return {name: (float(recall), float(ndcg)) for name, recall, ndcg in found}


def test_only_who_rated_enough_of_what_is_rated_enough_takes_part() -> None:
    rows = [(person, title, 8) for person in range(5) for title in range(20)]
    rows += [(9, title, 8) for title in range(19)]
    rows += [(person, 500, 8) for person in range(4)]
    found = split(ratings(rows))
    assert len(found) == 5
    assert set(found.items.tolist()) == set(range(20))


def test_a_fifth_is_hidden_the_same_every_time_and_only_what_was_liked_of_it_is_wanted() -> None:
    rows = crowds()
    found, again = split(ratings(rows)), split(ratings(list(reversed(rows))))
    assert (found.hidden == again.hidden).all()
    for first, last in zip(found.starts, found.starts[1:], strict=False):
        assert found.hidden[first:last].sum() == last - first - int((last - first) * 0.8)
    own = {(person, title): score for person, title, score in rows}
    for person, judge in zip(taking_part(rows), found.judges(), strict=True):
        assert judge.wanted.isdisjoint(judge.seen)
        assert all(own[person, title] >= 7 for title in judge.wanted)
        assert all(own[person, title] > 3 for title in judge.history)
        assert judge.history.keys() <= judge.seen


def test_whoever_rates_twice_is_heard_once() -> None:
    rows = [(person, title, 8) for person in range(5) for title in range(20)]
    found = split(ratings([*rows, *((0, title, 1) for title in range(20))]))
    assert (len(found.items), set(found.values.tolist())) == (100, {8})


def test_what_is_found_counts_by_how_much_there_was_and_how_far_up_it_stands() -> None:
    tally = Tally()
    tally.add([1, 2, 3], {2, 9})
    tally.add([5], set())
    assert (tally.people, tally.recall) == (1, 0.5)
    assert tally.ndcg == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))
    tally.add(list(range(10)), set(range(30)))
    assert tally.recall == pytest.approx((0.5 + 1) / 2)


def lines(found: Split, facts: dict[int, Facts]) -> dict[str, tuple[float, float]]:
    return {line.name: (line.recall, line.ndcg) for line in evaluate(found, facts).lines}


def test_whoever_listens_to_people_does_better_than_who_does_not() -> None:
    found = lines(split(ratings(crowds())), {})
    assert found["ours, ranking"] > found["popularity"] > found["random"]
    assert found["EASE, all weights"] > found["popularity"]
    assert found["ours, served"] == found["ours, ranking"]


def test_what_is_served_goes_by_the_rules_of_a_page() -> None:
    facts = {title: Facts(franchise_id=1, part=title) for title in range(1, 61)}
    found = lines(split(ratings(crowds())), facts)
    assert found["ours, served"] < found["ours, ranking"]


@pytest.mark.parametrize("name", ["lists.csv", "lists.csv.gz"])
def test_a_file_is_read_and_what_makes_no_sense_in_it_is_left_out(tmp_path: Path, name: str) -> None:
    odd = [("a", 1, 8), ("a", 2, 0), ("a", 3, 11), ("a", "x", 8), ("a", 1, 9), ("b", 1, 10), ("b", -4, 5), ("b", 5, "")]
    found = Ratings()
    add_file(found, write(tmp_path / name, odd))
    assert list(zip(found.people, found.items, found.values, strict=True)) == [(0, 1, 8), (0, 1, 9), (1, 1, 10)]


def test_columns_are_found_by_the_names_that_dumps_give_them(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    path.write_text("\ufeffusername,title,anime_id,my_score\nsomebody,A,7,9\nsomebody,B,8,-1\nother,A,7,6\n", "utf-8")
    found = Ratings()
    assert add_file(found, path)
    assert list(zip(found.people, found.items, found.values, strict=True)) == [(0, 7, 9), (1, 7, 6)]


def test_of_too_large_a_file_the_first_part_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_RATINGS", 3)
    path = write(tmp_path / "lists.csv", [("a", title, 8) for title in range(1, 5)])
    found = Ratings()
    assert (add_file(found, path), len(found)) == (False, 3)


def test_half_a_point_short_of_seven_is_not_liked_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    found = Ratings()
    scores = ["6.6", "9.9", "10.4", 0, "", "nan", "x"]
    add_file(found, write(tmp_path / "lists.csv", [("a", title, score) for title, score in enumerate(scores, 1)]))
    assert list(zip(found.items, found.values, strict=True)) == [(1, 6), (2, 9)]
    assert found.left_out == {"without a score": 2, "with no valid title or score": 3}


def test_what_takes_no_part_is_counted_by_its_reason() -> None:
    rows = [(person, title, 8) for person in range(5) for title in range(20)]
    found = ratings([*rows, (0, 3, 9), (0, 500, 8), *((9, title, 8) for title in range(19))])
    split(found)
    assert found.left_out == {
        "rated again": 1, "of titles with fewer than 5 ratings": 1, "of people with fewer than 20 ratings": 19
    }  # fmt: skip


@ON_18
async def test_figures_do_not_depend_on_what_the_catalogue_knows(
    dsn: str, conn: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "lists.csv", [*crowds(), ("x", 1, 0)])
    here, arguments = settings(dsn, tmp_path), argparse.Namespace(path=path)
    assert await evaluate_recommendations.run(here, arguments) == 0
    before = capsys.readouterr().out
    assert re.search(r"^left out: .*\b1 without a score", before, re.MULTILINE)
    # Two numbers of one release each, in another order than theirs.
    await conn.execute(
        """with made as (insert into releases (slug, title, sort_title)
                         select 'r-' || n, 'R', 'r' from generate_series(1, 30) n returning id, slug)
           insert into external_ids (source, external_id, release_id)
           select 'mal', number, id from made
           cross join lateral (values (61 - substr(slug, 3)::integer), (substr(slug, 3)::integer)) n (number)"""
    )
    assert await evaluate_recommendations.run(here, arguments) == 0
    after = capsys.readouterr().out
    assert "releases: 60 (in the catalogue: 60)" in after
    assert table(after) == table(before)


@ON_18
async def test_of_too_many_ratings_here_the_first_count(
    dsn: str, conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "MOST_RATINGS", 100)
    await conn.execute(
        """with made as (insert into users (username, username_key)
                         select 'm' || n, 'm' || n from generate_series(1, 6) n returning id)
           insert into library_entries (user_id, kind, release_id, value, changed_at, revision)
           select made.id, 3, title, 8, now(), 1 from made, generate_series(1, 20) title"""
    )
    await evaluate_recommendations.run(settings(dsn, tmp_path), argparse.Namespace(path=None))
    assert "Only the first 100 ratings take part" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"user,score\n1,2\n", b"\xff\xfe\x00", b"\x1f\x8bgarbage"])
def test_what_is_no_such_file_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lists.csv"
    path.write_bytes(content)
    with pytest.raises(BrokenFileError):
        add_file(Ratings(), path)


@ON_18
async def test_the_table_of_a_file_says_what_the_catalogue_knows(
    dsn: str, conn: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await conn.execute(
        """with f as (insert into franchises (slug, name, name_key) values ('f', 'F', 'f') returning id),
                made as (insert into releases (slug, title, sort_title, franchise_id, year)
                         select 'r-' || n, 'R', 'r', f.id, 2000 + n from f, generate_series(1, 12) n returning id, slug)
           insert into external_ids (source, external_id, release_id)
           select 'mal', substr(slug, 3), id from made"""
    )
    rows = crowds()
    path = write(tmp_path / "lists.csv", list(rows))
    assert await evaluate_recommendations.run(settings(dsn, tmp_path), argparse.Namespace(path=path)) == 0
    printed = capsys.readouterr().out
    assert f"people: {len(taking_part(rows))}, releases: 60 (in the catalogue: 12)" in printed
    assert len(table(printed)) == 6
    assert table(printed)["ours, served"] < table(printed)["ours, ranking"]


@ON_18
async def test_without_a_file_the_people_here_are_asked(
    dsn: str, conn: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = crowds()
    here = settings(dsn, tmp_path)
    assert await evaluate_recommendations.run(here, argparse.Namespace(path=None)) == 1
    assert "too few ratings" in capsys.readouterr().err
    await conn.execute(
        "insert into users (id, username, username_key) select n, 'u' || n, 'u' || n from generate_series(1, 80) n"
    )
    await conn.executemany(
        "insert into library_entries (user_id, kind, release_id, value, changed_at, revision)"
        " values ($1, 3, $2, $3, now(), 1)",
        [(person + 1, title, score) for person, title, score in rows],
    )
    assert await evaluate_recommendations.run(here, argparse.Namespace(path=None)) == 0
    assert f"people: {len(taking_part(rows))}, releases: 60 (in the catalogue: 0)" in capsys.readouterr().out


@ON_18
async def test_a_file_that_is_not_there_is_a_sentence(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = argparse.Namespace(path=tmp_path / "none.csv")
    assert await evaluate_recommendations.run(settings(dsn, tmp_path), arguments) == 1
    assert "evaluate-recommendations: " in capsys.readouterr().err


@ON_18
async def test_real_lists_are_answered_better_than_by_plain_ways_in_little_memory(
    dsn: str, tmp_path: Path, shared_data: Path
) -> None:
    path = shared_data / "ratings" / "lists.csv.gz"
    if not path.exists():
        pytest.skip("no real lists beside the project")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "run.py"), "evaluate-recommendations", str(path), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)}, cwd=tmp_path,
    )  # fmt: skip
    printed = (await asyncio.wait_for(process.communicate(), 180))[0].decode()
    found = table(printed)
    recall, ndcg = found["ours, ranking"]
    assert recall >= 0.44, printed
    assert ndcg >= 0.475, printed
    assert recall > found["item-kNN"][0] > found["popularity"][0] > found["random"][0]
    assert int(re.findall(r"peak memory: (\d+) MB", printed)[0]) <= 150
