"""How well a name fits what was typed, and where in a text to show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from server.rules.search_text import Signs, fold, is_cjk

MOST_HIGHLIGHTS = 4
MOST_RANGES = 20
# A text is cut to so many characters around its first hit, of which so many stand before it.
LONGEST_TEXT, BEFORE = 160, 40
# From so many letters on a word may have another ending: Russian has six cases.
INFLECTED_FROM, ENDING = 5, 2

NO_SPACES, BEGINS, HOLDS, COVERS = 0.98, 0.7, 0.5, 0.45
# The letters of an ordinary word.
CJK_WEIGHT = 4
# What lowering does not make plain, sign for sign.
MARKED = re.compile("[^\\x00-\\x7fа-яё «»“”„’–—…\u3041-\u3096\u3400-\u9fff、。！？]")
WORD_SIGN, NO_WORD = re.compile(r"\w"), re.compile(r"\W")


@dataclass(frozen=True, slots=True)
class Highlight:
    """A field that was hit: its text, cut where it is long, and the hits as [start, length] in characters of it."""

    field: str
    text: str
    ranges: list[list[int]]


def exactness(query_key: str, query_words: Sequence[str], keys: Sequence[str]) -> float:
    """How well the best of these names fits, from 0 to 1: the very name is 1, then what begins with it, then what
    holds it as a phrase, then what holds some of its words. The less of a name is left over, the better."""
    if query_key in keys:
        return 1.0
    if not query_key:
        return 0.0
    best, together = 0.0, query_key.replace(" ", "")
    for key in keys:
        place = key.find(query_key)
        if place == 0 or (place > 0 and key[place - 1] == " "):
            share = len(query_key) / len(key)
            fit = HOLDS + 0.2 * share if place else BEGINS + 0.25 * share
        elif len(key) - key.count(" ") == len(together) and key.replace(" ", "") == together:
            return NO_SPACES
        else:
            # The best that covering can come to is less than any phrase.
            fit = _covered(query_words, key) if best < COVERS else 0.0
        best = max(best, fit)
    return best


def _covered(query_words: Sequence[str], key: str) -> float:
    """How much of the query stands in the name, and how much of the name that is. Long words say more."""
    within = f" {key}"
    said = length = 0
    for word in query_words:
        # Of han and kana any two neighbours are a word, of other letters only what begins one.
        if word in key if is_cjk(word) else f" {word}" in within:
            said += _weight(word)
            length += len(word)
    if not said:
        return 0.0
    return COVERS * said / sum(map(_weight, query_words)) * (0.5 + 0.5 * min(1.0, length / len(key)))


def _weight(word: str) -> int:
    """What a word says, in letters; two signs of han or kana say what a word does."""
    return CJK_WEIGHT if is_cjk(word) else len(word)


def highlights(query_words: Sequence[str], fields: Mapping[str, str]) -> list[Highlight]:
    """Where these words stand in these fields, in their order; the beginning of a word counts, and so does a word with
    another ending. At most four fields."""
    wanted = [word for word in dict.fromkeys(query_words) if word]
    found: list[Highlight] = []
    for name, text in fields.items():
        if ranges := _ranges(wanted, text):
            found.append(_cut(name, text, ranges))
            if len(found) == MOST_HIGHLIGHTS:
                break
    return found


def _ranges(wanted: Sequence[str], text: str) -> list[list[int]]:
    """The hits in a text in their order, those that touch joined."""
    plain = _plain(text)
    hits = sorted(hit for word in wanted for hit in _hits(word, plain))
    joined: list[list[int]] = []
    for start, end in hits:
        if joined and start <= sum(joined[-1]):
            joined[-1][1] = max(joined[-1][1], end - joined[-1][0])
        elif len(joined) == MOST_RANGES:
            break
        else:
            joined.append([start, end - start])
    return joined


def _plain(text: str) -> str:
    """Folded sign for sign, so that places are the same in both."""
    lowered = text.lower()
    if len(lowered) == len(text) and not MARKED.search(lowered):
        return lowered.replace("ё", "е")
    return text.translate(PLAIN_SIGNS)


def _plain_sign(sign: str) -> str:
    folded = fold(sign)
    return folded if len(folded) == 1 else sign


PLAIN_SIGNS = Signs(_plain_sign)


def _hits(word: str, plain: str) -> Iterator[tuple[int, int]]:
    """Where a word begins in a text and how far it goes there."""
    stem = word[: max(INFLECTED_FROM - 1, len(word) - ENDING)] if len(word) >= INFLECTED_FROM else word
    inside = not word.isascii() and not "а" <= word[0] <= "я"
    place, seen = plain.find(stem), 0
    while place >= 0 and seen < MOST_RANGES:
        end = place + len(stem)
        if inside or place == 0 or not WORD_SIGN.match(plain[place - 1]):
            if plain.startswith(word, place):
                yield place, place + len(word)
                seen += 1
            elif stem != word and (last := _word_end(plain, end)) <= place + len(word) + ENDING:
                yield place, last
                seen += 1
        place = plain.find(stem, end)


def _word_end(plain: str, place: int) -> int:
    over = NO_WORD.search(plain, place)
    return over.start() if over else len(plain)


def _cut(field: str, text: str, ranges: list[list[int]]) -> Highlight:
    """A long text around its first hit, from the beginning of a word."""
    if len(text) <= LONGEST_TEXT:
        return Highlight(field, text, ranges)
    begin = max(0, min(ranges[0][0] - BEFORE, len(text) - LONGEST_TEXT))
    if begin and (space := text.find(" ", begin, ranges[0][0])) >= 0:
        begin = space + 1
    end = min(len(text), begin + LONGEST_TEXT)
    if end < len(text) and (space := text.rfind(" ", begin + LONGEST_TEXT // 2, end)) >= 0:
        end = space
    kept = [[start - begin, min(length, end - start)] for start, length in ranges if start < end]
    return Highlight(field, text[begin:end], kept)
