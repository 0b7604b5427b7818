"""Deliveries go out in order, again and again until they are taken, and nobody's slowness is anybody else's."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from actors.webhook_sender import LEASE, Sending, WebhookSender, judge
from server.adapters.addresses import Addresses
from server.adapters.outgoing import Outgoing, Reply
from server.database import Database
from server.events import WebhookProgress
from server.rules import webhooks as rules
from server.rules.webhooks import MOST_ATTEMPTS, MOST_EACH, MOST_IN_ALL, SCHEDULE, Ready, fair
from sql import webhook_deliveries
from sql.webhook_deliveries import LOOKED_AT, PATIENCE_FAILURES, Due
from tests.webhook_receiver import Receiver, receiving, until

KEYS = (b"the key that signs", b"the key before it")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class World:
    """A database, receivers, and senders as there may be several."""

    def __init__(self, database: Database, conn: Any, stack: AsyncExitStack) -> None:
        self.database = database
        self.conn = conn
        self.stack = stack

    async def sender(self) -> WebhookSender:
        sending = Sending()
        outgoing = Outgoing(Addresses(LOOPBACK), "Yojohan/test")
        made = WebhookSender(self.database, outgoing, KEYS, WebhookProgress(), sending)
        await made.on_start()
        self.stack.push_async_callback(made.on_stop)
        return made

    async def webhook(self, url: str = "", salt: bytes = b"salt") -> tuple[int, Receiver]:
        """A webhook and its receiver, which wants the signature of each key."""
        secrets = [rules.shown(rules.secret(key, salt)) for key in KEYS]
        receiver = await self.stack.enter_async_context(receiving(*secrets))
        statement = "insert into webhooks (url, salt) values ($1, $2) returning id"
        return await self.conn.fetchval(statement, url or receiver.url, salt), receiver

    async def write(self, webhook_id: int, *entities: int, topic: str = "release.deleted") -> list[str]:
        """Deliveries about these releases, in this order; their ids."""
        rows = await self.conn.fetch(
            """insert into webhook_deliveries (webhook_id, topic, entity, subject_id)
               select $1, $2, 'release:' || one, one from unnest($3::bigint[]) with ordinality of (one, n) order by n
               returning id""",
            webhook_id, topic, entities,
        )  # fmt: skip
        return [str(row["id"]) for row in rows]

    async def make_due(self) -> None:
        """Let no time pass, and nobody rest."""
        await self.conn.execute("update webhook_deliveries set due_at = now() where leased_until is null")
        await self.conn.execute("update webhooks set paused_until = null")

    async def rows(self, *columns: str) -> list[Any]:
        found = await self.conn.fetch(f"select {', '.join(columns)} from webhook_deliveries order by seq")
        return [tuple(row) if len(columns) > 1 else row[0] for row in found]


@pytest.fixture
async def world(dsn: str, conn: Any) -> AsyncIterator[World]:
    database = Database(dsn)
    await database.open()
    async with AsyncExitStack() as stack:
        yield World(database, conn, stack)
    await database.close()


async def settle(*senders: WebhookSender) -> None:
    """Send everything that is due, and wait until it has been written down."""
    idle = 0
    while idle < 2:
        for sender in senders:
            await sender.on_tick()
        busy = any(sender._sending.on_their_way for sender in senders)
        idle = 0 if busy else idle + 1
        await asyncio.sleep(0.005 if busy else 0)


async def test_each_attempt_is_signed_anew_with_every_secret_under_the_same_id(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=500 if len(receiver.messages) < 3 else 204)
    (delivery,) = await world.write(webhook_id, 7)
    sender = await world.sender()
    for _ in range(4):
        await settle(sender)
        await world.make_due()
    assert receiver.ids == [delivery] * 3
    assert receiver.messages[0].body["data"] == {"id": 7}
    assert receiver.messages[0].headers["Content-Type"] == "application/json"
    assert receiver.messages[0].headers["User-Agent"] == "Yojohan/test"
    assert len({message.headers["webhook-signature"] for message in receiver.messages}) >= 1
    assert all(len(message.headers["webhook-signature"].split()) == len(KEYS) for message in receiver.messages)
    assert await world.rows("status", "attempts", "response_status") == [("succeeded", 3, 204)]
    assert sender._progress.attempts == Counter(failed=2, succeeded=1)
    assert sender._progress.deliveries == Counter(succeeded=1)


async def test_for_a_day_after_a_rotation_both_secrets_sign(world: World) -> None:
    webhook_id, receiver = await world.webhook(salt=b"new")
    await world.conn.execute("update webhooks set previous_salt = 'old', previous_until = now() + interval '1 minute'")
    old = [rules.shown(rules.secret(key, b"old")) for key in KEYS]
    receiver.secrets += old
    sender = await world.sender()
    await world.write(webhook_id, 1)
    await settle(sender)
    assert len(receiver.messages) == 1
    await world.conn.execute("update webhooks set previous_until = now()")
    receiver.secrets = receiver.secrets[: len(KEYS)]
    await world.write(webhook_id, 2)
    await settle(sender)
    assert len(receiver.messages[1].headers["webhook-signature"].split()) == len(KEYS)


async def test_attempts_follow_the_schedule_and_the_twelfth_is_the_last(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=500, text="broken\x00" * 1000)
    await world.write(webhook_id, 1, 1)
    sender = await world.sender()
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert len(receiver.messages) == attempt - 1
        await settle(sender)
        first, second = await world.rows(
            "status", "attempts", "extract(epoch from due_at - attempted_at)::float8", "response_status",
            "length(response)", "error",
        )  # fmt: skip
        if attempt < MOST_ATTEMPTS:
            planned = SCHEDULE[min(attempt, len(SCHEDULE)) - 1]
            assert first[:2] == ("pending", attempt)
            assert 0.8 * planned <= first[2] <= 1.2 * planned
            assert second[:2] == ("pending", 0)
            await world.make_due()
    assert first[:2] == ("failed", MOST_ATTEMPTS)
    assert first[3:] == (500, 1024 - 146, "Answered 500.")
    await world.make_due()
    await settle(sender)
    assert [message.id for message in receiver.messages][-1] == str((await world.rows("id"))[1]), (
        "the next has its turn"
    )
    assert sender._progress.deliveries == Counter(failed=1)


@given(st.integers(1, 50), st.floats(0, 1), st.none() | st.floats(0, 10**9))
def test_a_pause_is_near_the_schedule_and_never_shorter_than_what_was_asked_for(
    attempts: int, chance: float, asked: float | None
) -> None:
    planned = SCHEDULE[min(attempts, len(SCHEDULE)) - 1]
    found = rules.pause(attempts, chance, asked)
    if asked is None:
        assert 0.8 * planned <= found <= 1.2 * planned + 1e-6
    else:
        assert found >= min(asked, 86_400) - 1e-6
        assert found <= 86_400


NOW = datetime(2026, 11, 14, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("²", None), ("0", 0), (" 120 ", 120),
        ("99999999999999999999", 86_400), (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0), ("Sat, 14 Nov 2026 18:31:00", 60),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86_400), ("Sat, 99 Nov 2026 18:31:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_a_date_and_ends_at_a_day(header: str | None, seconds: float | None) -> None:
    assert rules.retry_after(header, NOW) == seconds


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_rest_gets_it_with_all_its_deliveries(world: World, status: int) -> None:
    webhook_id, receiver = await world.webhook()
    await world.write(webhook_id, 1)
    sender = await world.sender()
    receiver.answer = lambda _: web.Response(status=status, headers={"Retry-After": "3000"})
    await settle(sender)
    receiver.answer = lambda _: web.Response()
    await world.write(webhook_id, 2)
    await settle(sender)
    assert len(receiver.messages) == 1
    pauses = await world.conn.fetchrow(
        """select extract(epoch from d.due_at - now())::float8, extract(epoch from w.paused_until - now())::float8
           from webhook_deliveries d join webhooks w on w.id = d.webhook_id order by d.seq limit 1"""
    )
    assert all(2_900 < pause <= 3_000 for pause in pauses)
    await world.make_due()
    await settle(sender)
    assert set(await world.rows("status")) == {"succeeded"}


@pytest.mark.parametrize("status", [301, 400, 404, 500, 502])
async def test_retry_after_means_nothing_with_other_answers(world: World, status: int) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=status, headers={"Retry-After": "3000", "Location": "/"})
    await world.write(webhook_id, 1)
    await settle(await world.sender())
    assert await world.rows("status", "attempts", "due_at < now() + interval '13 seconds'") == [("pending", 1, True)]


async def test_of_one_release_the_order_holds_and_others_go_on(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    ids = await world.write(webhook_id, 1, 1, 2, 1, 2, 1)
    refused = [True]
    receiver.answer = lambda message: web.Response(status=500 if refused and message.id == ids[0] else 200)
    sender = await world.sender()
    await settle(sender)
    assert receiver.ids[0] == ids[0]
    assert set(receiver.ids[1:]) == {ids[2], ids[4]}
    refused.clear()
    await world.make_due()
    await settle(sender)
    assert receiver.ids[3:] == [ids[0], ids[1], ids[3], ids[5]]


async def test_several_senders_deliver_each_thing_once_and_in_order(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    other_id, other = await world.webhook()
    ids = await world.write(webhook_id, *(n % 12 for n in range(120)))
    others = await world.write(other_id, *(n % 12 for n in range(120)))
    await settle(await world.sender(), await world.sender(), await world.sender())
    for sent, expected in ((receiver, ids), (other, others)):
        assert sorted(sent.ids) == sorted(expected)
        by_entity: dict[int, list[str]] = defaultdict(list)
        for message in sent.messages:
            by_entity[message.body["data"]["id"]].append(message.id)
        assert by_entity == {entity: expected[entity::12] for entity in range(12)}
        assert sent.most_at_once <= MOST_EACH


async def test_what_a_dead_process_had_in_hand_is_sent_again_under_the_same_id_when_its_lease_is_over(
    world: World,
) -> None:
    webhook_id, receiver = await world.webhook()
    (delivery,) = await world.write(webhook_id, 1)
    await world.write(webhook_id, 1)
    # It was sent, and then the process died: nobody wrote down that it was taken.
    async with world.database.transaction() as conn:
        claim = await webhook_deliveries.claim(conn, {}, 8, LEASE)
    assert [str(due.id) for due in claim.due] == [delivery]
    sender = await world.sender()
    await settle(sender)
    assert receiver.messages == []
    assert await world.conn.fetchval(
        "select leased_until - now() > interval '50 seconds' from webhook_deliveries order by seq limit 1"
    )
    over = "update webhook_deliveries set leased_until = now(), due_at = now()"
    await world.conn.execute(over)
    async with world.database.transaction() as conn:
        taken_over = await webhook_deliveries.claim(conn, {}, 8, LEASE)
        # Should it live after all, and come to say how it went: that is no longer its to say.
        late = await webhook_deliveries.settle(conn, claim.due[0], judge(claim.due[0], Reply(500, "", "", 1), 0.5))
    assert ([due.id for due in taken_over.due], late.ours) == ([claim.due[0].id], False)
    await world.conn.execute(over)
    await settle(sender)
    assert receiver.ids[0] == delivery
    assert len(receiver.ids) == 2
    assert await world.conn.fetchval("select failures from webhooks") == 0


async def test_a_slow_receiver_holds_up_nobody_but_itself(world: World) -> None:
    free = asyncio.Event()

    async def wait(_: Any) -> web.Response:
        await free.wait()
        return web.Response()

    slow = [await world.webhook() for _ in range(3)]
    for webhook_id, receiver in slow:
        receiver.answer = wait
        await world.write(webhook_id, *range(40))
    quick_id, quick = await world.webhook()
    await world.write(quick_id, *range(40))
    sender = await world.sender()

    async def quick_is_through() -> bool:
        await sender.on_tick()
        assert len(sender._sending.on_their_way) <= MOST_IN_ALL
        return len(quick.messages) == 40

    await until(quick_is_through)
    assert [receiver.most_at_once for _, receiver in slow] == [MOST_EACH] * 3
    assert [len(receiver.messages) for _, receiver in slow] == [MOST_EACH] * 3
    free.set()
    await settle(sender)
    assert [len(receiver.messages) for _, receiver in slow] == [40] * 3


READY = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=40)


@given(READY, st.dictionaries(st.integers(1, 6), st.integers(0, 100)), st.integers(0, 8))
def test_turns_are_fair(drawn: list[tuple[int, int]], served: dict[int, int], free: int) -> None:
    room = dict(drawn)
    ready = sorted(
        (Ready(UUID(int=n), webhook, room[webhook]) for n, (webhook, _) in enumerate(drawn)), key=lambda r: r.webhook_id
    )
    chosen = fair(ready, served, free)
    assert len(chosen) == min(free, sum(min(room[w], n) for w, n in Counter(one.webhook_id for one in ready).items()))
    counts = Counter(one.webhook_id for one in chosen)
    for webhook, count in counts.items():
        assert count <= room[webhook]
        assert [one for one in chosen if one.webhook_id == webhook] == [r for r in ready if r.webhook_id == webhook][
            :count
        ]
    for left_out in {one.webhook_id for one in ready if room[one.webhook_id]} - set(counts):
        # Whoever got nothing was served later than everybody who got something, and nobody got two.
        assert all(served.get(one, 0) <= served.get(left_out, 0) for one in counts)
        assert set(counts.values()) <= {1}


async def test_thousands_behind_one_that_fails_do_not_hide_what_could_go(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    first, *_ = await world.write(webhook_id, *[1] * (3 * LOOKED_AT))
    (other,) = await world.write(webhook_id, 2)
    receiver.answer = lambda message: web.Response(status=500 if message.id == first else 200)
    await settle(await world.sender())
    assert receiver.ids == [first, other]


async def test_a_receiver_that_fails_is_only_looked_after(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=500)
    await world.write(webhook_id, *range(100))
    sender = await world.sender()
    await settle(sender)
    assert 5 <= len(receiver.messages) <= 6
    await world.conn.execute("update webhooks set paused_until = now()")
    before = len(receiver.messages)
    await settle(sender)
    assert len(receiver.messages) == before + 1
    assert await world.conn.fetchval("select paused_until > now() + interval '5 seconds' from webhooks")
    receiver.answer = lambda _: web.Response()
    await world.make_due()
    await settle(sender)
    assert set(await world.rows("status")) == {"succeeded"}
    assert await world.conn.fetchrow("select failures, failing_since from webhooks") == (0, None)


async def test_whoever_fails_for_five_days_and_often_is_switched_off_and_what_waits_is_sent_once_it_is_on_again(
    world: World,
) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=500)
    await world.write(webhook_id, 1, 2)
    sender = await world.sender()
    for failures, days, off in (
        (PATIENCE_FAILURES - 2, 6, False), (PATIENCE_FAILURES, 4, False), (PATIENCE_FAILURES - 1, 6, True),
    ):  # fmt: skip
        await world.conn.execute(
            "update webhooks set failures = $1, failing_since = now() - make_interval(days => $2)", failures, days
        )
        await world.conn.execute(
            "update webhook_deliveries set due_at = now() + interval '1 hour' where entity = 'release:2'"
        )
        await world.conn.execute("update webhook_deliveries set due_at = now() where entity = 'release:1'")
        await world.conn.execute("update webhooks set paused_until = null")
        await settle(sender)
        found = await world.conn.fetchrow("select disabled_at is not null, disabled_reason from webhooks")
        assert found == (off, "failing" if off else None)
    assert sender._progress.switched_off == 1
    await world.make_due()
    sent = len(receiver.messages)
    await settle(sender)
    assert len(receiver.messages) == sent
    assert await world.rows("status") == ["pending"] * 2
    await world.conn.execute("update webhooks set disabled_at = null, failures = 0, failing_since = null")
    receiver.answer = lambda _: web.Response()
    await settle(sender)
    assert await world.rows("status") == ["succeeded"] * 2


async def test_gone_switches_off_at_once(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    receiver.answer = lambda _: web.Response(status=410)
    await world.write(webhook_id, 1, 2, 3)
    await settle(await world.sender())
    assert await world.conn.fetchrow("select disabled_at is not null, disabled_reason from webhooks") == (True, "gone")
    assert len(receiver.messages) <= MOST_EACH
    assert set(await world.rows("status")) == {"pending"}


async def test_what_is_no_longer_there_is_not_told_of_and_the_next_has_its_turn(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    await world.write(webhook_id, 5, topic="release.updated")
    await world.write(webhook_id, 5, topic="episode.created")
    await world.write(webhook_id, 5)
    await settle(await world.sender())
    assert receiver.types == ["release.deleted"]
    assert await world.rows("topic") == ["release.deleted"]


async def test_nothing_is_sent_to_deleted_webhooks_nor_made_a_client_for(world: World) -> None:
    webhook_id, receiver = await world.webhook()
    await world.write(webhook_id, 1)
    await world.conn.execute("update webhooks set deleted_at = now()")
    sender = await world.sender()
    await settle(sender)
    assert receiver.messages == []
    assert sender._outgoing._session is None


async def test_an_address_that_leads_inside_by_now_is_refused_at_each_attempt(world: World) -> None:
    webhook_id, _ = await world.webhook("http://10.0.0.1/hook")
    await world.write(webhook_id, 1)
    await settle(await world.sender())
    assert await world.rows("status", "error") == [("pending", "Refused: Leads into a private network.")]


async def test_at_the_end_of_the_server_what_is_on_its_way_goes_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.webhook_sender.STOP_PATIENCE", 0.05)
    free = asyncio.Event()

    async def wait(_: Any) -> web.Response:
        await free.wait()
        return web.Response()

    webhook_id, receiver = await world.webhook()
    receiver.answer = wait
    await world.write(webhook_id, 1)
    sender = await world.sender()
    await sender.on_tick()
    await until(lambda: len(receiver.messages) == 1)
    await sender.on_stop()
    free.set()
    assert await world.rows("status", "leased_until", "attempts", "due_at <= now()") == [("pending", None, 0, True)]


async def test_a_database_that_is_away_is_waited_for(world: World) -> None:
    sender = await world.sender()
    await world.database.close()
    await sender.on_tick()
    await sender.on_tick()


async def test_what_waits_is_measured(world: World) -> None:
    webhook_id, _ = await world.webhook()
    await world.write(webhook_id, 1, 2, 3)
    await world.conn.execute("update webhook_deliveries set due_at = now() - interval '1 minute'")
    found = await webhook_deliveries.measure(world.conn, 2)
    assert (found.pending, found.disabled) == (2, 0)
    assert 59 < found.oldest_seconds < 70
    await world.conn.execute("update webhooks set disabled_at = now()")
    found = await webhook_deliveries.measure(world.conn, 10)
    # What goes nowhere does not wait.
    assert (found.pending, found.oldest_seconds, found.disabled) == (0, 0, 1)


def test_an_answer_is_judged_by_its_status_alone() -> None:
    due = Due(uuid4(), 1, "release:1", "{}", 0, NOW, "https://example.org", b"", None)
    last = replace(due, attempts=MOST_ATTEMPTS - 1)
    for status, first_time, last_time in (
        (200, "succeeded", "succeeded"), (204, "succeeded", "succeeded"), (299, "succeeded", "succeeded"),
        (302, "pending", "failed"), (410, "pending", "pending"), (500, "pending", "failed"),
        (None, "pending", "failed"),
    ):  # fmt: skip
        reply = Reply(status, "", "", 1)
        assert (judge(due, reply, 0.5).status, judge(last, reply, 0.5).status) == (first_time, last_time)
        assert judge(due, reply, 0.5).gone == (status == 410)
