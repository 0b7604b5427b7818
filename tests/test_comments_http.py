"""Comments over HTTP: what is taken and refused, who reads what, and how soon."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from server.keys import DATABASE, TALK
from server.schemas.comments import Comment, CommentPage
from tests.conftest import Server
from tests.http_fixture import SHARED, exchange, log_lines, problem, queries_seen, shared_site
from tests.people import Person, person, sql
from tests.running import Running, running

pytestmark = SHARED
API = "/api/v1"
ONE = msgspec.json.Decoder(Comment)
PAGE = msgspec.json.Decoder(CommentPage)
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
RATES = {"COMMENT_RATE_LIMIT": "100000/hour", "CACHE_TTL_COMMENTS": "600"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), **RATES) as started:
        yield started


def under(release: int | str = 3) -> str:
    return f"{API}/releases/{release}/comments"


async def say(
    site: Running, who: Person, text: str = "Well said.", release: int | str = 3, status: int = 201, **fields: Any
) -> dict[str, Any]:
    """A comment, or the problem that comes in its place."""
    async with site.client.post(under(release), json={"text": text, **fields}, headers=who.headers) as answer:
        if status != 201:
            return await problem(answer, status)
        body = await answer.read()
        assert answer.status == 201, body
        ONE.decode(body)
        made: dict[str, Any] = json.loads(body)
        assert answer.headers["Location"] == f"{API}/comments/{made['id']}"
        assert answer.headers["Cache-Control"] == "private, no-store"
        return made


async def read(site: Running, path: str, who: Person | None = None, status: int = 200) -> Any:
    async with site.client.get(path, headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == status, body
        return json.loads(body)


async def page(site: Running, path: str, who: Person | None = None) -> dict[str, Any]:
    """A page of comments, sound by its schema."""
    async with site.client.get(path, headers=who.headers if who else {}) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        PAGE.decode(body)
        found: dict[str, Any] = json.loads(body)
        return found


async def episodes(site: Running, release: int = 3) -> list[int]:
    """The ids of the episodes 1, 2, 3.5 and 4."""
    found: list[int] = await sql(
        site, "select array_agg(id order by ordinal) from episodes where release_id = $1", release
    )
    return found


async def watch(site: Running, who: Person, episode: int, position: int = 60, *, deleted: bool = False) -> None:
    await sql(
        site,
        """insert into progress (user_id, episode_id, release_id, position_seconds, completed, watched_seconds,
                                 changed_at, revision, deleted)
           select $1, id, release_id, $3, false, 60, now(), 1, $4 from episodes where id = $2""",
        who.id, episode, position, deleted,
    )  # fmt: skip


class TestWriting:
    async def test_a_comment_is_made_and_found_where_it_says(self, site: Running) -> None:
        who = await person(site, "Chatter-1")
        made = await say(site, who, "First!\nSecond line\twith a tab", 9, spoiler=True)
        assert made["author"] == {"id": who.id, "username": "Chatter-1"}
        assert (made["text"], made["spoiler"]) == ("First!\nSecond line\twith a tab", True)
        assert await read(site, f"{API}/comments/{made['id']}") == made
        assert (await page(site, under("release-3")))["results"] == [made]

    async def test_replies_stand_below_what_they_answer(self, site: Running) -> None:
        one, two = await person(site), await person(site)
        top = await say(site, one, "A question", 12)
        low = await say(site, two, "An answer", 12, parent_id=top["id"])
        lower = await say(site, one, "Thanks", 12, parent_id=low["id"])
        assert (low["depth"], low["parent_id"], lower["depth"]) == (1, top["id"], 2)
        found = await page(site, under(12))
        assert (found["count"], [row["replies_count"] for row in found["results"]]) == (1, [1])
        found = await page(site, f"{API}/comments/{top['id']}/replies")
        assert (found["count"], [row["id"] for row in found["results"]]) == (1, [low["id"]])

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ({}, ["/text"]),
            ({"text": ""}, ["/text"]),
            ({"text": " \n"}, ["/text"]),
            ({"text": "x" * 1001}, ["/text"]),
            ({"text": "x" * 20_000}, ["/text"]),
            ({"text": "a\x00b"}, ["/text"]),
            ({"text": "\u202eevil"}, ["/text"]),
            ({"text": None}, ["/text"]),
            ({"text": "\x07", "spoiler": "yes", "extra": 1}, ["/spoiler", "/extra", "/text"]),
            ({"text": "sound", "parent_id": 0}, ["/parent_id"]),
            ({"text": "sound", "parent_id": 2**63}, ["/parent_id"]),
            ({"text": "sound", "parent_id": 2**62}, ["/parent_id"]),
            ({"text": "sound", "episode_id": 2**62}, ["/episode_id"]),
        ],
    )
    async def test_what_does_not_fit_is_told_field_by_field(
        self, site: Running, body: dict[str, Any], pointers: list[str]
    ) -> None:
        who = await person(site)
        async with site.client.post(under(), json=body, headers=who.headers) as answer:
            document = await problem(answer, 422)
        assert sorted(fault["pointer"] for fault in document["errors"]) == sorted(pointers)
        assert await sql(site, "select count(*) from comments where user_id = $1", who.id) == 0

    async def test_half_a_surrogate_pair_is_no_json(self, site: Running) -> None:
        who = await person(site)
        headers = who.headers | {"Content-Type": "application/json"}
        async with site.client.post(under(), data=b'{"text": "a \\ud800"}', headers=headers) as answer:
            await problem(answer, 400)

    async def test_nobody_speaks_without_an_account_or_about_nothing(self, site: Running) -> None:
        async with site.client.post(under(), json={"text": "x"}) as answer:
            await problem(answer, 401)
        who = await person(site)
        for nothing in (1, 2**40, "9" * 19, "no-such-release", "%00", 97 * 3):
            await say(site, who, "x", nothing, 404)
        async with site.client.post(
            under(), data=b"text", headers=who.headers | {"Content-Type": "text/plain"}
        ) as answer:
            await problem(answer, 415)

    async def test_threads_have_a_bottom(self, site: Running) -> None:
        who, above = await person(site, role="moderator"), None
        for _ in range(8):
            above = (await say(site, who, "Deeper", 15, parent_id=above))["id"]
        document = await say(site, who, "Too deep", 15, 422, parent_id=above)
        assert [fault["pointer"] for fault in document["errors"]] == ["/parent_id"]

    async def test_a_family_is_one_character(self, site: Running) -> None:
        who = await person(site, role="moderator")
        assert (await say(site, who, FAMILY * 1000))["text"] == FAMILY * 1000
        await say(site, who, FAMILY * 1001, status=422)

    async def test_every_naughty_string_comes_back_as_it_was_or_is_refused(
        self, site: Running, shared_data: Path
    ) -> None:
        strings = json.loads((shared_data / "strings" / "blns.json").read_text("utf-8"))
        strings += [
            "Ñandú olé",
            "n\u0303",
            "Все серии — огонь 🔥",
            "最終回で泣いた😭",
            "عمل رائع",
            "מצוין",
            "ดีมาก",
            "बहुत अच्छा",
        ]
        who, gone = await person(site, role="moderator"), 0
        for start in range(0, len(strings), 20):
            gone += sum(await asyncio.gather(*(self.sent(site, who, text) for text in strings[start : start + 20])))
        assert 5 <= gone < 60

    async def sent(self, site: Running, who: Person, text: str) -> bool:
        """Whether it was refused."""
        async with site.client.post(under(18), json={"text": text}, headers=who.headers) as answer:
            if answer.status == 422:
                return True
            made = await answer.json()
            assert answer.status == 201
        kept = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
        assert made["text"] == kept
        assert (await read(site, f"{API}/comments/{made['id']}"))["text"] == kept
        return False

    async def test_asking_twice_with_one_key_says_it_once(self, site: Running) -> None:
        who = await person(site)
        answers = []
        for _ in range(2):
            async with site.client.post(
                under(21), json={"text": "Once"}, headers=who.headers | {"Idempotency-Key": "one"}
            ) as answer:
                assert answer.status == 201
                answers.append((await answer.read(), answer.headers.get("Idempotency-Replayed")))
        assert (answers[0][0], answers[0][1], answers[1][1]) == (answers[1][0], None, "true")
        assert (await page(site, under(21)))["count"] == 1

    async def test_a_new_account_with_a_link_waits_for_a_moderator(self, site: Running) -> None:
        who, other, moderator = await person(site), await person(site), await person(site, role="moderator")
        held = await say(site, who, "Look at https://example.org/free", 24)
        assert (held["state"], held["held_for"]) == ("pending", ["links"])
        path = f"{API}/comments/{held['id']}"
        assert (await page(site, under(24)))["count"] == 0
        await read(site, path, status=404)
        await read(site, path, other, 404)
        assert await read(site, path, who) == held
        assert await read(site, path, moderator) == held


class TestChanging:
    async def test_words_are_changed_by_their_author(self, site: Running) -> None:
        who, other = await person(site), await person(site)
        made = await say(site, who, "Befor", 27)
        path = f"{API}/comments/{made['id']}"
        async with site.client.patch(path, json={"text": "Before"}, headers=who.headers) as answer:
            changed = await answer.json()
            assert answer.status == 200
        assert (changed["text"], changed["created_at"]) == ("Before", made["created_at"])
        assert changed["edited_at"] is not None
        assert await read(site, path) == changed
        for headers, body, status in (
            (other.headers, {"text": "Mine"}, 403), ({}, {"text": "Mine"}, 401), (who.headers, {"text": " "}, 422),
            (who.headers, {"text": None}, 422), (who.headers, {"parent_id": 3}, 422),
        ):  # fmt: skip
            async with site.client.patch(path, json=body, headers=headers) as answer:
                await problem(answer, status)
        async with site.client.patch(f"{API}/comments/{2**40}", json={}, headers=who.headers) as answer:
            await problem(answer, 404)

    async def test_after_a_quarter_of_an_hour_words_stand(self, site: Running) -> None:
        who = await person(site)
        made = await say(site, who, "Carved in stone", 27)
        await sql(site, "update comments set created_at = now() - interval '15 minutes' where id = $1", made["id"])
        path = f"{API}/comments/{made['id']}"
        async with site.client.patch(path, json={"text": "Not so"}, headers=who.headers) as answer:
            await problem(answer, 409)
        async with site.client.patch(path, json={"spoiler": True}, headers=who.headers) as answer:
            assert (await answer.json())["spoiler"] is True

    async def test_a_comment_goes_and_its_thread_stays(self, site: Running) -> None:
        who, other = await person(site), await person(site)
        made = await say(site, who, "Never mind", 30)
        low = await say(site, other, "But I do", 30, parent_id=made["id"])
        path = f"{API}/comments/{made['id']}"
        async with site.client.delete(path, headers=other.headers) as answer:
            await problem(answer, 403)
        for _ in range(2):
            async with site.client.delete(path, headers=who.headers) as answer:
                assert (answer.status, await answer.read()) == (204, b"")
        (gap,) = (await page(site, under(30)))["results"]
        assert (gap["hidden"], gap["author"], gap["replies_count"]) == ("deleted", None, 1)
        assert "text" not in gap
        async with site.client.delete(f"{API}/comments/{low['id']}", headers=other.headers) as answer:
            assert answer.status == 204
        assert (await page(site, under(30)))["results"] == []
        await read(site, path, status=404)
        await read(site, path, who, 404)
        async with site.client.delete(path, headers=other.headers) as answer:
            await problem(answer, 404)

    async def test_a_moderator_who_deletes_hides_and_that_is_a_decision(self, site: Running) -> None:
        who, moderator = await person(site), await person(site, role="moderator")
        made = await say(site, who, "Rude", 72)
        low = await say(site, who, "Ruder", 72, parent_id=made["id"])
        assert (await page(site, under(72)))["results"] == [made | {"replies_count": 1}]
        path = f"{API}/comments/{made['id']}"
        for _ in range(2):
            async with site.client.delete(path, headers=moderator.headers) as answer:
                assert answer.status == 204
        (gap,) = (await page(site, under(72)))["results"]
        assert (gap["hidden"], gap["state"], gap["author"]) == ("moderated", "hidden", None)
        decided = "select state_after from moderation_decisions where target_id = $1 and moderator_id = $2"
        assert await sql(site, decided, made["id"], moderator.id) == "hidden"
        # Its author sees what became of it, moderators what it said.
        assert (await read(site, path, who))["state"] == "hidden"
        assert (await read(site, path, moderator))["text"] == "Rude"
        assert (await page(site, under(72), moderator))["results"][0]["text"] == "Rude"
        async with site.client.patch(path, json={"text": "Polite"}, headers=who.headers) as answer:
            await problem(answer, 409)
        assert (await read(site, f"{API}/comments/{low['id']}"))["text"] == "Ruder"


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
        assert log_lines(site)[-1]["cache"] == "hit"
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
                while "tell" not in names:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert names.count("post") == 30
        assert 1 <= names.count("tell") <= 5
        assert site.app[TALK].take() == set()

    async def test_a_release_that_is_hidden_takes_its_comments_along(self, site: Running) -> None:
        who = await person(site)
        made = await say(site, who, "Still here?", 69)
        await sql(site, "update releases set is_published = false where id = 69")
        for path in (under(69), f"{API}/comments/{made['id']}", f"{API}/comments/{made['id']}/replies"):
            await read(site, path, who, 404)
        async with site.client.delete(f"{API}/comments/{made['id']}", headers=who.headers) as answer:
            await problem(answer, 404)
        await say(site, who, "And now?", 69, 404)
        await sql(site, "update releases set is_published = true where id = 69")
