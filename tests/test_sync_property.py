"""Whatever two devices do, on-line, off-line, in whatever order their requests arrive: they end up equal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.keys import DATABASE
from server.rules.library import COLLECTION_NAMES, COLLECTIONS
from sql import sync
from tests.conftest import Server
from tests.http_fixture import SHARED, shared_site
from tests.people import Person, person
from tests.running import Running
from tests.sync_device import Device, Request, State, key_of, moment

pytestmark = SHARED
EXAMPLES = 110
# How many rows an answer holds: few, so that what changed comes in pages.
MOST = 4
# Release 4 is not there.
RELEASES = (3, 9, 4)
LISTS = {"favorites": 1, "collections": 2, "ratings": 3, "ignores": 4}
# Seconds before and after the beginning. Some devices' clocks are ahead, and two may say the same moment.
OFFSETS = (-3600, -3600, -60, 3600)
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

devices = st.integers(0, 1)
offsets = st.sampled_from(OFFSETS)
values = {
    "favorites": st.just({}),
    "ignores": st.just({}),
    "collections": st.sampled_from([{"collection": name} for name in ("planned", "completed", "dropped")]),
    "ratings": st.sampled_from([{"rating": number} for number in (1, 10)]),
}
entry = st.sampled_from(sorted(LISTS)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.sampled_from((3, 3, 9, 9, 9, 4)), st.one_of(st.just({"deleted": True}), values[kind])
    )
)
# Of four episodes each: the last one of the first release, two of the others, and one that is not there.
episode = st.integers(0, 3)
step = st.fixed_dictionaries(
    {"position_seconds": st.sampled_from([0, 10, 700, 1400]), "completed": st.booleans()},
    optional={"restart": st.just(True), "deleted": st.just(True)},
)
fates = st.sampled_from(["arrives", "arrives", "answer lost", "late"])
actions = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), devices, entry, offsets),
        st.tuples(st.just("edit"), devices, entry, offsets),
        st.tuples(st.just("watch"), devices, episode, step, offsets),
        st.tuples(st.just("send"), devices, fates),
        st.tuples(st.just("send"), devices, fates),
        st.tuples(st.just("read"), devices),
        st.tuples(st.just("arrive"), st.integers(0, 5)),
        st.tuples(st.just("put"), entry),
        st.tuples(st.just("forget")),
    ),
    min_size=20,
    max_size=60,
)


@dataclass
class World:
    """One user with two devices, a network that delays, and what should come of the lists."""

    site: Running
    owner: Person
    database: Any
    episodes: list[int]
    first: Device
    second: Device
    began: float = field(default_factory=time.time)
    late: list[tuple[Device, Request]] = field(default_factory=list)
    # (kind, release) -> (when, deleted, value): the last by client time, of two at the same time the greater.
    expected: dict[tuple[str, int], tuple[float, bool, Any]] = field(default_factory=dict)

    @property
    def devices(self) -> tuple[Device, Device]:
        return self.first, self.second

    def edit(self, number: int, what: tuple[str, int, dict[str, Any]], offset: float) -> None:
        """Somebody uses a device; whether there is a connection does not matter yet."""
        kind, release, fields = what
        self.devices[number].edit(kind, release_id=release, changed_at=moment(self.began + offset), **fields)

    def watch(self, number: int, place: int, fields: dict[str, Any], offset: float) -> None:
        """Somebody watches an episode."""
        changed_at = moment(self.began + offset)
        self.devices[number].edit("progress", episode_id=self.episodes[place], changed_at=changed_at, **fields)

    async def send(self, number: int, fate: str) -> None:
        """A device sends what it has, and the network does with it what it does."""
        device = self.devices[number]
        request = device.request()
        if fate == "late":
            self.late.append((device, request))
            return
        answer = await self.deliver(device, request)
        if fate == "arrives":
            device.take(answer, request)

    async def deliver(self, device: Device, request: Request) -> dict[str, Any]:
        """A request arrives."""
        now = time.time()
        answer = await device.deliver(request)
        refused = {(one["kind"], one["index"]) for one in answer["rejected"]}
        for kind in LISTS:
            for place, edit in enumerate(request.body["edits"].get(kind, ())):
                unknown = edit["release_id"] == RELEASES[-1]
                assert ((kind, place) in refused) == (unknown and not edit.get("deleted"))
                if not unknown:
                    self.expect(key_of(kind, edit), edit, now)
        return answer

    def expect(self, key: tuple[str, int], edit: dict[str, Any], now: float) -> None:
        """The rule for lists, said a second time."""
        when = min(datetime.fromisoformat(edit["changed_at"]).timestamp(), now)
        said = (when, edit.get("deleted", False), value_of(key[0], edit))
        self.expected[key] = max(self.expected.get(key, (0.0, False, 0)), said)

    async def arrive(self, place: int) -> None:
        """A request that was under way for long arrives; nobody waits for its answer any more."""
        if self.late:
            await self.deliver(*self.late.pop(place % len(self.late)))

    async def put(self, what: tuple[str, int, dict[str, Any]]) -> None:
        """Something is done on-line, beside all synchronising: it is the truth from then on."""
        kind, release, fields = what
        deleted, now = "deleted" in fields, time.time()
        path, body = f"{kind}/{release}", None
        if kind == "collections":
            path = f"collections/{fields.get('collection', 'planned')}/{release}"
        elif kind == "ratings" and not deleted:
            body = {"rating": fields["rating"]}
        call = self.site.client.delete if deleted else self.site.client.put
        async with call(f"/api/v1/profile/{path}", json=body, headers=self.owner.headers) as answer:
            assert answer.status < 300 or release == RELEASES[-1], await answer.text()
        _, gone, value = before = self.expected.get((kind, release), (0.0, True, 0))
        other = kind == "collections" and deleted and value != COLLECTIONS["planned"]
        after = (now, deleted, value_of(kind, fields))
        if release != RELEASES[-1] and before[1:] != after[1:] and not (deleted and (gone or other)):
            self.expected[kind, release] = after

    async def forget(self) -> None:
        """What is gone for long is forgotten, and could come back from a device that was away for longer."""
        self.expected = {key: said for key, said in self.expected.items() if not said[1]}
        await self.database.execute(FORGET, self.owner.id)

    async def play(self, actions: list[tuple[Any, ...]]) -> None:
        """Let all of it happen, then connect both devices until there is nothing left to say."""
        for name, *rest in actions:
            done = getattr(self, name)(*rest)
            if done is not None:
                await done
        while self.late:
            await self.arrive(0)
        for device in (*self.devices, *self.devices):
            await self.settle(device)

    async def read(self, number: int) -> None:
        """A device reads a page."""
        await self.devices[number].read()

    async def settle(self, device: Device) -> None:
        """A device sends all it has, noting what should come of it, and reads until it is quiet."""
        while any(device.pending.values()):
            request = device.request()
            device.take(await self.deliver(device, request), request)
        await device.connect()


def value_of(kind: str, fields: dict[str, Any]) -> int:
    """The number that stands for what was said."""
    if "deleted" in fields:
        return 0
    return COLLECTIONS[fields["collection"]] if kind == "collections" else fields.get("rating", 0)


FORGET = """
with gone as (
    delete from library_entries where user_id = $1 and deleted returning revision
), unwatched as (
    delete from progress where user_id = $1 and deleted returning revision
)
update user_revisions set forgotten = greatest(forgotten, (
    select max(revision) from (select revision from gone union all select revision from unwatched) all_of
)) where user_id = $1
"""


async def stored(conn: Any, user_id: int) -> State:
    """What the tables say."""
    entries = await conn.fetch("select * from library_entries where user_id = $1 and not deleted", user_id)
    progress = await conn.fetch("select * from progress where user_id = $1 and not deleted", user_id)
    lists = {number: name for name, number in LISTS.items()}
    found: State = {}
    for row in entries:
        value = {2: (COLLECTION_NAMES.get(row["value"]),), 3: (row["value"],)}.get(row["kind"], ())
        found[lists[row["kind"]], row["release_id"]] = value
    for row in progress:
        found["progress", row["episode_id"]] = (row["position_seconds"], row["completed"])
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server whose answers hold few rows."""
    kept = sync.changes.__kwdefaults__
    sync.changes.__kwdefaults__ = {**kept, "most": MOST}
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started
    sync.changes.__kwdefaults__ = kept


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(site: Running) -> AsyncIterator[Any]:
    """A connection to its database."""
    connection = await asyncpg.connect(site.app[DATABASE].dsn)
    yield connection
    await connection.close()


