"""The archive of everything that is mine: complete, whole, nobody else's, and gone in time."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from server.exports import archive
from server.lists.formats import read_list
from server.lists.rows import ListRow
from tests import catalogue_seed
from tests.http_fixture import ON_18, problem
from tests.people import Person, person
from tests.running import Running, running

pytestmark = ON_18
PARTS = {
    "README.txt", "account.json", "favorites.json", "collections.json", "ratings.json", "ignores.json",
    "progress.json", "subscriptions.json", "activity.json", "notifications.json", "notification_preferences.json",
    "comments.json", "reviews.json", "helpful_votes.json", "reports.json", "moderation_decisions.json",
    "myanimelist.xml",
}  # fmt: skip


@pytest.fixture
async def site(conn: Any, dsn: str, tmp_path: Path) -> Any:
    """A server over releases 3, 6, … 90."""
    await catalogue_seed.fill(conn, 30)
    async with running(dsn, tmp_path) as started:
        yield started


async def keep(site: Running, who: Person, **entries: int) -> None:
    """Put release 3 into `collection`, rate it, make it a favourite, and watch its first episode."""
    calls: list[tuple[str, dict[str, Any] | None]] = [
        ("/api/v1/profile/favorites/3", None),
        ("/api/v1/profile/collections/watching/3", None),
        ("/api/v1/profile/collections/planned/6", None),
        ("/api/v1/profile/ratings/3", {"rating": entries.get("rating", 9)}),
        ("/api/v1/profile/progress/1", {"position_seconds": 1400, "completed": True}),
    ]
    for path, body in calls:
        async with site.client.put(path, json=body, headers=who.headers) as answer:
            assert answer.status == 204, (path, await answer.text())


async def export(site: Running, who: Person) -> tuple[dict[str, Any], bytes]:
    """The finished operation and the archive."""
    headers = who.headers | {"Prefer": "wait=10"}
    async with site.client.post("/api/v1/profile/export", headers=headers) as answer:
        assert answer.status == 202, await answer.text()
        operation = await answer.json()
    assert operation["status"] == "succeeded", operation
    async with site.client.get(f"/api/v1/operations/{operation['id']}/download", headers=who.headers) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert "attachment" in answer.headers["Content-Disposition"]
        return operation, await answer.read()


async def test_the_archive_holds_every_part_and_lists_that_others_can_read(site: Running, tmp_path: Path) -> None:
    who, other = await person(site), await person(site)
    await keep(site, who)
    await keep(site, other, rating=1)
    operation, content = await export(site, who)
    assert operation["result"]["bytes"] == len(content)
    packed = zipfile.ZipFile(io.BytesIO(content))
    assert packed.testzip() is None
    assert set(packed.namelist()) == PARTS
    found = {name: json.loads(packed.read(name)) for name in PARTS if name.endswith(".json")}
    assert found["account.json"]["username"] == who.username
    assert other.username not in json.dumps(found)
    assert [row["release_id"] for row in found["favorites.json"]] == [3]
    assert {(row["release_id"], row["collection"]) for row in found["collections.json"]} == {
        (3, "watching"), (6, "planned"),
    }  # fmt: skip
    assert [row["rating"] for row in found["ratings.json"]] == [9]
    assert found["progress.json"][0]["completed"] is True
    assert found["ignores.json"] == []
    (tmp_path / "list.xml").write_bytes(packed.read("myanimelist.xml"))
    rows = [row for row in read_list(tmp_path / "list.xml") if isinstance(row, ListRow)]
    assert {(row.external_id, row.collection, row.score, row.watched_episodes) for row in rows} == {
        ("1", "watching", 9, 1), ("2", "planned", 0, 0),
    }  # fmt: skip


async def test_a_library_of_many_pages_is_written_whole(conn: Any, dsn: str, tmp_path: Path) -> None:
    await catalogue_seed.fill(conn, 2_500)
    async with running(dsn, tmp_path) as site:
        who = await person(site)
        await conn.execute(
            "insert into library_entries (user_id, kind, release_id, value, changed_at, revision)"
            " select $1, 2, id, 1, now(), 1 from releases where visible",
            who.id,
        )
        _, content = await export(site, who)
        packed = zipfile.ZipFile(io.BytesIO(content))
        ids = [row["release_id"] for row in json.loads(packed.read("collections.json"))]
        visible = await conn.fetchval("select count(*) from releases where visible")
        assert len(ids) == len(set(ids)) == visible
        root = ET.fromstring(packed.read("myanimelist.xml"))
        assert len(root.findall("anime")) == visible


async def test_nobody_else_gets_the_file(site: Running) -> None:
    who, other, admin = await person(site), await person(site), await person(site, role="admin")
    operation, _ = await export(site, who)
    for stranger in (other, admin):
        path = f"/api/v1/operations/{operation['id']}/download"
        await problem(await site.client.get(path, headers=stranger.headers), 404)


async def test_an_archive_that_fails_leaves_no_file(
    dsn: str, conn: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(archive, "_write_list", fail)
    async with running(dsn, tmp_path) as site:
        who = await person(site)
        headers = who.headers | {"Prefer": "wait=10"}
        async with site.client.post("/api/v1/profile/export", headers=headers) as answer:
            operation = await answer.json()
        assert operation["status"] == "failed"
        assert "disk" not in json.dumps(operation)
        await asyncio.sleep(0)
        assert list((tmp_path / "exports").iterdir()) == []
