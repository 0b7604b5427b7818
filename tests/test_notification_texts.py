"""How notifications are told, in English and Russian. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.rules.notification_letters import Reader, letter
from server.rules.notifications import (
    CHOICES,
    HEADLINES,
    TYPES,
    News,
    Shown,
    bits,
    collapse,
    digest_text,
    document,
    types_of,
)

NOW = datetime(2026, 11, 14, 18, 30, tzinfo=UTC)
EPISODE = Shown(
    7, 1, "new_episode", "episode", 511, {}, 42, "keepers", "Keepers {x}", "7.5", None, read=False, locale="en",
    created_at=NOW,
)  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "english", "russian"),
    [
        ({"new_episode": 7}, "7 new episodes", "7 новых серий"),
        ({"new_episode": 1, "reply": 2}, "1 new episode, 2 replies", "1 новая серия, 2 ответа"),
        ({"new_release": 21, "recommendation": 11}, "21 new releases, 11 recommendations",
         "21 новый релиз, 11 рекомендаций"),
        ({"moderation": 22, "new_episode": 114}, "114 new episodes, 22 moderators' decisions",
         "114 новых серий, 22 решения модераторов"),
        ({}, "", ""),
    ],
)  # fmt: skip
def test_a_digest_counts_as_people_do(counts: dict[str, int], english: str, russian: str) -> None:
    assert (digest_text(counts, "en"), digest_text(counts, "ru")) == (english, russian)


@pytest.mark.parametrize(
    ("changes", "english", "russian"),
    [
        ({}, "Keepers {x}, episode 7.5", "Keepers {x}, серия 7.5"),
        ({"type": "new_release"}, "Keepers {x} was added to the catalogue", "В каталоге появилось: Keepers {x}"),
        ({"type": "recommendation"}, "You might like Keepers {x}", "Возможно, вам понравится: Keepers {x}"),
        ({"type": "reply", "actor": "bob"}, "bob replied to your comment on Keepers {x}",
         "bob: ответ на ваш комментарий к «Keepers {x}»"),
        ({"type": "reply"}, "Somebody replied to your comment on Keepers {x}",
         "Кто-то: ответ на ваш комментарий к «Keepers {x}»"),
        ({"type": "moderation", "target_type": "review", "data": {"decision": "rejected"}},
         "Your review on Keepers {x} was rejected", "Ваш отзыв к «Keepers {x}»: отклонено"),
        ({"type": "moderation", "target_type": "comment", "data": {"decision": "odd"}},
         "Your comment on Keepers {x} was looked at by a moderator",
         "Ваш комментарий к «Keepers {x}»: рассмотрено модератором"),
        ({"title": None}, "a release that is no longer here", "релиз, которого больше нет"),
    ],
)  # fmt: skip
def test_each_type_is_a_sentence(changes: dict[str, Any], english: str, russian: str) -> None:
    shown = replace(EPISODE, **changes)
    assert document(shown)["text"] == english
    assert document(replace(shown, locale="ru-RU"))["text"] == russian


def test_every_type_has_its_words_in_every_language() -> None:
    for words in HEADLINES.values():
        assert set(words) == set(TYPES)
    for language in ("en", "ru"):
        assert digest_text(dict.fromkeys(CHOICES, 3), language).count(", ") == len(CHOICES) - 1


def test_what_is_not_shown_any_more_has_no_name() -> None:
    found = document(replace(EPISODE, title=None, slug=None))
    assert (found["release"], found["target"]["title"]) == (None, None)


def test_bits_are_types_and_back() -> None:
    assert bits(CHOICES) == 62
    assert types_of(bits(["reply", "new_episode", "reply"])) == ["new_episode", "reply"]


def test_what_repeats_within_five_seconds_is_one_whatever_order_it_comes_in() -> None:
    def news(seconds: float, target: int = 1, recipient: int | None = None) -> News:
        return News("new_episode", "episode", target, 1, recipient, {}, NOW + timedelta(seconds=seconds))

    kept = collapse([news(6), news(0), news(3), news(0, 2), news(1, 1, 9)])
    assert kept == [news(0), news(0, 2), news(1, 1, 9), news(6)]


def test_the_mail_of_a_digest_counts_what_is_wanted_by_mail() -> None:
    data = {"counts": {"new_episode": 4}, "events": [1], "mail_counts": {"reply": 3}}
    digest = replace(EPISODE, type="digest", target_type="user", release_id=None, slug=None, title=None, data=data)
    assert document(digest)["text"] == "4 new episodes"
    mailed = letter(Reader("ann", "en"), [digest], "", None)
    assert mailed.subject == "3 replies"
    assert "4 new episodes" not in mailed.text


def test_a_moderator_s_second_decision_is_no_repetition_of_the_first() -> None:
    first = News("moderation", "review", 4, 1, 7, {"decision": "rejected"}, NOW)
    second = first._replace(data={"decision": "approved"}, created_at=NOW + timedelta(seconds=1))
    again = second._replace(created_at=NOW + timedelta(seconds=2))
    assert collapse([first, second, again]) == [first, second]
