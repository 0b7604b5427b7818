"""Titles of the demo, the same work named in four scripts and five languages."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from server.demo.chance import Weighted, pick, several
from server.demo.words import NOUNS, SENTENCES, SYLLABLES, Noun

LANGUAGES = Weighted({"romaji": 50, "ru": 25, "en": 14, "ja": 8, "zh": 3})
HIRAGANA_TO_KATAKANA = 0x60


class Name(NamedTuple):
    """An invented name in every script."""

    latin: str
    kana: str
    cyrillic: str
    chinese: str


class Sequel(NamedTuple):
    """What a part of a franchise is called; each is a pattern around the title of the first."""

    latin: str
    ja: str
    ru: str
    zh: str


PARTS: dict[str, Sequel] = {
    "first": Sequel("{}", "{}", "{}", "{}"),
    "second": Sequel("{} 2nd Season", "{} 第2期", "{} 2 сезон", "{} 第二季"),
    "third": Sequel("{} 3rd Season", "{} 第3期", "{} 3 сезон", "{} 第三季"),
    "movie": Sequel("{}: Movie", "劇場版 {}", "{}. Фильм", "剧场版 {}"),
    "ova": Sequel("{} OVA", "{} OVA", "{} OVA", "{} OVA"),
}


def invented_name(rng: Random) -> Name:
    """A name of three or four syllables."""
    syllables = [pick(rng, SYLLABLES) for _ in range(3 if rng.random() < 0.6 else 4)]
    latin, kana, cyrillic, chinese = ("".join(spelling) for spelling in zip(*syllables, strict=True))
    katakana = "".join(chr(ord(sign) + HIRAGANA_TO_KATAKANA) for sign in kana)
    return Name(latin.capitalize(), katakana, cyrillic.capitalize(), chinese)


def star_of_name(name: Name, a: Noun, _: Noun) -> dict[str, str]:
    """Like "The Star of Zemuro"."""
    return {
        "romaji": f"{name.latin} no {a.romaji.capitalize()}",
        "ja": f"{name.kana}の{a.ja}",
        "zh": f"{name.chinese}的{a.zh}",
        "en": f"The {a.en} of {name.latin}",
        "ru": f"{a.ru} {name.cyrillic}",
    }


def name_and_star(name: Name, a: Noun, b: Noun) -> dict[str, str]:
    """Like "Zemuro and the Star of Autumn"."""
    return {
        "romaji": f"{name.latin} to {b.romaji.capitalize()} no {a.romaji.capitalize()}",
        "ja": f"{name.kana}と{b.ja}の{a.ja}",
        "zh": f"{name.chinese}与{b.zh}之{a.zh}",
        "en": f"{name.latin} and the {a.en} of {b.en}",
        "ru": f"{name.cyrillic} и {a.ru.lower()} {b.of}",
    }


def star_colon_name(name: Name, a: Noun, b: Noun) -> dict[str, str]:
    """Like "Star of Autumn: Zemuro"."""
    return {
        "romaji": f"{b.romaji.capitalize()} no {a.romaji.capitalize()}: {name.latin}",
        "ja": f"{b.ja}の{a.ja} {name.kana}",
        "zh": f"{b.zh}之{a.zh}：{name.chinese}",
        "en": f"{a.en} of {b.en}: {name.latin}",
        "ru": f"{a.ru} {b.of}: {name.cyrillic}",
    }


def hello_name(name: Name, a: Noun, _: Noun) -> dict[str, str]:
    """Like "Hello, Zemuro Star!"."""
    return {
        "romaji": f"Konnichiwa, {name.latin} {a.romaji.capitalize()}!",
        "ja": f"こんにちは、{name.kana}{a.ja}！",
        "zh": f"你好，{name.chinese}{a.zh}！",
        "en": f"Hello, {name.latin} {a.en}!",
        "ru": f"Привет, {name.cyrillic}! {a.ru}",
    }


PATTERNS = (star_of_name, name_and_star, star_colon_name, hello_name)


def invented_titles(rng: Random, name: Name) -> dict[str, str]:
    """By language: a title around the name."""
    return pick(rng, PATTERNS)(name, pick(rng, NOUNS), pick(rng, NOUNS))


def titles_of_part(titles: dict[str, str], part: str) -> dict[str, str]:
    """The titles of a part of the franchise whose first work is so called."""
    sequel = PARTS[part]
    patterns = {"romaji": sequel.latin, "en": sequel.latin, "ja": sequel.ja, "ru": sequel.ru, "zh": sequel.zh}
    return {language: patterns[language].format(title) for language, title in titles.items()}


def some_titles(rng: Random, titles: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The title it goes by, and the languages somebody has entered; Romaji always, Chinese for every second."""
    main = LANGUAGES.draw(rng)
    shares = {"romaji": 1.0, "ru": 0.9, "en": 0.85, "ja": 0.8, "zh": 0.5}
    known = {language: title for language, title in titles.items() if rng.random() < shares[language]}
    return titles[main], known | {main: titles[main]}


def synonyms(rng: Random, name: Name, titles: dict[str, str]) -> list[str]:
    """None to four other ways to write it."""
    ways = (
        titles["romaji"].replace(" ", ""),
        "".join(word[0] for word in titles["en"].split()).upper() + f" {name.latin}",
        name.kana,
        f"{name.cyrillic} ({titles['en']})",
        titles["ja"].replace("の", "之"),
    )
    return [way for way in ways if rng.random() < 0.3][:4]


def synopsis(rng: Random, name: Name) -> str:
    """One to five sentences of one story."""
    other = invented_name(rng)
    a, b, c, d = (pick(rng, NOUNS) for _ in range(4))
    return " ".join(
        sentence.format(
            name=name.latin, other=other.latin, a=a.en.lower(), b=b.en.lower(), c=c.en.lower(), ru=d.ru.lower()
        )
        for sentence in several(rng, SENTENCES, 2 + int(rng.random() * 4), 1.0)
    )
