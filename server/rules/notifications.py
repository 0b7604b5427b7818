"""Notifications: their types, and how each is told, in English and Russian.

A type's number is its bit in the preferences. A digest is no type of its own there: it stands for what was held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from server.rules.letters import language_of
from server.rules.moments import rfc3339

NotificationType = Literal["new_episode", "new_release", "recommendation", "reply", "moderation", "digest"]
NUMBERS: dict[str, int] = {"new_episode": 1, "new_release": 2, "recommendation": 3, "reply": 4, "moderation": 5}
# Those one may choose channels for, in the order of their numbers.
CHOICES: tuple[str, ...] = tuple(NUMBERS)
TYPES: tuple[str, ...] = (*CHOICES, "digest")
# The same event within this time is one.
COLLAPSE = timedelta(seconds=5)

HEADLINES: dict[str, dict[str, str]] = {
    "en": {
        "new_episode": "New episode",
        "new_release": "New release",
        "recommendation": "Recommended for you",
        "reply": "A reply to your comment",
        "moderation": "A moderator's decision",
        "digest": "What came meanwhile",
    },
    "ru": {
        "new_episode": "Новая серия",
        "new_release": "Новый релиз",
        "recommendation": "Рекомендация для вас",
        "reply": "Ответ на ваш комментарий",
        "moderation": "Решение модератора",
        "digest": "Пока вас не было",
    },
}
SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "new_episode": "{title}, episode {ordinal}",
        "new_release": "{title} was added to the catalogue",
        "recommendation": "You might like {title}",
        "reply": "{actor} replied to your comment on {title}",
        "approved": "{what} on {title} was approved",
        "rejected": "{what} on {title} was rejected",
        "decided": "{what} on {title} was looked at by a moderator",
    },
    "ru": {
        "new_episode": "{title}, серия {ordinal}",
        "new_release": "В каталоге появилось: {title}",
        "recommendation": "Возможно, вам понравится: {title}",
        "reply": "{actor}: ответ на ваш комментарий к «{title}»",
        "approved": "{what} к «{title}»: одобрено",
        "rejected": "{what} к «{title}»: отклонено",
        "decided": "{what} к «{title}»: рассмотрено модератором",
    },
}
# What stands for something that is no longer there to be named.
GONE = {
    "en": {"release": "a release that is no longer here", "actor": "Somebody"},
    "ru": {"release": "релиз, которого больше нет", "actor": "Кто-то"},
}
# What moderators decide about.
OWN = {
    "en": {"comment": "Your comment", "review": "Your review"},
    "ru": {"comment": "Ваш комментарий", "review": "Ваш отзыв"},
}
# One, two to four (Russian), many.
COUNTED: dict[str, dict[str, tuple[str, str, str]]] = {
    "en": {
        "new_episode": ("new episode", "new episodes", "new episodes"),
        "new_release": ("new release", "new releases", "new releases"),
        "recommendation": ("recommendation", "recommendations", "recommendations"),
        "reply": ("reply", "replies", "replies"),
        "moderation": ("moderator's decision", "moderators' decisions", "moderators' decisions"),
    },
    "ru": {
        "new_episode": ("новая серия", "новые серии", "новых серий"),
        "new_release": ("новый релиз", "новых релиза", "новых релизов"),
        "recommendation": ("рекомендация", "рекомендации", "рекомендаций"),
        "reply": ("ответ", "ответа", "ответов"),
        "moderation": ("решение модератора", "решения модераторов", "решений модераторов"),
    },
}


class News(NamedTuple):
    """Something that happened and may be told of. `recipient_id` None: whoever follows the release is told."""

    type: str
    target_type: str
    target_id: int
    release_id: int | None
    recipient_id: int | None
    data: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """A notification with what it is about called by its present name; the release's is None where it is not shown."""

    user_id: int
    id: int
    type: str
    target_type: str
    target_id: int
    data: Any
    release_id: int | None
    slug: str | None
    title: str | None
    ordinal: str | None
    actor: str | None
    read: bool
    locale: str
    created_at: datetime


# What makes news the same: type, target, recipient, and what a moderator has decided.
Sameness = tuple[str, str, int, int | None, str | None]


def collapse(news: Iterable[News]) -> list[News]:
    """The news; what repeats something of less than COLLAPSE before is left out."""
    kept: dict[Sameness, datetime] = {}
    return [one for one in sorted(news, key=lambda one: one.created_at) if _is_new(kept, one)]


def _is_new(kept: dict[Sameness, datetime], one: News) -> bool:
    key = (one.type, one.target_type, one.target_id, one.recipient_id, one.data.get("decision"))
    before = kept.get(key)
    if before is not None and one.created_at - before < COLLAPSE:
        return False
    kept[key] = one.created_at
    return True


def document(shown: Shown) -> dict[str, Any]:
    """The notification as JSON values, in the language of whoever reads it."""
    language = language_of(shown.locale)
    release = None if shown.title is None else {"id": shown.release_id, "slug": shown.slug, "title": shown.title}
    return {
        "id": shown.id,
        "type": shown.type,
        "title": HEADLINES[language][shown.type],
        "text": text_of(shown, language),
        "target": {"type": shown.target_type, "id": shown.target_id, "title": target_title(shown, language)},
        "release": release,
        "data": shown.data,
        "read": shown.read,
        "created_at": rfc3339(shown.created_at),
    }


def text_of(shown: Shown, language: str) -> str:
    """What happened, as a sentence without its full stop."""
    if shown.type == "digest":
        return digest_text(shown.data.get("counts", {}), language)
    words, gone = SENTENCES[language], GONE[language]
    title = shown.title or gone["release"]
    if shown.type == "new_episode" and (shown.title is None or shown.ordinal is None):
        return title
    pattern = words.get(shown.type)
    if pattern is None:
        pattern = words.get(str(shown.data.get("decision")), words["decided"])
    # Titles may hold braces: they are put in, never read as a pattern.
    what, actor = OWN[language].get(shown.target_type, ""), shown.actor or gone["actor"]
    return pattern.format(title=title, ordinal=shown.ordinal, actor=actor, what=what)


def target_title(shown: Shown, language: str) -> str | None:
    """What the target is called; None for what has no name of its own."""
    if shown.target_type == "episode" and shown.title is not None and shown.ordinal is not None:
        return SENTENCES[language]["new_episode"].format(title=shown.title, ordinal=shown.ordinal)
    return shown.title if shown.target_type in ("episode", "release") else None


def digest_text(counts: Mapping[str, int], language: str) -> str:
    """`7 new episodes, 1 reply`: what was held, by type."""
    return ", ".join(_counted(counts, language))


def _counted(counts: Mapping[str, int], language: str) -> Iterator[str]:
    for name in CHOICES:
        if number := counts.get(name, 0):
            yield f"{number} {COUNTED[language][name][form(number, language)]}"


def form(number: int, language: str) -> int:
    """Which of the three forms of a noun stands behind this number."""
    if language != "ru":
        return 0 if number == 1 else 2
    if number % 10 == 1 and number % 100 != 11:
        return 0
    return 1 if number % 10 in (2, 3, 4) and number % 100 not in (12, 13, 14) else 2


def bits(types: Iterable[str]) -> int:
    """These types as one number."""
    return sum(1 << NUMBERS[name] for name in set(types))


def types_of(number: int) -> list[str]:
    """The types whose bits are set."""
    return [name for name, place in NUMBERS.items() if number >> place & 1]
