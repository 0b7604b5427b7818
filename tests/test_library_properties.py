"""Random edits, direct and merged, against a naive model; and what must hold of merging in any order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.database import connect
from server.rules import library as rules
from server.rules.library import Entry, EntryEdit, ProgressEdit, Step
from sql.library import COLLECTION, COLLECTIONS, FAVORITE, IGNORED, RATING
from tests.catalogue_seed import database
from tests.conftest import Server
from tests.keeping import at, counted, make_user, told, total, write

SETTINGS = settings(
    max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
NOW = at(1_000_000)
LENGTH = 1400
# Release 3 is finished, 6 goes on, 4 is not there. Episode 204 is the last of 3, 206 that of 6; 299 is not there.
RELEASES, EPISODES = (3, 3, 3, 6, 4), (201, 204, 204, 204, 206, 299)
_numbers = itertools.count(1)

SELDOM = st.sampled_from([False, False, False, True])
minutes = st.integers(0, 6)
values = {
    FAVORITE: st.just(0),
    COLLECTION: st.sampled_from([4, 1, 5, 2, 4, 3]),
    RATING: st.sampled_from([1, 5, 10]),
    IGNORED: st.just(0),
}
entry_edits = st.sampled_from([*values, COLLECTION, COLLECTION]).flatmap(
    lambda kind: st.builds(EntryEdit, st.just(kind), st.sampled_from(RELEASES), values[kind], SELDOM, minutes.map(at))
)
progress_edits = st.builds(
    ProgressEdit,
    st.sampled_from(EPISODES),
    st.sampled_from([0, 40, 700, 1400]),
    st.sampled_from([True, False]),
    SELDOM,
    SELDOM,
    minutes.map(at),
)
batches = st.lists(
    st.tuples(st.booleans(), st.lists(entry_edits, max_size=5), st.lists(progress_edits, max_size=5)),
    min_size=3,
    max_size=6,
)


@dataclass
class Model:
    """What a library is, said as plainly as can be. Times are minutes; direct edits come later than all merged ones."""

    entries: dict[tuple[int, int], tuple[int, bool, float]] = field(default_factory=dict)
    steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    clock: float = 1e6

    def keep(self, edit: EntryEdit, merge: bool, said: float) -> None:
        key = edit.kind, edit.release_id
        lowest = 1 if edit.kind in (COLLECTION, RATING) else 0
        stored = self.entries.get(key)
        new = (lowest if edit.deleted else edit.value, edit.deleted)
        if merge:
            if stored is None or (said, new[1], new[0]) > (stored[2], stored[1], stored[0]):
                self.entries[key] = (*new, said)
        elif stored is None or stored[1]:
            if not edit.deleted:
                self.entries[key] = (*new, self.clock)
        elif edit.deleted:
            if edit.value in (0, stored[0]):
                self.entries[key] = (*new, self.clock)
        elif stored[0] != edit.value:
            self.entries[key] = (*new, self.clock)

    def watch(self, edit: ProgressEdit, merge: bool, said: float) -> None:
        old = self.steps.get(edit.episode_id)
        far = (-1, 0) if edit.deleted else (edit.completed, edit.position_seconds)
        begins = edit.restart or edit.deleted
        if old is None:
            if merge or not edit.deleted:
                self._set(edit, far, said if merge else self.clock, begins)
        elif not merge:
            if edit.deleted and old["far"] == (-1, 0):
                return
            if edit.restart or far != old["far"]:
                self._set(edit, far, self.clock, begins or far < old["far"])
        elif said >= old["begun"]:
            if begins and said > old["time"]:
                self._set(edit, far, said, True)
                return
            if begins:
                old["begun"] = said
            if far > old["far"]:
                self._set(edit, far, max(said, old["time"]), False)
            old = self.steps[edit.episode_id]
            old["time"] = max(said, old["time"])

    def _set(self, edit: ProgressEdit, far: tuple[int, int], time: float, begins: bool) -> None:
        old = self.steps.get(edit.episode_id, {"begun": -1.0, "watched": 0})
        watched = LENGTH if edit.completed else max(old["watched"], min(edit.position_seconds, LENGTH))
        watched = 0 if edit.deleted else watched
        begun = time if begins else old["begun"]
        self.steps[edit.episode_id] = {"far": far, "time": time, "begun": begun, "watched": watched}

    def batch(self, merge: bool, entries: list[EntryEdit], progress: list[ProgressEdit]) -> int:
        """Apply all; how many rows are different."""
        self.clock += 1
        before = dict(self.entries), {key: dict(value) for key, value in self.steps.items()}
        said = {id(edit): (edit.changed_at - at(0)).total_seconds() / 60 for edit in [*entries, *progress]}
        for edit in entries:
            if edit.release_id != 4:
                self.keep(edit, merge, said[id(edit)])
        known = [edit for edit in progress if edit.episode_id != 299]
        if merge:
            known.sort(key=lambda edit: (said[id(edit)], not (edit.restart or edit.deleted)))
        for edit in known:
            self.watch(edit, merge, said[id(edit)])
        ends, ended = self.steps.get(204), before[1].get(204)
        if ends and ends["far"][0] == 1 and (ended is None or ended["far"][0] != 1):
            self.complete(merge, ends["time"])
        changed = [key for key in self.entries if self.entries[key] != before[0].get(key)]
        changed += [key for key in self.steps if self.steps[key] != before[1].get(key)]
        return len(changed)

    def complete(self, merge: bool, said: float) -> None:
        value, deleted, _ = self.entries.get((COLLECTION, 3), (1, True, -1))
        if deleted or value in (1, 2):
            self.keep(EntryEdit(COLLECTION, 3, COLLECTIONS["completed"], False, at(0)), merge, said)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Server) -> AsyncIterator[Any]:
    async with database(server, 30) as dsn:
        connection = await connect(dsn)
        await connection.execute("delete from episodes where release_id in (3, 6)")
        await connection.execute(
            "insert into episodes (id, release_id, ordinal, duration_seconds)"
            " select id, case when id < 205 then 3 else 6 end, id, $1 from generate_series(201, 206) id",
            LENGTH,
        )
        await connection.execute("update releases set status = 'finished' where id = 3")
        await connection.execute("update releases set status = 'ongoing', episodes_total = null where id = 6")
        yield connection
        await connection.close()


@pytest.mark.asyncio(loop_scope="module")
@SETTINGS
@given(batches=batches)
async def test_whatever_is_written_the_library_is_what_a_naive_one_would_be(conn: Any, batches: Any) -> None:
    user = await make_user(conn, f"model {next(_numbers)}")
    await conn.execute("delete from outbox")
    model, payloads, changes, revision = Model(), [], Counter[tuple[int, int]](), 0
    for merge, entries, progress in batches:
        changed = model.batch(merge, entries, progress)
        written = await write(conn, user, *entries, *progress, merge=merge)
        revision += changed > 0
        assert (written.changed, written.revision) == (changed, revision)
        assert written.unknown_releases == sorted({edit.release_id for edit in entries} & {4})
        assert written.unknown_episodes == sorted({edit.episode_id for edit in progress} & {299})
        new = await told(conn)
        assert len(new) == (changed > 0)
        payloads += new
        for payload in await told(conn, "release_counts"):
            for release, *numbers in payload["changes"]:
                changes.update({(release, place): number for place, number in enumerate(numbers)})
    await compare(conn, user, model)
    assert total(payloads) == await counted(conn, user)
    kept = await conn.fetch(
        "select release_id, count(*) filter (where kind = 1), count(*) filter (where kind = 3),"
        " coalesce(sum(value) filter (where kind = 3), 0) from library_entries where user_id = $1 and not deleted"
        " group by release_id",
        user,
    )
    rows = {(row[0], place): int(row[place + 1]) for row in kept for place in range(3)}
    assert +changes == +Counter(rows)
    assert all(number >= 0 for number in changes.values())


async def compare(conn: Any, user: int, model: Model) -> None:
    rows = await conn.fetch("select kind, release_id, value, deleted from library_entries where user_id = $1", user)
    assert {(row[0], row[1]): (row[2], row[3]) for row in rows} == {
        key: (value, deleted) for key, (value, deleted, _) in model.entries.items()
    }
    rows = await conn.fetch(
        "select episode_id, release_id, deleted, completed, position_seconds, watched_seconds"
        " from progress where user_id = $1",
        user,
    )
    assert {row[0]: ((-1, 0) if row[2] else (row[3], row[4]), row[5]) for row in rows} == {
        key: (value["far"], value["watched"]) for key, value in model.steps.items()
    }
    assert all(row[1] == (3 if row[0] < 205 else 6) for row in rows)


@pytest.mark.asyncio(loop_scope="module")
@SETTINGS
@given(edits=st.lists(entry_edits, max_size=8), data=st.data())
async def test_entries_end_the_same_in_whatever_order_and_portions_they_come(conn: Any, edits: Any, data: Any) -> None:
    states = []
    for order in (edits, data.draw(st.permutations(edits))):
        user = await make_user(conn, f"order {next(_numbers)}")
        cut = data.draw(st.integers(0, len(order)))
        for portion in (order[:cut], order[cut:], order[:cut]):
            await write(conn, user, *portion, merge=True)
        columns = "kind, release_id, value, deleted, changed_at"
        states.append(await conn.fetch(f"select {columns} from library_entries where user_id = $1 order by 1, 2", user))
    assert states[0] == states[1]


def entry_after(edits: list[EntryEdit]) -> Entry | None:
    stored: Entry | None = None
    for edit in edits:
        stored = rules.merge_entry(stored, edit, NOW)
    return stored


def step_after(edits: list[ProgressEdit], stored: Step | None = None) -> Step | None:
    for edit in edits:
        stored = rules.merge_progress(stored, edit, LENGTH, NOW)
    return stored


one_rating = entry_edits.map(lambda edit: edit._replace(kind=RATING, value=max(1, edit.value)))
plain_progress = progress_edits.map(lambda edit: edit._replace(restart=False, deleted=False))


@given(st.lists(one_rating, max_size=6).flatmap(lambda edits: st.tuples(st.just(edits), st.permutations(edits))))
def test_merging_entries_commutes(orders: tuple[list[EntryEdit], list[EntryEdit]]) -> None:
    assert entry_after(orders[0]) == entry_after(orders[1]) == entry_after(orders[0] + orders[1])


@given(st.lists(plain_progress, max_size=6).flatmap(lambda edits: st.tuples(st.just(edits), st.permutations(edits))))
def test_merging_progress_commutes_where_nobody_starts_anew(
    orders: tuple[list[ProgressEdit], list[ProgressEdit]],
) -> None:
    assert step_after(orders[0]) == step_after(orders[1]) == step_after(orders[0] + orders[1])


@given(st.lists(progress_edits, min_size=1, max_size=8), st.data())
def test_progress_that_comes_again_changes_nothing(edits: list[ProgressEdit], data: Any) -> None:
    stored = step_after(edits)
    assert step_after(data.draw(st.lists(st.sampled_from(edits), max_size=8)), stored) == stored


@given(st.lists(progress_edits, min_size=1, max_size=8))
def test_a_restart_that_is_newer_than_everything_wins(edits: list[ProgressEdit]) -> None:
    last = ProgressEdit(1, 3, False, False, True, at(7))
    stored = step_after([*edits, last])
    assert stored is not None
    assert (stored.position_seconds, stored.completed, stored.deleted) == (3, False, False)
    assert step_after(edits, stored) == stored


@given(st.lists(progress_edits, min_size=1, max_size=8))
def test_edits_of_one_batch_are_merged_as_they_were_made_whatever_their_order(edits: list[ProgressEdit]) -> None:
    same = [edit._replace(episode_id=1) for edit in edits]
    assert step_after(rules.in_order(same, NOW)) == step_after(rules.in_order(same[::-1], NOW))
