"""The ladder and the engine on PostgreSQL: each step only when those above it find nothing, and never without end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from actors.search_index import SearchIndexKeeper
from server.database import Database
from server.errors import Unavailable
from server.search import finder as finding
from server.search import ladder, postgresql, tsqueries
from server.search.engine import Filters, Found, Match
from server.search.finder import PostgresqlFinder
from server.search.hits import Hits, Memory
from server.search.index import Order, SearchIndex
from server.search.postgresql import PostgresqlEngine
from sql import search as sql
from sql.query import Observer
from sql.release_list import Choice
from tests.importing import load
from tests.search_site import release, small_engine, titles, wanted


@contextmanager
def queries() -> Iterator[Counter[str]]:
    """How often each query was asked meanwhile."""
    seen: Counter[str] = Counter()
    before = Observer.report
    Observer.report = staticmethod(lambda name, *_: seen.update([name]))
    try:
        yield seen
    finally:
        Observer.report = staticmethod(before)


@pytest.fixture
async def engine(conn: Any, dsn: str) -> AsyncIterator[PostgresqlEngine]:
    async with small_engine(conn, dsn) as engine:
        yield engine


@pytest.mark.parametrize(
    ("text", "outcome", "corrected", "first"),
    [
        ("one piece", "found", None, "One Piece"),
        ("one pie", "found", None, "One Piece"),
        ("щту зшусу", "layout", "one piece", "One Piece"),
        ("yfhenj ehfufyyst", "layout", "наруто ураганные", "Naruto Shippuden"),
        ("сэн то тихиро", "sounds", "sen to chihiro", "Spirited Away"),
        ("кими но на ва", "sounds", "kimi no na wa", "Your Name"),
        ("spritied away", "typos", "spirited away", "Spirited Away"),
        ("one pieze", "typos", "one piece", "One Piece"),
        ("унесеные призракми", "typos", "унесенные призраками", "Spirited Away"),
        ("your nme", "typos", "your name", "Your Name"),
        ("shingeki no kyojin смотреть", "fewer", "shingeki no kyojin", "Attack on Titan"),
        ("one piece смотреть онлайн бесплатно", "fewer", "one piece", "One Piece"),
        ("naruot episode 3 watch online", "fewer", "naruto", "Naruto"),
        # A number is not all that may be left.
        ("xylophone 2", "empty", None, None),
        ("xylophone", "empty", None, None),
    ],
)
async def test_each_way_to_read_a_query_is_taken_when_it_is_needed(
    conn: Any, engine: PostgresqlEngine, text: str, outcome: str, corrected: str | None, first: str | None
) -> None:
    found = await engine.find(wanted(text))
    assert (found.outcome, found.corrected) == (outcome, corrected)
    assert (await titles(conn, found))[:1] == ([first] if first else [])


async def test_the_beginning_of_longer_words_is_found_where_nothing_is_named_just_so(conn: Any, dsn: str) -> None:
    async with small_engine(conn, dsn, release(11, "Star"), release(12, "Starlight")) as engine:
        assert await titles(conn, await engine.find(wanted("star"))) == ["Star"]
        assert await titles(conn, await engine.find(wanted("sta"))) == ["Star", "Starlight"]
        assert (await engine.find(wanted("sta "))).outcome != "found"


async def test_names_that_sound_just_so_stand_beside_those_that_are_written_so(conn: Any, dsn: str) -> None:
    names = (release(11, "Kazeuta"), release(12, "Казэута"), release(13, "Казэута и море"))
    async with small_engine(conn, dsn, *names) as engine:
        found = await engine.find(wanted("казэута"))
        assert (found.outcome, found.corrected) == ("found", None)
        assert await titles(conn, found) == ["Казэута", "Kazeuta", "Казэута и море"]


async def test_of_what_is_equally_popular_the_first_comes_first(conn: Any, dsn: str) -> None:
    names = [release(number, f"Harbour {word}") for number, word in enumerate(("One", "Six", "Two", "Ten"), 11)]
    await load(conn, *names)
    async with small_engine(conn, dsn) as engine:
        await conn.execute("update popularity_metrics set popularity_score = 0")
        order = Order()
        order.grow(engine.index.size)
        order.add(await sql.by_popularity(conn))
        engine.index.reorder(order)
        assert await titles(conn, await engine.find(wanted("harbour"))) == [one["title"] for one in names]


@pytest.mark.parametrize(("text", "outcome"), [("star", "found"), ("ыефк", "layout")])
async def test_a_name_that_nobody_may_see_changes_nothing(conn: Any, dsn: str, text: str, outcome: str) -> None:
    hidden = release(11, "Star", tags=["hidden"])
    async with small_engine(conn, dsn, hidden, release(12, "Starlight"), release(13, "Harbour")) as engine:
        found = await engine.find(wanted(text))
        assert (found.outcome, await titles(conn, found)) == (outcome, ["Starlight"])


async def test_a_reading_that_only_fits_what_is_hidden_is_passed_over(conn: Any, dsn: str) -> None:
    hidden = release(11, "Harbour", tags=["hidden"])
    async with small_engine(conn, dsn, hidden) as engine, engine._database.connection() as own:
        finder = PostgresqlFinder(own, engine.index, engine.memory)
        readings = [Match(((word,),), named=True) for word in ("nothing", "harbour", "monster", "naruto")]
        assert await finder.first(readings) == readings[2]
        assert await finder.first(readings[:2]) is None


async def test_a_correction_does_not_depend_on_filters(engine: PostgresqlEngine) -> None:
    found = await engine.find(wanted("naruto", filters=Filters(types=Choice(("movie",)))))
    assert (found.outcome, found.corrected, found.count) == ("found", None, 0)


async def test_a_query_costs_few_questions_whatever_it_is(engine: PostgresqlEngine) -> None:
    for text in ("naruto", "zzzzzz qqqqqq vvvvvv", " ".join(f"word{chr(97 + place)}{'x' * 8}" for place in range(20))):
        with queries() as seen:
            await engine.find(wanted(text[:200]))
        assert sum(seen.values()) <= 12, seen
        assert seen["match"] <= 8


async def test_a_known_query_is_not_searched_again_until_something_changes(conn: Any, engine: PostgresqlEngine) -> None:
    await engine.find(wanted("naruto"))
    with queries() as seen:
        found = await engine.find(wanted("naruto", facets=("genres",), filters=Filters(year_from=2005)))
    assert (found.count, seen["match"]) == (1, 0)
    engine.index.generation += 1
    with queries() as seen:
        await engine.find(wanted("naruto"))
    assert seen["match"] == 1


async def test_what_a_search_takes_longer_than_a_change_is_not_remembered(engine: PostgresqlEngine) -> None:
    engine.memory.keep("old", Hits((1,), 2, 2), engine.index.generation - 1)
    assert engine.memory.get("old", Hits) is None


def test_the_memory_is_bounded_in_bytes() -> None:
    memory = Memory(lambda: 1, 10_000)
    for number in range(100):
        memory.keep(number, Hits((), 1 << 4_000, 1 << 4_000), 1)
    assert memory.bytes <= 10_000
    assert memory.get(99, Hits) is not None
    assert memory.get(0, Hits) is None
    memory.keep("large", Hits((), 1 << 40_000, 1), 1)
    assert memory.get("large", Hits) is None


async def test_while_documents_are_missing_names_are_compared_as_they_are(conn: Any, engine: PostgresqlEngine) -> None:
    engine.index.complete = False
    found = await engine.find(wanted("атак", facets=("genres",)))
    assert await titles(conn, found) == ["Attack on Titan", "Attack on Titan Season 2"]
    assert await titles(conn, await engine.find(wanted("100%_\\"))) == ["100%_\\ 'Quoted' Title"]
    assert (await engine.find(wanted("naruto", filters=Filters(year_from=2005)))).count == 1
    assert (await engine.find(wanted("xylophone"))).outcome == "empty"


async def test_a_search_waits_for_the_index_and_then_says_so(
    engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.index.loaded.clear()
    monkeypatch.setattr(postgresql, "PATIENCE", 0.01)
    with pytest.raises(Unavailable) as refused:
        await engine.find(wanted("naruto"))
    assert refused.value.headers["Retry-After"]


async def test_what_follows_the_head_goes_on_without_gaps(conn: Any, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.search.ranking.HEAD", 7)
    many = [release(number, f"Star {number}", synopsis="A sea.") for number in range(1, 31)]
    others = [release(100 + number, f"Moon {number}", synopsis="A star over the sea.") for number in range(20)]
    await load(conn, *many, *others, release(200, "Star"))
    await conn.execute("update popularity_metrics set popularity_score = release_id % 7")
    database, index = Database(dsn), SearchIndex()
    await database.open()
    try:
        keeper = SearchIndexKeeper(database, index, lambda: None)
        await keeper.on_start()
        await keeper.on_tick()
        index.complete = True
        engine = PostgresqlEngine(database, index)
        seen: list[int] = []
        for offset in range(0, 60, 4):
            page = await engine.find(wanted("star", limit=4, offset=offset))
            assert page.count == 51
            seen += page.ids
        assert len(seen) == len(set(seen)) == 51
        ordered = await titles(conn, Found(seen, 51, {}, "found"))
        assert ordered[0] == "Star"
        assert [title for title in ordered[:31] if not title.startswith("Star")] == [], ordered
        assert (await engine.find(wanted("star", limit=100))).ids == seen
    finally:
        await database.close()


def test_lexemes_are_quoted_whatever_is_in_them() -> None:
    match = Match((("it's",), ("back\\slash", "~b")), ("=x",), prefix="unless_whole")
    begun = "'it''s' & ('back\\\\slash':* | '~b') | '=x'"
    assert tsqueries.named(match) == ("'=x'", begun.replace(":*", ""), begun, "")
    assert tsqueries.named(replace(match, prefix="always", beside=("=y",))) == ("'=x'", begun, begun, "'=y'")
    assert tsqueries.named(replace(match, prefix="never")).begun == begun.replace(":*", "")
    assert tsqueries.words(match) == "'it''s' & 'back\\\\slash'"
    assert tsqueries.names(Match((("a",), ("b",), ("c",)), fewer=True)) == "('b' & 'c') | ('a' & 'c') | ('a' & 'b')"
    assert tsqueries.words(Match((("~a",),))) == ""


async def test_words_of_the_vocabulary_come_nearest_first(engine: PostgresqlEngine) -> None:
    async with engine._database.connection() as conn:
        finder = PostgresqlFinder(conn, engine.index, engine.memory)
        near = await finder.near(["titn", "naruto", "2020", "进击", "ab"])
    assert near["titn"][0] == "titan"
    assert near["naruto"][0] == "naruto"
    assert not near.keys() & {"2020", "进击", "ab"}


def test_the_best_spelling_is_that_of_one_name() -> None:
    spellings = {"atack": ("attack", "attach"), "titn": ("titan", "tin")}
    names = [["attach tin"], ["attack on titan", "tin"], ["attack"]]
    assert ladder.best_spelling(("atack", "titn"), spellings, names) == ["attack", "titan"]
    assert ladder.best_spelling(("zzz",), {}, names) == [None]


@dataclass
class Told:
    """A finder that knows what it is told, and keeps what it is asked."""

    fitting: Callable[[Match], bool] = lambda match: False
    spellings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    known: Sequence[Sequence[str]] = ()
    asked: list[Match] = field(default_factory=list)

    async def fits(self, match: Match) -> bool:
        self.asked.append(match)
        return self.fitting(match)

    async def first(self, matches: Sequence[Match]) -> Match | None:
        for match in matches:
            if await self.fits(match):
                return match
        return None

    async def names(self, match: Match) -> Sequence[Sequence[str]]:
        return self.known

    async def sounding(self, sounds: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {}

    async def near(self, words: Sequence[str], *, thorough: bool = False) -> Mapping[str, Sequence[str]]:
        return {word: self.spellings[word] for word in words if word in self.spellings}


LETTERS = "abcdefghijklmnop"


@pytest.mark.parametrize(("count", "fewer"), [(1, 0), (2, 1), (6, 1), (7, 0), (16, 0)])
async def test_questions_stay_short_however_long_the_query_is(count: int, fewer: int) -> None:
    typed = [f"harbour{sign}" for sign in LETTERS[:count]]
    told = Told(spellings={word: [f"{word}{other}" for other in LETTERS] for word in typed})
    assert (await ladder.read(told, " ".join(typed))).outcome == "empty"
    assert sum(match.fewer for match in told.asked) == fewer
    assert max(len(tsqueries.names(match)) for match in told.asked) < 5_000
    for match in told.asked:
        for group in match.groups:
            assert sum(not one.startswith("~") for one in group) <= 1 + ladder.MOST_SPELLINGS


async def test_a_word_that_is_said_twice_is_asked_for_once_and_shown_twice() -> None:
    told = Told(lambda match: "kyojin" in match.groups[0], {"kyojn": ["kyojin"]}, [["kyojin no uta no hi"]])
    reading = await ladder.read(told, "kyojn no uta no hi")
    assert reading.corrected == "kyojin no uta no hi"
    assert all(len(match.groups) in (0, 4) for match in told.asked)
    assert [group[0] for group in reading.match.groups] == ["kyojn", "uta", "no", "hi"]


async def test_each_reading_on_the_other_layout_is_tried() -> None:
    told = Told(lambda match: ("голуб",) in match.groups)
    reading = await ladder.read(told, "ujke, yjxb")
    assert (reading.outcome, reading.corrected) == ("layout", "голуб ночи")


async def test_a_correction_shows_no_word_that_stands_in_no_name_that_fits() -> None:
    # `shippa` is a word of a draft; what is found begins with `shippu`.
    told = Told(
        lambda match: "naruto" in match.groups[0], {"narutto": ["naruto"], "shippu": ["shippa"]}, [["naruto shippuden"]]
    )
    reading = await ladder.read(told, "narutto shippu")
    assert (reading.outcome, reading.corrected) == ("typos", "naruto shippu")


async def test_the_loop_turns_while_words_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, turns = Counter[str](), 0

    async def candidates(_: Any, asked: Sequence[Any], *, even_known: bool) -> list[tuple[str, str, int]]:
        return [(one.word, f"{one.word[:-1]}{chr(97 + n % 26)}", n) for one in asked for n in range(400)]

    def count(typed: str, near: str, most: int) -> int:
        compared[typed] += 1
        return most

    async def turning() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(finding.sql, "near", candidates)
    monkeypatch.setattr(finding, "distance", count)
    index = SearchIndex()
    finder = PostgresqlFinder(None, index, Memory(lambda: 1, 10_000))  # type: ignore[arg-type]
    other = asyncio.create_task(turning())
    near = await finder.near([f"harbour{sign}" for sign in LETTERS])
    other.cancel()
    assert len(near) == finding.CORRECTED
    assert max(compared.values()) <= finding.COMPARED
    assert turns >= finding.CORRECTED


def test_spellings_are_looked_for_in_many_names_at_once() -> None:
    words = [f"word{sign}" for sign in LETTERS]
    spellings = {word: [f"{word}{n}" for n in range(40)] for word in words}
    names = [[f"{words[n % 16]}{n % 40} of the sea" for n in range(10)] for _ in range(40)]
    found = ladder.best_spelling(words, spellings, names)
    assert sum(one is not None for one in found) == 1
