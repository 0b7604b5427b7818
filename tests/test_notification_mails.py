"""Mails about notifications: one for all that is due, to who wants it, once, whatever the mail server does."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors import notification_mailer as module
from server.adapters import mail as adapter
from server.adapters.breaker import FAILURES
from server.events import MailCounters
from server.rules.unsubscribing import ALL, UnsubscribeTokens
from sql import notification_mails
from tests.mailing import KEY, PUBLIC_URL, Post, notification_mailer, post_office, smtp_to
from tests.people_plans import prepare_for

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
async def post(dsn: str, conn: Any) -> AsyncIterator[Post]:
    async with post_office(dsn, conn) as opened:
        yield opened


async def test_what_is_due_of_one_user_goes_out_in_one_mail_and_only_once(post: Post) -> None:
    first, second = await post.reader(), await post.reader()
    for user_id, title in ((first, "Alpha"), (second, "Gamma"), (first, "Beta")):
        await post.tell(user_id, title=title)
    await post.tell(first, title="Later", due=3600)
    await post.actor.on_tick()
    await post.actor.on_tick()
    (mail,) = await post.letters(first)
    assert mail.message["Subject"] == "2 new releases"
    for part in (mail.text, mail.html):
        assert "Alpha" in part
        assert "Beta" in part
        assert part.index("Alpha") < part.index("Beta")
        assert "Gamma" not in part
        assert "Later" not in part
    (other,) = await post.letters(second)
    assert "Gamma" in other.message["Subject"]
    assert (await post.left(), await post.sent()) == (1, 3)
    assert post.counters == MailCounters(sent=2)


async def test_the_headers_let_programs_stop_thread_and_recognise_it(post: Post) -> None:
    user_id = await post.reader()
    event_id = await post.tell(user_id)
    await post.actor.on_tick()
    (mail,) = post.box.letters
    said = mail.message
    assert said["Message-ID"] == f"<notification-{user_id}-{event_id}@example.org>"
    assert said["List-Id"] == "<notifications.example.org>"
    assert said["Auto-Submitted"] == "auto-generated"
    assert said["Date"].datetime is not None
    assert said["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert said.get_content_type() == "multipart/alternative"
    # On the wire in one piece, as programs look for it.
    found = re.search(
        rb"\r\nList-Unsubscribe: <https://anime\.example/api/v1/notifications/unsubscribe\?token=([^>\r\n]+)>\r\n",
        mail.raw,
    )
    assert found is not None, mail.raw
    wanted = UnsubscribeTokens([KEY]).read(found[1].decode())
    assert wanted is not None
    assert (wanted.user_id, wanted.type) == (user_id, "new_release")
    assert all(len(line) <= 998 for line in mail.raw.split(b"\r\n"))
    links = re.findall(r"https?://\S+?token=([\w.-]+)", mail.text)
    assert [one.number for token in links if (one := UnsubscribeTokens([KEY]).read(token))] == [2, ALL]


async def test_a_mail_of_several_types_stops_them_all(post: Post) -> None:
    user_id = await post.reader()
    await post.tell(user_id)
    await post.tell(user_id, "recommendation")
    await post.actor.on_tick()
    (mail,) = post.box.letters
    wanted = UnsubscribeTokens([KEY]).read(mail.message["List-Unsubscribe"].strip("<>").partition("=")[2])
    assert wanted is not None
    assert wanted.number == ALL


async def test_without_a_public_address_there_are_no_links(dsn: str, conn: Any) -> None:
    async with post_office(dsn, conn, "") as post:
        await post.tell(await post.reader())
        await post.actor.on_tick()
        (mail,) = post.box.letters
    assert "List-Unsubscribe" not in mail.message
    assert "href" not in mail.html
    assert "http" not in mail.text
    assert mail.message["List-Id"] == "<notifications.example.org>"


async def test_a_reader_gets_their_language(post: Post) -> None:
    user_id = await post.reader(locale="ru-RU")
    await post.tell(user_id, "digest", counts={"new_episode": 7, "reply": 1}, events=[1, 2])
    await post.actor.on_tick()
    (mail,) = post.box.letters
    assert mail.message["Subject"] == "7 новых серий, 1 ответ"
    assert "Здравствуйте" in mail.text
    assert '<html lang="ru">' in mail.html


async def test_mail_goes_to_verified_addresses_of_living_accounts_only(post: Post) -> None:
    unverified, gone, off = await post.reader(verified=False), await post.reader(), await post.reader(instant=2)
    for user_id in (unverified, gone, off):
        await post.tell(user_id, "new_release")
    await post.conn.execute("delete from users where id = $1", gone)
    await post.actor.on_tick()
    assert post.box.letters == []
    assert await post.left() == 0
    assert post.counters.dropped == 3


async def test_what_can_no_longer_be_seen_is_left_out(post: Post) -> None:
    user_id = await post.reader()
    hidden = await post.tell(user_id, title="Hidden")
    await post.tell(user_id, title="Shown")
    await post.conn.execute(
        "update releases r set is_published = false from notification_events e where e.id = $1 and r.id = e.release_id",
        hidden,
    )
    await post.actor.on_tick()
    (mail,) = post.box.letters
    assert "Hidden" not in mail.text
    assert await post.left() == 0


async def test_an_address_refused_for_good_is_dropped_and_one_refused_for_now_is_tried_again(post: Post) -> None:
    user_id = await post.reader()
    await post.tell(user_id)
    post.box.refuse = "550 5.1.1 no such mailbox"
    await post.actor.on_tick()
    assert (await post.left(), post.counters.refused) == (0, 1)
    await post.tell(user_id)
    post.box.refuse = ""
    post.box.greylist = set()
    await post.actor.on_tick()
    await post.actor.on_tick()
    assert post.box.letters == []
    wait = "select attempts, extract(epoch from due_at - now()) from notification_mails where sent_at is null"
    attempts, seconds = await post.conn.fetchrow(wait)
    assert attempts == 1
    assert 20 < seconds <= 60
    await post.wait_over()
    await post.actor.on_tick()
    assert len(post.box.letters) == 1
    assert (await post.left(), post.counters.deferred, post.counters.sent) == (0, 1, 1)


async def test_what_comes_while_a_mail_waits_goes_out_after_it_in_another(post: Post) -> None:
    user_id = await post.reader()
    first = await post.tell(user_id, title="Alpha")
    post.box.refuse = "451 4.3.0 not now"
    await post.actor.on_tick()
    post.box.refuse = ""
    second = await post.tell(user_id, title="Beta")
    await post.actor.on_tick()
    assert post.box.letters == []
    await post.wait_over()
    await post.actor.on_tick()
    ids = [mail.message["Message-ID"] for mail in post.box.letters]
    assert ids == [f"<notification-{user_id}-{one}@example.org>" for one in (first, second)]
    assert "Beta" not in post.box.letters[0].text


async def test_a_text_refused_for_good_is_dropped_and_a_policy_is_waited_for(post: Post) -> None:
    await post.tell(await post.reader())
    post.box.dislike = "554 5.6.0 we do not like this text"
    await post.actor.on_tick()
    assert (await post.left(), post.counters.refused) == (0, 1)
    await post.tell(await post.reader())
    post.box.dislike = "550 5.7.1 blocked"
    await post.actor.on_tick()
    assert (await post.left(), post.counters.deferred) == (1, 1)


async def test_a_mail_server_that_is_away_costs_nothing_but_time(post: Post) -> None:
    account = post.smtp._account
    post.smtp._account = type(account)("127.0.0.1", 1, "smtp", None, None)
    for _ in range(6):
        await post.tell(await post.reader())
    for _ in range(20):
        await post.actor.on_tick()
    assert post.smtp.resting
    assert await post.left() == 6
    assert post.counters.given_up == 0
    # It rests: nothing is even leased.
    assert await post.conn.fetchval("select max(attempts) from notification_mails") <= 1
    post.smtp._account = account
    await post.wait_over()
    await post.actor.on_tick()
    assert len(post.box.letters) == 6
    assert await post.left() == 0


async def test_a_server_that_hangs_up_before_the_text_is_tried_again_and_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang_up(server: Any, *_: Any) -> str:
        server.transport.abort()
        return "250 OK"

    await post.tell(await post.reader())
    with monkeypatch.context() as patched:
        patched.setattr(post.box, "handle_RCPT", hang_up)
        for _ in range(3):
            await post.actor.on_tick()
            await post.wait_over()
    assert await post.conn.fetchrow("select attempts, doubted from notification_mails") == (3, False)
    await post.actor.on_tick()
    assert (len(post.box.letters), await post.left(), post.counters.deferred) == (1, 0, 3)


async def test_a_server_that_looks_at_a_mail_for_long_gets_it_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "SEND_TIMEOUT", 0.3)
    await post.tell(await post.reader())
    post.box.hang = hanging = asyncio.Event()
    asyncio.get_running_loop().call_later(0.8, hanging.set)
    await post.actor.on_tick()
    assert (len(post.box.letters), await post.left()) == (1, 0)
    assert (post.counters.sent, post.counters.deferred) == (1, 0)


async def test_a_server_that_never_answers_gets_a_mail_twice_and_no_third_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "ANSWER_TIMEOUT", 0.3)
    await post.tell(await post.reader())
    taken, over = [], asyncio.Event()

    async def never(_: Any, envelope: Any) -> str:
        taken.append(envelope.content)
        await over.wait()
        return "250 OK"

    monkeypatch.setattr(post.box, "_take", never)
    for left in (1, 0, 0):
        async with asyncio.timeout(5):
            await post.actor.on_tick()
        assert await post.left() == left
        await post.wait_over()
    assert (len(taken), post.counters.sent, post.counters.deferred) == (2, 1, 1)
    over.set()


async def test_a_mail_without_an_answer_is_counted_also_when_the_server_is_left_alone_after_it(post: Post) -> None:
    await post.tell(await post.reader())
    post.box.drop = "after"
    for letters, left, resting in ((1, 1, True), (2, 0, True), (2, 0, False)):
        for _ in range(FAILURES - 1):
            post.smtp.breaker.failed()
        await post.actor.on_tick()
        assert (len(post.box.letters), await post.left(), post.smtp.resting) == (letters, left, resting)
        await post.wait_over()


async def test_a_mail_without_an_answer_that_is_then_refused_is_not_taken_for_sent(post: Post) -> None:
    await post.tell(await post.reader())
    post.box.drop = "after"
    await post.actor.on_tick()
    post.box.drop, post.box.dislike = "", "451 4.3.0 not now"
    for _ in range(2):
        await post.wait_over()
        await post.actor.on_tick()
    assert (await post.left(), len(post.box.letters), post.counters.deferred) == (1, 1, 3)


async def test_a_stop_while_the_server_does_not_answer_is_written_down(post: Post) -> None:
    await post.tell(await post.reader())
    post.box.hang = hanging = asyncio.Event()
    tick = asyncio.create_task(post.actor.on_tick())
    async with asyncio.timeout(10):
        while not post.box.busy[""]:  # noqa: ASYNC110 - the mail server says nothing by itself
            await asyncio.sleep(0.005)
    tick.cancel()
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await tick
    hanging.set()
    assert await post.conn.fetchval("select doubted from notification_mails")


async def test_a_server_that_takes_a_mail_and_hangs_up_gets_the_same_mail_again(post: Post) -> None:
    user_id = await post.reader()
    await post.tell(user_id, title="Alpha")
    post.box.drop = "after"
    await post.actor.on_tick()
    post.box.drop = ""
    await post.tell(user_id, title="Beta")
    await post.wait_over()
    await post.actor.on_tick()
    first, again, other = post.box.letters
    assert first.message["Message-ID"] == again.message["Message-ID"] != other.message["Message-ID"]
    assert first.text == again.text
    assert "Beta" in other.text


async def test_a_server_that_does_not_say_goodbye_gets_a_mail_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "SEND_TIMEOUT", 0.3)
    await post.tell(await post.reader())
    post.box.mute = asyncio.Event()
    await post.actor.on_tick()
    post.box.mute.set()
    assert (len(post.box.letters), await post.left(), await post.sent()) == (1, 0, 1)


async def test_after_twelve_failures_a_mail_is_given_up(post: Post) -> None:
    await post.tell(await post.reader())
    post.box.refuse = "451 4.3.0 not now"
    for attempt in range(module.MOST_ATTEMPTS):
        assert await post.left() == 1, attempt
        await post.wait_over()
        await post.actor.on_tick()
    assert await post.left() == 0
    assert (post.counters.deferred, post.counters.given_up) == (module.MOST_ATTEMPTS - 1, 1)


async def test_a_mail_that_cannot_be_written_does_not_stop_the_others(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await post.reader(), await post.reader()
    await post.tell(bad, title="Poison")
    await post.tell(good)
    write = module.letter

    def fails(reader: Any, items: Any, *rest: Any) -> Any:
        if items[0].title == "Poison":
            raise KeyError("a bug")
        return write(reader, items, *rest)

    monkeypatch.setattr(module, "letter", fails)
    await post.actor.on_tick()
    assert len(await post.letters(good)) == 1
    assert (await post.left(), post.counters.deferred) == (1, 1)


async def test_four_are_sent_at_once_and_several_instances_never_write_to_one_at_the_same_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = [await post.reader() for _ in range(12)]
    for _ in range(3):
        for user_id in readers:
            await post.tell(user_id)
    post.box.hang = hanging = asyncio.Event()

    async def let_go() -> None:
        async with asyncio.timeout(10):
            while post.box.busy[""] < module.AT_ONCE:  # noqa: ASYNC110 - the mail server says nothing by itself
                await asyncio.sleep(0.005)
        hanging.set()

    await asyncio.gather(post.actor.on_tick(), let_go())
    assert post.box.at_once[""] == module.AT_ONCE
    assert len(post.box.letters) == len(readers)
    take = post.box._take

    async def slowly(*given: Any) -> str:
        await asyncio.sleep(0.02)
        return await take(*given)

    monkeypatch.setattr(post.box, "_take", slowly)
    others = [notification_mailer(post.database, smtp_to(post.box.port), MailCounters(), PUBLIC_URL) for _ in range(3)]
    for _ in range(4):
        for user_id in readers:
            await post.tell(user_id)
        await asyncio.gather(*(one.on_tick() for one in (post.actor, *others)))
    while await post.left():
        await post.actor.on_tick()
    assert max(count for name, count in post.box.at_once.items() if name) == 1
    ids = [mail.message["Message-ID"] for mail in post.box.letters]
    assert len(ids) == len(set(ids))


async def test_a_process_that_is_killed_between_sending_and_marking_sends_one_mail_twice(post: Post, dsn: str) -> None:
    user_id = await post.reader()
    await post.tell(user_id, title="Alpha")
    program = f"""
