"""Addresses confirmed and passwords set anew by mail, against a real mail server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from actors.consumers.base import Delivered
from actors.consumers.mailer import AccountMailer
from server.adapters.breaker import Breaker
from server.errors import Unavailable
from server.keys import DATABASE, HEALTH, IDENTITIES, MAILER
from sql import mailed
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, queries_seen, shared_site
from tests.mailbox import Letter, Mailbox, mailbox
from tests.outboxes import drain
from tests.people import Person, person, restore_quotas, sql
from tests.running import Running

pytestmark = SHARED
FORGOT, RESET = "/api/v1/auth/password/forgot", "/api/v1/auth/password/reset"
VERIFY, RESEND = "/api/v1/auth/verify", "/api/v1/auth/verify/resend"
TOKEN = re.compile(r"\?token=([A-Za-z0-9_-]{43})\s")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box() -> AsyncIterator[Mailbox]:
    async with mailbox() as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, box: Mailbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(
        server,
        tmp_path_factory.mktemp("site"),
        SMTP_URL=f"smtp://127.0.0.1:{box.port}",
        MAIL_FROM="no-reply@example.org",
        PUBLIC_URL="https://anime.example",
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(site: Running, box: Mailbox) -> None:
    """What one test used up is whole again for the next."""
    box.letters.clear()
    restore_quotas(site)


async def deliver(site: Running, user_id: int | None, kind: str) -> None:
    """What the runner of the outbox does with one event."""
    courier = AccountMailer(site.app[DATABASE], site.app[MAILER], "https://anime.example")
    created_at = await sql(site, "select now()")
    await courier.deliver(Delivered(1, 1, "mail", f"user:{user_id}", user_id, {"kind": kind}, created_at))


def letters_to(box: Mailbox, username: str) -> list[Letter]:
    """What this user got."""
    return [mail for mail in box.letters if mail.recipients == [f"{username}@example.org"]]


def token_in(mail: Letter) -> str:
    found = TOKEN.search(mail.text)
    assert found is not None, mail.text
    return found[1]


async def mailed_token(site: Running, box: Mailbox, user_id: int, kind: str) -> str:
    """The token in the mail that such an event brings."""
    email = await sql(site, "select email from users where id = $1", user_id)
    await deliver(site, user_id, kind)
    return token_in([mail for mail in box.letters if mail.recipients == [email]][-1])


async def arrived(box: Mailbox, username: str, count: int = 1) -> Letter:
    """The latest mail to this user, once there are so many."""
    deadline = asyncio.get_running_loop().time() + 20
    while len(letters_to(box, username)) < count:
        assert asyncio.get_running_loop().time() < deadline, "no mail came"
        await asyncio.sleep(0.02)
    return letters_to(box, username)[-1]


async def verified(site: Running, username: str = "") -> Person:
    someone = await person(site, username)
    await sql(site, "update users set email_verified_at = now(), password_hash = 'x' where id = $1", someone.id)
    return someone


async def send(site: Running, path: str, body: Any, someone: Person | None = None) -> tuple[int, bytes]:
    headers = someone.headers if someone is not None else {}
    async with site.client.post(path, json=body, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_the_mail_goes_to_the_address_and_its_token_confirms_it_once(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    token = await mailed_token(site, box, someone.id, "verify")
    assert (await send(site, VERIFY, {"token": token}))[0] == 204
    assert await sql(site, "select email_verified_at is not null from users where id = $1", someone.id)
    async with site.client.post(VERIFY, json={"token": token}) as answer:
        assert (await problem(answer, 422))["errors"][0]["pointer"] == "/token"


async def test_the_database_does_not_hold_the_token(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    token = await mailed_token(site, box, someone.id, "verify")
    row = await sql(site, "select t::text from account_tokens t where user_id = $1", someone.id)
    assert token not in row
    assert await sql(
        site, "select token_hash = sha256($2::bytea) from account_tokens where user_id = $1", someone.id, token.encode()
    )


async def test_a_newer_mail_makes_the_older_one_worthless(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    first = await mailed_token(site, box, someone.id, "verify")
    second = await mailed_token(site, box, someone.id, "verify")
    assert (await send(site, VERIFY, {"token": first}))[0] == 422
    assert (await send(site, VERIFY, {"token": second}))[0] == 204


async def test_a_token_ends_and_one_purpose_does_not_serve_the_other(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    token = await mailed_token(site, box, someone.id, "verify")
    hours = "select extract(epoch from expires_at - created_at)::int / 3600 from account_tokens where user_id = $1"
    assert await sql(site, hours, someone.id) == 48
    assert (await send(site, RESET, {"token": token, "new_password": "three quiet lanterns"}))[0] == 422
    await sql(site, "update account_tokens set expires_at = now() where user_id = $1", someone.id)
    assert (await send(site, VERIFY, {"token": token}))[0] == 422
    other = await verified(site)
    token = await mailed_token(site, box, other.id, "reset")
    assert await sql(site, hours, other.id) == 1
    assert (await send(site, VERIFY, {"token": token}))[0] == 422
    await sql(site, "update account_tokens set expires_at = now() where user_id = $1", other.id)
    assert (await send(site, RESET, {"token": token, "new_password": "three quiet lanterns"}))[0] == 422


async def test_an_address_belongs_to_whoever_confirms_it_first(site: Running, box: Mailbox) -> None:
    first, second = await person(site), await person(site)
    await sql(
        site, "update users set email = 'both@example.org', email_key = 'both@example.org' where id = any ($1)",
        [first.id, second.id],
    )  # fmt: skip
    tokens = [await mailed_token(site, box, one.id, "verify") for one in (first, second)]
    assert (await send(site, VERIFY, {"token": tokens[1]}))[0] == 204
    async with site.client.post(VERIFY, json={"token": tokens[0]}) as answer:
        await problem(answer, 409)
    assert await sql(site, "select email_verified_at is null from users where id = $1", first.id)


async def test_a_token_sent_to_an_address_the_account_no_longer_has_counts_no_more(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    token = await mailed_token(site, box, someone.id, "verify")
    await sql(site, "update users set email = 'a@b.org', email_key = 'a@b.org' where id = $1", someone.id)
    assert (await send(site, VERIFY, {"token": token}))[0] == 422


async def test_nobody_gets_mail_who_has_nothing_to_confirm_or_is_gone(site: Running, box: Mailbox) -> None:
    someone = await verified(site)
    for user_id, kind in ((someone.id, "verify"), (2**40, "verify"), (2**40, "reset"), (None, "reset")):
        await deliver(site, user_id, kind)
    assert letters_to(box, someone.username) == []


async def test_a_new_password_goes_to_a_confirmed_address_only(site: Running, box: Mailbox) -> None:
    someone = await person(site)
    token = await mailed_token(site, box, someone.id, "reset")
    (mail,) = letters_to(box, someone.username)
    assert "confirm" in mail.message["Subject"].lower()
    assert "asked for a new password" in mail.text
    assert (await send(site, VERIFY, {"token": token}))[0] == 204


async def test_the_mail_is_written_in_the_readers_language(site: Running, box: Mailbox) -> None:
    someone = await verified(site)
    await sql(site, "update users set locale = 'ru' where id = $1", someone.id)
    await mailed_token(site, box, someone.id, "reset")
    assert letters_to(box, someone.username)[0].message["Subject"] == "Новый пароль"


async def test_whether_an_address_is_known_neither_answer_nor_work_tells(site: Running) -> None:
    known, unverified = await verified(site), await person(site)
    addresses = [f"{known.username}@example.org", f"{unverified.username}@EXAMPLE.org", "nobody@example.org"]
    seen, asked = [], []
    before = await sql(site, "select count(*) from outbox where topic = 'mail'")
    for address in addresses:
        with queries_seen() as names:
            async with site.client.post(FORGOT, json={"email": address}) as answer:
                limits = {name for name in answer.headers if "ratelimit" in name.lower()}
                seen.append((answer.status, await answer.read(), limits, answer.headers["Cache-Control"]))
        asked.append([name for name in names if name == "ask_for_mail"])
    assert seen[0][0] == 202
    assert seen.count(seen[0]) == 3
    assert asked == [["ask_for_mail"]] * 3
    # The same is written, too: a commit that writes nothing is quicker.
    assert await sql(site, "select count(*) from outbox where topic = 'mail'") == before + 3
    rows = await sql(site, "select array_agg(user_id order by id) from outbox where topic = 'mail' and id > (select"
                           " max(id) - 3 from outbox)")  # fmt: skip
    assert rows == [known.id, unverified.id, None]


async def test_the_confirmed_account_of_an_address_comes_before_those_that_only_claim_it(site: Running) -> None:
    claimant, owner = await person(site), await verified(site)
    address = f"{owner.username}@example.org"
    await sql(site, "update users set email = $2, email_key = $2 where id = $1", claimant.id, address)
    await send(site, FORGOT, {"email": address})
    assert await sql(site, "select user_id from outbox where topic = 'mail' order by id desc limit 1") == owner.id


async def test_one_address_is_not_flooded_and_the_refusal_is_the_same_for_all(site: Running) -> None:
    known = await verified(site)
    answers = []
    for address in (f"{known.username}@example.org", "nobody-at-all@example.org"):
        for _ in range(3):
            assert (await send(site, FORGOT, {"email": address}))[0] == 202
        async with site.client.post(FORGOT, json={"email": address.upper()}) as answer:
            document = await problem(answer, 429)
            answers.append((document["detail"], document["code"]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("email", ["a@b\r\nBcc: c@d.org", "x" * 320, "a@b.org, c@d.org", "п@п.рф", "%_@%"])
async def test_odd_addresses_get_the_answer_of_all_others(site: Running, email: str) -> None:
    assert (await send(site, FORGOT, {"email": email}))[0] == 202


@pytest.mark.parametrize("email", ["a@b\x00", "", "x" * 321, None, 5])
async def test_what_no_address_can_be_is_refused(site: Running, email: Any) -> None:
    assert (await send(site, FORGOT, {"email": email}))[0] == 422


async def test_a_new_password_ends_every_session_and_its_token_works_once(site: Running, box: Mailbox) -> None:
    someone = await verified(site)
    token = await mailed_token(site, box, someone.id, "reset")
    for weak in ("short", f"xx{someone.username}xx"):
        async with site.client.post(RESET, json={"token": token, "new_password": weak}) as answer:
            assert (await problem(answer, 422))["errors"][0]["pointer"] == "/new_password"
    assert (await send(site, RESET, {"token": token, "new_password": "three quiet lanterns"}))[0] == 204
    async with site.client.get("/api/v1/profile", headers=someone.headers) as answer:
        await problem(answer, 401)
    assert (await send(site, RESET, {"token": token, "new_password": "four quiet lanterns"}))[0] == 422
    stored = await sql(site, "select password_hash from users where id = $1", someone.id)
    assert stored.startswith("$argon2id$")
    assert site.app[IDENTITIES].revocations.versions[someone.id] == 2


async def test_no_statement_about_mail_reads_a_whole_table(site: Running) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    hashed = "sha256('x')"
    try:
        async with conn.transaction():
            await conn.execute(
                "insert into users (username, username_key, email, email_key)"
                " select 'b' || n, 'b' || n, n || '@b.org', n || '@b.org' from generate_series(1, 5000) n"
            )
            await conn.execute(
                "insert into account_tokens (token_hash, user_id, purpose, email_key, expires_at)"
                " select uuid_send(gen_random_uuid()), id, 'verify', email_key, now() from users where email <> ''"
            )
            await conn.execute("analyze users, account_tokens")
            await conn.execute("set local plan_cache_mode = force_generic_plan")
            for name, parameters in (
                ("ask_for_mail", "('7@b.org')"), ("unverified_address", "(7)"),
                ("make_token", f"(7, 'reset', {hashed})"),
                ("owner_of_token", f"({hashed})"), ("take_token", f"({hashed}, 'verify')"), ("verify_address", "(7)"),
            ):  # fmt: skip
                await conn.execute(f"prepare asked as {getattr(mailed.QUERIES, name).text}")
                plan = "\n".join(row[0] for row in await conn.fetch(f"explain execute asked {parameters}"))
                assert "Seq Scan" not in plan, plan
                await conn.execute("deallocate asked")
    finally:
        await conn.close()


async def test_the_same_mail_can_be_asked_for_again_while_it_is_of_use(site: Running) -> None:
    someone = await person(site)
    for _ in range(2):
        assert (await send(site, RESEND, None, someone))[0] == 202
    queued = 'select count(*) from outbox where user_id = $1 and payload = \'{"kind": "verify"}\''
    assert await sql(site, queued, someone.id) == 2
    done = await verified(site)
    assert (await send(site, RESEND, None, done))[0] == 202
    assert await sql(site, queued, done.id) == 0
    assert (await send(site, RESEND, None))[0] == 401


async def test_a_mail_server_that_is_away_degrades_health_and_the_mail_is_tried_again(
    site: Running, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = await person(site)
    mailer = site.app[MAILER]
    monkeypatch.setattr(mailer, "breaker", Breaker("The mail server"))
    account = mailer._account
    monkeypatch.setattr(mailer, "_account", type(account)("127.0.0.1", 1, "smtp", None, None))
    monkeypatch.setattr("server.health.SHARED", -1.0)
    with pytest.raises(Unavailable):
        await deliver(site, someone.id, "verify")
    serves, body = await site.app[HEALTH].report()
    assert serves
    assert (body["status"], body["checks"]["smtp"]["status"]) == ("degraded", "degraded")
    assert (await send(site, FORGOT, {"email": f"{someone.username}@example.org"}))[0] == 202
    monkeypatch.setattr(mailer, "_account", account)
    await deliver(site, someone.id, "verify")
    assert letters_to(box, someone.username)
    assert (await site.app[HEALTH].report())[1]["checks"]["smtp"] == {"status": "ok"}


async def test_health_does_not_call_the_mail_server_at_every_look(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody else's mail is on its way.
    await drain(site)
    calls = []
    mailer = site.app[MAILER]
    monkeypatch.setattr(mailer, "breaker", Breaker("The mail server"))
    connect = mailer._connection
    monkeypatch.setattr(mailer, "_connection", lambda timeout: calls.append(timeout) or connect(timeout))
    monkeypatch.setattr("server.health.SHARED", -1.0)
    for _ in range(3):
        assert (await site.app[HEALTH].report())[1]["checks"]["smtp"] == {"status": "ok"}
    assert len(calls) == 1


async def test_from_signing_up_to_a_new_password_by_mail_alone(site: Running, box: Mailbox) -> None:
    email, name = "wren-of-the-weir@example.org", "wren-of-the-weir"
    account = {"email": email, "username": "wren", "password": "one loud kettle"}
    assert (await send(site, "/api/v1/auth/register", account))[0] == 201
    token = token_in(await arrived(box, name))
    assert (await send(site, VERIFY, {"token": token}))[0] == 204
    assert (await send(site, FORGOT, {"email": email.upper()}))[0] == 202
    token = token_in(await arrived(box, name, 2))
    assert (await send(site, RESET, {"token": token, "new_password": "two silent kettles"}))[0] == 204
    assert (await send(site, "/api/v1/auth/login", {"email": email, "password": "one loud kettle"}))[0] == 401
    assert (await send(site, "/api/v1/auth/login", {"email": email, "password": "two silent kettles"}))[0] == 200


async def test_a_mail_that_could_not_be_sent_is_sent_later(site: Running, box: Mailbox) -> None:
    someone = await verified(site)
    box.refuse = "451 4.3.0 not now"
    try:
        assert (await send(site, FORGOT, {"email": f"{someone.username}@example.org"}))[0] == 202
        failed = "select count(*) from outbox_deliveries where consumer = 'mailer' and user_id = $1 and attempts > 0"
        deadline = asyncio.get_running_loop().time() + 20
        while not await sql(site, failed, someone.id):
            assert asyncio.get_running_loop().time() < deadline, "no attempt was made"
            await asyncio.sleep(0.05)
    finally:
        box.refuse = ""
    await arrived(box, someone.username)


async def test_without_a_mail_server_the_answer_is_the_same(server: Server, tmp_path: Path) -> None:
    async with shared_site(server, tmp_path) as quiet:
        assert MAILER not in quiet.app
        assert (await send(quiet, FORGOT, {"email": "nobody@example.org"}))[0] == 202
