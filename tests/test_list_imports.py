"""Lists brought along: written into the library, what has no release kept, and matched when the catalogue grows."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData

from server.commands import import_list
from server.lists.formats import read_list
from server.lists.rows import ListRow
from server.settings import load
from sql import user_stats
from tests import catalogue_seed
from tests.elastic_server import until
from tests.http_fixture import ON_18
from tests.people import Person, make_user, person
from tests.running import Running, running

RELEASES = 30
# A field of a form whose boundary is x, up to its value.
FIELD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


def csv_of(*rows: str) -> bytes:
    return "\n".join(["anime_id,score,status,watched_episodes", *rows]).encode()


async def finished(site: Running, who: Person, operation_id: str) -> dict[str, Any]:
    """The operation once it has ended."""
    async with asyncio.timeout(20):
        while True:
            async with site.client.get(f"/api/v1/operations/{operation_id}", headers=who.headers) as answer:
                found: dict[str, Any] = await answer.json()
            if found["status"] not in ("queued", "running"):
                return found
            await asyncio.sleep(0.05)


async def bring(site: Running, who: Person, content: bytes) -> dict[str, Any]:
    headers = who.headers | {"Content-Type": "application/octet-stream"}
    async with site.client.post("/api/v1/profile/import", data=content, headers=headers) as answer:
        body = await answer.read()
        assert answer.status == 202, body
        assert answer.headers["Location"].endswith(json.loads(body)["id"])
    return await finished(site, who, json.loads(body)["id"])


@pytest.fixture
async def site(conn: Any, dsn: str, tmp_path: Path) -> Any:
    """A server over releases 3, 6, … 90 whose MyAnimeList ids are 1, 2, … 30."""
    await catalogue_seed.fill(conn, RELEASES)
    async with running(dsn, tmp_path) as started:
        yield started


@ON_18
async def test_a_list_becomes_collections_ratings_and_progress(site: Running, conn: Any) -> None:
    who = await person(site)
    done = await bring(site, who, csv_of("1,9,2,3", "2,0,1,1", "9999,7,6,0", "x,1,1,1"))
    assert done["status"] == "succeeded", done
    assert done["result"] == {
        "rows": 3, "matched": 2, "unmatched": 1, "changed": 7, "dropped": 0, "refused": 1,
    }  # fmt: skip
    assert {error["row"] for error in done["errors"]} == {3, 4}
    entries = await conn.fetch("select kind, release_id, value from library_entries where user_id = $1", who.id)
    assert {tuple(row) for row in entries} == {(2, 3, 3), (3, 3, 9), (2, 6, 2)}
    seen = await conn.fetch(
        "select release_id, count(*) from progress where user_id = $1 and completed group by release_id", who.id
    )
    assert {tuple(row) for row in seen} == {(3, 3), (6, 1)}


@ON_18
async def test_the_same_list_again_changes_nothing(site: Running, conn: Any) -> None:
    who = await person(site)
    content = gzip.compress(csv_of("1,9,2,3", "500,5,1,0"))
    await bring(site, who, content)
    before = await conn.fetch("select * from library_entries where user_id = $1 order by kind, release_id", who.id)
    again = await bring(site, who, content)
    assert again["result"]["changed"] == 0
    assert await conn.fetch(
        "select * from library_entries where user_id = $1 order by kind, release_id", who.id
    ) == before  # fmt: skip


@ON_18
async def test_rows_without_a_release_wait_for_it_and_are_shown_meanwhile(site: Running, conn: Any) -> None:
    who, other = await person(site), await person(site)
    await bring(site, who, csv_of("777,8,2,2"))
    async with site.client.get("/api/v1/profile/import/unmatched", headers=who.headers) as answer:
        waiting = await answer.json()
    assert waiting["count"] == 1
    assert waiting["results"][0]["external_id"] == "777"
    async with site.client.get("/api/v1/profile/import/unmatched", headers=other.headers) as answer:
        assert (await answer.json())["count"] == 0
    await conn.execute(
        "insert into external_ids (source, external_id, is_number, release_id) values ('mal', '777', true, 9)"
    )
    await conn.execute(
        "insert into outbox (topic, entity, payload) values ('catalogue', 'catalogue', $1)",
        {"added": [9], "updated": [], "episodes": []},
    )
    for _ in range(400):
        if not await conn.fetchval("select count(*) from unmatched_entries where user_id = $1", who.id):
            break
        await asyncio.sleep(0.05)
    found = await conn.fetch("select kind, value from library_entries where user_id = $1 order by kind", who.id)
    assert [tuple(row) for row in found] == [(2, 3), (3, 8)]


@ON_18
@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 422), (b"a,b\n1,2\n", 202), (b"<rss/>", 202), (b"\x1f\x8bnonsense", 202), (b"\x00" * 100, 202)],
)
async def test_a_file_that_is_no_list_fails_with_a_sentence_and_nothing_else(
    site: Running, content: bytes, status: int
) -> None:
    who = await person(site)
    headers = who.headers | {"Content-Type": "application/octet-stream"}
    async with site.client.post("/api/v1/profile/import", data=content, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        if status != 202:
            return
        operation = await answer.json()
    done = await finished(site, who, operation["id"])
    assert done["status"] == "failed"
    assert "cannot be read" in json.dumps(done["errors"])
    assert "/" not in json.dumps(done["errors"])


@ON_18
async def test_a_form_with_a_file_does_as_well_as_a_body(site: Running, conn: Any) -> None:
    who = await person(site)
    form = FormData()
    form.add_field("note", "mine")
    form.add_field("file", csv_of("1,9,2,3"), filename="list.csv", content_type="text/csv")
    async with site.client.post("/api/v1/profile/import", data=form, headers=who.headers) as answer:
        assert answer.status == 202, await answer.text()
        operation = await answer.json()
    assert (await finished(site, who, operation["id"]))["result"]["matched"] == 1


@ON_18
@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("multipart/form-data", b"--x\r\n", 400),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="\x16"\r\n\r\n\r\n--x--',
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
            422,
        ),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"b" * 70_000 + b"\r\n--x--\r\n",
            422,
        ),
    ],
)
async def test_a_form_without_a_file_or_sense_is_refused_and_leaves_no_file(
    site: Running, tmp_path: Path, kind: str, content: bytes, status: int
) -> None:
    who = await person(site)
    headers = who.headers | {"Content-Type": kind}
    async with site.client.post("/api/v1/profile/import", data=content, headers=headers) as answer:
        assert answer.status == status, await answer.text()
    assert list((tmp_path / "uploads").iterdir()) == []


@ON_18
async def test_the_lists_of_several_people_are_not_taken_for_one(site: Running, conn: Any) -> None:
    who = await person(site)
    done = await bring(site, who, b"user,anime_id,score,status,watched_episodes\na,1,5,2,1\nb,2,5,2,1\n")
    assert done["status"] == "failed"
    assert await conn.fetchval("select count(*) from library_entries") == 0


@ON_18
async def test_an_upload_beyond_the_limit_is_refused_and_leaves_no_file(site: Running, tmp_path: Path) -> None:
    who = await person(site)
    headers = who.headers | {"Content-Type": "text/csv"}

    async def drip() -> Any:
        for _ in range(21):
            yield b"x" * 2**20

    async with site.client.post("/api/v1/profile/import", data=drip(), headers=headers) as answer:
        assert answer.status == 413
    assert list((tmp_path / "uploads").iterdir()) == []


@ON_18
async def test_the_command_loads_a_dump_of_many_people(conn: Any, dsn: str, tmp_path: Path, shared_data: Path) -> None:
    await catalogue_seed.fill(conn, RELEASES)
    rows = [row for row in read_list(shared_data / "ratings" / "lists.csv.gz") if isinstance(row, ListRow)][:4000]
    known = {row.external_id for row in rows[::7]}
    releases = [row["id"] for row in await conn.fetch("select id from releases where visible order by id")]
    await conn.execute("delete from external_ids")
    await conn.executemany(
        "insert into external_ids (source, external_id, release_id) values ('mal', $1, $2)",
        [(key, releases[place % len(releases)]) for place, key in enumerate(sorted(known))],
    )
    path = tmp_path / "lists.csv"
    codes = {"watching": 1, "completed": 2, "postponed": 3, "dropped": 4, "planned": 6}
    lines = [f"{r.owner},{r.external_id},{r.score},{codes[r.collection]},{r.watched_episodes}" for r in rows]
    path.write_text("\n".join(["user,anime_id,score,status,watched_episodes", *lines]) + "\n")
    settings = load({"DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)})
    arguments = argparse.Namespace(format="ratings", path=path, user=None, prefix="list-")
    assert await import_list.run(settings, arguments) == 0
    people = {row.owner for row in rows}
    assert await conn.fetchval("select count(*) from users where username like 'list-%'") == len(people)
    kept = await conn.fetchval("select count(*) from unmatched_entries")
    assert kept == len({(row.owner, row.external_id) for row in rows if row.external_id not in known})
    assert await user_stats.mend(conn, await user_stats.user_ids(conn, 0, 10_000)) == []


@ON_18
async def test_the_command_loads_the_export_of_one_person_by_their_name(
    conn: Any, dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await catalogue_seed.fill(conn, RELEASES)
    user_id = await make_user(dsn, "Mira")
    path = tmp_path / "animelist.xml"
    title = "<anime><series_animedb_id>1</series_animedb_id><my_status>Completed</my_status></anime>"
    path.write_text(f"<myanimelist>{title}</myanimelist>")
    settings = load({"DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)})

    async def run(user: str) -> int:
        arguments = argparse.Namespace(format="myanimelist", path=path, user=user, prefix="list-")
        return await import_list.run(settings, arguments)

    assert await run("mira") == 0
    assert "matched: 1" in capsys.readouterr().out
    found = await conn.fetch("select user_id, kind, release_id, value from library_entries")
    assert [tuple(row) for row in found] == [(user_id, 2, 3, 3)]
    assert await run("nobody-of-that-name") == 1
    assert "nobody is called" in capsys.readouterr().err


@ON_18
async def test_a_running_server_hears_that_the_command_changed_a_library(
    site: Running, dsn: str, tmp_path: Path
) -> None:
    who = await person(site)

    async def recommended() -> set[int]:
        async with site.client.get("/api/v1/recommendations?limit=100", headers=who.headers) as answer:
            assert answer.status == 200
            return {one["release"]["id"] for one in (await answer.json())["results"]}

    # Kept in memory for an hour from here on.
    known = min(await recommended())
    path = tmp_path / "list.csv"
    path.write_bytes(csv_of(f"{known // 3},9,2,0"))
    settings = load({"DATABASE_URL": dsn, "DATA_DIR": str(tmp_path)})
    arguments = argparse.Namespace(format="ratings", path=path, user=who.username, prefix="list-")
    assert await import_list.run(settings, arguments) == 0

    async def told() -> bool:
        return known not in await recommended()

    await until(told)
