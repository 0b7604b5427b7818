"""Word rules: what they meet, how fast, who keeps them, and when they are in force; tried before anybody meets them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from server.bodies import word_rules as bodies
from server.keys import DATABASE, WORDS
from server.rules.words import Action, Kind, Rule, Words, comparable
from server.schemas.word_rules import DryRunResult, WordRule, WordRulePage
from sql.word_rules import Said
from tests.conftest import Server
from tests.http_fixture import SHARED, problem, shared_site
from tests.people import Person, person, restore_quotas, sql
from tests.running import Running, running
from tests.working import until

RULES = "/api/v1/admin/moderation/rules"


def on_site(test: Any) -> Any:
    for mark in SHARED:
        test = mark(test)
    return test


def meets(pattern: str, kind: Kind, text: str) -> bool:
    found = comparable(pattern)
    assert found is not None
    return Words([Rule(found, kind, "hold")]).verdict(text) == "hold"


@pytest.mark.parametrize(
    ("pattern", "kind", "text", "met"),
    [
        ("spam", "word", "This is SPAM!", True),
        ("spam", "word", "spam", True),
        ("spam", "word", "antispam, spammer, spam1", False),
        ("spam", "word", "_spam_", True),
        ("spam_word", "word", "a spam_word!", True),
        ("spam", "word", "s\u0305p\u0332a\u0489m\u1ab0", True),
        ("spam", "phrase", "antispammer", True),
        ("spam", "word", "s\u200bp\u00ada\u2060m", True),
        ("spam", "word", "ｓｐａｍ", True),
        ("spam", "word", "𝐬𝐩𝐚𝐦", True),
        ("spam", "word", "s\u0336p\u0336a\u0336m\u0336", True),
        ("s\u200bpam", "word", "spam", True),
        ("buy  now", "phrase", "BUY\n\u3000now", True),
        ("cafe", "word", "café", False),
        ("cafe", "word", "cafe\u0301", False),
        ("café", "word", "CAFE\u0301", True),
        ("straße", "word", "STRASSE", True),
        ("купи", "word", "КУПИ слона", True),
        ("купи", "word", "покупи", False),
        ("出会い系", "word", "この出会い系サイトは", True),
        ("spam", "word", "これはspamです", True),
        ("스팸", "word", "스팸입니다", True),
        ("สแปม", "word", "นี่คือสแปมนะ", True),
        ("c++", "word", "I hate c++ a lot", True),
        (".*", "phrase", "anything", False),
        (".*", "phrase", "what .* is this", True),
        ("(a+)+$", "phrase", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", False),
        ("🍌🍌", "phrase", "oh 🍌🍌🍌", True),
        ("i̇stanbul", "word", "İSTANBUL", True),
    ],
)
def test_what_a_rule_meets(pattern: str, kind: Kind, text: str, met: bool) -> None:
    assert meets(pattern, kind, text) is met


def test_a_pattern_needs_something_to_compare() -> None:
    assert [comparable(pattern) for pattern in ("a", "\u200b\u200b", " a ", "ﷺ" * 12, "x" * 201)] == [None] * 5
    assert comparable(" Buy\tNOW ") == "buy now"


def test_the_strictest_of_all_rules_counts() -> None:
    words = Words([Rule("lamp", "word", "hold"), Rule("amp", "phrase", "refuse"), Rule("oil lamp", "phrase", "hold")])
    assert [words.verdict(text) for text in ("an oil lamp", "oil", "lam", "champ")] == ["refuse", None, None, "refuse"]
    assert Words([]).verdict("anything") is None


def plainly(rules: list[Rule], text: str) -> Action | None:
    """The same, by looking for one rule after the other."""
    import re  # noqa: PLC0415 - only here

    verdict: Action | None = None
    for pattern, kind, action in rules:
        bounded = rf"(?<![a-z]){re.escape(pattern)}(?![a-z])"
        # At every place: matches may lie over one another.
        places = (match.start() for match in re.finditer(rf"(?={re.escape(pattern)})", text))
        if any(kind == "phrase" or re.compile(bounded).match(text, place) for place in places):
            verdict = "refuse" if "refuse" in (verdict, action) else "hold"
    return verdict


def test_it_finds_what_looking_for_each_rule_alone_finds() -> None:
    chance = random.Random(5)
    kinds: list[Kind] = ["word", "phrase"]
    actions: list[Action] = ["hold", "hold", "hold", "refuse"]
    met = 0
    for _ in range(3000):
        rules = [
            Rule("".join(chance.choices("ab", k=chance.randint(2, 5))), chance.choice(kinds), chance.choice(actions))
            for _ in range(chance.randint(1, 6))
        ]
        text = " ".join("".join(chance.choices("ab", k=chance.randint(1, 6))) for _ in range(chance.randint(1, 3)))
        verdict = plainly(rules, text)
        assert Words(rules).verdict(text) == verdict, (rules, text)
        met += verdict is not None
    assert met > 1000


def nested(kind: Kind) -> list[Rule]:
    """Each is the end of all longer ones."""
    return [Rule("a" * length, kind, "refuse" if kind == "word" else "hold") for length in range(2, 201)]


def nearly() -> list[Rule]:
    """Each begins like what is said, and ends otherwise at its last sign."""
    return [Rule("a" * (n % 100 + 90) + "bcdef"[n // 100], "phrase", "hold") for n in range(500)]


def ordinary() -> list[Rule]:
    chance = random.Random(3)
    return [
        Rule("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(4, 12))), "word", "refuse")
        for _ in range(500)
    ]


@pytest.mark.parametrize("make", [ordinary, nearly, lambda: nested("word"), lambda: nested("phrase")])
@pytest.mark.parametrize("text", ["a" * 5000, "ba " * 1666, "the tide turns " * 333, "潮の番人" * 1250])
def test_five_hundred_rules_and_five_thousand_characters_take_milliseconds(
    make: Callable[[], list[Rule]], text: str
) -> None:
    words, best = Words(make()), 1.0
    for _ in range(3):
        started = time.perf_counter()
        words.verdict(text)
        best = min(best, time.perf_counter() - started)
    # 1 to 3 ms where nothing else runs; what grows with the rules takes a hundred times as long.
    assert best < 0.03


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with shared_site(server, tmp_path_factory.mktemp("site"), COMMENT_RATE_LIMIT="0/hour") as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def moderator(site: Running) -> Person:
    return await person(site, role="moderator")


async def call(site: Running, method: str, path: str, who: Person, body: Any = None, status: int = 200) -> Any:
    async with site.client.request(method, path, json=body, headers=who.headers) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json() if answer.content_type == "application/json" else None


async def refused(site: Running, method: str, path: str, who: Person, body: Any, status: int) -> list[str]:
    async with site.client.request(method, path, json=body, headers=who.headers) as answer:
        return [fault["pointer"] for fault in (await problem(answer, status)).get("errors", ())]


async def make(site: Running, who: Person, pattern: str, kind: str = "word", action: str = "hold", **more: Any) -> Any:
    body = {"pattern": pattern, "kind": kind, "action": action, **more}
    return await call(site, "POST", RULES, who, body, 201)


async def say(site: Running, text: str, release: int = 3) -> tuple[int, Any]:
    """What somebody unlike all others gets for saying this."""
    who = await person(site)
    path = f"/api/v1/releases/{release}/comments"
    async with site.client.post(path, json={"text": text}, headers=who.headers) as answer:
        return answer.status, await answer.json()


@on_site
async def test_a_rule_is_in_force_from_the_answer_on_and_no_longer_once_it_is_off(
    site: Running, moderator: Person
) -> None:
    assert (await say(site, "Wombats are here"))[1]["state"] == "visible"
    rule = await make(site, moderator, "WOMBATS", note="Too many of them.")
    assert msgspec.convert(rule, WordRule).pattern == "wombats"
    held = (await say(site, "wom\u200bbats were here"))[1]
    assert (held["state"], held["held_for"]) == ("pending", ["words"])
    path = f"{RULES}/{rule['id']}"
    assert (await call(site, "PATCH", path, moderator, {"action": "refuse", "note": None}))["note"] == ""
    status, found = await say(site, "Wombats!")
    assert (status, found["errors"][0]["pointer"]) == (422, "/text")
    await call(site, "PATCH", path, moderator, {"enabled": False})
    assert (await say(site, "Wombats again"))[1]["state"] == "visible"
    await call(site, "PATCH", path, moderator, {"enabled": True})
    assert (await say(site, "Wombats again"))[0] == 422
    await call(site, "DELETE", path, moderator, status=204)
    assert (await say(site, "Wombats for ever"))[1]["state"] == "visible"
    assert await refused(site, "DELETE", path, moderator, None, 404) == []
    assert await refused(site, "PATCH", path, moderator, {"enabled": True}, 404) == []


@on_site
async def test_moderators_are_not_held_by_words(site: Running, moderator: Person) -> None:
    await make(site, moderator, "narwhal")
    made = await call(site, "POST", "/api/v1/releases/3/comments", moderator, {"text": "A narwhal"}, 201)
    assert made["state"] == "visible"


@on_site
async def test_an_edit_and_a_review_are_looked_at_as_well(site: Running, moderator: Person) -> None:
    await make(site, moderator, "axolotl")
    who = await person(site)
    made = await call(site, "POST", "/api/v1/releases/3/comments", who, {"text": "Innocent"}, 201)
    changed = await call(site, "PATCH", f"/api/v1/comments/{made['id']}", who, {"text": "An axolotl"})
    assert changed["state"] == "pending"
    draft = {"rating": 5, "text": "It has an axolotl in it. " + "And much else. " * 10}
    assert (await call(site, "POST", "/api/v1/releases/6/reviews", who, draft, 201))["state"] == "pending"


@on_site
async def test_rules_are_listed_the_newest_first_and_there_is_one_of_each(site: Running, moderator: Person) -> None:
    first, second = await make(site, moderator, "quokka"), await make(site, moderator, "quokka", "phrase")
    page = await call(site, "GET", f"{RULES}?limit=2", moderator)
    msgspec.convert(page, WordRulePage)
    assert [one["id"] for one in page["results"]] == [second["id"], first["id"]]
    assert page["results"][0]["created_by"]["id"] == moderator.id
    same = {"pattern": " QUOKKA", "kind": "word", "action": "refuse"}
    assert await refused(site, "POST", RULES, moderator, same, 409) == []
    assert await refused(site, "PATCH", f"{RULES}/{second['id']}", moderator, {"kind": "word"}, 409) == []
    for body, where in (
        ({"pattern": "x", "kind": "word", "action": "hold"}, "/pattern"),
        ({"pattern": "\u200b\u200b\u200b", "kind": "word", "action": "hold"}, "/pattern"),
        ({"pattern": "a\x00b", "kind": "word", "action": "hold"}, "/pattern"),
        ({"pattern": "ab" + "\u0315\u0300" * 16, "kind": "word", "action": "hold"}, "/pattern"),
        ({"pattern": "fine", "kind": "word", "action": "hold", "note": "a" + "\u0301\u0315" * 16}, "/note"),
        ({"pattern": "x" * 201, "kind": "word", "action": "hold"}, "/pattern"),
        ({"pattern": "fine", "kind": "regex", "action": "hold"}, "/kind"),
        ({"pattern": "fine", "kind": "word", "action": "shout"}, "/action"),
        ({"pattern": "fine", "kind": "word", "action": "hold", "note": "\x00"}, "/note"),
    ):
        assert await refused(site, "POST", RULES, moderator, body, 422) == [where]


@on_site
async def test_a_rule_is_tried_on_the_last_thousand_comments_and_nothing_happens_to_them(
    site: Running, moderator: Person
) -> None:
    author = await person(site)
    await sql(
        site,
        """insert into comments (release_id, user_id, text, counted, listed, announced, created_at)
           select 9, $1, case when n % 20 = 0 then 'A PLATY\u200bPUS, number ' || n else 'A platypuses ' || n end,
                  true, true, true, now() + n * interval '1 ms'
           from generate_series(1, 1200) n""",
        author.id,
    )
    found = await call(site, "POST", f"{RULES}/dry-run", moderator, {"pattern": "Platypus", "kind": "word"})
    msgspec.convert(found, DryRunResult)
    assert (found["looked_at"], found["matches"], len(found["comments"])) == (1000, 50, 20)
    assert found["comments"][0]["text"] == "A PLATY\u200bPUS, number 1200"
    everywhere = await call(site, "POST", f"{RULES}/dry-run", moderator, {"pattern": "platypus", "kind": "phrase"})
    assert everywhere["matches"] == 1000
    assert await sql(site, "select count(*) from comments where release_id = 9 and state <> 'visible'") == 0
    assert (await say(site, "A platypus"))[1]["state"] == "visible"
    assert await refused(site, "POST", f"{RULES}/dry-run", moderator, {"pattern": "a", "kind": "word"}, 422) == [
        "/pattern"
    ]


@on_site
async def test_rules_are_tried_one_after_another_and_in_slices(
    site: Running, moderator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    author = await person(site)
    await sql(
        site,
        """insert into comments (release_id, user_id, text, counted, listed, announced, created_at)
           select 12, $1, repeat('A long story. ', 60) || n, true, true, true,
                  now() + interval '5 s'
           from generate_series(1, 60) n""",
        author.id,
    )
    look, busy, most, sizes = bodies._met, 0, 0, list[int]()

    def watched(words: Words, said: Sequence[Said]) -> list[int]:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        sizes.append(sum(len(one.text) for one in said))
        # Time for others to come in between, if they may.
        Event().wait(0.005)
        found = look(words, said)
        busy -= 1
        return found

    monkeypatch.setattr(bodies, "_met", watched)
    body = {"pattern": "long story", "kind": "phrase"}
    found = await asyncio.gather(*(call(site, "POST", f"{RULES}/dry-run", moderator, body) for _ in range(4)))
    assert {one["matches"] for one in found} == {60}
    assert most == 1
    assert len(sizes) >= 4 * 5
    assert max(sizes) <= bodies.SLICE


@on_site
async def test_waiting_for_others_trials_has_an_end(
    site: Running, moderator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.05)
    body = {"pattern": "whatever", "kind": "word"}
    async with site.app[WORDS].trial:
        assert await refused(site, "POST", f"{RULES}/dry-run", moderator, body, 503) == []
    await call(site, "POST", f"{RULES}/dry-run", moderator, body)


@on_site
async def test_another_instance_hears_of_a_rule_and_one_that_starts_has_it(
    site: Running, moderator: Person, tmp_path: Path
) -> None:
    before = await make(site, moderator, f"capybara{uuid4().hex[:6]}", action="refuse")
    async with running(site.app[DATABASE].dsn, tmp_path) as other:
        assert other.app[WORDS].verdict(before["pattern"]) == "refuse"
        later = await make(site, moderator, f"tapir{uuid4().hex[:6]}", action="refuse")

        async def heard() -> bool:
            return other.app[WORDS].verdict(f"a {later['pattern']}!") == "refuse"

        await until(heard, 5.0)


@on_site
async def test_there_is_an_end_to_rules(site: Running, moderator: Person) -> None:
    await sql(
        site,
        """insert into word_rules (pattern, kind, action)
           select 'filler' || n, 'word', 'hold' from generate_series(1, 500 - (select count(*) from word_rules)) n""",
    )
    body = {"pattern": "one too many", "kind": "word", "action": "hold"}
    assert await refused(site, "POST", RULES, moderator, body, 409) == []
    await sql(site, "delete from word_rules where pattern like 'filler%'")
    restore_quotas(site)
