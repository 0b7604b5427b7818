"""Progress: what counts as watched, which of two devices is right, and when a release is completed."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from sql import progress
from sql.library import COLLECTION, COLLECTIONS
from tests.keeping import counted, drop, entry, forget, keep, make_user, step, told, total, watch, write
from tests.seeding import seed_episodes, seed_releases

LENGTH = 1400


async def seed(conn: Any, each: int = 3) -> tuple[int, int, list[int]]:
    """A user, a release, its episodes."""
    user = await make_user(conn)
    (release,) = await seed_releases(conn, 1)
    episodes = (await seed_episodes(conn, [release], each))[release]
    await conn.execute("update episodes set duration_seconds = $1", LENGTH)
    return user, release, sorted(episodes)


async def test_watch_time_is_the_furthest_position_and_then_the_length(conn: Any) -> None:
    user, _, (first, second, _) = await seed(conn)
    await conn.execute("update episodes set duration_seconds = null where id = $1", second)
    for edit, expected in (
        (watch(first, 300), (300, False, 300, False)),
        (watch(first, 100), (100, False, 300, False)),
        (watch(first, 1390, True), (1390, True, LENGTH, False)),
        (watch(first, 10), (10, False, LENGTH, False)),
        (watch(second, 900, True), (900, True, 900, False)),
        (forget(first), (0, False, 0, True)),
        (watch(first, 5), (5, False, 5, False)),
    ):
        await write(conn, user, edit)
        assert await step(conn, user, edit.episode_id) == expected
    assert total(await told(conn)) == await counted(conn, user) == {"episodes_watched": 1, "watch_seconds": 905}


async def test_the_first_progress_on_a_release_starts_it_once(conn: Any) -> None:
    user, release, (first, second, _) = await seed(conn)
    started = [["started", "release", release, {}]]
    expected = [(watch(first, 5), started), (watch(first, 9), []), (watch(second, 5), []), (forget(first), [])]
    for edit, activity in expected:
        await write(conn, user, edit)
        (payload,) = await told(conn)
        assert payload["activity"] == activity
    await write(conn, user, forget(second))
    await told(conn)
    await write(conn, user, watch(first, 5), watch(second, 5))
    assert (await told(conn))[0]["activity"] == started


@pytest.mark.parametrize("merge", [False, True], ids=["direct", "merged"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "completed"), ("planned", "completed"), ("watching", "completed"), ("completed", "completed"),
        ("postponed", "postponed"), ("dropped", "dropped"),
    ],
)  # fmt: skip
async def test_the_last_episode_completes_the_release_unless_the_user_chose_otherwise(
    conn: Any, before: str | None, after: str, merge: bool
) -> None:
    user, release, episodes = await seed(conn)
    if before:
        await write(conn, user, keep(COLLECTION, release, COLLECTIONS[before]), merge=merge)
    await told(conn)
    written = await write(conn, user, watch(episodes[-1], LENGTH, True, minutes=9), merge=merge)
    assert await entry(conn, user, COLLECTION, release) == (COLLECTIONS[after], False)
    (payload,) = await told(conn)
    moved = before != after
    assert (["completed", "release", release, {}] in payload["activity"]) == moved
    assert (written.changed, payload["delta"].get("completed", 0)) == ((2, 1) if moved else (1, 0))
    revisions = await conn.fetch("select revision from library_entries union all select revision from progress")
    assert [row["revision"] for row in revisions] == ([written.revision] * 2 if moved else [1, 2])


@pytest.mark.parametrize(
    ("status", "total_episodes", "completes"),
    [
        ("finished", None, True), ("finished", 12, True), ("ongoing", 3, True), ("ongoing", 2, True),
        ("ongoing", 12, False), ("ongoing", None, False), ("announced", None, False), ("paused", 3, True),
    ],
)  # fmt: skip
async def test_a_release_is_done_when_it_is_finished_or_has_all_of_its_episodes(
    conn: Any, status: str, total_episodes: int | None, completes: bool
) -> None:
    user, release, episodes = await seed(conn)
    await conn.execute("update releases set status = $1, episodes_total = $2", status, total_episodes)
    await write(conn, user, watch(episodes[-1], LENGTH, True))
    found = await entry(conn, user, COLLECTION, release)
    assert found == ((COLLECTIONS["completed"], False) if completes else None)


async def test_only_a_newly_completed_last_episode_completes(conn: Any) -> None:
    user, release, (first, second, last) = await seed(conn)
    watching = keep(COLLECTION, release, COLLECTIONS["watching"])
    await write(conn, user, watch(first, LENGTH, True), watch(second, LENGTH, True), watch(last, LENGTH))
    assert await entry(conn, user, COLLECTION, release) is None
    await write(conn, user, watch(last, LENGTH, True))
    await write(conn, user, watching)
    await write(conn, user, watch(last, 1399, True))
    assert await entry(conn, user, COLLECTION, release) == (watching.value, False)
    await write(conn, user, watch(last, 1), watch(last, LENGTH, True))
    assert await entry(conn, user, COLLECTION, release) == (watching.value, False)


async def test_an_episode_that_was_removed_is_not_the_last(conn: Any) -> None:
    user, release, (_, second, last) = await seed(conn)
    await conn.execute("update episodes set deleted_at = now() where id = $1", last)
    await write(conn, user, watch(second, LENGTH, True))
    assert await entry(conn, user, COLLECTION, release) == (COLLECTIONS["completed"], False)


@pytest.mark.parametrize("chosen", [keep, drop], ids=["another collection", "none"])
async def test_a_later_choice_made_elsewhere_stands_against_completion(conn: Any, chosen: Any) -> None:
    user, release, episodes = await seed(conn)
    await write(conn, user, keep(COLLECTION, release, COLLECTIONS["watching"]), merge=True)
    choice = chosen(COLLECTION, release, COLLECTIONS["planned"], minutes=20)
    await write(conn, user, choice, merge=True)
    await write(conn, user, watch(episodes[-1], LENGTH, True, minutes=10), merge=True)
    assert await entry(conn, user, COLLECTION, release) == (1, choice.deleted)


async def test_the_furthest_of_two_devices_wins_in_any_order(conn: Any) -> None:
    edits = [(50, False, 9), (700, False, 3), (1390, True, 5), (1200, False, 20), (1400, False, 21)]
    user, _, (episode, *_) = await seed(conn)
    for number, order in enumerate(permutations(edits)):
        if number % 11:
            continue
        user = await make_user(conn, f"user {number}")
        for position, completed, minutes in order:
            await write(conn, user, watch(episode, position, completed, minutes), merge=True)
        assert await step(conn, user, episode) == (1390, True, LENGTH, False)


async def test_a_newer_restart_begins_anew_and_bars_what_was_before_it(conn: Any) -> None:
    user, _, (episode, *_) = await seed(conn)
    for edit, position in (
        (watch(episode, 900, minutes=10), 900),
        (watch(episode, 0, minutes=5, restart=True), 900),
        (watch(episode, 20, minutes=30, restart=True), 20),
        (watch(episode, 1000, minutes=29), 20),
        (watch(episode, 15, minutes=40), 20),
        (watch(episode, 60, minutes=35), 60),
        (forget(episode, minutes=20), 60),
    ):
        await write(conn, user, edit, merge=True)
        assert (await step(conn, user, episode) or ())[0] == position
    await write(conn, user, forget(episode, minutes=50), merge=True)
    assert await step(conn, user, episode) == (0, False, 0, True)
    assert (await write(conn, user, watch(episode, 800, minutes=49), merge=True)).changed == 0
    await write(conn, user, watch(episode, 8, minutes=51), merge=True)
    assert await step(conn, user, episode) == (8, False, 8, False)
    assert total(await told(conn)) == await counted(conn, user)


async def test_a_step_backwards_beats_older_progress_of_other_devices(conn: Any) -> None:
    user, _, (episode, *_) = await seed(conn)
    await write(conn, user, watch(episode, 900))
    await write(conn, user, watch(episode, 30))
    assert (await write(conn, user, watch(episode, 1000, minutes=1), merge=True)).changed == 0
    assert await step(conn, user, episode) == (30, False, 900, False)


async def test_a_batch_that_comes_twice_changes_nothing_the_second_time(conn: Any) -> None:
    user, _, (first, second, _) = await seed(conn)
    batch = [
        watch(first, 500, minutes=1), watch(first, 0, minutes=2, restart=True), watch(first, 40, minutes=3),
        watch(second, 700, minutes=3), forget(second, minutes=2),
    ]  # fmt: skip
    once = await write(conn, user, *batch, merge=True)
    assert once.changed == 2
    again = await write(conn, user, *batch[::-1], merge=True)
    assert (again.revision, again.changed) == (once.revision, 0)
    assert await step(conn, user, first) == (40, False, 500, False)
    assert await step(conn, user, second) == (700, False, 700, False)


async def test_what_to_go_on_with(conn: Any) -> None:
    user = await make_user(conn)
    releases = await seed_releases(conn, 8)
    episodes = await seed_episodes(conn, releases, 3)
    begun, through, done, dropped, ignored, again, hidden, cut = releases
    minutes = 0.0
    for release, place, position, completed in (
        (begun, 0, 1400, True), (begun, 1, 77, False), (through, 0, 1400, True), (done, 2, 1400, True),
        (dropped, 0, 5, False), (ignored, 0, 5, False), (again, 1, 30, False), (again, 0, 1400, True),
        (hidden, 0, 5, False), (cut, 0, 5, False),
    ):  # fmt: skip
        minutes += 1
        await write(conn, user, watch(episodes[release][place], position, completed, minutes), merge=True)
    await write(conn, user, keep(COLLECTION, dropped, COLLECTIONS["dropped"]), keep(4, ignored))
    await conn.execute("update releases set deleted_at = now() where id = $1", hidden)
    await conn.execute("update episodes set deleted_at = now() where id = $1", episodes[cut][0])
    found = [(row["release"]["id"], row["episode"]["id"], row["position_seconds"]) for row in await go_on(conn, user)]
    assert found == [
        (cut, episodes[cut][1], 0), (again, episodes[again][1], 30), (through, episodes[through][1], 0),
        (begun, episodes[begun][1], 77),
    ]  # fmt: skip
    assert [row["release"]["id"] for row in await go_on(conn, user, 2)] == [cut, again]


async def go_on(conn: Any, user: int, limit: int = 20) -> list[dict[str, Any]]:
    return [json.loads(row) for row in await progress.continue_with(conn, user, limit)]
