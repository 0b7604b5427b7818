"""A small catalogue in many scripts and a server that searches it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from actors.search_index import SearchIndexKeeper
from server.database import Database, connect
from server.keys import SEARCH
from server.rules.search_text import key, words
from server.search.engine import Found, Wanted
from server.search.index import SearchIndex
from server.search.postgresql import PostgresqlEngine
from tests.conftest import Server
from tests.importing import load
from tests.running import Running, running

_numbers = itertools.count(1)


def release(number: int, title: str, **fields: Any) -> dict[str, Any]:
    """A release as written."""
    given = {"type": "tv", "status": "finished", "year": 2020, "external_ids": {"mal": number}}
    return {"title": title, **given, **fields}


CATALOGUE = (
    release(
        1, "Attack on Titan", year=2013, season="spring", age_rating="18+", genres=["Action", "Drama"], tags=["Walls"],
        titles={"ja": "進撃の巨人", "romaji": "Shingeki no Kyojin", "ru": "Атака титанов"}, franchise="Titans",
        synopsis="Humanity hides behind enormous walls from giants who eat people.",
    ),
    release(
        2, "Attack on Titan Season 2", year=2017, season="spring", genres=["Action", "Drama"], tags=["Walls"],
        titles={"ja": "進撃の巨人 Season2", "romaji": "Shingeki no Kyojin Season 2", "ru": "Атака титанов 2"},
        franchise="Titans", synopsis="The walls are breached once more.",
    ),
    release(
        3, "Naruto", year=2002, season="autumn", age_rating="12+", genres=["Action", "Comedy"], tags=["Ninja"],
        titles={"ja": "ナルト", "ru": "Наруто"}, synopsis="A boy dreams of becoming the leader of his village.",
    ),
    release(
        4, "Naruto Shippuden", year=2007, season="winter", age_rating="12+", genres=["Action"], tags=["Ninja"],
        titles={"ja": "ナルト 疾風伝", "ru": "Наруто: Ураганные хроники"}, synopsis="The boy is back in his village.",
    ),
    release(
        5, "One Piece", year=1999, season="autumn", status="ongoing", age_rating="12+", genres=["Action", "Comedy"],
        titles={"ja": "ワンピース", "ru": "Ван-Пис"}, synonyms=["OP"], synopsis="Pirates look for a treasure.",
    ),
    release(
        6, "Spirited Away", type="movie", year=2001, season="summer", age_rating="0+", genres=["Drama", "Fantasy"],
        titles={"ja": "千と千尋の神隠し", "romaji": "Sen to Chihiro no Kamikakushi", "ru": "Унесённые призраками"},
        synopsis="Девочка попадает в мир духов и работает в купальнях.",
    ),
    release(
        7, "Your Name", type="movie", year=2016, season="summer", age_rating="12+", genres=["Drama", "Romance"],
        titles={"ja": "君の名は。", "romaji": "Kimi no Na wa.", "ru": "Твоё имя"}, synopsis="Strangers swap bodies.",
    ),
    release(
        8, "K", year=2012, season="autumn", genres=["Action"], titles={"ja": "K"}, synopsis="Kings fight over a city.",
    ),
    release(
        9, "100%_\\ 'Quoted' Title", type="special", year=None, genres=["Comedy"], synopsis="Signs, and nothing but.",
    ),
    release(10, "Monster", year=2004, season="spring", age_rating="18+", genres=["Drama"], synopsis="A surgeon chose."),
)  # fmt: skip


@asynccontextmanager
async def catalogue(server: Server, *releases: dict[str, Any]) -> AsyncIterator[str]:
    """The address of a migrated database of its own with these releases."""
    name = f"search_{os.getpid()}_{next(_numbers)}"
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(f"create database {name} template {server.template} strategy file_copy")
    try:
        conn = await connect(server.dsn(name))
        await load(conn, *releases)
        # The first are the most popular.
        await conn.execute(
            "update popularity_metrics"
            " set popularity_score = 1000 - release_id, imported_popularity = 1000 - release_id"
        )
        await conn.close()
        yield server.dsn(name)
    finally:
        await admin.execute(f"drop database {name} with (force)")
        await admin.close()


async def until_indexed(site: Running) -> None:
    """Wait until the index is loaded and every release has a document."""
    index = site.app[SEARCH].index
    async with asyncio.timeout(10):
        while not (index.loaded.is_set() and index.complete):  # noqa: ASYNC110 - nobody rings when documents are done
            await asyncio.sleep(0.02)


@asynccontextmanager
async def search_site(server: Server, data_dir: Path, **environment: str) -> AsyncIterator[Running]:
    """A server on the catalogue, ready to search it."""
    async with catalogue(server, *CATALOGUE) as dsn, running(dsn, data_dir, **environment) as started:
        await until_indexed(started)
        yield started


@asynccontextmanager
async def small_engine(conn: Any, dsn: str, *more: dict[str, Any]) -> AsyncIterator[PostgresqlEngine]:
    """The engine on the small catalogue and `more`, which becomes less popular from release to release; what has the
    tag `hidden` is a draft."""
    await load(conn, *CATALOGUE, *more)
    hidden = await conn.fetch("select id from tags where name = 'hidden'")
    await conn.execute("update releases set is_published = false where tag_ids && $1", [row["id"] for row in hidden])
    await conn.execute("update popularity_metrics set popularity_score = 1000 - release_id")
    database, index = Database(dsn), SearchIndex()
    await database.open()
    keeper = SearchIndexKeeper(database, index, lambda: None)
    await keeper.on_start()
    await keeper.on_tick()
    index.complete = True
    yield PostgresqlEngine(database, index)
    await database.close()


def wanted(text: str, **more: Any) -> Wanted:
    """A search as the handler makes it of a text."""
    return Wanted(text, tuple(words(text)), key(text), **more)


async def titles(conn: Any, found: Found) -> list[str]:
    """What was found, by name."""
    rows = await conn.fetch("select id, title from releases where id = any ($1)", list(found.ids))
    names = {row["id"]: row["title"] for row in rows}
    return [names[release_id] for release_id in found.ids]
