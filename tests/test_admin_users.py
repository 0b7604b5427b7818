"""GET|PATCH /admin/users: accounts found, roles given and taken, at once and never the last administrator's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from server.database import connect
from server.errors import Conflict, Forbidden
from server.keys import DATABASE
from server.schemas.users import AccountDetail, AccountPage
from sql import users
from sql.users import UserEdit, UsersWanted
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
PATH = "/api/v1/admin/users"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(site: Running) -> Person:
    return await person(site, "the-admin", role="admin")


async def ask(site: Running, who: Person, path: str = "", **query: Any) -> Any:
    async with site.client.get(PATH + path, params=query, headers=who.headers) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        assert answer.headers["Cache-Control"] == "private, no-store"
        msgspec.json.decode(body, type=AccountDetail if path.strip("/").isdigit() else AccountPage)
        return json.loads(body)


async def patch(site: Running, who: Person, user_id: int, **body: Any) -> Any:
    return await site.client.patch(f"{PATH}/{user_id}", json=body, headers=who.headers)


async def test_accounts_come_newest_first_and_page_by_page(site: Running, admin: Person) -> None:
    made = [(await person(site, f"row-{n}")).id for n in range(5)]
    page = await ask(site, admin, limit=2)
    assert [row["id"] for row in page["results"]] == made[:-3:-1]
    seen, following = [], page["next"]
    while following is not None:
        async with site.client.get(following, headers=admin.headers) as answer:
            page = await answer.json()
        seen += [row["id"] for row in page["results"]]
        following = page["next"]
    assert [*made[:-3:-1], *seen] == sorted([*made[:-3:-1], *seen], reverse=True)
    assert page["count"] == len(seen) + 2 == await sql(site, "select count(*) from users")


async def test_an_account_is_found_by_the_beginning_of_name_or_address_private_or_not(
    site: Running, admin: Person
) -> None:
    found = await person(site, "Zaphod-the-1st", is_public=False)
    await sql(site, "update users set email = 'Heart@Gold.test', email_key = 'heart@gold.test' where id = $1", found.id)
    for q in ("zaphod", "ZAPHOD-THE", "heart@go"):
        assert [row["id"] for row in (await ask(site, admin, q=q))["results"]] == [found.id]
    for q in ("aphod", "zaph_d", "%", "gold"):
        assert (await ask(site, admin, q=q))["count"] == 0
    assert (await ask(site, admin, q="zaphod", role="moderator"))["results"] == []
    assert admin.id in [row["id"] for row in (await ask(site, admin, role="admin", limit=100))["results"]]


async def test_no_answer_holds_a_secret(site: Running, admin: Person) -> None:
    who = await person(site, "secretive")
    await sql(site, "update users set password_hash = '$argon2id$secret' where id = $1", who.id)
    for shown in (await ask(site, admin, q="secretive"), await ask(site, admin, f"/{who.id}")):
        assert "argon2" not in json.dumps(shown)
        assert not {"password", "hash", "credentials_version"} & set(shown)


async def test_another_role_holds_at_once(site: Running, admin: Person) -> None:
    who = await person(site, role="user")
    async with site.client.get(PATH, headers=who.headers) as answer:
        await problem(answer, 403)
    async with await patch(site, admin, who.id, role="admin") as answer:
        assert answer.status == 200
        assert (await answer.json())["role"] == "admin"
    # What they had signed in with says the wrong role: it no longer counts.
    async with site.client.get(PATH, headers=who.headers) as answer:
        await problem(answer, 401)
    async with await patch(site, admin, who.id, role="user") as answer:
        assert (await answer.json())["role"] == "user"


async def test_the_change_of_an_account_is_written_down_and_what_is_so_already_is_not(
    site: Running, admin: Person
) -> None:
    who = await person(site)
    async with await patch(site, admin, who.id, role="moderator", name="Mod", is_public=False) as answer:
        assert answer.status == 200
    async with await patch(site, admin, who.id, role="moderator", name="Mod") as answer:
        assert answer.status == 200
    rows = await sql(
        site, "select json_agg(json_build_array(actor_id, action, diff)) from revisions where noun = 'user'"
        " and entity_id = $1", who.id
    )  # fmt: skip
    given = {"role": ["user", "moderator"], "name": ["", "Mod"], "is_public": [True, False]}
    assert (rows if isinstance(rows, list) else json.loads(rows)) == [[admin.id, "updated", given]]


@pytest.mark.parametrize(
    ("body", "status"), [({"role": "god"}, 422), ({"email": "x@y.z"}, 422), ({"name": "a\x00b"}, 422), ({}, 200)]
)
async def test_only_what_may_be_changed_is(site: Running, admin: Person, body: dict[str, Any], status: int) -> None:
    who = await person(site)
    async with await patch(site, admin, who.id, **body) as answer:
        assert answer.status == status


async def test_nobody_takes_their_own_role_away(site: Running, admin: Person) -> None:
    await person(site, role="admin")
    async with await patch(site, admin, admin.id, role="user") as answer:
        assert (await problem(answer, 409))["errors"][0]["pointer"] == "/role"
    async with await patch(site, admin, admin.id, role="admin", name="Boss") as answer:
        assert answer.status == 200
    async with await patch(site, admin, 999_999_999, role="admin") as answer:
        await problem(answer, 404)


async def test_two_administrators_who_demote_each_other_leave_one(server: Server, dsn: str) -> None:
    one, two = [await connect(dsn) for _ in range(2)]
    ids = [
        await one.fetchval(
            "insert into users (username, username_key, role) values ($1, $1, 'admin') returning id", name
        )
        for name in ("ada", "bob")
    ]

    async def demote(conn: Any, actor: int, target: int) -> object:
        try:
            async with conn.transaction():
                return await users.change(conn, actor, target, UserEdit(role="user"))
        except (Conflict, Forbidden) as error:
            return error

    outcomes = await asyncio.gather(demote(one, ids[0], ids[1]), demote(two, ids[1], ids[0]))
    assert sorted(type(outcome) for outcome in outcomes if not isinstance(outcome, int)) in ([Forbidden], [Conflict])
    assert await one.fetchval("select count(*) from users where role = 'admin'") == 1
    await asyncio.gather(one.close(), two.close())


async def test_the_last_administrator_stays_one(dsn: str) -> None:
    conn = await connect(dsn)
    last = await conn.fetchval(
        "insert into users (username, username_key, role) values ('a', 'a', 'admin') returning id"
    )
    with pytest.raises(Conflict):
        await users.change(conn, last, last, UserEdit(role="user"))
    await conn.close()


async def test_signed_out_everywhere_is_refused_at_once(site: Running, admin: Person) -> None:
    who = await person(site)
    await sql(site, "insert into sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 day')",
              who.session_id, who.id)  # fmt: skip
    assert (await ask(site, admin, f"/{who.id}"))["sessions"] == 1
    async with site.client.get("/api/v1/auth/me", headers=who.headers) as answer:
        assert answer.status == 200
    async with site.client.post(f"{PATH}/{who.id}/sessions/revoke", headers=admin.headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"ended": 1})
    async with site.client.get("/api/v1/auth/me", headers=who.headers) as answer:
        await problem(answer, 401)
    assert (await ask(site, admin, f"/{who.id}"))["sessions"] == 0


async def test_moderators_do_not_see_addresses(site: Running) -> None:
    moderator = await person(site, role="moderator")
    async with site.client.get(PATH, headers=moderator.headers) as answer:
        await problem(answer, 403)


async def test_lists_of_many_accounts_follow_an_index(site: Running) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute(
        """insert into users (username, username_key, email, email_key, role)
           select 'many-' || md5(n::text), 'many-' || md5(n::text), md5(n::text) || '@x', md5(n::text) || '@x',
                  case when n % 5000 = 0 then 'moderator' else 'user' end
           from generate_series(1, 30000) n"""
    )
    await conn.execute("analyze users")
    wanted = (UsersWanted(), UsersWanted(prefix="many-abc"), UsersWanted(role="moderator"), UsersWanted("d3", "user"))
    for one in wanted:
        text, values = users.compose(one, None, 21, 0)
        plan = await conn.fetchval(f"explain (format json) {text}", *values)
        assert re.search(r'"Node Type": "(Index|Bitmap)', plan), plan
        assert not re.search(r'"Node Type": "Seq Scan"[^{}]*"Relation Name": "users"', plan), plan
    await transaction.rollback()
    await conn.close()
