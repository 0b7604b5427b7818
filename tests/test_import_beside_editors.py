"""What an import leaves to editors, and what followers hear of it: slugs others have, episodes, drafts."""

from __future__ import annotations

from typing import Any

import pytest

from sql import imports
from tests.importing import Collected, load
from tests.test_import_merge import FULL


async def test_a_release_keeps_the_slug_it_has_whoever_had_it_before(conn):
    line = {"title": "Now", "slug": "shared", "external_ids": {"mal": 1}}
    await load(conn, line, {"title": "Before", "slug": "other", "external_ids": {"mal": 2}})
    now, before = [row["id"] for row in await conn.fetch("select id from releases order by id")]
    await conn.execute("insert into release_slugs (slug, release_id) values ('shared', $1)", before)
    await load(conn, line | {"year": 2001})
    assert await conn.fetchval("select slug from releases where id = $1", now) == "shared"
    assert await conn.fetchval("select count(*) from release_slugs") == 0


async def test_a_slug_given_to_another_no_longer_leads_to_who_had_it(conn):
    await load(conn, {"title": "One", "slug": "first", "external_ids": {"mal": 1}})
    await load(conn, {"title": "One", "slug": "second", "external_ids": {"mal": 1}})
    await load(conn, {"title": "Two", "slug": "else", "external_ids": {"mal": 2}})
    one, two = [row["id"] for row in await conn.fetch("select id from releases order by id")]
    assert await imports.change_slugs(conn, {two: "first"}) == {two}
    assert await conn.fetchval("select release_id from release_slugs where slug = 'else'") == two
    assert await conn.fetchval("select count(*) from release_slugs where slug = 'first'") == 0
    # Back from the dead under another slug: the one it had is a living one's by now.
    await conn.execute("update releases set deleted_at = now() where id = $1", one)
    await conn.execute("update releases set slug = 'second' where id = $1", two)
    assert await imports.change_slugs(conn, {one: "second-too"}) == {one}
    assert await conn.fetchval("select count(*) from release_slugs where slug = 'second'") == 0


async def test_a_new_release_that_takes_a_slug_is_the_only_one_it_leads_to(conn):
    await load(conn, {"title": "One", "slug": "first", "external_ids": {"mal": 1}})
    await load(conn, {"title": "One", "slug": "second", "external_ids": {"mal": 1}})
    await conn.execute("update releases set deleted_at = now()")
    await load(conn, {"title": "Two", "slug": "first", "external_ids": {"mal": 2}})
    assert await conn.fetchval("select slug from releases where title = 'Two'") == "first"
    assert await conn.fetchval("select count(*) from release_slugs") == 0


async def test_followers_hear_of_each_episode_an_import_changes(conn):
    await load(conn, FULL | {"episodes": [{"ordinal": 1}, {"ordinal": 2}, {"ordinal": 3}]})
    await load(conn, FULL | {"episodes": [{"ordinal": 1}, {"ordinal": 2}]})
    await conn.execute("delete from outbox")
    await load(conn, FULL | {"episodes": [{"ordinal": 2, "title": "New"}, {"ordinal": 3}, {"ordinal": 4}]})
    rows = await conn.fetch("select release_id, id from episodes order by ordinal")
    first, second, third, fourth = [list(row) for row in rows]
    told: dict[str, Any] = {}
    for row in await conn.fetch("select payload from outbox where topic = 'catalogue'"):
        told |= row["payload"]
    assert told == {"episodes_deleted": [first], "episodes_updated": [second, third], "episodes": [fourth]}


async def test_of_a_draft_nobody_hears_what_became_of_its_episodes(conn):
    await load(conn, FULL)
    await conn.execute("update releases set is_published = false")
    await conn.execute("delete from outbox")
    await load(conn, FULL | {"episodes": [{"ordinal": 1, "title": "Other"}]})
    assert await conn.fetchval("select count(*) from outbox where topic = 'catalogue'") == 0


@pytest.mark.parametrize(("origin", "stays"), [("cms", True), ("undo", True), ("import", False)])
async def test_an_episode_that_an_editor_deleted_stays_deleted(conn, origin, stays):
    await load(conn, FULL)
    episode = await conn.fetchval("select id from episodes where ordinal = 1.5")
    await conn.execute("update episodes set deleted_at = now() where id = $1", episode)
    record = "insert into revisions (noun, entity_id, action, origin) values ('episode', $1, $2, $3)"
    await conn.execute(record, episode, "restored", "cms")
    await conn.execute(record, episode, "deleted", origin)
    report = Collected()
    summary = await load(conn, FULL | {"year": 2022}, report=report)
    assert summary.updated == 1
    told = [(1, "episodes", "1.5 stays deleted: an editor deleted it")]
    assert report.said("repaired") == (told if stays else [])
    assert await conn.fetchval("select deleted_at is not null from episodes where id = $1", episode) == stays
    assert await conn.fetchval("select count(*) from episodes") == 2
