"""Which season, which part: all the ways titles say it, made one.

"2nd season", "season 2", "s2", "2 сезон", "второй сезон", "第2期", "第二季" and "ТВ-2" become a plain "2"; the first
season is what the title means anyway, so it vanishes. A part or a cour becomes "part 2", a roman number a plain one.
All texts here are folded already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Not "i", which is a word, nor "x", which stands between names; what follows is hardly ever used.
ROMANS = {"ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}
NAMED = {
    word: str(value)
    for value, words in enumerate(
        (
            "first one первый первая один", "second two второй вторая два", "third three третий третья три",
            "fourth four четвертый четвертая четыре", "fifth five пятый пятая пять", "sixth six шестой шестая шесть",
            "seventh seven седьмой седьмая семь", "eighth eight восьмой восьмая восемь",
            "ninth nine девятый девятая девять", "tenth ten десятый десятая десять",
        ),
        1,
    )
    for word in words.split()
} | ROMANS  # fmt: skip
# And as they come out when a whole title is put into other letters.
SEASON = frozenset(("season", "сезон", "сезона", "sezon", "сеасон", "сэасон", "시즌", "기"))
PART = frozenset(("part", "часть", "части", "cour", "pt", "chast", "парт"))


def _misspelt(word: str, letters: str) -> frozenset[str]:
    """The word with one letter left out, added, replaced or swapped with the next."""
    parts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    made = {begin + end[1:] for begin, end in parts if end}
    made |= {begin + end[1] + end[0] + end[2:] for begin, end in parts if len(end) > 1}
    made |= {begin + letter + end[1:] for begin, end in parts for letter in letters if end}
    made |= {begin + letter + end for begin, end in parts for letter in letters}
    return frozenset(made)


# Titles lose the word where their seasons become numbers, so it is put right here and not by them. Not what is a word.
NEARLY_SEASON = (
    _misspelt("season", "abcdefghijklmnopqrstuvwxyz") | _misspelt("сезон", "абвгдежзийклмнопрстуфхцчшщъыьэюя")
) - {"season", "сезон", "reason", "seasons", "резон", "сезоны", "сезона"}
# Behind a digit only. "TB" may be written in Latin letters that look right.
BEFORE_DIGIT = frozenset(("s", "tv", "тв", "tb"))
ENDINGS = frozenset(("st", "nd", "rd", "th", "й", "ый", "ой", "ий", "ая", "ое", "я"))
# A title without any of these has nothing of the kind.
KEYWORDS = SEASON | NEARLY_SEASON | PART | BEFORE_DIGIT | ENDINGS | ROMANS.keys()
# Other words than these and digits stay what they are.
TELLING = SEASON | NEARLY_SEASON | PART | BEFORE_DIGIT | NAMED.keys()
LONGEST_NUMBER = 2
# What is being typed may be the beginning of "season".
SHORTEST_BEGINNING = 2

HAN = {numeral: str(value) for value, numeral in enumerate("一二三四五六七八九十", 1)} | {
    "十一": "11", "十二": "12", "十三": "13", "ふぁーすと": "1", "せかんど": "2", "さーど": "3",
}  # fmt: skip
_HAN = "[一二三四五六七八九十]{1,2}"
# Without 第 a numeral may be part of a word: 四季 are the four seasons of a year.
CJK_SEASON = re.compile(
    rf"第 ?([0-9]{{1,2}}|{_HAN}) ?(?:期|季|しーずん|しりーず)|(?<![0-9])([0-9]{{1,2}}) ?(?:期|季|しーずん)"
    r"|しーずん ?([0-9]{1,2})(?![0-9])|(ふぁーすと|せかんど|さーど) ?しーずん"
)
CJK_PART = re.compile(rf"第 ?([0-9]{{1,2}}|{_HAN}) ?(?:部分|部|くーる)|(?<![0-9])([0-9]{{1,2}}) ?くーる")
CJK_HINT = re.compile("第|[0-9] ?[期季]|しーずん|くーる")


# What some tokens mean, and the place behind them.
Said = tuple[Sequence[str], int]


class Number(NamedTuple):
    """A number that is said at some place, and where it is over."""

    value: str
    end: int


def without_cjk_seasons(folded: str) -> str:
    """The season and the part, said in Japanese or Chinese, as plain numbers."""
    if not CJK_HINT.search(folded):
        return folded
    found = CJK_PART.sub(lambda match: f" part {_han(match)} ", CJK_SEASON.sub(_season, folded))
    return found if found.strip() else folded


def _season(match: re.Match[str]) -> str:
    value = _han(match)
    return " " if value == "1" else f" {value} "


def _han(match: re.Match[str]) -> str:
    said = match[match.lastindex or 0]
    return HAN.get(said) or str(int(said)) if said in HAN or said.isdecimal() else said


def without_seasons(found: list[str]) -> list[str]:
    """The tokens of a title with its season as a number alone and its part as "part" and a number."""
    if KEYWORDS.isdisjoint(found) and not _being_typed(found):
        return found
    plain: list[str] = []
    place = 0
    while place < len(found):
        word = found[place]
        if word in TELLING or word.isdecimal():
            said, place = _behind(found, place) or _before(found, place) or _alone(found, place)
            plain += said
        else:
            plain.append(word)
            place += 1
    return plain or found


def _behind(found: Sequence[str], place: int) -> Said | None:
    """A word and its number behind it: "season 2"."""
    word = found[place]
    number = _number(found, place + 1) if _is_season(word) or word in PART or word in BEFORE_DIGIT else None
    if number is None or (word in BEFORE_DIGIT and not found[place + 1].isdecimal()):
        return None
    return (("part", number.value) if word in PART else _in_order(number.value)), number.end


def _before(found: Sequence[str], place: int) -> Said | None:
    """A number and its word behind it: "2nd season"."""
    number = _number(found, place)
    if number is None or number.end == len(found):
        return None
    word = found[number.end]
    if _is_season(word) or (number.end == len(found) - 1 and _begins_season(word)):
        return _in_order(number.value), number.end + 1
    if word in PART and not _number(found, number.end + 1):
        return ("part", number.value), number.end + 1
    return None


def _alone(found: Sequence[str], place: int) -> Said:
    word, last = found[place], place == len(found) - 1
    if not last and word.isdecimal() and found[place + 1] in ENDINGS:
        return (word,), place + 2
    # A v in the middle is the Russian preposition in Latin letters as often as a five.
    if place and word in ROMANS and (last or word != "v"):
        return (ROMANS[word],), place + 1
    return (word,), place + 1


def _number(found: Sequence[str], place: int) -> Number | None:
    if place >= len(found):
        return None
    word = found[place]
    if word in NAMED:
        return Number(NAMED[word], place + 1)
    if len(word) > LONGEST_NUMBER or not word.isdecimal():
        return None
    ended = place + 1 < len(found) and found[place + 1] in ENDINGS
    return Number(str(int(word)), place + 2 if ended else place + 1)


def _is_season(word: str) -> bool:
    return word in SEASON or word in NEARLY_SEASON


def _in_order(value: str) -> Sequence[str]:
    return () if value == "1" else (value,)


def _being_typed(found: Sequence[str]) -> bool:
    return len(found) > 1 and found[-2].isdecimal() and _begins_season(found[-1])


def _begins_season(typed: str) -> bool:
    return len(typed) >= SHORTEST_BEGINNING and any(word.startswith(typed) for word in SEASON)
