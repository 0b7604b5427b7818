"""Profiles: changed by their owners, seen by others as far as they are public, found by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
import pytest_asyncio

from server.keys import DATABASE
from sql import profiles
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person, restore_quotas, sign_in, sql
from tests.running import Running

pytestmark = SHARED
PROFILE, USERS = "/api/v1/profile", "/api/v1/users"
PRIVATE = "private, no-store"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started
        assert not [line for line in started.log.lines if b'"status_code":5' in line]


@pytest.fixture(autouse=True)
def fresh(site: Running) -> None:
    """What one test used up of the limits is whole again for the next."""
    restore_quotas(site)


async def change(site: Running, someone: Person, **fields: Any) -> dict[str, Any]:
    async with site.client.patch(PROFILE, json=fields, headers=someone.headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == PRIVATE
        changed: dict[str, Any] = await answer.json()
        return changed


async def get(site: Running, path: str, someone: Person | None = None, status: int = 200) -> dict[str, Any]:
    headers = someone.headers if someone is not None else {}
    async with site.client.get(path, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def test_a_new_profile_says_what_is_known_and_nothing_else(site: Running) -> None:
    someone = await person(site)
    found = await get(site, PROFILE, someone)
    assert list(found) == [
        "id", "username", "email", "email_verified", "name", "bio", "locale", "time_zone", "is_public", "role",
        "created_at", "updated_at", "avatar",
    ]  # fmt: skip
    assert (found["id"], found["username"], found["email_verified"], found["avatar"]) == (
        someone.id, someone.username, False, None,
    )  # fmt: skip


async def test_a_change_is_kept_and_told_once(site: Running) -> None:
    someone = await person(site)
    fields = {
        "name": "  Mira 🌊 ", "bio": "line one\r\nline two\n", "locale": "sr-Latn-RS", "time_zone": "Asia/Tokyo",
        "is_public": False,
    }  # fmt: skip
    changed = await change(site, someone, **fields)
    assert changed["name"] == "Mira 🌊"
    assert changed["bio"] == "line one\nline two"
    assert (changed["locale"], changed["time_zone"], changed["is_public"]) == ("sr-Latn-RS", "Asia/Tokyo", False)
    assert await get(site, PROFILE, someone) == changed
    assert await change(site, someone, **fields) == changed
    assert await change(site, someone) == changed
    rows = "select count(*) from outbox where topic = 'profile' and entity = $1 and user_id = $2"
    assert await sql(site, rows, f"user:{someone.id}", someone.id) == 1
    revisions = (
        "select r.revision || ' ' || u.revision from users u join user_revisions r on r.user_id = u.id where id = $1"
    )
    assert await sql(site, revisions, someone.id) == "1 1"
    await change(site, someone, bio="")
    assert await sql(site, revisions, someone.id) == "2 2"


async def test_changes_at_the_same_time_each_get_a_revision(site: Running) -> None:
    someone = await person(site)
    await asyncio.gather(*(change(site, someone, bio=str(n)) for n in range(8)))
    assert await sql(site, "select revision from user_revisions where user_id = $1", someone.id) == 8
    assert await sql(site, "select revision from users where id = $1", someone.id) == 8


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x" * 65}, {"name": "a\nb"}, {"name": "a\x00"}, {"bio": "x" * 1001}, {"bio": "\x00"}, {"locale": "x"},
        {"locale": "english please"}, {"locale": "en\n"}, {"time_zone": "Mars/Olympus"},
        {"time_zone": "../../etc/passwd"}, {"time_zone": ""},
        {"time_zone": "posix/UTC"}, {"is_public": "yes"}, {"is_public": None}, {"name": None},
        {"username": "ab"}, {"username": "admin"}, {"username": "a b c"}, {"username": "a%b_c"}, {"username": ""},
        {"role": "admin"}, {"email": "other@example.org"}, {"id": 1},
    ],
)  # fmt: skip
async def test_what_no_profile_may_say_is_refused_and_nothing_changes(site: Running, fields: dict[str, Any]) -> None:
    someone = await person(site)
    before = await get(site, PROFILE, someone)
    async with site.client.patch(PROFILE, json={"bio": "new", **fields}, headers=someone.headers) as answer:
        (fault,) = (await problem(answer, 422))["errors"]
    assert fault["pointer"] == f"/{next(iter(fields))}"
    assert await get(site, PROFILE, someone) == before


async def test_a_username_is_changed_in_case_or_whole_unless_somebody_has_it(site: Running) -> None:
    someone, other = await person(site, "Lantern-Keeper"), await person(site, "tidewatcher")
    assert (await change(site, someone, username="LANTERN-keeper"))["username"] == "LANTERN-keeper"
    async with site.client.patch(PROFILE, json={"username": "TideWatcher"}, headers=someone.headers) as answer:
        await problem(answer, 409)
    await change(site, other, username="tide-and-time")
    await change(site, someone, username="TideWatcher")
    assert await sql(site, "select username_key from users where id = $1", someone.id) == "tidewatcher"


async def test_who_is_gone_is_nobody(site: Running) -> None:
    gone = sign_in(site, 2**40)
    assert (await get(site, PROFILE, gone, 401))["code"] == "unauthenticated"
    async with site.client.patch(PROFILE, json={"bio": "x"}, headers=gone.headers) as answer:
        await problem(answer, 401)
    await get(site, f"{USERS}/{2**40}", None, 404)
    await get(site, f"{USERS}/x", None, 404)
    await get(site, f"{USERS}/{'9' * 30}", None, 404)


async def test_a_public_profile_shows_no_address_to_anybody(site: Running) -> None:
    someone, other = await person(site), await person(site)
    await change(site, someone, name="Mira", bio="text")
    seen = await get(site, f"{USERS}/{someone.id}")
    assert list(seen) == ["id", "username", "name", "bio", "joined_at", "is_public", "avatar"]
    assert await get(site, f"{USERS}/{someone.id}", other) == seen
    for who, control in ((None, "no-store"), (other, PRIVATE), (someone, PRIVATE)):
        headers = who.headers if who is not None else {}
        async with site.client.get(f"{USERS}/{someone.id}", headers=headers) as answer:
            assert answer.headers["Cache-Control"] == control
            assert "ETag" not in answer.headers


async def test_of_a_private_profile_only_its_owner_and_administrators_see_more_than_the_name(site: Running) -> None:
    someone = await person(site, is_public=False)
    outsiders = [None, await person(site), await person(site, role="moderator")]
    for who in outsiders:
        seen = await get(site, f"{USERS}/{someone.id}", who)
        assert seen == {"id": someone.id, "username": someone.username, "is_public": False}
    for who in (someone, await person(site, role="admin")):
        assert "bio" in await get(site, f"{USERS}/{someone.id}", who)


async def test_a_token_that_does_not_count_is_not_taken_for_nobody(site: Running) -> None:
    someone = await person(site)
    async with site.client.get(f"{USERS}/{someone.id}", headers={"Authorization": "Bearer x.y.z"}) as answer:
        await problem(answer, 401)


async def found(site: Running, q: str, **more: Any) -> list[str]:
    rest = "".join(f"&{name}={value}" for name, value in more.items())
    return [row["username"] for row in (await get(site, f"{USERS}?q={quote(q, safe='')}{rest}"))["results"]]


async def test_people_are_found_by_how_their_name_begins_in_any_case(site: Running) -> None:
    for name in ("Quokka.One", "quokka_two", "QuokkaTwo", "notquokka"):
        await person(site, name)
    await person(site, "quokka-hidden", is_public=False)
    assert await found(site, "qUOKKA") == ["Quokka.One", "quokka_two", "QuokkaTwo"]
    assert await found(site, " quokkat ") == ["QuokkaTwo"]
    assert await found(site, "ｑｕｏｋｋａ．") == ["Quokka.One"]


async def test_no_character_of_a_search_means_anything_but_itself(site: Running) -> None:
    await person(site, "wild_card")
    await person(site, "wildXcard")
    assert await found(site, "wild_") == ["wild_card"]
    for text in (
        "wild%",
        "%",
        "_",
        "wild\\",
        "\\",
        "'",
        "wild' or 1=1 --",
        "*",
        "wild.*",
        "\U0010ffff",
        "wild\U0010ffff",
    ):
        assert await found(site, text) == []


async def test_a_search_needs_something_to_look_for(site: Running) -> None:
    for query in ("", "?q=", "?q=%20", "?q=" + "x" * 65, "?q=%00", "?q=a&limit=101", "?q=a&page=0", "?q=a&cursor=x"):
        assert (await get(site, USERS + query, None, 422))["errors"]
    assert (await get(site, f"{USERS}?q=a&limit=100&page=101", None, 422))["errors"][0]["pointer"] == "/page"


async def test_lone_surrogates_and_broken_bytes_are_no_reason_to_fail(site: Running) -> None:
    for text in ("%ED%A0%80", "%ff", "a%00b", "%C3%28", "%F4%90%80%80"):
        async with site.client.get(f"{USERS}?q={text}") as answer:
            assert answer.status in (200, 422)


async def test_pages_and_cursors_lead_through_everybody_once(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted(f"walker{n:02}" for n in range(25))
    for name in names:
        await person(site, name)
    monkeypatch.setattr("server.bodies.profiles.DEEPEST", 20)
    path: str | None = f"{USERS}?q=walker&limit=10"
    seen, pages = [], []
    while path is not None:
        page = await get(site, path)
        seen += [row["username"] for row in page["results"]]
        pages.append(path)
        assert (page["count"], "count_is_estimate" in page) == (25, False)
        path = page["next"]
    assert seen == names
    assert ["cursor=" in page for page in pages] == [False, False, True]
    second = await get(site, pages[1])
    assert second["previous"] == f"{USERS}?q=walker&limit=10&page=1"


async def test_a_count_that_would_be_long_is_called_an_estimate(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MOST_COUNTED", 2)
    for n in range(4):
        await person(site, f"manyfold{n}")
    page = await get(site, f"{USERS}?q=manyfold")
    assert (page["count"], page["count_is_estimate"], len(page["results"])) == (2, True, 4)


async def test_a_search_reads_the_index_and_no_more_of_it_than_it_shows(site: Running) -> None:
    conn = await asyncpg.connect(site.app[DATABASE].dsn)
    try:
        await conn.execute(
            "insert into users (username, username_key, is_public)"
            " select 'bulk' || n, 'bulk' || n, n % 10 <> 0 from generate_series(1, 20000) n"
        )
        await conn.execute("analyze users")
        # A prepared statement's later plans know no parameters.
        await conn.execute("set plan_cache_mode = force_generic_plan")
        for query, parameters in (
            (profiles.QUERIES.find_users, "('bulk1', 'bulk1' || U&'\\+10FFFF', null, 21, 0)"),
            (profiles.QUERIES.find_users, "('bulk1', 'bulk1' || U&'\\+10FFFF', 'bulk15', 21, 0)"),
            (profiles.QUERIES.count_users, "('bulk1', 'bulk1' || U&'\\+10FFFF', 1001)"),
        ):
            await conn.execute(f"prepare asked as {query.text}")
            plan = "\n".join(row[0] for row in await conn.fetch(f"explain (analyze) execute asked {parameters}"))
            assert "users_by_username" in plan, plan
            assert "Seq Scan" not in plan, plan
            assert "Sort" not in plan, plan
            await conn.execute("deallocate asked")
    finally:
        await conn.close()
