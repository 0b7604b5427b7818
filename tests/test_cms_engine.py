"""The engine of the CMS: order, groups, If-Match, refusals, what is written down and told, and what it costs."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any
from uuid import uuid4

import pytest

from server.cms import engine
from server.cms.edits import Author, Edit, from_json, to_json
from server.cms.order import chained, groups
from server.database import connect
from server.errors import Conflict, NotFound, PreconditionFailed, YojohanError
from server.rules.revisions import difference
from sql.query import load
from tests.http_fixture import queries_seen
from tests.people_plans import prepare_for, tables_read_through
from tests.words import edit, facts, made, new, refused, shown

NOBODY = Author(None, None, "cms")
MANY = 500


async def etag(conn: Any, noun: Any, key: int) -> str:
    """What an editor was shown of it."""
    return engine.etag((await engine.documents(conn, noun, [key]))[key])


async def attempt(conn: Any, *edits: Edit) -> dict[int, YojohanError]:
    """Apply them without a check before; why they were refused, the transaction having been rolled back."""
    with pytest.raises(engine.Refused) as caught:
        async with conn.transaction():
            await engine.apply(conn, await engine.reserve(conn, edits), NOBODY)
    return {fault.index: fault.error for fault in caught.value.faults}


def creates(count: int, **more: Any) -> list[Edit]:
    """That many new releases, with a bit of everything."""
    return [
        edit(
            "release", "create", title=f"Release {n}", titles={"en": f"Release {n}", "ja": f"{n}"}, synonyms=[f"R{n}"],
            genres=["Drama", f"Genre {n % 20}"], tags=[f"tag {n % 50}"], franchise=f"Franchise {n % 100}",
            external_ids={"mal": n}, **more,
        )
        for n in range(count)
    ]  # fmt: skip


# Order


def test_edits_are_chained_where_an_earlier_one_may_change_what_a_later_one_names() -> None:
    def of(key: int, if_match: str | None = None, noun: Any = "release") -> Edit:
        return Edit(noun, "update", key, {}, if_match)

    assert not chained([of(1, '"a"'), of(2, '"b"'), of(1), of(1, "*")])
    assert chained([of(1), of(1, '"a"')])
    assert chained([of(1, '"a"'), of(2), of(1, '"a"')])
    assert chained([of(7, noun="genre"), of(1, '"a"')])
    assert not chained([of(1, '"a"'), of(7, noun="genre"), of(2)])


def test_consecutive_edits_of_one_kind_on_distinct_things_are_written_together() -> None:
    def of(action: Any, key: int, noun: Any = "release") -> Edit:
        return Edit(noun, action, key)

    edits = [
        of("update", 1), of("update", 2), of("update", 1), of("replace", 3), of("replace", 4, "genre"),
        of("replace", 3, "genre"), of("delete", 3, "genre"),
    ]  # fmt: skip
    assert [list(group) for group in groups(edits)] == [[0, 1], [2], [3], [4, 5], [6]]


async def test_edits_of_one_thing_happen_in_their_order(conn: Any) -> None:
    create, *_ = await engine.reserve(conn, [edit("release", "create", title="A")])
    key = create.id
    outcome = await made(
        conn, create, edit("release", "update", key, title="B"), edit("release", "delete", key),
        edit("release", "restore", key), edit("release", "update", key, title="C"),
    )  # fmt: skip
    assert [one.changed for one in outcome.applied] == [True] * 5
    assert (await shown(conn, "release", key or 0))["title"] == "C"
    rows = await conn.fetch("select payload from outbox where topic = 'catalogue' order by id")
    assert [row["payload"] for row in rows] == [
        {"added": [key]}, {"updated": [key]}, {"deleted": [key]}, {"updated": [key, key]},
    ]  # fmt: skip
    actions = await conn.fetch("select action from revisions order by id")
    assert [row[0] for row in actions] == ["created", "updated", "deleted", "restored", "updated"]


async def test_things_of_one_list_may_lean_on_one_another(conn: Any) -> None:
    release, genre = await engine.reserve(
        conn, [edit("release", "create", title="A"), edit("genre", "create", name="G")]
    )
    episode = edit("episode", "create", release_id=release.id, ordinal=1)
    outcome = await made(conn, genre, release, episode, edit("release", "update", release.id, genres=["G"]))
    assert (await shown(conn, "release", release.id or 0))["genres"] == ["G"]
    assert await facts(conn) == {
        "added": [release.id], "episodes": [[release.id, outcome.applied[2].id]], "updated": [release.id],
    }  # fmt: skip


async def test_each_edit_is_checked_as_if_those_before_it_had_been_made(conn: Any) -> None:
    key = await new(conn, "release", title="A", slug="a")
    delete, restore = edit("release", "delete", key), edit("release", "restore", key)
    update = edit("release", "update", key, title="B")
    assert await refused(conn, delete, restore, update) == {}
    found = await refused(conn, delete, update, restore, restore, edit("release", "update", 10**9, title="C"))
    assert {place: type(error) for place, error in found.items()} == {1: NotFound, 3: Conflict, 4: NotFound}


async def test_all_faults_of_a_list_are_told_at_once_and_in_order(conn: Any) -> None:
    taken = await new(conn, "release", title="A", slug="a", external_ids={"mal": 1})
    found = await refused(
        conn, edit("release", "create", title="B", slug="a"), edit("release", "create", title="C"),
        edit("release", "create", title="D", external_ids={"mal": 1}), edit("genre", "delete", 10**9),
        edit("release", "create", title=" "), Edit("release", "update", taken, {"title": "E"}, '"old"'),
    )  # fmt: skip
    assert [(place, error.status) for place, error in found.items()] == [
        (0, 409),
        (2, 409),
        (3, 404),
        (4, 422),
        (5, 412),
    ]


# If-Match


async def test_if_match_names_the_state_before_the_list(conn: Any) -> None:
    key = await new(conn, "release", title="A")
    seen = await etag(conn, "release", key)
    edits = [Edit("release", "update", key, {"title": title}, seen) for title in "BC"]
    assert await refused(conn, *edits) == {}
    await made(conn, *edits)
    assert (await shown(conn, "release", key))["title"] == "C"
    assert await etag(conn, "release", key) != seen
    for again in (await refused(conn, edits[0]), await attempt(conn, edits[0])):
        assert {place: type(error) for place, error in again.items()} == {0: PreconditionFailed}
    several = Edit("release", "update", key, {"title": "D"}, f"{seen}, {await etag(conn, 'release', key)}")
    await made(conn, several)
    await made(conn, Edit("release", "update", key, {"title": "E"}, "*"))


async def test_if_match_guards_every_noun_and_deletion(conn: Any) -> None:
    release_id = await new(conn, "release", title="A")
    for noun, body in (("genre", {"name": "G"}), ("episode", {"release_id": release_id, "ordinal": 1})):
        key = await new(conn, noun, **body)  # type: ignore[arg-type]
        assert [type(one) for one in (await refused(conn, Edit(noun, "delete", key, None, '"x"'))).values()] == [  # type: ignore[arg-type]
            PreconditionFailed
        ]
        await made(conn, Edit(noun, "delete", key, None, await etag(conn, noun, key)))  # type: ignore[arg-type]


async def test_a_weak_or_unknown_thing_never_matches(conn: Any) -> None:
    key = await new(conn, "release", title="A")
    weak = "W/" + await etag(conn, "release", key)
    found = await refused(
        conn, Edit("release", "delete", key, None, weak), Edit("release", "delete", 10**9, None, '"x"')
    )
    assert {place: type(error) for place, error in found.items()} == {0: PreconditionFailed, 1: NotFound}


# Refusals


async def test_what_was_free_at_the_check_may_be_taken_when_it_is_written(conn: Any) -> None:
    waiting = await engine.reserve(
        conn, [edit("release", "create", title="A", slug="a"), edit("genre", "create", name="G")]
    )
    assert await engine.check(conn, waiting) == []
    holder = await new(conn, "release", title="B", slug="a")
    found = await attempt(conn, *waiting)
    assert {place: error.detail for place, error in found.items()} == {
        0: f"The release {holder} has the slug a already."
    }
    assert await conn.fetchval("select count(*) from genres") == 0


async def test_a_refused_list_leaves_nothing_behind(conn: Any) -> None:
    key = await new(conn, "release", title="A", slug="a")
    await facts(conn)
    found = await attempt(
        conn, edit("genre", "create", name="G"), edit("release", "update", key, title="B"),
        edit("release", "create", title="C", slug="a"), edit("release", "delete", 10**9),
    )  # fmt: skip
    assert list(found) == [2]
    assert (await shown(conn, "release", key))["title"] == "A"
    assert await facts(conn) == {}
    assert await conn.fetchval("select count(*) from revisions") == 1


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "among others"])
async def test_a_writer_who_knows_no_lock_makes_a_conflict_that_names_the_edit(
    conn: Any, dsn: str, alone: bool
) -> None:
    """The slug is taken, and not yet committed, when the engine looks; the insert waits, and fails on the commit."""
    edits = [edit("release", "create", title="A", slug="a"), edit("release", "create", title="B", slug="b")]
    rival = await connect(dsn)
    try:
        transaction = rival.transaction()
        await transaction.start()
        await rival.execute("insert into releases (slug, title, sort_title) values ('b', 'Rival', 'rival')")
        task = asyncio.create_task(attempt(conn, *edits[alone:]))
        await somebody_waits(rival, "transactionid")
        await transaction.commit()
        found = await asyncio.wait_for(task, 10)
    finally:
        await rival.close()
    assert {place: type(error) for place, error in found.items()} == {0 if alone else 1: Conflict}
    assert "has the slug b already" in next(iter(found.values())).detail
    assert await conn.fetchval("select count(*) from releases") == 1


async def somebody_waits(conn: Any, kind: str) -> None:
    """Return once somebody waits for a lock of this kind."""
    waiting = "select exists (select from pg_locks where locktype = $1 and not granted)"
    async with asyncio.timeout(10):
        while not await conn.fetchval(waiting, kind):  # noqa: ASYNC110 - another process waits
            await asyncio.sleep(0.01)


async def test_two_lists_at_once_are_written_one_after_the_other(conn: Any, dsn: str) -> None:
    rival = await connect(dsn)
    try:
        both = [await engine.reserve(conn, [edit("release", "create", title="A", slug="a")]) for _ in range(2)]
        async with conn.transaction():
            await engine.apply(conn, both[0], NOBODY)
            task = asyncio.create_task(attempt(rival, *both[1]))
            await somebody_waits(conn, "advisory")
        found = await asyncio.wait_for(task, 10)
    finally:
        await rival.close()
    assert [type(error) for error in found.values()] == [Conflict]


async def test_making_a_thing_twice_is_refused(conn: Any) -> None:
    (create,) = await engine.reserve(conn, [edit("release", "create", title="A")])
    await made(conn, create)
    assert [type(error) for error in (await attempt(conn, create)).values()] == [Conflict]


# What is written down and told


async def test_a_revision_tells_who_did_what_and_which_one_it_takes_back(conn: Any) -> None:
    key = await new(conn, "release", title="A")
    operation = uuid4()
    for title, author in (
        ("B", Author(5, operation, "cms")),
        ("A", Author(6, None, "undo", await conn.fetchval("select max(id) + 1 from revisions"))),
    ):
        async with conn.transaction():
            await engine.apply(conn, [edit("release", "update", key, title=title)], author)
    _, second, third = await conn.fetch("select * from revisions order by id")
    assert (second["actor_id"], second["operation_id"], second["origin"]) == (5, operation, "cms")
    assert second["diff"] == {"title": ["A", "B"]}
    assert (third["actor_id"], third["origin"], third["undoes"]) == (6, "undo", second["id"])
    assert second["undone_by"] == third["id"]
    async with conn.transaction():
        await engine.apply(conn, [edit("release", "update", key, title="C")], Author(None, None, "schedule"))
    assert await conn.fetchval("select action from revisions order by id desc limit 1") == "published"


async def test_every_tag_is_told_when_the_transaction_commits(conn: Any, dsn: str) -> None:
    heard: list[str] = []
    listener = await connect(dsn)
    try:
        await listener.add_listener("yojohan_invalidate", lambda *said: heard.extend(said[-1].split()))
        outcome = await made(conn, *creates(300))
        async with asyncio.timeout(10):
            while not outcome.tags <= set(heard):  # noqa: ASYNC110 - the driver hears it
                await asyncio.sleep(0.01)
    finally:
        await listener.close()
    assert len(outcome.tags) == 601


async def test_events_hold_at_most_500_ids(conn: Any) -> None:
    await made(conn, *creates(MANY + 1))
    rows = await conn.fetch("select payload from outbox where topic = 'catalogue' order by id")
    assert [len(row["payload"]["added"]) for row in rows] == [500, 1]


def test_edits_survive_being_kept_as_json() -> None:
    edits = [edit("release", "create", title="A"), Edit("genre", "delete", 5, None, '"x"')]
    assert from_json(to_json(edits)) == edits


def test_a_difference_names_the_fields_that_are_others_now() -> None:
    before = {"id": 1, "title": "A", "year": None, "tags": ["a"], "updated_at": "x"}
    after = {"id": 1, "title": "A", "year": 0, "tags": ["a", "b"], "updated_at": "y", "new": 1}
    assert difference(before, after) == {"year": [None, 0], "tags": [["a"], ["a", "b"]], "new": [None, 1]}


# What it costs


async def test_many_edits_take_as_many_statements_as_a_few(conn: Any) -> None:
    counts: dict[str, list[int]] = {}
    ids: list[int] = []
    # The first ones bring words that no title had before.
    for size in (3, 3, 60):
        start = len(ids)
        edits = await engine.reserve(conn, creates(start + size)[start:])
        ids += [one.id or 0 for one in edits]
        rounds = {
            "create": edits,
            "update": [Edit("release", "update", one.id, {"title": "New", "slug": f"s{one.id}"}) for one in edits],
            "replace": [Edit("release", "replace", one.id, one.body) for one in edits],
            "delete": [Edit("release", "delete", one.id) for one in edits],
            "restore": [Edit("release", "restore", one.id) for one in edits],
        }
        for action, group in rounds.items():
            with queries_seen() as names:
                assert await engine.check(conn, group) == []
                async with conn.transaction():
                    await engine.apply(conn, group, NOBODY)
            counts.setdefault(action, []).append(len(names))
    assert {action for action, (_, few, many) in counts.items() if few != many} == set()


async def test_five_hundred_edits_take_no_time_to_speak_of(conn: Any) -> None:
    edits = await engine.reserve(conn, creates(MANY))
    patches = [Edit("release", "update", one.id, {"synopsis": "New", "genres": ["Other"]}) for one in edits]
    for group in (edits, patches):
        started = perf_counter()
        async with conn.transaction():
            await engine.apply(conn, group, NOBODY)
        # A third of a second by itself; the bound is for a machine that has more to do.
        assert perf_counter() - started < 5


@pytest.fixture
async def prepared(conn: Any) -> Any:
    """A catalogue that is worth an index."""
    async with conn.transaction():
        await engine.apply(conn, await engine.reserve(conn, creates(3000)), NOBODY)
    await conn.execute("analyze")
    await prepare_for(conn)
    return conn


GROWING = frozenset(
    {"releases", "release_slugs", "external_ids", "release_titles", "release_synonyms", "episodes", "revisions"}
)


async def test_no_statement_reads_the_catalogue_from_end_to_end(prepared: Any) -> None:
    wanted = {"get_release_by_slug", "current_slug", "resolve_slug", "free_slugs", "change_slugs", "visible_releases"}
    queries = [*load("cms_releases"), *load("revisions")]
    queries += [one for noun in ("releases", "imports") for one in load(noun) if one.name in wanted]
    assert len(queries) == 9 + len(wanted)
    read = {query.name: await tables_read_through(prepared, query) & GROWING for query in queries}
    assert {name: tables for name, tables in read.items() if tables} == {}