import asyncio, os, signal
from server.database import Database
from server.events import MailCounters
from tests.mailing import PUBLIC_URL, notification_mailer, smtp_to

async def run():
    database = Database({dsn!r})
    await database.open()
    actor = notification_mailer(database, smtp_to({post.box.port}), MailCounters(), PUBLIC_URL)
    actor._mark = lambda mail: os.kill(os.getpid(), signal.SIGKILL)
    await actor.on_tick()

asyncio.run(run())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    async with asyncio.timeout(30):
        assert await process.wait() == -9
    assert len(post.box.letters) == 1
    await post.tell(user_id, title="Beta")
    await post.actor.on_tick()
    # The lease of the dead holds.
    assert len(post.box.letters) == 1
    await post.wait_over()
    for _ in range(3):
        await post.actor.on_tick()
    first, again, other = post.box.letters
    assert first.message["Message-ID"] == again.message["Message-ID"]
    assert first.text == again.text
    assert "Alpha" not in other.text
    assert (await post.left(), await post.sent()) == (0, 2)


async def test_a_database_that_is_busy_when_a_mail_is_out_is_asked_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MARK_PAUSE", 0.01)
    await post.tell(await post.reader())
    mark, failures = notification_mails.mark_sent, [1, 2]

    async def busy(conn: Any, mail: Any) -> None:
        if failures:
            failures.pop()
            raise adapter.Unavailable("busy", retry_after=1)
        await mark(conn, mail)

    monkeypatch.setattr(notification_mails, "mark_sent", busy)
    await post.actor.on_tick()
    assert (len(post.box.letters), await post.sent()) == (1, 1)


