"""Whatever editors do to a release or to a word, search hears of it in the same transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.cms import engine, publishing, rebuild
from server.cms.applying import Refused
from server.cms.edits import Author
from tests.words import edit, made, new


@pytest.fixture
async def harbour(conn: Any) -> int:
    """A release, beside which another must not move."""
    await new(conn, "release", title="Elsewhere")
    return await new(
        conn,
        "release",
        title="Harbour Lights",
        genres=["Drama"],
        tags=["Sea"],
        franchise="Harbours",
        synopsis="The ships of this harbour were waiting.",
    )


async def marks(conn: Any) -> dict[int, str]:
    return {
        one["release_id"]: one["changed"]
        for one in await conn.fetch("select release_id, changed::text from search_documents")
    }


async def found(conn: Any, query: str) -> list[int]:
    rows = await conn.fetch("select release_id from search_documents where words @@ $1::text::tsquery", query)
    return [one["release_id"] for one in rows]


async def test_a_new_release_has_its_document_at_once(conn: Any, harbour: int) -> None:
    assert await found(conn, "'harbour':A & 'drama':B & 'ship':C") == [harbour]


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Lights"}, {"titles": {"ja": "港の灯"}}, {"synonyms": ["Port"]}, {"synopsis": "Boats."},
        {"type": "movie"}, {"status": "ongoing"}, {"season": "winter"}, {"year": 1999}, {"age_rating": "16+"},
        {"genres": ["Comedy"]}, {"tags": []}, {"franchise": None}, {"is_published": False}, {"slug": "lights"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
async def test_a_change_marks_the_document_of_its_release_alone(
    conn: Any, harbour: int, change: dict[str, Any]
) -> None:
    before = await marks(conn)
    await made(conn, edit("release", "update", harbour, **change))
    after = await marks(conn)
    assert {one for one in after if after[one] != before[one]} == {harbour}


async def test_what_is_searched_is_what_was_changed(conn: Any, harbour: int) -> None:
    await made(
        conn,
        edit(
            "release",
            "update",
            harbour,
            title="Lanterns",
            genres=["Comedy"],
            synopsis="The boats of this harbour were waiting.",
        ),
    )
    assert await found(conn, "'lanterns':A & 'comedy':B & 'boat':C") == [harbour]
    assert await found(conn, "'lights' | 'drama' | 'ship'") == []


async def test_deleting_restoring_and_publishing_on_time_mark_it(conn: Any, harbour: int) -> None:
    seen = [(await marks(conn))[harbour]]

    async def moved() -> bool:
        seen.append((await marks(conn))[harbour])
        return seen[-1] != seen[-2]

    await made(conn, edit("release", "delete", harbour))
    assert await moved()
    await made(conn, edit("release", "restore", harbour))
    assert await moved()
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await made(conn, edit("release", "update", harbour, is_published=False, publish_at=soon))
    assert await moved()
    await conn.execute("update releases set publish_at = now() - interval '1 second' where id = $1", harbour)
    async with conn.transaction():
        assert (await publishing.publish_due(conn, 10)).ids == [harbour]
    assert await moved()
    assert len(seen) == 5


async def test_episodes_leave_it_alone(conn: Any, harbour: int) -> None:
    before = await marks(conn)
    await made(conn, edit("episode", "create", release_id=harbour, ordinal=1, title="One"))
    assert await marks(conn) == before


async def test_another_name_of_a_word_reaches_the_documents_of_its_releases(conn: Any, harbour: int) -> None:
    genre = await conn.fetchval("select id from genres where name = 'Drama'")
    await made(conn, edit("genre", "update", genre, name="Tragedy"))
    before = await marks(conn)
    async with conn.transaction():
        await rebuild.slice(conn, "genre", genre, 0, 10)
    assert await found(conn, "'tragedy':B") == [harbour]
    assert await found(conn, "'drama'") == []
    after = await marks(conn)
    assert {one for one in after if after[one] != before[one]} == {harbour}


async def test_what_is_taken_back_is_not_searched(conn: Any, harbour: int) -> None:
    before = await marks(conn)
    edits = [edit("release", "update", harbour, title="Lanterns"), edit("release", "delete", 999_999)]

    async def attempt() -> None:
        async with conn.transaction():
            await engine.apply(conn, await engine.reserve(conn, edits), Author(None, None, "cms"))

    with pytest.raises(Refused):
        await attempt()
    assert await marks(conn) == before
    assert await found(conn, "'lanterns'") == []
