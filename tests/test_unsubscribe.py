"""Links that stop mails: they ask, they stop what they name and nothing else, and nobody can make one up."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import FormData

from actors.notification_mailer import NotificationMailer
from server.keys import UNSUBSCRIBE_TOKENS
from server.rules.unsubscribe_page import STYLE
from server.rules.unsubscribing import ALL, UnsubscribeTokens, Unsubscribing
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.mailbox import Mailbox, mailbox
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
PATH = "/api/v1/notifications/unsubscribe"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}
# By number: new_episode, new_release, recommendation, reply, moderation.
EPISODES, RELEASES = 1, 2


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, box: Mailbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    interval, NotificationMailer.interval = NotificationMailer.interval, 0.05
    try:
        async with shared_site(
            server,
            tmp_path_factory.mktemp("site"),
            SMTP_URL=f"smtp://127.0.0.1:{box.port}",
            MAIL_FROM="no-reply@example.org",
            PUBLIC_URL="https://anime.example",
        ) as started:
            yield started
    finally:
        NotificationMailer.interval = interval


async def reader(site: Running, instant: int = 2, daily: int = 4, weekly: int = 56) -> Person:
    """Somebody with a verified address who gets mail about everything."""
    someone = await person(site)
    await sql(site, "update users set email_verified_at = now() where id = $1", someone.id)
    await sql(
        site,
        """insert into notification_preferences (user_id, email_instant, email_daily, email_weekly)
           values ($1, $2, $3, $4)""",
        someone.id, instant, daily, weekly,
    )  # fmt: skip
    return someone


async def chosen(site: Running, someone: Person) -> tuple[int, int, int]:
    text = await sql(
        site,
        """select email_instant || ' ' || email_daily || ' ' || email_weekly
           from notification_preferences where user_id = $1""",
        someone.id,
    )
    instant, daily, weekly = map(int, text.split())
    return instant, daily, weekly


async def waiting(site: Running, someone: Person, kind: str, *, due: str = "1 day") -> int:
    """A mail that is due in that time; its event."""
    event_id: int = await sql(
        site,
        """insert into notification_events (type, target_type, target_id, release_id, recipient_id, done_at)
           values ($2, 'release', 3, 3, $1, now()) returning id""",
        someone.id, kind,
    )  # fmt: skip
    await sql(
        site,
        f"""insert into notification_mails (user_id, event_id, mode, due_at)
            values ($1, $2, 'daily', now() + interval '{due}')""",
        someone.id, event_id,
    )  # fmt: skip
    return event_id


async def mails(site: Running, someone: Person) -> list[int]:
    found: list[int] = await sql(
        site, "select array_agg(event_id order by event_id) from notification_mails where user_id = $1", someone.id
    )
    return found


def token(site: Running, someone: Person, number: int) -> str:
    return site.app[UNSUBSCRIBE_TOKENS].make(someone.id, number)


async def post(site: Running, value: str, **given: Any) -> tuple[int, str]:
    async with site.client.post(PATH, params={"token": value}, **given or {"data": ONE_CLICK}) as answer:
        return answer.status, await answer.text()


async def test_the_page_asks_and_changes_nothing(site: Running) -> None:
    someone = await reader(site)
    value = token(site, someone, EPISODES)
    for method in ("GET", "HEAD"):
        async with site.client.request(method, PATH, params={"token": value}) as answer:
            assert answer.status == 200
            page = await answer.text()
            headers = answer.headers
    async with site.client.get(PATH, params={"token": value}) as answer:
        page = await answer.text()
        headers = answer.headers
    assert '<form method="post">' in page
    assert "about new episodes" in page
    assert '<html lang="en">' in page
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    # The one style of the page is the one that is allowed; nothing comes from elsewhere.
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style == STYLE
    assert f"'sha256-{base64.b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "<script" not in page
    assert "http" not in page
    assert await chosen(site, someone) == (2, 4, 56)


async def test_the_page_speaks_the_language_of_the_browser(site: Running) -> None:
    value = token(site, await reader(site), ALL)
    async with site.client.get(PATH, params={"token": value}, headers={"Accept-Language": "ru-RU,ru;q=0.9"}) as answer:
        page = await answer.text()
    assert '<html lang="ru">' in page
    assert "Отказаться" in page


async def test_one_click_stops_the_type_it_names_and_what_waits_of_it(site: Running) -> None:
    someone, other = await reader(site), await reader(site)
    await waiting(site, someone, "new_episode")
    kept = [await waiting(site, someone, kind) for kind in ("new_release", "digest")]
    theirs = await waiting(site, other, "new_episode")
    status, page = await post(site, token(site, someone, EPISODES))
    assert status == 200
    assert "<form" not in page
    assert await chosen(site, someone) == (0, 4, 56)
    assert await mails(site, someone) == kept
    assert (await chosen(site, other), await mails(site, other)) == ((2, 4, 56), [theirs])
    status, _ = await post(site, token(site, someone, RELEASES))
    assert (status, await chosen(site, someone), await mails(site, someone)) == (200, (0, 0, 56), kept[1:])


async def test_all_is_all_and_may_be_said_again(site: Running) -> None:
    someone = await reader(site)
    await waiting(site, someone, "new_episode")
    await waiting(site, someone, "digest")
    form = FormData(ONE_CLICK, default_to_multipart=True)
    for given in ({"data": form}, {"data": ONE_CLICK}, {"data": b""}):
        assert (await post(site, token(site, someone, ALL), **given))[0] == 200
        assert await chosen(site, someone) == (0, 0, 0)
        assert await mails(site, someone) is None
    assert await sql(site, "select in_app from notification_preferences where user_id = $1", someone.id) == 62


async def test_nobody_has_to_be_signed_in_or_to_be_there_any_more(site: Running) -> None:
    someone = await reader(site)
    value = token(site, someone, ALL)
    assert (await post(site, value, data=ONE_CLICK, headers={"Authorization": "Bearer nonsense"}))[0] == 200
    await sql(site, "delete from users where id = $1", someone.id)
    assert (await post(site, value))[0] == 200
    never = await person(site)
    assert (await post(site, token(site, never, ALL)))[0] == 200


async def test_a_token_that_is_not_ours_says_nothing(site: Running) -> None:
    someone, other = await reader(site), await reader(site)
    value = token(site, someone, EPISODES)
    user_id, number, signature = value.split(".")
    forged = UnsubscribeTokens([b"another key of that length"]).make(someone.id, EPISODES)
    # What the same key signs for other purposes.
    access = someone.headers["Authorization"].removeprefix("Bearer ")
    details = set()
    for wrong in (
        "", ".", "..", "1.1", value + "x", value[:-1], value.upper(), f" {value}", f"{value}\n", "\x00", "ж",
        "x" * 5000, f"{other.id}.{number}.{signature}", f"{user_id}.0.{signature}", f"{user_id}.{number}.", forged,
        access, f"{user_id}.{number}.ж{signature}", f"٣.{number}.{signature}",
    ):  # fmt: skip
        for method in ("GET", "POST"):
            async with site.client.request(method, PATH, params={"token": wrong}) as answer:
                details.add((await problem(answer, 404))["detail"])
    for method in ("GET", "POST"):
        async with site.client.request(method, PATH) as answer:
            details.add((await problem(answer, 404))["detail"])
    assert len(details) == 1
    assert await chosen(site, someone) == await chosen(site, other) == (2, 4, 56)


async def test_a_link_outlives_a_new_key_as_long_as_the_old_one_is_kept(site: Running) -> None:
    assert site.app[UNSUBSCRIBE_TOKENS].make(7, 3) != UnsubscribeTokens([b"a key of somebody else"]).make(7, 3)
    old, new = b"the old key, long enough", b"the new key, long enough"
    value = UnsubscribeTokens([old]).make(7, 3)
    assert UnsubscribeTokens([new, old]).read(value) == Unsubscribing(7, 3)
    assert UnsubscribeTokens([new]).read(value) is None
    assert UnsubscribeTokens([new, old]).make(7, 3) == UnsubscribeTokens([new]).make(7, 3) != value


async def test_from_a_mail_to_no_more_mails(site: Running, box: Mailbox) -> None:
    someone = await reader(site)
    await waiting(site, someone, "new_release", due="0")
    deadline = asyncio.get_running_loop().time() + 20
    while not (mine := [one for one in box.letters if one.recipients == [f"{someone.username}@example.org"]]):
        assert asyncio.get_running_loop().time() < deadline, "no mail came"
        await asyncio.sleep(0.02)
    (mail,) = mine
    link = mail.message["List-Unsubscribe"].strip("<>")
    assert link.startswith(f"https://anime.example{PATH}?token=")
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    async with site.client.post(link.removeprefix("https://anime.example"), data=ONE_CLICK) as answer:
        assert answer.status == 200
    assert await chosen(site, someone) == (2, 0, 56)
