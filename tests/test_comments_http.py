"""Comments over HTTP: what is taken and what is refused, how they change and go."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.commenting_http import API, RATES, page, read, say, under
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.outboxes import drain
from tests.people import Person, person, sql
from tests.running import Running

pytestmark = SHARED
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), **RATES) as started:
        yield started


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

    async def test_whoever_is_answered_is_told_once_and_nobody_of_their_own_answer(self, site: Running) -> None:
        one, two = await person(site), await person(site)
        top = await say(site, one, "Anybody?", 75)
        low = await say(site, two, "Me", 75, parent_id=top["id"])
        await say(site, one, "Hello me", 75, parent_id=top["id"])
        await drain(site)
        async with asyncio.timeout(5):
            while not (told := (await read(site, f"{API}/notifications", one))["results"]):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert [(row["type"], row["target"]["id"]) for row in told] == [("reply", low["id"])]
        assert (await read(site, f"{API}/notifications", two))["results"] == []

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
