"""Writing to a library: what changes, what is told of it, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.database import connect
from server.errors import Unauthenticated, Unprocessable
from server.rules import library as rules
from sql import library, release_counts
from sql.library import COLLECTION, COLLECTIONS, FAVORITE, IGNORED, RATING, EntryEdit, ProgressEdit, Written
from tests.http_fixture import queries_seen
from tests.keeping import START, counted, drop, entry, forget, keep, make_user, told, total, watch, write
from tests.seeding import seed_episodes, seed_releases

WATCHING, COMPLETED, DROPPED = COLLECTIONS["watching"], COLLECTIONS["completed"], COLLECTIONS["dropped"]


async def test_a_write_says_what_it_changed_and_tells_the_house_once(conn: Any) -> None:
    user = await make_user(conn)
    first, second = await seed_releases(conn, 2)
    edits = keep(FAVORITE, first), keep(COLLECTION, first, WATCHING), keep(RATING, second, 9), keep(IGNORED, second)
    assert await write(conn, user, *edits) == Written(1, 4, [], [])
    assert await told(conn) == [
        {
            "origin": "user",
            "delta": {"favorites": 1, "watching": 1, "ratings": 1, "rating_sum": 9},
            "releases": [first, second],
            "activity": [
                ["favorited", "release", first, {}],
                ["collection_changed", "release", first, {"collection": "watching"}],
                ["rated", "release", second, {"rating": 9}],
            ],
        }
    ]
    assert await told(conn, "release_counts") == [{"changes": [[first, 1, 0, 0], [second, 0, 1, 9]]}]


async def test_what_changes_nothing_raises_no_revision_and_tells_nobody(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    (episode,) = (await seed_episodes(conn, [release], 1))[release]
    edits = keep(FAVORITE, release), keep(RATING, release, 7), watch(episode, 60)
    await write(conn, user, *edits)
    before = await conn.fetch("select * from library_entries"), await conn.fetch("select * from progress")
    await told(conn)
    await told(conn, "release_counts")
    assert await write(conn, user, *edits) == Written(1, 0, [], [])
    assert await write(conn, user, drop(IGNORED, release), drop(COLLECTION, release)) == Written(1, 0, [], [])
    assert (await conn.fetch("select * from library_entries"), await conn.fetch("select * from progress")) == before
    assert await told(conn) == await told(conn, "release_counts") == []


async def test_a_changed_mind_is_told_as_the_difference(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    await write(conn, user, keep(COLLECTION, release, WATCHING), keep(RATING, release, 9))
    await told(conn)
    await told(conn, "release_counts")
    await write(conn, user, keep(COLLECTION, release, DROPPED), keep(RATING, release, 2))
    (payload,) = await told(conn)
    assert payload["delta"] == {"watching": -1, "dropped": 1, "rating_sum": -7}
    assert await told(conn, "release_counts") == [{"changes": [[release, 0, 0, -7]]}]
    assert await write(conn, user, drop(RATING, release), drop(COLLECTION, release)) == Written(3, 2, [], [])
    (payload,) = await told(conn)
    assert (payload["delta"], payload["activity"]) == ({"dropped": -1, "ratings": -1, "rating_sum": -2}, [])
    assert payload["releases"] == [release]
    assert await told(conn, "release_counts") == [{"changes": [[release, 0, -1, -2]]}]
    assert await counted(conn, user) == {}


async def test_a_deletion_is_remembered_as_a_tombstone_with_its_revision(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    await write(conn, user, keep(RATING, release, 9))
    await write(conn, user, drop(RATING, release))
    row = await conn.fetchrow("select deleted, revision from library_entries")
    assert tuple(row) == (True, 2)
    await write(conn, user, keep(RATING, release, 4))
    assert await entry(conn, user, RATING, release) == (4, False)


async def test_leaving_another_collection_than_it_is_in_changes_nothing(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    await write(conn, user, keep(COLLECTION, release, WATCHING))
    assert (await write(conn, user, drop(COLLECTION, release, DROPPED))).changed == 0
    assert await entry(conn, user, COLLECTION, release) == (WATCHING, False)
    assert (await write(conn, user, drop(COLLECTION, release, WATCHING))).changed == 1


async def test_edits_of_one_thing_are_folded_in_their_order(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    edits = keep(RATING, release, 3), drop(RATING, release), keep(RATING, release, 8), keep(FAVORITE, release)
    assert (await write(conn, user, *edits, drop(FAVORITE, release))).changed == 2
    (payload,) = await told(conn)
    assert payload["delta"] == {"ratings": 1, "rating_sum": 8}
    assert payload["activity"] == [["rated", "release", release, {"rating": 8}]]


async def test_what_is_not_there_is_reported_and_the_rest_is_written(conn: Any) -> None:
    user = await make_user(conn)
    shown, hidden = await seed_releases(conn, 1), await seed_releases(conn, 1, visible=False)
    (there, gone) = (await seed_episodes(conn, shown, 2))[shown[0]]
    (of_hidden,) = (await seed_episodes(conn, hidden, 1))[hidden[0]]
    await conn.execute("update episodes set deleted_at = now() where id = $1", gone)
    written = await write(
        conn, user, keep(FAVORITE, hidden[0]), keep(FAVORITE, shown[0]), keep(RATING, 0, 5), drop(RATING, 999_999),
        watch(there, 5), watch(gone, 5), watch(of_hidden, 5), watch(999_999, 5), forget(gone),
    )  # fmt: skip
    assert written == Written(1, 2, [0, hidden[0], 999_999], [gone, of_hidden, 999_999])
    assert await conn.fetchval("select count(*) from library_entries") == 1
    assert await conn.fetchval("select count(*) from progress") == 1


async def test_what_has_vanished_from_the_catalogue_can_still_be_removed(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    (episode,) = (await seed_episodes(conn, [release], 1))[release]
    await write(conn, user, keep(FAVORITE, release), watch(episode, 30))
    await conn.execute("update releases set deleted_at = now() where id = $1", release)
    assert await write(conn, user, drop(FAVORITE, release), forget(episode)) == Written(2, 2, [], [])
    assert total(await told(conn)) == await counted(conn, user) == {}
    assert (await write(conn, user, keep(FAVORITE, release))).unknown_releases == [release]


async def test_an_import_tells_of_no_activity(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    (episode,) = (await seed_episodes(conn, [release], 1))[release]
    await write(conn, user, keep(RATING, release, 9), watch(episode, 60, True), merge=True, origin="import")
    (payload,) = await told(conn)
    assert (payload["origin"], payload["activity"]) == ("import", [])
    assert payload["delta"]["ratings"] == payload["delta"]["episodes_watched"] == 1


@pytest.mark.parametrize(
    "edit",
    [
        keep(FAVORITE, 1, 1), keep(COLLECTION, 1, 0), keep(COLLECTION, 1, 6), keep(RATING, 1, 0), keep(RATING, 1, 11),
        keep(0, 1), keep(5, 1), keep(FAVORITE, -1), keep(FAVORITE, 2**63), watch(1, -1), watch(1, 864_001),
        watch(2**63, 0), watch(-1, 0),
    ],
    ids=str,
)  # fmt: skip
async def test_a_value_that_cannot_be_stored_is_refused_before_anything_is_written(conn: Any, edit: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    with pytest.raises(Unprocessable):
        await write(conn, user, keep(FAVORITE, release), edit)
    assert await conn.fetchval("select count(*) from library_entries") == 0


@pytest.mark.parametrize("zone", [UTC, None], ids=["utc", "far"])
@pytest.mark.parametrize("year", [1, 1969, 1970, 2200, 9999])
async def test_clocks_that_are_wrong_by_ages_are_survived(conn: Any, year: int, zone: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    far = zone or datetime.now().astimezone().tzinfo
    said = datetime(year, 1, 1, tzinfo=far)
    async with conn.transaction():
        await library.write(conn, user, [EntryEdit(FAVORITE, release, 0, False, said)], [], origin="sync", merge=True)
    stored = await conn.fetchval("select changed_at from library_entries")
    assert datetime(1970, 1, 1, tzinfo=UTC) < stored <= datetime.now(UTC) + timedelta(seconds=5)


async def test_an_account_that_is_gone_is_not_written_to(conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    with pytest.raises(Unauthenticated):
        await write(conn, 4711, keep(FAVORITE, release))
    user = await make_user(conn)
    await write(conn, user, keep(FAVORITE, release))
    await conn.execute("delete from users where id = $1", user)
    with pytest.raises(Unauthenticated):
        await write(conn, user, drop(FAVORITE, release))


async def test_writers_of_one_user_take_turns_and_each_has_its_revision(conn: Any, dsn: str) -> None:
    user = await make_user(conn)
    releases = await seed_releases(conn, 6)
    others = [await connect(dsn) for _ in releases]
    try:
        edits = [[keep(RATING, releases[0], place + 1), keep(FAVORITE, one)] for place, one in enumerate(releases)]
        results = await asyncio.gather(*(write(other, user, *both) for other, both in zip(others, edits, strict=True)))
    finally:
        for other in others:
            await other.close()
    assert sorted(result.revision for result in results) == [1, 2, 3, 4, 5, 6]
    assert total(await told(conn)) == await counted(conn, user)


async def test_the_later_decision_wins_whichever_device_comes_first(conn: Any) -> None:
    releases = await seed_releases(conn, 1)
    edits = [
        keep(RATING, releases[0], 4, minutes=5),
        drop(RATING, releases[0], minutes=9),
        keep(RATING, releases[0], 8),
    ]
    for order in (edits, edits[::-1], [edits[1], edits[2], edits[0]]):
        user = await make_user(conn, f"user {len(order)} {order[0]}")
        for edit in order:
            await write(conn, user, edit, merge=True)
        assert (await entry(conn, user, RATING, releases[0])) == (1, True)


async def test_a_direct_edit_beats_whatever_was_done_before_it_without_a_connection(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    await write(conn, user, keep(RATING, release, 6))
    assert (await write(conn, user, keep(RATING, release, 9, minutes=1), merge=True)).changed == 0
    assert await entry(conn, user, RATING, release) == (6, False)


async def test_five_hundred_edits_take_as_many_statements_as_two(conn: Any) -> None:
    user = await make_user(conn)
    releases = await seed_releases(conn, 250)
    episodes = [ids[0] for ids in (await seed_episodes(conn, releases, 1)).values()]
    await write(conn, user, keep(RATING, releases[0], 1))
    numbers = []
    for size in (1, 250):
        edits = [*(keep(FAVORITE, one) for one in releases[:size]), *(watch(one, 60, True) for one in episodes[:size])]
        with queries_seen() as names:
            await write(conn, user, *edits)
        numbers.append(names)
    assert numbers[0] == numbers[1] == ["lock_revision", "entries_before", "progress_before", "store", "publish"]
    with queries_seen() as names:
        await write(conn, user, keep(FAVORITE, releases[0]))
    assert names == ["lock_revision", "entries_before"]


async def sum_up(conn: Any) -> None:
    """Do what the consumer of the counts does."""
    for payload in await told(conn, "release_counts"):
        await release_counts.apply(conn, [tuple(change) for change in payload["changes"]])


async def mend(conn: Any, releases: list[int]) -> list[tuple[int, str, int, int]]:
    async with conn.transaction(isolation="repeatable_read"):
        return [(one.id, one.name, one.stored, one.expected) for one in await release_counts.mend(conn, releases)]


async def test_counters_of_releases_follow_exactly_and_a_repair_finds_nothing(conn: Any) -> None:
    releases = await seed_releases(conn, 3)
    await conn.execute("delete from popularity_metrics where release_id = $1", releases[2])
    users = [await make_user(conn, f"user {number}") for number in range(3)]
    for place, user in enumerate(users):
        await write(conn, user, *(keep(FAVORITE, one) for one in releases), keep(RATING, releases[1], 7 + place))
    await write(conn, users[0], drop(FAVORITE, releases[0]), drop(RATING, releases[1]))
    # Nothing is counted yet, all of it waits: nothing is wrong.
    assert await mend(conn, releases) == []
    await sum_up(conn)
    rows = await conn.fetch(
        "select favorites, rating_count, rating_sum, average_rating from popularity_metrics order by release_id"
    )
    assert [tuple(row) for row in rows] == [(2, 0, 0, 0.0), (3, 2, 17, 8.5), (3, 0, 0, 0.0)]
    assert await mend(conn, releases) == []


async def test_a_repair_says_what_differed_and_mends_it_once(conn: Any) -> None:
    user = await make_user(conn)
    first, second = await seed_releases(conn, 2)
    await write(conn, user, keep(FAVORITE, first), keep(RATING, second, 9))
    await sum_up(conn)
    await conn.execute("update popularity_metrics set favorites = 5 where release_id = $1", first)
    await conn.execute("update popularity_metrics set average_rating = 3 where release_id = $1", second)
    # A change that waits in the outbox is not missing.
    await write(conn, user, keep(FAVORITE, second))
    expected = [(first, "favorites", 5, 1), (second, "average_rating_hundredths", 300, 900)]
    assert await mend(conn, [first, second]) == expected
    assert await mend(conn, [first, second]) == []
    await sum_up(conn)
    assert await mend(conn, [first, second]) == []
    assert await conn.fetchval("select favorites from popularity_metrics where release_id = $1", second) == 1
    assert await release_counts.release_ids(conn, first, 10) == [second]


async def test_a_time_in_the_future_counts_as_now(conn: Any) -> None:
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    tomorrow = (datetime.now(UTC) + timedelta(days=1) - START).total_seconds() / 60
    await write(conn, user, keep(RATING, release, 3, minutes=tomorrow), merge=True)
    await write(conn, user, keep(RATING, release, 8))
    assert await entry(conn, user, RATING, release) == (8, False)


def test_an_edit_from_a_clock_that_runs_ahead_changes_nothing_when_it_is_sent_again() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    ahead = now + timedelta(days=1)
    entry = EntryEdit(FAVORITE, 3, 0, deleted=False, changed_at=ahead)
    first = rules.merge_entry(None, entry, now)
    assert first.changed_at == now
    assert rules.merge_entry(first, entry, now + timedelta(seconds=9)) is first
    edit = ProgressEdit(1, 60, completed=False, deleted=False, restart=True, changed_at=ahead)
    step = rules.merge_progress(None, edit, 1400, now)
    assert rules.merge_progress(step, edit, 1400, now + timedelta(seconds=9)) is step


def test_a_position_behind_the_end_is_no_more_watch_time_than_the_end() -> None:
    edit = ProgressEdit(1, 864_000, completed=False, deleted=False, restart=False, changed_at=START)
    assert rules.edit_progress(None, edit, 1400, START).watched_seconds == 1400
    assert rules.edit_progress(None, edit, None, START).watched_seconds == 864_000