async def test_no_statement_reads_all_mails(conn: Any) -> None:
    await conn.execute(
        """insert into notification_mails (user_id, event_id, mode, due_at, sent_at)
           select n % 5000, n, 'daily', now() + n * interval '1 second', case when n % 3 = 0 then now() end
           from generate_series(1, 50000) n"""
    )
    await conn.execute(
        """insert into notification_events (type, target_type, target_id, release_id, done_at)
           select 'new_release', 'release', n, n, now() from generate_series(1, 50000) n"""
    )
    await conn.execute(
        "insert into users (username, username_key) select 'u' || n, 'u' || n from generate_series(1, 5000) n"
    )
    await conn.execute("insert into notification_preferences (user_id) select id from users")
    await conn.execute("analyze notification_mails, notification_events, users, notification_preferences")
    await prepare_for(conn)
    for query in notification_mails.QUERIES:
        parameters = (await conn.prepare(query.text)).get_parameters()
        await conn.execute(f"prepare planned as {query.text}")
        given = f"({', '.join('null' for _ in parameters)})" if parameters else ""
        plan = "\n".join(row[0] for row in await conn.fetch(f"explain execute planned{given}"))
        await conn.execute("deallocate planned")
        for table in ("notification_mails", "notification_events", "users", "notification_preferences"):
            assert f"Seq Scan on {table}" not in plan, f"{query.name}\n{plan}"
