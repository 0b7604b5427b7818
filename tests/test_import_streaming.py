"""Files of any size in the same memory, and the command around it all."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tracemalloc
from pathlib import Path

import pytest

from server.commands import import_catalogue
from server.importing import pipeline
from server.importing.formats import FORMATS
from server.importing.reading import LINE_MAX, Position
from server.settings import Settings
from tests.importing import Collected, load_file

ROOT = Path(__file__).resolve().parents[1]


def big_array(path: Path, head: str, tail: str, count: int) -> int:
    """An array of works with long titles; its size in bytes."""
    with path.open("w") as file:
        file.write(head)
        for number in range(count):
            work = {
                "title": f"{number} " + "x" * 250,
                "sources": [],
                "sites": [],
                "synonyms": ["y" * 250] * 2,
                "comment": "z" * 500,
            }
            file.write(("," if number else "") + json.dumps(work))
        file.write(tail)
    return path.stat().st_size


@pytest.mark.parametrize(
    ("name", "head", "tail"), [("bangumi", "[", "]"), ("anime-offline-database", '{"data": [', "]}")]
)
def test_a_json_array_is_never_held_whole(tmp_path, name, head, tail):
    path = tmp_path / "array.json"
    size = big_array(path, head, tail, 8_000)
    position, seen = Position(), 0
    remaining = FORMATS[name].read(path, Collected(), position)
    tracemalloc.start()
    while batch := pipeline.take(remaining, pipeline.Report()).rows:
        seen += len(batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 8_000
    assert position.done == size
    assert peak < size / 2 < 8 << 20


async def test_a_line_too_long_for_a_release_is_rejected_and_passed_by(conn, tmp_path):
    path = tmp_path / "catalogue.jsonl"
    path.write_bytes(b'{"title": "One"}\n{"title": "' + b"x" * (LINE_MAX + 200_000) + b'"}\n{"title": "Three"}\n')
    report = Collected()
    summary = await load_file(conn, "native", path, report)
    assert (summary.created, summary.skipped) == (2, {"invalid": 1})
    assert report.said("rejected") == [(2, "", "the line is longer than 8 MiB")]


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_file(dsn, tmp_path):
    releases = int(os.environ.get("IMPORT_RELEASES", "6000"))
    command = [sys.executable, "-m", "tests.import_speed", dsn, str(releases), str(tmp_path / "catalogue.jsonl")]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    print(output.decode())
    first, second = (json.loads(line) for line in output.decode().splitlines())
    assert first["summary"].startswith(f"created: {releases},")
    assert f"unchanged: {releases}," in second["summary"]
    assert first["peak"] - first["before"] < 60
    assert second["peak"] - second["before"] < 10


def command_line(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    import_catalogue.configure(parser)
    return parser.parse_args(arguments)


async def test_the_command_prints_a_summary_and_writes_a_report(dsn, tmp_path, capsys):
    path, report = tmp_path / "catalogue.jsonl", tmp_path / "report.jsonl"
    path.write_text('{"title": "One"}\n{"title": "Two", "year": 12}\n{"title": "One"}\n')
    settings = Settings(database_url=dsn, data_dir=tmp_path)
    status = await import_catalogue.run(settings, command_line("native", str(path), "--report", str(report)))
    assert status == 0
    assert "created: 1, updated: 0, unchanged: 0, skipped: 2 (duplicate: 1, invalid: 1)" in capsys.readouterr().out
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(one["kind"], one["line"], one.get("field"), one["reason"]) for one in entries] == [
        ("rejected", 2, "year", "Expected `int` >= 1900"),
        ("skipped", 3, None, "duplicate"),
    ]
    assert {one["path"] for one in entries} == {str(path)}


async def test_the_command_fails_on_a_file_that_cannot_be_read_and_keeps_the_others(dsn, conn, tmp_path, capsys):
    good = tmp_path / "good.jsonl"
    good.write_text('{"title": "One"}\n')
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"\x1f\x8bnonsense")
    settings = Settings(database_url=dsn, data_dir=tmp_path)
    assert await import_catalogue.run(settings, command_line("native", str(good), str(broken))) == 1
    assert await import_catalogue.run(settings, command_line("native", str(tmp_path / "nowhere"))) == 1
    captured = capsys.readouterr()
    assert "created: 1" in captured.out
    assert "broken.jsonl.gz" in captured.err
    assert await conn.fetchval("select count(*) from releases") == 1


async def test_a_dry_run_of_the_command_writes_nothing(dsn, conn, tmp_path, capsys):
    path = tmp_path / "catalogue.jsonl"
    path.write_text('{"title": "One"}\n')
    settings = Settings(database_url=dsn, data_dir=tmp_path)
    assert await import_catalogue.run(settings, command_line("native", str(path), "--dry-run")) == 0
    assert "created: 1" in capsys.readouterr().out
    assert await conn.fetchval("select count(*) from releases") == 0