@SETTINGS
@given(actions=actions)
async def test_two_devices_end_up_equal_to_each_other_and_to_the_server(
    site: Running, conn: Any, actions: list[tuple[Any, ...]]
) -> None:
    owner = await person(site)
    rows = await conn.fetch(
        "select id from episodes where release_id in (3, 6) and ordinal in (1, 4) order by release_id, ordinal"
    )
    episodes = [*(row["id"] for row in rows[1:]), 2**40]
    world = World(site, owner, conn, episodes, Device(site, owner.headers), Device(site, owner.headers))
    await world.play(actions)
    truth = await stored(conn, owner.id)
    fresh = Device(site, owner.headers)
    await fresh.connect()
    assert world.first.state == truth
    assert world.second.state == truth
    assert fresh.state == truth
    assert world.first.revision == world.second.revision == fresh.revision
    check_lists(world, truth)


def check_lists(world: World, truth: State) -> None:
    """The lists hold what the rule says, but where an episode's completion has moved a release."""
    for (kind, release), (_, deleted, value) in world.expected.items():
        if kind == "collections" and release in (3, 6):
            continue
        found = truth.get((kind, release))
        said = {"collections": (COLLECTION_NAMES.get(value),), "ratings": (value,)}.get(kind, ())
        assert found == (None if deleted else said)
