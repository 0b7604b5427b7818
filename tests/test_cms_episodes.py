"""Episodes by the CMS: places that only one may have, fields said and not said, releases that hear of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from server.cms.edits import Edit, from_json, to_json
from server.errors import Conflict, NotFound, Unprocessable
from server.schemas.cms import TYPES
from tests.http_fixture import queries_seen
from tests.seeding import seed_episodes, seed_releases
from tests.words import edit, facts, made, new, refused, shown


async def release(conn: Any, *, visible: bool = True) -> int:
    """The id of a release that was last changed long ago."""
    (made_id,) = await seed_releases(conn, 1, visible=visible)
    await conn.execute("update releases set updated_at = '2020-01-01' where id = $1", made_id)
    await conn.execute("select build_release_documents($1)", [made_id])
    return int(made_id)


async def changed_at(conn: Any, release_id: int) -> tuple[datetime, str]:
    """When a release was changed, and the same as its document says it."""
    row = await conn.fetchrow(
        """select r.updated_at, d.document::json ->> 'updated_at' as said
           from releases r join release_documents d on d.release_id = r.id where r.id = $1""",
        release_id,
    )
    return row["updated_at"], row["said"]


FULL = {
    "ordinal": 12.5, "title": "The Sea of Writing", "duration_seconds": 1440, "air_at": "2026-01-05T18:30:00+02:00",
    "opening": {"start": 0, "stop": 90}, "ending": {"start": 1300, "stop": 1390},
}  # fmt: skip


async def test_a_new_episode_is_there_with_all_it_was_said_to_have(conn: Any) -> None:
    of = await release(conn)
    outcome = await made(conn, edit("episode", "create", release_id=of, **FULL))
    (applied,) = outcome.applied
    assert (applied.noun, applied.changed) == ("episode", True)
    document = await shown(conn, "episode", applied.id)
    assert document == FULL | {
        "id": applied.id, "release_id": of, "air_at": "2026-01-05T16:30:00.000Z", "deleted_at": None,
        "created_at": document["created_at"], "updated_at": document["updated_at"],
    }  # fmt: skip
    assert await facts(conn) == {"episodes": [[of, applied.id]]}
    assert outcome.tags == {"releases", f"release:{of}", f"episode:{applied.id}"}
    moment, said = await changed_at(conn, of)
    assert moment.year >= 2026
    assert said.startswith(f"{moment:%Y-%m-%dT%H:%M}")


async def test_nobody_hears_of_episodes_of_a_draft(conn: Any) -> None:
    of = await release(conn, visible=False)
    first = await new(conn, "episode", release_id=of, ordinal=1)
    await made(conn, edit("episode", "update", first, title="One"))
    await made(conn, edit("episode", "delete", first))
    assert await facts(conn) == {}


async def test_an_episode_needs_a_release_that_is_there(conn: Any) -> None:
    gone = await release(conn)
    await conn.execute("update releases set deleted_at = now() where id = $1", gone)
    found = await refused(
        conn,
        edit("episode", "create", release_id=gone, ordinal=1),
        edit("episode", "create", release_id=999_999_999, ordinal=1),
    )
    assert {index: (type(error), error.detail) for index, error in found.items()} == {
        0: (NotFound, f"There is no release {gone}."),
        1: (NotFound, "There is no release 999999999."),
    }


async def test_a_place_that_is_taken_is_a_conflict(conn: Any) -> None:
    of, other = await release(conn), await release(conn)
    first = await new(conn, "episode", release_id=of, ordinal=1)
    second = await new(conn, "episode", release_id=of, ordinal=2)
    await new(conn, "episode", release_id=other, ordinal=3)
    for refusal in (
        edit("episode", "create", release_id=of, ordinal=2.0),
        edit("episode", "update", first, ordinal=2),
        edit("episode", "replace", first, ordinal=2, title="One"),
    ):
        found = await refused(conn, refusal)
        assert isinstance(found[0], Conflict)
        assert found[0].detail == f"Episode {second} has the ordinal 2 in release {of} already."
    # In another release the same ordinal is another place.
    assert await refused(conn, edit("episode", "update", first, ordinal=3), edit("episode", "update", second)) == {}


async def test_a_list_is_checked_in_its_order(conn: Any) -> None:
    of = await release(conn)
    first = await new(conn, "episode", release_id=of, ordinal=1)
    second = await new(conn, "episode", release_id=of, ordinal=2)
    found = await refused(
        conn,
        edit("episode", "create", release_id=of, ordinal=3),
        edit("episode", "create", release_id=of, ordinal=3),
        edit("episode", "delete", first),
        edit("episode", "create", release_id=of, ordinal=1),
        edit("episode", "update", second, ordinal=1),
    )
    assert {index: type(error) for index, error in found.items()} == {1: Conflict, 4: Conflict}


async def test_all_episodes_move_up_or_down_in_one_list(conn: Any) -> None:
    for shift in (1, -1):
        await move_all(conn, shift)


async def move_all(conn: Any, shift: int) -> None:
    """Let each of twenty episodes take the place of the next one, which has just left it."""
    of = await release(conn)
    ids = (await seed_episodes(conn, [of], 20))[of]
    in_order = list(reversed(list(enumerate(ids, 1)))) if shift > 0 else list(enumerate(ids, 1))
    outcome = await made(conn, *(edit("episode", "update", one, ordinal=n + shift) for n, one in in_order))
    assert all(applied.changed for applied in outcome.applied)
    rows = await conn.fetch("select id, ordinal, deleted_at from episodes where release_id = $1 order by id", of)
    assert [(row["id"], int(row["ordinal"]), row["deleted_at"]) for row in rows] == [
        (one, n + shift, None) for n, one in enumerate(ids, 1)
    ]


async def test_a_patch_changes_what_it_says_and_a_replacement_everything(conn: Any) -> None:
    of = await release(conn)
    episode = await new(conn, "episode", release_id=of, **FULL)
    await made(conn, edit("episode", "update", episode, title="Other", opening=None, release_id=of))
    patched = await shown(conn, "episode", episode)
    assert (patched["title"], patched["opening"]) == ("Other", None)
    assert {name: patched[name] for name in ("ordinal", "duration_seconds", "ending")} == {
        name: FULL[name] for name in ("ordinal", "duration_seconds", "ending")
    }
    await made(conn, edit("episode", "replace", episode, ordinal=7))
    replaced = await shown(conn, "episode", episode)
    assert [replaced[name] for name in FULL] == [7, "", None, None, None, None]


async def test_what_is_so_already_is_no_change(conn: Any) -> None:
    of = await release(conn)
    episode = await new(conn, "episode", release_id=of, **FULL)
    await facts(conn)
    await conn.execute("update releases set updated_at = '2020-01-01' where id = $1", of)
    outcome = await made(
        conn, edit("episode", "replace", episode, **FULL), edit("episode", "update", episode, title=FULL["title"])
    )
    assert [applied.changed for applied in outcome.applied] == [False, False]
    assert outcome.tags == set()
    assert await facts(conn) == {}
    assert (await changed_at(conn, of))[0].year == 2020


async def test_an_episode_does_not_move_to_another_release(conn: Any) -> None:
    of, other = await release(conn), await release(conn)
    episode = await new(conn, "episode", release_id=of, ordinal=1)
    found = await refused(
        conn,
        edit("episode", "update", episode, release_id=other),
        edit("episode", "replace", episode, release_id=other, ordinal=1),
        edit("episode", "replace", episode, release_id=of, ordinal=1),
    )
    assert {index: (type(error), [fault.pointer for fault in error.faults]) for index, error in found.items()} == {
        0: (Unprocessable, ["/release_id"]),
        1: (Unprocessable, ["/release_id"]),
    }


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"ordinal": 1.005}, ["/ordinal"]),
    ({"ordinal": 1e-9}, ["/ordinal"]),
    ({"ordinal": 1, "air_at": "2500-01-01T00:00:00Z"}, ["/air_at"]),
    ({"ordinal": 1, "opening": {"start": 90, "stop": 90}}, ["/opening"]),
    ({"ordinal": 0.125, "ending": {"start": 2, "stop": 1}}, ["/ordinal", "/ending"]),
]


async def test_values_that_a_schema_cannot_judge_are_named(conn: Any) -> None:
    of = await release(conn)
    episode = await new(conn, "episode", release_id=of, ordinal=9)
    creates = [edit("episode", "create", release_id=of, **body) for body, _ in BAD]
    updates = [edit("episode", "update", episode, **body) for body, _ in BAD]
    found = await refused(conn, *creates, *updates)
    assert {type(error) for error in found.values()} == {Unprocessable}
    named = [[fault.pointer for fault in found[index].faults] for index in range(2 * len(BAD))]
    assert named == [pointers for _, pointers in BAD] * 2


@pytest.mark.parametrize(
    "body",
    [
        {"ordinal": 1, "title": "a\x00b"},
        {"ordinal": 1, "title": "a" * 301},
        {"ordinal": 1, "duration_seconds": 0},
        {"ordinal": 1, "air_at": "2026-01-01T00:00:00"},
        {"ordinal": 1, "opening": {"start": 1}},
        {"ordinal": True},
        {"ordinal": "1"},
        {"ordinal": -0.01},
        {"ordinal": 100_000},
        {"ordinal": 1, "release_id": 0},
        {"ordinal": 1, "release_id": 2**63},
        {"ordinal": 1, "id": 5},
    ],
)
def test_a_body_that_does_not_fit_is_refused_by_its_type(body: dict[str, Any]) -> None:
    for action in ("create", "replace", "update"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"release_id": 1} | body, TYPES["episode", action])


async def test_a_deleted_episode_leaves_its_place_and_comes_back_if_that_is_free(conn: Any) -> None:
    of = await release(conn)
    episode = await new(conn, "episode", release_id=of, ordinal=1, title="First")
    await facts(conn)
    await made(conn, edit("episode", "delete", episode))
    assert await facts(conn) == {"episodes_deleted": [[of, episode]]}
    assert (await shown(conn, "episode", episode))["deleted_at"] is not None
    second = await new(conn, "episode", release_id=of, ordinal=1, title="Second")
    assert second != episode
    found = await refused(conn, edit("episode", "restore", episode))
    assert found[0].detail == f"Episode {second} has the ordinal 1 in release {of} already."
    # Once the other has gone, within the same list, it may come back.
    await facts(conn)
    await made(conn, edit("episode", "delete", second), edit("episode", "restore", episode))
    assert await facts(conn) == {"episodes_deleted": [[of, second]], "episodes_updated": [[of, episode]]}
    assert (await shown(conn, "episode", episode))["deleted_at"] is None


async def test_a_change_that_calendars_show_raises_the_sequence_and_another_does_not(conn: Any) -> None:
    of = await release(conn)
    episode = await new(conn, "episode", release_id=of, ordinal=1, air_at="2026-01-05T18:00:00Z")
    sequence = "select calendar_sequence from episodes where id = $1"
    await made(conn, edit("episode", "update", episode, opening={"start": 1, "stop": 2}))
    assert await conn.fetchval(sequence, episode) == 0
    await made(conn, edit("episode", "update", episode, air_at="2026-01-06T18:00:00Z"))
    assert await conn.fetchval(sequence, episode) == 1


async def test_edits_that_waited_in_a_queue_are_the_same(conn: Any) -> None:
    of = await release(conn)
    waiting: list[Edit] = from_json(to_json([edit("episode", "create", release_id=of, **FULL)]))
    outcome = await made(conn, *waiting)
    air_at = await conn.fetchval("select air_at from episodes where id = $1", outcome.applied[0].id)
    assert air_at == datetime(2026, 1, 5, 16, 30, tzinfo=UTC)


async def test_five_hundred_edits_take_as_many_statements_as_five(conn: Any) -> None:
    releases = await seed_releases(conn, 50)
    counts = []
    for each in (1, 10):
        edits = [
            edit("episode", "create", release_id=one, ordinal=100 * each + n) for one in releases for n in range(each)
        ]
        with queries_seen() as statements:
            await made(conn, *edits)
        counts.append(len(statements))
    assert counts[0] == counts[1]
