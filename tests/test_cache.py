"""The response cache: bounded in bytes, one load at a time, dropped by tag, stale rather than nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from server.cache import GZIP_FROM, OVERHEAD, TABLE, Entry, Policy, ResponseCache, policies
from server.errors import DatabaseUnavailable, NotFound, Unavailable
from tests.conftest import Server
from tests.http_fixture import ON_18, shared_site

LONG = Policy("long", 60, 30, 60)
OVER_AT_ONCE = Policy("short", -1, 30, 60)


def giving(body: bytes) -> Callable[[], Awaitable[bytes]]:
    async def load() -> bytes:
        return body

    return load


async def put(cache: ResponseCache, key: str, body: bytes, *tags: str) -> Entry:
    entry, how = await cache.fetch(key, giving(body), LONG, tags)
    assert how == "miss"
    return entry


class Slow:
    """A load that ends when told to."""

    def __init__(self, body: bytes = b"loaded") -> None:
        self.calls = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.body = body

    async def __call__(self) -> bytes:
        self.calls += 1
        self.begun.set()
        await self.go_on.wait()
        return self.body


async def begin(cache: ResponseCache, key: str, *tags: str) -> tuple[Slow, asyncio.Task[tuple[Entry, str]]]:
    """A load of this key that is under way."""
    load = Slow()
    task = asyncio.create_task(cache.fetch(key, load, LONG, tags))
    await load.begun.wait()
    return load, task


async def test_what_was_loaded_is_had_again_without_loading() -> None:
    cache = ResponseCache(2**20)
    await put(cache, "a", b"body")
    entry, how = await cache.fetch("a", giving(b"other"), LONG, ())
    assert (entry.body, how) == (b"body", "hit")


async def test_it_never_holds_more_bytes_than_it_may_and_counts_every_one() -> None:
    cache = ResponseCache(100_000)
    chance = random.Random(1)
    for n in range(2000):
        entry = (await cache.fetch(str(n), giving(chance.randbytes(chance.randrange(9000))), LONG, (f"t{n % 7}",)))[0]
        if n % 3 == 0:
            cache.gzipped(entry)
        if n % 101 == 0:
            cache.drop([f"t{n % 7}"])
        assert cache.bytes <= 100_000
        assert cache.bytes == sum(kept.cost for kept in cache._entries.values())
    assert cache.stats.evictions > 1000
    cache.drop([f"t{n}" for n in range(7)])
    assert (len(cache), cache.bytes, cache._by_tag) == (0, 0, {})


async def test_long_keys_count_too() -> None:
    cache = ResponseCache(1_000_000)
    for n in range(1000):
        await cache.fetch(("releases", f"{n}" + "x" * 8000), giving(b"{}"), LONG, ())
    assert len(cache) <= 1_000_000 // 8000


async def test_what_was_used_longest_ago_goes_first() -> None:
    cache = ResponseCache(5 * (OVERHEAD + 1100))
    for key in "abcd":
        await put(cache, key, b"x" * 1000)
    assert cache.get("a") is not None
    for key in "ef":
        await put(cache, key, b"x" * 1000)
    assert [key for key in "abcdef" if cache.get(key)] == ["a", "c", "d", "e", "f"]


async def test_a_body_of_more_than_a_quarter_is_not_kept() -> None:
    cache = ResponseCache(100_000)
    await put(cache, "small", b"x")
    entry = await put(cache, "large", b"x" * 30_000)
    assert entry.body == b"x" * 30_000
    assert cache.get("large") is None
    assert cache.get("small") is not None


async def test_the_gzip_form_counts_from_when_it_is_made() -> None:
    cache = ResponseCache(2**20)
    entry = await put(cache, "a", random.Random(1).randbytes(GZIP_FROM * 4))
    before = cache.bytes
    packed = cache.gzipped(entry)
    assert cache.gzipped(entry) is packed
    assert cache.bytes == before + len(packed)


async def test_gzip_forms_push_others_out() -> None:
    cache = ResponseCache(4 * 10_000)
    entries = [await put(cache, key, random.Random(1).randbytes(8000)) for key in "abcd"]
    assert len(cache) == 4
    for entry in entries:
        cache.gzipped(entry)
    assert cache.bytes <= 40_000
    assert len(cache) < 4


async def test_a_hundred_who_miss_load_once() -> None:
    cache = ResponseCache(2**20)
    load = Slow()
    tasks = [asyncio.create_task(cache.fetch("a", load, LONG, ())) for _ in range(100)]
    await load.begun.wait()
    await asyncio.sleep(0)
    load.go_on.set()
    answers = await asyncio.gather(*tasks)
    assert load.calls == 1
    assert {entry.body for entry, _ in answers} == {b"loaded"}
    assert sorted(how for _, how in answers) == ["joined"] * 99 + ["miss"]


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    cache = ResponseCache(2**20)
    begun = asyncio.Event()

    async def fail() -> bytes:
        begun.set()
        await asyncio.sleep(0.01)
        raise NotFound

    answers = await asyncio.gather(*(cache.fetch("a", fail, LONG, ()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, NotFound) for answer in answers)
    await put(cache, "a", b"there now")


async def test_who_joined_a_load_that_was_cancelled_is_told_to_try_again() -> None:
    cache = ResponseCache(2**20)
    _, first = await begin(cache, "a")
    second = asyncio.create_task(cache.fetch("a", giving(b"x"), LONG, ()))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(Unavailable):
        await second
    await put(cache, "a", b"later")


async def test_who_joins_and_goes_away_leaves_the_load_alone() -> None:
    cache = ResponseCache(2**20)
    load, first = await begin(cache, "a")
    second = asyncio.create_task(cache.fetch("a", load, LONG, ()))
    await asyncio.sleep(0)
    second.cancel()
    load.go_on.set()
    assert (await first)[0].body == b"loaded"


async def test_dropping_a_tag_drops_what_is_under_it_and_nothing_else() -> None:
    cache = ResponseCache(2**20)
    await put(cache, "a", b"a", "one", "both")
    await put(cache, "b", b"b", "two", "both")
    assert cache.drop(["one", "unheard of"]) == 1
    assert cache.get("a") is None
    assert cache.get("b") is not None
    assert cache.drop(tag for tag in ("both", "two")) == 1
    assert len(cache) == 0


async def test_a_load_begun_before_a_drop_is_not_kept() -> None:
    cache = ResponseCache(2**20)
    load, task = await begin(cache, "a", "one")
    cache.drop(["one"])
    load.go_on.set()
    assert (await task)[0].body == b"loaded"
    assert cache.get("a") is None


async def test_who_comes_after_a_drop_does_not_join_a_load_from_before() -> None:
    cache = ResponseCache(2**20)
    load, task = await begin(cache, "a", "one")
    cache.drop(["one"])
    entry = await put(cache, "a", b"newer", "one")
    load.go_on.set()
    await task
    assert cache.get("a") is entry


async def test_a_drop_is_remembered_while_other_loads_come_and_go() -> None:
    cache = ResponseCache(2**20)
    load, task = await begin(cache, "a", "one")
    cache.drop(["one"])
    await put(cache, "b", b"b", "two")
    load.go_on.set()
    await task
    assert cache.get("a") is None


async def test_a_drop_of_another_tag_before_does_not_hide_a_drop_of_this_one() -> None:
    cache = ResponseCache(2**20)
    load, task = await begin(cache, "a", "one")
    cache.drop(["two"])
    cache.drop(["one"])
    load.go_on.set()
    await task
    assert cache.get("a") is None


async def test_a_drop_of_another_tag_leaves_a_load_alone() -> None:
    cache = ResponseCache(2**20)
    load, task = await begin(cache, "a", "one")
    cache.drop(["two"])
    load.go_on.set()
    await task
    assert cache.get("a") is not None


async def test_emptying_it_spoils_every_load_under_way() -> None:
    cache = ResponseCache(2**20)
    await put(cache, "b", b"b", "two")
    load, task = await begin(cache, "a", "one")
    cache.drop_all()
    load.go_on.set()
    await task
    assert (len(cache), cache.bytes) == (0, 0)


async def test_an_old_answer_serves_while_the_database_is_away() -> None:
    cache = ResponseCache(2**20)

    async def away() -> bytes:
        raise DatabaseUnavailable

    await cache.fetch("a", giving(b"old"), OVER_AT_ONCE, ())
    assert cache.get("a") is None
    entry, how = await cache.fetch("a", away, LONG, ())
    assert (entry.body, how) == (b"old", "stale")
    assert cache.stats.stale == 1
    with pytest.raises(DatabaseUnavailable):
        await cache.fetch("never seen", away, LONG, ())


async def test_what_was_dropped_serves_nobody_however_long_the_database_is_away() -> None:
    cache = ResponseCache(2**20)

    async def away() -> bytes:
        raise DatabaseUnavailable

    async def hidden_meanwhile() -> bytes:
        cache.drop(("comments:3",))
        raise DatabaseUnavailable

    for load in (away, hidden_meanwhile):
        await cache.fetch("a", giving(b"said"), OVER_AT_ONCE, ("comments:3",))
        assert cache.holds("a")
        if load is away:
            cache.drop(("comments:3",))
        with pytest.raises(DatabaseUnavailable):
            await cache.fetch("a", load, LONG, ("comments:3",))
        assert cache.stale("a") is None


async def test_an_old_answer_does_not_hide_that_the_thing_is_gone() -> None:
    cache = ResponseCache(2**20)

    async def gone() -> bytes:
        raise NotFound

    await cache.fetch("a", giving(b"old"), OVER_AT_ONCE, ())
    with pytest.raises(NotFound):
        await cache.fetch("a", gone, LONG, ())


async def test_of_no_size_it_keeps_nothing_but_still_loads_once_for_many() -> None:
    cache = ResponseCache(0)
    load = Slow(b"x" * 5000)
    tasks = [asyncio.create_task(cache.fetch("a", load, LONG, ())) for _ in range(10)]
    await load.begun.wait()
    load.go_on.set()
    entries = [entry for entry, _ in await asyncio.gather(*tasks)]
    assert load.calls == 1
    assert cache.gzipped(entries[0])
    assert (len(cache), cache.bytes) == (0, 0)


def test_the_operators_times_replace_those_of_the_table() -> None:
    found = policies({"top": 5, "release": 0, "episodes": 9000})
    assert found["top"].cache_control == (
        "public, max-age=5, s-maxage=5, stale-while-revalidate=30, stale-if-error=86400"
    )
    for name in ("comments", "reviews"):
        # Whatever was taken away is given away by nobody an hour later.
        assert found[name].cache_control == (
            "public, max-age=5, s-maxage=10, stale-while-revalidate=10, stale-if-error=60"
        )
    assert (found["release"].ttl, found["release"].max_age, found["release"].shared) == (0, 0, 0)
    assert (found["episodes"].ttl, found["episodes"].max_age) == (9000, TABLE["episodes"][1])
    assert set(found) == set(TABLE)


@ON_18
@pytest.mark.parametrize("given", [{"CACHE_MAX_BYTES": "0"}, {"CACHE_TTL_VOCABULARY": "0"}])
async def test_a_server_told_to_keep_nothing_asks_the_database_each_time(
    server: Server, tmp_path_factory: pytest.TempPathFactory, given: dict[str, str]
) -> None:
    async with shared_site(server, tmp_path_factory.mktemp("uncached"), **given) as site:
        for _ in range(3):
            async with site.client.get("/api/v1/genres") as answer:
                assert answer.status == 200
        assert [line.count(b'"cache":"miss"') for line in site.log.lines] == [1, 1, 1]
