"""What makes a text wait for a moderator: links however they are written, and what its author has said before."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from server.rules.holding import folded, has_link
from sql import comments
from sql.comments import Change, Reader
from tests import judging
from tests.commenting import make_users, post
from tests.seeding import seed_releases

LINKS = (
    "see http://a.b", "HTTPS://EXAMPLE.COM", "hxxp://bad.site", "tg://resolve?domain=x", "http : // x.y", "www.foo.bar",
    "WWW . foo", "example.com", "Example.Com.", "(example.com)", "ｅｘａｍｐｌｅ．ｃｏｍ", "exam\u200bple.c\u200bom",
    "e\u0336xample.com", "example dot com", "example DOT com", "example [.] com", "example(dot)com", "example . com",
    "go to t.me/abc", "bit.ly/3x", "discord.gg/xyz", "сайт точка ру", "пример.рф", "example。com", "例え.com",
    "mail me: a@b.com", "1.2.3.4:8080/x", "xn--e1afmkfd.xn--p1ai",
    "evil.me", "evil.ai", "go.evil.to", "EVIL.ME", "evil[.]me", "evil (dot) to", "evil。me", "[x](//evil.zone)",
    "[x](//host/path)", "[x]( <//host>)", "[x](/\\host)", "//evil.zone", "(//evil.zone)", "ev\u0305il.c\u0332om",
)  # fmt: skip
UNSEEN = "\u00ad\u200e\u200f\u034f\u2061\u2062\u2063\u2064\u3164\uffa0\u1160\u2800\u180e\U000e0000\U000e0041\U000e007f"
WORDS = (
    "Just fine.", "I liked it. So much", "I liked it.So much", "e.g. this", "Re:Zero / Steins;Gate", "9.5/10",
    "version 1.2.3.4", "great...what", "the dot-com bubble", "面白い。作画/音楽", "すごい。次も見る", "Node.js is fine",
    "and/or", "S2.E5", "https is fine", "the end.\nNext", "ep.7/12", "Хорошо.Жду", "5:30 / 6:30", "w w w", "",
    "I liked it.To be honest", "i liked it.to be honest", "Great finale.To me it was", "Thank you.Me too",
    "connect the dot to the other", "and//or", "// a note", "[spoiler] (he dies)", "[x](/releases/3)", "me. to",
)  # fmt: skip


@pytest.mark.parametrize("text", LINKS)
def test_a_link_is_found_however_it_is_written(text: str) -> None:
    assert has_link(text)
    assert has_link(f"Look at this, {text} and tell me\nwhat you think.")


@pytest.mark.parametrize("text", WORDS)
def test_what_looks_a_little_like_a_link_is_none(text: str) -> None:
    assert not has_link(text)


@pytest.mark.parametrize(
    "piece", ["a.", "a-", "a.b ", "a(dot)", "a dot ", "ab:/", "www.", "x" * 60 + ".", "面白い。", "1.1.1."]
)
def test_looking_for_links_takes_no_longer_the_more_a_text_is_made_for_it(piece: str) -> None:
    text = piece * (5000 // len(piece))
    best = 1.0
    for _ in range(3):
        started = time.perf_counter()
        has_link(text)
        best = min(best, time.perf_counter() - started)
    assert best < 0.05


def test_texts_are_compared_without_case_width_and_what_nobody_sees() -> None:
    assert folded(" Ｂｕｙ\u200b  it\u00a0NOW\n") == "buy it now"
    for (
        unseen
    ) in "\u0305\u0332\u0333\u0488\u0489\u1ab0\u1aff\u1dc0\u1dff\ufe20\ufe2f\U0001bca0\U00013430\U0001343f\U00016fe4":
        assert folded(f"b{unseen}uy") == "buy", ascii(unseen)
    assert folded("İé") == "i̇é"
    assert folded("e\u0301") == "é"


async def reasons(conn: Any, author: int, release: int, text: str = "Something", **given: bool) -> list[str]:
    found: list[str] = await conn.fetchval(
        "select hold_reasons($1, $2, $3, $4, $5, $6)", author, release, text, given.get("has_link", False),
        given.get("worded", False), given.get("is_review", False),
    )  # fmt: skip
    return found


async def test_links_are_for_accounts_of_three_days_or_with_five_things_said(conn: Any) -> None:
    (release,) = await seed_releases(conn, 1)
    (new,), (old,), (moderator,) = (
        await make_users(conn, 1, "user", "71 hours"), await make_users(conn, 1, "user", "73 hours"),
        await make_users(conn, 1, "moderator", "1 hour"),
    )  # fmt: skip
    assert await reasons(conn, new, release, has_link=True) == ["links"]
    assert await reasons(conn, new, release) == []
    assert await reasons(conn, old, release, has_link=True) == []
    assert await reasons(conn, moderator, release, has_link=True, worded=True) == []
    for number in range(4):
        await post(conn, new, release)
        assert await reasons(conn, new, release, has_link=True) == ["links"], number
    # What waits or was taken away does not speak for anybody.
    held = (await post(conn, new, release, worded=True)).comment_id
    assert await reasons(conn, new, release, has_link=True) == ["links"]
    await judging.settle(conn, "comment", held or 0, "visible")
    assert await reasons(conn, new, release, has_link=True) == []


async def test_the_tenth_within_a_minute_waits_and_the_fifth_release_of_a_young_account(conn: Any) -> None:
    releases = await seed_releases(conn, 5)
    (young,), (old,) = await make_users(conn, 1, "user", "1 hour"), await make_users(conn, 1, "user")
    for release in releases[:4]:
        await post(conn, young, release)
        await post(conn, old, release)
    assert await reasons(conn, young, releases[4]) == ["flood"]
    assert await reasons(conn, young, releases[0]) == []
    assert await reasons(conn, old, releases[4]) == []
    for _ in range(5):
        await post(conn, old, releases[0])
    assert await reasons(conn, old, releases[0]) == ["flood"]
    assert await reasons(conn, old, releases[0], is_review=True) == []
    await conn.execute("update comments set created_at = created_at - interval '61 s'")
    assert await reasons(conn, old, releases[0]) == []
    assert await reasons(conn, young, releases[4]) == ["flood"]
    await conn.execute("update comments set created_at = created_at - interval '10 minutes'")
    assert await reasons(conn, young, releases[4]) == []


async def test_the_third_time_waits_deleted_ones_included_and_a_day_later_no_longer(conn: Any) -> None:
    releases = await seed_releases(conn, 3)
    who, other = await make_users(conn, 2, "user")
    await post(conn, who, releases[0], text="Same old story, friends!")
    assert await reasons(conn, who, releases[1], "SAME  old\u200b story friends") == []
    second = await post(conn, who, releases[1], text="Ｓａｍｅ old story; friends...")
    await conn.execute("update comments set deleted_at = now() where id = $1", second.comment_id)
    assert await reasons(conn, who, releases[2], "same old story, friends") == ["repeated"]
    assert await reasons(conn, who, releases[2], "same old story, enemies") == []
    assert await reasons(conn, other, releases[2], "same old story, friends") == []
    # Changing a text into what one has said twice is saying it again; leaving it as it is, is not.
    third = (await post(conn, who, releases[2])).comment_id
    edit = "select hold_reasons($1, $2, $3, false, false, false, $4)"
    assert await conn.fetchval(edit, who, releases[2], "same old story friends", third) == ["repeated"]
    assert await conn.fetchval(edit, who, releases[1], "same old story friends", second.comment_id) == []
    await conn.execute("update comments set created_at = created_at - interval '24 hours'")
    assert await reasons(conn, who, releases[2], "same old story, friends") == []


async def test_what_moderators_have_hidden_waits_when_it_is_said_again_within_thirty_days(conn: Any) -> None:
    releases = await seed_releases(conn, 2)
    who, other = await make_users(conn, 2, "user")
    text = "Same old story, friends! " + judging.TEXT
    hidden = (await post(conn, who, releases[0], text=text)).comment_id
    assert hidden is not None
    assert await reasons(conn, who, releases[1], text) == []
    await judging.settle(conn, "comment", hidden, "hidden")
    assert await reasons(conn, who, releases[1], text.upper()) == ["repeated"]
    assert await reasons(conn, who, releases[1], text, is_review=True) == ["repeated"]
    assert await reasons(conn, who, releases[1], "Something else") == []
    assert await reasons(conn, other, releases[1], text) == []
    # Deleting it first does not help, nor does changing something else into it.
    await comments.delete(conn, Reader(who), hidden)
    again = await post(conn, who, releases[0], text=text)
    assert again.state == "pending"
    harmless = (await post(conn, who, releases[0])).comment_id
    edited = await comments.edit(conn, Reader(who), harmless or 0, Change(text, None, False, False))
    assert json.loads(edited.document)["held_for"] == ["repeated"]
    await conn.execute("delete from comments where id <> $1", hidden)
    await conn.execute("update comments set created_at = created_at - interval '29 days 23 hours'")
    assert await reasons(conn, who, releases[1], text) == ["repeated"]
    await conn.execute("update comments set created_at = created_at - interval '2 hours'")
    assert await reasons(conn, who, releases[1], text) == []
    await judging.review(conn, who, releases[0], text=text)
    await conn.execute("update reviews set state = 'hidden'")
    assert await reasons(conn, who, releases[1], text) == ["repeated"]


async def test_emoji_alone_are_not_all_the_same(conn: Any) -> None:
    alike = "select likeness($1) = likeness($2)"
    for one, other, same in (
        ("👍", "😀", False), ("!!!", "???", False), ("КУПИ Слона", "купи слона.", True), ("ﬁne", "FINE", True),
        ("潮の番人。", "潮の番人", True), ("a1", "a2", False), ("b\u200buy now", "BUY NOW!", True),
        *((f"b{unseen}uy", "buy", True) for unseen in UNSEEN), ("e\u034f\u0301", "é", True), ("ｱ｡", "ア", True),
        ("\U000e0100", "\U000e0101", False),
    ):  # fmt: skip
        assert await conn.fetchval(alike, one, other) is same, (one, other)


async def test_what_is_held_is_written_down_with_all_its_reasons(conn: Any) -> None:
    (release,), (new,) = await seed_releases(conn, 1), await make_users(conn, 1, "user", "1 hour")
    made = await post(conn, new, release, has_link=True, worded=True)
    assert made.state == "pending"
    row = await conn.fetchrow("select state_before, state_after, held_for, moderator_id from moderation_decisions")
    assert tuple(row) == ("new", "pending", ["links", "words"], None)
    review = await judging.review(conn, new, release, has_link=True)
    found = await conn.fetchrow(
        "select held_for, counted, queued_at = created_at from reviews where id = $1", review.review_id
    )
    assert tuple(found) == (["links"], False, True)
