"""Comments over HTTP: who reads what, page by page, and how soon a write shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from server.keys import DATABASE, TALK
from tests.commenting_http import API, RATES, episodes, page, read, say, under, watch
from tests.conftest import Server
from tests.http_fixture import SHARED, exchange, log_lines, problem, queries_seen, shared_site
from tests.outboxes import drain
from tests.people import person, sql
from tests.running import Running, running

pytestmark = SHARED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), **RATES) as started:
        yield started


class TestSpoilers:
    async def test_a_comment_on_an_episode_is_hidden_from_who_has_not_come_so_far(self, site: Running) -> None:
        author, behind, there, done = [await person(site) for _ in range(4)]
        first, second, third, fourth = await episodes(site, 33)
        made = await say(site, author, "The butler did it", 33, episode_id=fourth)
        assert made["episode"] == 4
        await watch(site, behind, second)
        await watch(site, behind, third, 0)
        await watch(site, behind, fourth, deleted=True)
        await watch(site, there, fourth)
        async with site.client.put(f"{API}/profile/collections/completed/33", headers=done.headers) as answer:
            assert answer.status < 300
        veiled = {name: value for name, value in made.items() if name != "text"} | {"hidden": "spoiler"}
        for path, rows in ((under(33), True), (f"{API}/comments/{made['id']}", False)):
            for who, wanted in ((None, veiled), (behind, veiled), (author, made), (there, made), (done, made)):
                found = await read(site, path, who)
                assert (found["results"][0] if rows else found) == wanted
            for who in (None, behind):
                found = await read(site, path + "?spoilers=show", who)
                assert (found["results"][0] if rows else found) == made
        assert (veiled["episode"], veiled["author"]["id"]) == (4, author.id)
        # What is open is read by everybody, and so is what somebody behind has come to.
        early = await say(site, author, "I like the butler", 33, episode_id=second)
        found = (await page(site, under(33), behind))["results"]
        assert [row.get("text") for row in found] == [early["text"], None]
        assert first < second

    async def test_replies_are_about_the_same_episode_and_hidden_with_it(self, site: Running) -> None:
        author, who = await person(site), await person(site)
        second = (await episodes(site, 36))[1]
        top = await say(site, author, "He dies", 36, episode_id=second)
        low = await say(site, author, "No, she does", 36, parent_id=top["id"])
        assert low["episode_id"] == second
        path = f"{API}/comments/{top['id']}/replies"
        for reader in (None, who):
            assert [row.get("hidden") for row in (await page(site, path, reader))["results"]] == ["spoiler"]
        await watch(site, who, second)
        assert [row.get("text") for row in (await page(site, path, who))["results"]] == ["No, she does"]

    async def test_the_flag_alone_hides_nothing(self, site: Running) -> None:
        made = await say(site, await person(site), "Snape", 39, spoiler=True)
        assert (await page(site, under(39)))["results"] == [made]

    async def test_comments_on_one_episode_are_counted_by_themselves(self, site: Running) -> None:
        who = await person(site, role="moderator")
        first, second, *_ = await episodes(site, 42)
        for number in range(3):
            await say(site, who, f"About the first {number}", 42, episode_id=first)
        await say(site, who, "About the second", 42, episode_id=second)
        await say(site, who, "About all of it", 42)
        found = await page(site, under(42) + f"?episode_id={first}&limit=2")
        assert (found["count"], len(found["results"])) == (3, 2)
        found = await page(site, found["next"])
        assert (len(found["results"]), found["next"]) == (1, None)
        assert (await page(site, under(42)))["count"] == 5
        other = (await episodes(site, 45))[0]
        assert await page(site, under(42) + f"?episode_id={other}") == {
            "count": 0, "next": None, "previous": None, "results": [],
        }  # fmt: skip


class TestPages:
    async def test_pages_lead_to_every_comment_once_in_both_orders(self, site: Running) -> None:
        who = await person(site, role="moderator")
        made = [(await say(site, who, f"Number {number}", 48))["id"] for number in range(11)]
        for sort, wanted in (("newest", made[::-1]), ("oldest", made)):
            path: str | None = under(48) + f"?sort={sort}&limit=4&spoilers=show"
            seen: list[int] = []
            while path is not None:
                found = await page(site, path)
                assert (found["count"], found["previous"]) == (11, None)
                seen += [row["id"] for row in found["results"]]
                path = found["next"]
                assert path is None or "spoilers=show" in path
            assert seen == wanted

    async def test_a_cursor_of_another_list_is_refused(self, site: Running) -> None:
        who = await person(site, role="moderator")
        for number in range(2):
            await say(site, who, f"Number {number}", 51)
        cursor = (await page(site, under(51) + "?limit=1"))["next"].partition("cursor=")[2]
        for wrong in (
            f"?sort=oldest&cursor={cursor}",
            "?cursor=x",
            "?limit=101",
            "?sort=best",
            "?spoilers=1",
            "?episode_id=0",
        ):
            async with site.client.get(under(51) + wrong) as answer:
                await problem(answer, 422)

    async def test_what_is_not_there_has_no_comments(self, site: Running) -> None:
        nothing = (f"{API}/comments/{2**40}", f"{API}/comments/x", f"{API}/comments/{2**40}/replies")
        for path in (under(1), under("no-such"), under("%00"), under("9" * 30), *nothing):
            await read(site, path, status=404)


class TestCaching:
    async def test_a_visitor_s_second_look_comes_from_memory_past_everything(self, site: Running) -> None:
        await say(site, await person(site), "Hot", 54)
        # What follows from it drops the page once more.
        await drain(site)
        path = under(54)
        async with site.client.get(path) as answer:
            first, headers = await answer.read(), answer.headers
        assert headers["Cache-Control"].startswith("public, max-age=5, s-maxage=10")
        assert headers["Vary"] == "Accept-Encoding, Authorization"
        assert "comments:54" in headers["Cache-Tag"].split(",")
        with queries_seen() as names:
            answer_again = await exchange(site.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert "threads" not in names
        assert (answer_again.status, answer_again.body) == (200, first)
        async with asyncio.timeout(5):
            # A line is written when its answer has gone out.
            while log_lines(site)[-1]["cache"] != "hit":  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.01)
        async with site.client.get(path, headers={"If-None-Match": headers["ETag"]}) as answer:
            assert answer.status == 304

    async def test_whoever_signs_in_never_gets_a_visitor_s_page_nor_a_visitor_theirs(self, site: Running) -> None:
        author, who = await person(site), await person(site)
        fourth = (await episodes(site, 57))[3]
        made = await say(site, author, "Secret", 57, episode_id=fourth)
        await watch(site, who, fourth)
        for path in (under(57), f"{API}/comments/{made['id']}"):
            for _ in range(3):
                async with site.client.get(path) as answer:
                    assert b"Secret" not in await answer.read()
                    assert answer.headers["Cache-Control"].startswith("public")
                async with site.client.get(path, headers=who.headers) as answer:
                    assert b"Secret" in await answer.read()
                    assert answer.headers["Cache-Control"] == "private, no-cache"
                    assert answer.headers["Vary"] == "Accept-Encoding, Authorization"
                    etag = answer.headers["ETag"]
                assert log_lines(site)[-1]["cache"] == "none"
            async with site.client.get(path, headers=who.headers | {"If-None-Match": etag}) as answer:
                assert (answer.status, await answer.read()) == (304, b"")

    async def test_a_token_that_does_not_count_gets_no_cached_page(self, site: Running) -> None:
        await page(site, under(54))
        await page(site, under(54))
        async with site.client.get(under(54), headers={"Authorization": "Bearer nonsense"}) as answer:
            await problem(answer, 401)

    async def test_every_write_shows_at_once(self, site: Running) -> None:
        who = await person(site)
        threads = under(60)
        assert (await page(site, threads))["count"] == 0
        made = await say(site, who, "One", 60)
        one, replies = f"{API}/comments/{made['id']}", f"{API}/comments/{made['id']}/replies"
        assert (await page(site, threads))["results"] == [made]
        assert await read(site, one) == made
        assert (await page(site, replies))["count"] == 0
        low = await say(site, who, "Two", 60, parent_id=made["id"])
        assert (await page(site, threads))["results"][0]["replies_count"] == 1
        assert (await read(site, one))["replies_count"] == 1
        assert (await page(site, replies))["results"] == [low]
        async with site.client.patch(
            f"{API}/comments/{low['id']}", json={"text": "Three"}, headers=who.headers
        ) as answer:
            assert answer.status == 200
        assert (await page(site, replies))["results"][0]["text"] == "Three"
        for gone in (low, made):
            async with site.client.delete(f"{API}/comments/{gone['id']}", headers=who.headers) as answer:
                assert answer.status == 204
        assert (await page(site, threads))["count"] == 0
        await read(site, one, status=404)
        await read(site, replies, status=404)

    async def test_another_instance_shows_it_soon(self, site: Running, tmp_path: Path) -> None:
        async with running(site.app[DATABASE].dsn, tmp_path, **RATES) as other:
            who = await person(site)
            for path in (under(63), under("release-21")):
                assert (await page(other, path))["count"] == 0
            made = await say(site, who, "Do you hear me?", 63)
            async with asyncio.timeout(5):
                for path in (under(63), under("release-21")):
                    while (await page(other, path))["results"] != [made]:  # noqa: ASYNC110
                        await asyncio.sleep(0.02)

    async def test_many_writes_make_one_rumour(self, site: Running) -> None:
        who = await person(site, role="moderator")
        with queries_seen() as names:
            await asyncio.gather(*(say(site, who, f"Noise {number}", 66) for number in range(30)))
            async with asyncio.timeout(5):
                while "tell" not in names or site.app[TALK]._untold:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        # What came at a time was written at a time.
        assert 2 <= names.count("post_many") <= 30
        assert 1 <= names.count("tell") <= 5

    async def test_a_release_that_is_hidden_takes_its_comments_along(self, site: Running) -> None:
        who = await person(site)
        made = await say(site, who, "Still here?", 69)
        await sql(site, "update releases set is_published = false where id = 69")
        for path in (under(69), f"{API}/comments/{made['id']}", f"{API}/comments/{made['id']}/replies"):
            await read(site, path, who, 404)
        other = await person(site)
        async with site.client.delete(f"{API}/comments/{made['id']}", headers=other.headers) as answer:
            await problem(answer, 404)
        # What they wrote is theirs to take back.
        async with site.client.delete(f"{API}/comments/{made['id']}", headers=who.headers) as answer:
            assert answer.status == 204
        await say(site, who, "And now?", 69, 404)
        await sql(site, "update releases set is_published = true where id = 69")
