"""What happened, as the consumer writes it down: everything once, repetitions folded, imports told of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from actors.consumers import activity as consumer
from actors.consumers.activity import Activity
from actors.consumers.base import Delivered
from server.rules import activity as rules
from server.rules.activity import ACTION_TYPES, Act, collapse, describe
from sql import outbox
from sql.outbox import Event
from tests.importing import SUPPLEMENT, load
from tests.outboxes import drain, make_due
from tests.people import make_user
from tests.seeding import seed_releases

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def did(user_id: int, *acts: tuple[str, int, dict[str, Any]], at: float = 0) -> Delivered:
    payload = {"activity": [[action, "release", target, details] for action, target, details in acts]}
    return Delivered(1, 1, "library", f"user:{user_id}", user_id, payload, after(at))


def changed(at: float = 0, **payload: Any) -> Delivered:
    return Delivered(1, 1, "catalogue", "catalogue", None, payload, after(at))


async def written(conn: Any) -> list[tuple[Any, ...]]:
    rows = await conn.fetch("select actor_id, action_type, target_type, target_id, details from activity order by seq")
    return [tuple(row) for row in rows]


async def handle(conn: Any, *events: Delivered) -> None:
    async with conn.transaction():
        await Activity().handle(conn, events)


async def published(conn: Any) -> list[dict[str, Any]]:
    rows = await conn.fetch("select payload from outbox where topic = 'catalogue' order by id")
    return [row["payload"] for row in rows]


async def test_each_topic_is_written_down_once(conn, dsn):
    user_id = await make_user(dsn)
    acts = {"activity": [["favorited", "release", 3, {}], ["rated", "release", 3, {"rating": 8}]]}
    followed = {"subscription_type": "genre", "target_id": 5}
    mine = f"user:{user_id}"
    async with conn.transaction():
        events = [
            Event("library", mine, acts, user_id),
            Event("profile", mine, {}, user_id),
            Event("subscription", mine, followed, user_id),
            Event("catalogue", "catalogue", {"added": [1], "updated": [2], "episodes": [[2, 9]]}),
        ]
        await outbox.publish(conn, events)
    await drain(dsn, Activity())
    await drain(dsn, Activity())
    assert await written(conn) == [
        (user_id, "favorited", "release", 3, {}),
        (user_id, "rated", "release", 3, {"rating": 8}),
        (user_id, "profile_updated", "user", user_id, {}),
        (user_id, "subscribed", "genre", 5, {}),
        (None, "release_added", "release", 1, {}),
        (None, "release_updated", "release", 2, {}),
        (None, "episode_added", "episode", 9, {"release_id": 2}),
    ]


async def test_an_event_that_failed_is_written_down_by_the_next_attempt_and_once(conn, dsn):
    user_id = await make_user(dsn)
    async with conn.transaction():
        await outbox.publish(conn, [Event("profile", f"user:{user_id}", {}, user_id)])

    class Crashing(Activity):
        async def handle(self, conn, events):
            await super().handle(conn, events)
            raise RuntimeError("after all was written")

    await drain(dsn, Crashing())
    assert await written(conn) == []
    await make_due(conn)
    await drain(dsn, Activity())
    assert len(await written(conn)) == 1


async def test_what_repeats_within_five_seconds_is_one_entry_with_the_latest_details(conn, dsn):
    user_id, other = await make_user(dsn), await make_user(dsn)
    await handle(conn, did(user_id, ("rated", 3, {"rating": 7})), did(user_id, ("rated", 3, {"rating": 8}), at=4.9))
    await handle(
        conn, did(user_id, ("rated", 3, {"rating": 9}), at=4.99), did(other, ("rated", 3, {"rating": 1}), at=1)
    )
    await handle(conn, did(user_id, ("rated", 6, {"rating": 2}), at=1), did(user_id, ("favorited", 3, {}), at=1))
    assert await written(conn) == [
        (user_id, "rated", "release", 3, {"rating": 9}),
        (other, "rated", "release", 3, {"rating": 1}),
        (user_id, "rated", "release", 6, {"rating": 2}),
        (user_id, "favorited", "release", 3, {}),
    ]
    assert await conn.fetchval("select created_at from activity order by seq limit 1") == NOW
    await handle(
        conn, did(user_id, ("rated", 3, {"rating": 4}), at=5), did(user_id, ("rated", 3, {"rating": 5}), at=10)
    )
    assert [row[4] for row in await written(conn)][4:] == [{"rating": 4}, {"rating": 5}]


async def test_the_catalogue_repeats_itself_no_more_than_people_do(conn):
    await handle(conn, changed(updated=[3]), changed(updated=[3], at=1))
    await handle(conn, changed(updated=[3], at=2), changed(updated=[3], at=8))
    assert await written(conn) == [(None, "release_updated", "release", 3, {})] * 2


async def test_what_somebody_did_who_is_gone_is_left_out(conn, dsn):
    user_id, gone = await make_user(dsn), await make_user(dsn)
    await conn.execute("delete from users where id = $1", gone)
    await handle(conn, did(gone, ("favorited", 3, {})), did(user_id, ("favorited", 3, {})))
    assert [row[0] for row in await written(conn)] == [user_id]
    await conn.execute("delete from users where id = $1", user_id)
    assert await written(conn) == []


async def test_an_entry_of_the_catalogue_is_filed_under_its_release_genres_and_franchise(conn, dsn):
    user_id = await make_user(dsn)
    plain, rich = await seed_releases(conn, 2)
    await conn.execute("insert into franchises (id, slug, name, name_key) values (7, 'f', 'F', 'f')")
    await conn.execute("update releases set franchise_id = 7, genre_ids = '{4,5}' where id = $1", rich)
    await handle(conn, changed(added=[plain], episodes=[[rich, 90]]), did(user_id, ("favorited", rich, {})))
    rows = await conn.fetch(
        """select a.action_type, topic_type, topic_id from activity_topics join activity a using (seq)
           order by seq, topic_type, topic_id"""
    )
    assert [tuple(row) for row in rows] == [
        ("release_added", 1, plain),
        ("episode_added", 1, rich),
        ("episode_added", 2, 4),
        ("episode_added", 2, 5),
        ("episode_added", 3, 7),
    ]


async def test_a_batch_larger_than_a_statement_is_written_in_order(conn, monkeypatch):
    monkeypatch.setattr(consumer, "MOST_AT_ONCE", 10)
    await handle(conn, changed(added=list(range(1, 26))))
    assert [row[3] for row in await written(conn)] == list(range(1, 26))


# What an import tells


async def test_filling_an_empty_catalogue_is_no_news(conn):
    await load(conn, {"title": "One", "external_ids": {"mal": 1}}, {"title": "Two", "external_ids": {"mal": 2}})
    assert await published(conn) == []


async def test_an_import_tells_of_new_and_changed_releases_and_of_new_episodes(conn):
    first = {"title": "One", "external_ids": {"mal": 1}, "episodes": [{"ordinal": 1}]}
    second = {"title": "Two", "external_ids": {"mal": 2}, "episodes": [{"ordinal": 1}]}
    await load(conn, first, second)
    (one, two) = [row["id"] for row in await conn.fetch("select id from releases order by id")]
    more = {"episodes": [{"ordinal": 1}, {"ordinal": 2}]}
    await load(conn, first | {"synopsis": "New."}, second | more, {"title": "Three", "episodes": [{"ordinal": 1}]})
    three = await conn.fetchval("select id from releases where title = 'Three'")
    episode = await conn.fetchval("select id from episodes where release_id = $1 and ordinal = 2", two)
    assert await published(conn) == [{"added": [three]}, {"updated": [one]}, {"episodes": [[two, episode]]}]
    assert await conn.fetchval("select count(*) from outbox where user_id is not null") == 0


@pytest.mark.parametrize("again", ["the same", "popularity alone", "a dry run"])
async def test_an_import_that_changes_no_content_tells_nothing(conn, again):
    said = {"title": "One", "external_ids": {"mal": 1}, "popularity": 1}
    await load(conn, said)
    if again == "a dry run":
        await load(conn, said | {"synopsis": "New."}, {"title": "Two"}, dry_run=True)
    else:
        await load(conn, said if again == "the same" else said | {"popularity": 2})
    assert await published(conn) == []


async def test_a_release_that_two_rows_of_a_run_speak_of_is_updated_once(conn):
    await load(conn, {"title": "One", "external_ids": {"mal": 1}})
    rows = [{"title": "One", "synopsis": text, "external_ids": {"mal": 1}} for text in ("A", "B")]
    await load(conn, *rows, source=SUPPLEMENT)
    assert [list(told) for told in await published(conn)] == [["updated"]]


async def test_an_event_of_the_catalogue_holds_no_more_than_five_hundred(conn):
    await load(conn, {"title": "Zero"})
    await load(conn, *({"title": f"Title {n}"} for n in range(501)))
    assert [len(told["added"]) for told in await published(conn)] == [500, 1]


# The rules


def test_acts_fold_into_the_first_within_five_seconds():
    acts = [Act(1, "rated", "release", 3, {"rating": n}, after(n)) for n in (1, 3, 5, 7, 20)]
    assert [(act.details["rating"], act.created_at) for act in collapse(acts)] == [
        (5, after(1)),
        (7, after(7)),
        (20, after(20)),
    ]


@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_every_action_has_a_sentence(action_type):
    details = {"rating": 8, "collection": "planned"}
    sentence = describe(action_type, "alice", "Tide {0} {actor}", details)
    assert "something" not in sentence
    assert ("alice" in sentence) is (action_type not in ("release_added", "release_updated", "episode_added"))
    assert ("Tide {0} {actor}" in sentence) is (action_type not in ("recommendation_viewed", "profile_updated"))


def test_sentences_tell_what_was_decided():
    assert describe("rated", "bob", "Tide", {"rating": 8}) == "bob rated Tide 8 out of 10"
    assert describe("collection_changed", "bob", "Tide", {"collection": "watching"}).endswith("collection watching")


@pytest.mark.parametrize(("seen", "last", "oldest", "newest", "about"), [(21, 980, 1, 1000, 1000), (21, 1, 1, 21, 21)])
def test_the_estimate_takes_the_rest_to_be_as_dense_as_what_was_seen(seen, last, oldest, newest, about):
    assert rules.estimate(seen, last, oldest, newest) == about


def test_actions_of_the_contract_are_the_ones_there_are():
    assert msgspec.json.encode(sorted(ACTION_TYPES)).count(b",") == 13
