"""Releases by the CMS: what is said changes and nothing else does; slugs, drafts, deletion, and who hears of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.cms import engine
from server.cms.edits import Edit
from server.errors import Conflict, NotFound, Unprocessable, YojohanError
from sql import releases
from tests.importing import Collected, load
from tests.words import edit, facts, made, new, refused, shown

FULL = {
    "slug": "mushishi", "title": "Mushishi", "titles": {"ja": "蟲師", "romaji": "Mushishi"}, "synonyms": ["Mushi-Shi"],
    "synopsis": "Ginko travels.\n\nAnd listens.", "type": "tv", "status": "finished", "season": "autumn", "year": 2005,
    "age_rating": "16+", "episodes_total": 26, "genres": ["Mystery", "Slice of Life"], "tags": ["nature"],
    "franchise": "Mushishi", "external_ids": {"anilist": 457, "ann": "abc"},
}  # fmt: skip
STATE = {"is_published": True, "publish_at": None, "deleted_at": None}


def in_an_hour() -> str:
    """A moment to come, as documents have it."""
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def public(conn: Any, release_id: int) -> dict[str, Any] | None:
    """What everybody sees of it."""
    rows = await releases.get_many(conn, [release_id])
    return json.loads(next(iter(rows.values()))) if rows else None


async def fault(conn: Any, *edits: Edit) -> YojohanError:
    """What is wrong with the last of these edits, and with no other."""
    found = await refused(conn, *edits)
    assert list(found) == [len(edits) - 1]
    return found[len(edits) - 1]


async def revisions(conn: Any, release_id: int) -> list[tuple[str, Any]]:
    """(action, diff) of what happened to it."""
    rows = await conn.fetch(
        "select action, diff from revisions where noun = 'release' and entity_id = $1 order by id", release_id
    )
    return [tuple(row) for row in rows]


async def test_a_new_release_is_there_with_all_it_was_said_to_have(conn: Any) -> None:
    outcome = await made(conn, edit("release", "create", **FULL))
    release_id = outcome.applied[0].id
    document = await shown(conn, "release", release_id)
    assert document == FULL | STATE | {
        "id": release_id, "created_at": document["created_at"], "updated_at": document["updated_at"],
    }  # fmt: skip
    assert outcome.tags == {"releases", f"release:{release_id}", "slug:mushishi"}
    assert await facts(conn) == {"added": [release_id]}
    assert await revisions(conn, release_id) == [("created", {})]
    seen = await public(conn, release_id)
    assert seen is not None
    assert [word["name"] for word in seen["genres"]] == ["Mystery", "Slice of Life"]
    assert seen["counters"] == {"views": 0, "favorites": 0}
    assert await conn.fetchval("select total from catalogue_totals where name = 'releases'") == 1
    assert await conn.fetchval("select count(*) from popularity_metrics where release_id = $1", release_id) == 1


async def test_a_patch_changes_what_it_says_and_nothing_else(conn: Any) -> None:
    release_id = await new(conn, "release", **FULL)
    await facts(conn)
    before = await shown(conn, "release", release_id)
    await made(conn, edit("release", "update", release_id, synopsis="New.", year=None, genres=["Drama"]))
    after = await shown(conn, "release", release_id)
    assert after == before | {"synopsis": "New.", "year": None, "genres": ["Drama"], "updated_at": after["updated_at"]}
    assert after["updated_at"] > before["updated_at"]
    assert await facts(conn) == {"updated": [release_id]}
    assert (await revisions(conn, release_id))[1:] == [
        (
            "updated",
            {
                "synopsis": [FULL["synopsis"], "New."],
                "year": [2005, None],
                "genres": [["Mystery", "Slice of Life"], ["Drama"]],
            },
        )
    ]
    seen = await public(conn, release_id)
    assert seen is not None
    assert (seen["synopsis"], seen["year"], seen["updated_at"]) == ("New.", None, after["updated_at"])


@pytest.mark.parametrize(
    "said",
    [
        {"title": "Mushi-shi"}, {"titles": {"en": "Bugmaster"}}, {"titles": {}}, {"synonyms": []},
        {"synonyms": ["B", "A"]}, {"synopsis": ""}, {"type": "movie"}, {"status": "ongoing"}, {"season": None},
        {"age_rating": None}, {"episodes_total": 0}, {"episodes_total": None}, {"tags": []}, {"franchise": None},
        {"franchise": "Another"}, {"external_ids": {}}, {"external_ids": {"anilist": "457"}}, {"slug": "other"},
        {"is_published": False},
    ],
    ids=str,
)  # fmt: skip
async def test_each_field_can_be_changed_by_itself(conn: Any, said: dict[str, Any]) -> None:
    release_id = await new(conn, "release", **FULL)
    before = await shown(conn, "release", release_id)
    outcome = await made(conn, edit("release", "update", release_id, **said))
    assert outcome.applied[0].changed
    after = await shown(conn, "release", release_id)
    assert after == before | said | {"updated_at": after["updated_at"]}
    ((_, diff),) = (await revisions(conn, release_id))[1:]
    assert diff == {field: [before[field], value] for field, value in said.items()}
    again = await made(conn, edit("release", "update", release_id, **said))
    assert not again.applied[0].changed
    assert again.tags == set()
    assert len(await revisions(conn, release_id)) == 2


async def test_a_replacement_resets_what_it_does_not_say_but_the_slug(conn: Any) -> None:
    release_id = await new(conn, "release", **FULL)
    await made(conn, edit("release", "replace", release_id, title="Bare"))
    document = await shown(conn, "release", release_id)
    assert document == STATE | {
        "slug": "mushishi", "title": "Bare", "titles": {}, "synonyms": [], "synopsis": "", "type": "other",
        "status": "finished", "season": None, "year": None, "age_rating": None, "episodes_total": None, "genres": [],
        "tags": [], "franchise": None, "external_ids": {},
        "id": release_id, "created_at": document["created_at"], "updated_at": document["updated_at"],
    }  # fmt: skip


async def test_what_an_editor_reads_can_be_written_back_unchanged(conn: Any) -> None:
    release_id = await new(conn, "release", **FULL)
    document = await shown(conn, "release", release_id)
    body = {key: value for key, value in document.items() if key in FULL or key in ("is_published", "publish_at")}
    for action in ("replace", "update"):
        outcome = await made(conn, Edit("release", action, release_id, body))
        assert not outcome.applied[0].changed
    assert await shown(conn, "release", release_id) == document


async def test_words_that_are_hidden_survive_what_is_written_of_those_that_are_not(conn: Any) -> None:
    release_id = await new(conn, "release", **FULL)
    words = {
        noun: await conn.fetchval(f"select id from {noun}s where name = $1", name)
        for noun, name in (("genre", "Mystery"), ("tag", "nature"), ("franchise", "Mushishi"))
    }
    await made(conn, *(edit(noun, "delete", word) for noun, word in words.items()))
    document = await shown(conn, "release", release_id)
    assert (document["genres"], document["tags"], document["franchise"]) == (["Slice of Life"], [], None)
    body = {name: document[name] for name in FULL}
    (back,) = (await made(conn, edit("release", "replace", release_id, **body))).applied
    assert back.changed is False
    more = {"genres": ["Slice of Life", "Drama"], "tags": ["travel"]}
    await made(conn, edit("release", "replace", release_id, **body | more))
    await made(conn, edit("release", "update", release_id, genres=["Drama"]))
    await made(conn, *(edit(noun, "restore", word) for noun, word in words.items()))
    document = await shown(conn, "release", release_id)
    assert (document["genres"], document["tags"]) == (["Drama", "Mystery"], ["nature", "travel"])
    assert document["franchise"] == "Mushishi"


async def test_what_lists_and_numbers_say_of_a_release_survives_its_edits(conn: Any) -> None:
    await load(conn, {"title": "A", "popularity": 1000, "episodes": [{"ordinal": 1}, {"ordinal": 2}]})
    release_id = await conn.fetchval("select id from releases")
    metrics = await conn.fetchrow("select * from popularity_metrics")
    await made(conn, edit("release", "replace", release_id, title="B"))
    assert await conn.fetchrow("select * from popularity_metrics") == metrics
    assert await conn.fetchval("select count(*) from episodes where deleted_at is null") == 2


# Slugs


async def test_a_slug_that_is_asked_for_is_given_or_refused(conn: Any) -> None:
    taken = await new(conn, "release", title="A", slug="a-slug")
    error = await fault(conn, edit("release", "create", title="B", slug="a-slug"))
    assert isinstance(error, Conflict)
    assert error.detail == f"The release {taken} has the slug a-slug already."
    other = await new(conn, "release", title="C")
    assert isinstance(await fault(conn, edit("release", "update", other, slug="a-slug")), Conflict)
    assert await refused(conn, edit("release", "update", taken, slug="a-slug")) == {}


@pytest.mark.parametrize("slug", ["new", "123", "trending"])
async def test_a_slug_that_reads_as_something_else_is_refused(conn: Any, slug: str) -> None:
    error = await fault(conn, edit("release", "create", title="A", slug=slug))
    assert isinstance(error, Unprocessable)
    assert [one.pointer for one in error.faults] == ["/slug"]


async def test_slugs_made_from_titles_make_way(conn: Any) -> None:
    outcome = await made(
        conn, edit("release", "create", title="Same"), edit("release", "create", title="Same"),
        edit("release", "create", title="Else", slug="same"),
    )  # fmt: skip
    slugs = [(await shown(conn, "release", one.id))["slug"] for one in outcome.applied]
    first, second, _ = (one.id for one in outcome.applied)
    assert slugs == [f"same-{first}", f"same-{second}", "same"]


async def test_a_former_slug_leads_to_where_the_release_is(conn: Any) -> None:
    release_id = await new(conn, "release", title="A", slug="before")
    outcome = await made(conn, edit("release", "update", release_id, slug="after"))
    assert outcome.tags == {"releases", f"release:{release_id}", "slug:before", "slug:after"}
    assert await releases.current_slug(conn, "before") == "after"
    # Nobody derives it, but whoever insists may have it.
    derived = await new(conn, "release", title="Before")
    assert (await shown(conn, "release", derived))["slug"] == f"before-{derived}"
    insists = await new(conn, "release", title="B", slug="before")
    assert (await shown(conn, "release", insists))["slug"] == "before"
    # And back again.
    await made(
        conn, edit("release", "update", release_id, slug="third"), edit("release", "update", release_id, slug="after")
    )
    assert await releases.current_slug(conn, "third") == "after"
    assert await releases.current_slug(conn, "after") is None


async def test_a_slug_goes_from_hand_to_hand_within_one_list(conn: Any) -> None:
    first, second = await new(conn, "release", title="A", slug="a"), await new(conn, "release", title="B", slug="b")
    await made(conn, edit("release", "update", first, slug="c"), edit("release", "update", second, slug="a"))
    assert [(await shown(conn, "release", one))["slug"] for one in (first, second)] == ["c", "a"]
    outcome = await made(conn, edit("release", "delete", second), edit("release", "create", title="D", slug="a"))
    assert (await shown(conn, "release", outcome.applied[1].id))["slug"] == "a"
    both = [edit("release", "create", title="E", slug="e"), edit("release", "create", title="F", slug="e")]
    assert isinstance(await fault(conn, *both), Conflict)


# Ids elsewhere and words


async def test_an_id_elsewhere_names_one_release_even_a_deleted_one(conn: Any) -> None:
    owner = await new(conn, "release", title="A", external_ids={"mal": 5})
    error = await fault(conn, edit("release", "create", title="B", external_ids={"mal": 5}))
    assert isinstance(error, Conflict)
    assert error.detail == f"The release {owner} has the id 5 at mal already."
    await made(conn, edit("release", "delete", owner))
    assert isinstance(await fault(conn, edit("release", "create", title="B", external_ids={"mal": 5})), Conflict)
    await made(conn, edit("release", "restore", owner))
    other = await new(conn, "release", title="B")
    # Handed over within one list; asked for twice, it is not.
    over = edit("release", "update", owner, external_ids={}), edit("release", "update", other, external_ids={"mal": 5})
    await made(conn, *over)
    assert (await shown(conn, "release", other))["external_ids"] == {"mal": 5}
    twice = [edit("release", "create", title=title, external_ids={"mal": 7}) for title in "CD"]
    assert isinstance(await fault(conn, *twice), Conflict)


@pytest.mark.parametrize(("noun", "field"), [("genre", "genres"), ("tag", "tags"), ("franchise", "franchise")])
async def test_a_deleted_word_is_to_be_restored_before_it_is_used(conn: Any, noun: Any, field: str) -> None:
    word = await new(conn, noun, name="Horror")
    said = "hORROR" if field == "franchise" else ["Drama", "hORROR"]
    release_id = await new(conn, "release", title="A", **{field: said})
    await made(conn, edit(noun, "delete", word))
    assert "orror" not in str((await shown(conn, "release", release_id))[field])
    error = await fault(conn, edit("release", "create", title="B", **{field: said}))
    assert isinstance(error, Conflict)
    assert f"restore {noun} {word}" in error.detail
    await made(conn, edit(noun, "restore", word), edit("release", "create", title="B", **{field: said}))
    assert "orror" in str((await shown(conn, "release", release_id))[field])


@pytest.mark.parametrize(
    ("said", "pointer"),
    [({"title": "  "}, "/title"), ({"genres": ["  "]}, "/genres"), ({"franchise": " "}, "/franchise")],
)
async def test_what_no_schema_finds_out_is_refused_with_its_place(conn: Any, said: Any, pointer: str) -> None:
    error = await fault(conn, edit("release", "create", **{"title": "A", **said}))
    assert isinstance(error, Unprocessable)
    assert [one.pointer for one in error.faults] == [pointer]


async def test_all_that_no_schema_finds_out_is_told_at_once(conn: Any) -> None:
    bad = {"slug": "5", "title": " ", "genres": [" "], "tags": ["fine", " "], "franchise": " "}
    error = await fault(conn, edit("release", "create", **bad))
    assert [one.pointer for one in error.faults] == ["/slug", "/title", "/genres", "/tags", "/franchise"]
    release_id = await new(conn, "release", title="A")
    error = await fault(conn, edit("release", "update", release_id, slug="5", tags=[" "]))
    assert [one.pointer for one in error.faults] == ["/slug", "/tags"]


async def test_text_that_is_not_unicode_is_refused(conn: Any) -> None:
    assert isinstance(await fault(conn, edit("release", "create", title="A \ud800")), Unprocessable)
    assert isinstance(await fault(conn, edit("release", "create", title="A", tags=["\udfff"])), Unprocessable)


# Drafts


async def test_followers_hear_of_a_draft_once_when_it_is_first_seen(conn: Any) -> None:
    release_id = await new(conn, "release", title="A", is_published=False)
    assert await facts(conn) == {}
    assert await public(conn, release_id) is None
    await made(conn, edit("release", "update", release_id, title="B"))
    assert await facts(conn) == {}
    await made(conn, edit("release", "update", release_id, is_published=True))
    assert await facts(conn) == {"added": [release_id]}
    assert (await public(conn, release_id) or {})["title"] == "B"
    await made(conn, edit("release", "update", release_id, is_published=False))
    assert await facts(conn) == {"deleted": [release_id]}
    await made(conn, edit("release", "update", release_id, is_published=True, title="C"))
    assert await facts(conn) == {"updated": [release_id]}
    assert await conn.fetchval("select total from catalogue_totals where name = 'releases'") == 1


async def test_a_moment_to_come_makes_a_draft_until_then(conn: Any) -> None:
    moment = in_an_hour()
    release_id = await new(conn, "release", title="A", publish_at=moment)
    document = await shown(conn, "release", release_id)
    assert (document["is_published"], document["publish_at"]) == (False, moment)
    assert await facts(conn) == {}
    await made(conn, edit("release", "update", release_id, title="B"))
    assert (await shown(conn, "release", release_id))["publish_at"] == moment
    await made(conn, edit("release", "update", release_id, publish_at=None))
    document = await shown(conn, "release", release_id)
    assert (document["is_published"], document["publish_at"]) == (False, None)
    await made(conn, edit("release", "update", release_id, publish_at=moment))
    await made(conn, edit("release", "update", release_id, is_published=True))
    document = await shown(conn, "release", release_id)
    assert (document["is_published"], document["publish_at"]) == (True, None)
    assert await facts(conn) == {"added": [release_id]}


async def test_a_moment_that_is_past_publishes_unless_it_is_said_otherwise(conn: Any) -> None:
    past = "2020-01-01T00:00:00Z"
    first = await new(conn, "release", title="A", publish_at=past)
    second = await new(conn, "release", title="B", publish_at=past, is_published=False)
    third = await new(conn, "release", title="C", is_published=False)
    assert await facts(conn) == {"added": [first]}
    await made(conn, edit("release", "update", second, publish_at=past, is_published=False))
    await made(conn, edit("release", "update", third, publish_at=past))
    assert await facts(conn) == {"added": [third]}
    states = [await shown(conn, "release", one) for one in (first, second, third)]
    assert [one["is_published"] for one in states] == [True, False, True]
    assert [one["publish_at"] for one in states] == [None, None, None]


# Deletion


async def test_a_deleted_release_is_out_of_sight_and_comes_back_as_it_was(conn: Any) -> None:
    release_id = await new(conn, "release", **FULL)
    before = await shown(conn, "release", release_id)
    await facts(conn)
    outcome = await made(conn, edit("release", "delete", release_id))
    assert outcome.tags == {"releases", f"release:{release_id}", "slug:mushishi"}
    assert await facts(conn) == {"deleted": [release_id]}
    assert await public(conn, release_id) is None
    assert await engine.documents(conn, "release", [release_id], deleted=False) == {}
    assert (await shown(conn, "release", release_id))["deleted_at"] is not None
    assert isinstance(await fault(conn, edit("release", "delete", release_id)), NotFound)
    assert isinstance(await fault(conn, edit("release", "update", release_id, title="B")), NotFound)
    await made(conn, edit("release", "restore", release_id))
    assert await facts(conn) == {"updated": [release_id]}
    after = await shown(conn, "release", release_id)
    assert after == before | {"updated_at": after["updated_at"]}
    assert (await public(conn, release_id) or {})["updated_at"] == after["updated_at"]
    assert isinstance(await fault(conn, edit("release", "restore", release_id)), Conflict)
    assert await revisions(conn, release_id) == [("created", {}), ("deleted", {}), ("restored", {})]


async def test_a_draft_is_deleted_and_restored_unheard(conn: Any) -> None:
    release_id = await new(conn, "release", title="A", is_published=False)
    await made(conn, edit("release", "delete", release_id))
    await made(conn, edit("release", "restore", release_id))
    assert await facts(conn) == {}
    await made(conn, edit("release", "update", release_id, is_published=True))
    assert await facts(conn) == {"added": [release_id]}


async def test_a_deleted_release_gives_its_slug_away_for_good(conn: Any) -> None:
    gone = await new(conn, "release", title="A", slug="the-slug")
    await made(conn, edit("release", "delete", gone))
    heir = await new(conn, "release", title="The Slug")
    assert (await shown(conn, "release", heir))["slug"] == "the-slug"
    await made(conn, edit("release", "restore", gone))
    assert (await shown(conn, "release", gone))["slug"] == f"the-slug-{gone}"


async def test_an_import_leaves_a_deleted_release_alone_and_takes_its_slug(conn: Any) -> None:
    gone = await new(conn, "release", title="A", slug="the-slug", external_ids={"mal": 5})
    await made(conn, edit("release", "delete", gone))
    report = Collected()
    summary = await load(conn, {"title": "A", "external_ids": {"mal": 5}}, report=report)
    assert summary.skipped == {"deleted": 1}
    await load(conn, {"title": "The Slug"})
    assert await conn.fetchval("select slug from releases where title = 'The Slug'") == "the-slug"
    assert (await shown(conn, "release", gone))["deleted_at"] is not None


async def test_nobody_hears_of_what_an_import_does_to_a_draft(conn: Any) -> None:
    release_id = await new(conn, "release", title="A", external_ids={"mal": 5}, is_published=False)
    await load(conn, {"title": "B", "external_ids": {"mal": 5}, "episodes": [{"ordinal": 1}]})
    assert (await shown(conn, "release", release_id))["title"] == "B"
    assert await facts(conn) == {}
    await made(conn, edit("release", "update", release_id, is_published=True))
    assert await facts(conn) == {"added": [release_id]}
