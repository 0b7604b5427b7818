"""How titles and queries are made comparable: without case, accents, width and punctuation, as a list of words.

The same functions work on what is stored and on what is typed, so both sides always agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from server.rules.search_seasons import without_cjk_seasons, without_seasons

# Nothing that is a title is longer; a query is shorter by far.
LONGEST = 500
# Compatibility forms may be eighteen times their source.
LONGEST_FOLDED = 1_000
MOST_WORDS = 64

# Han and kana: written without spaces, so any two neighbours are a word here. Korean has spaces.
CJK = (
    "\u3005-\u3007\u3031-\u3035\u303b\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
CJK_SIGN = re.compile(f"[{CJK}]")
TOKEN = re.compile(f"[{CJK}]+|[0-9]+|[^ 0-9{CJK}]+")
TOKEN_WITHOUT_CJK = re.compile("[0-9]+|[^ 0-9]+")
DIGIT = re.compile("[0-9]")

# They vanish: "heaven's" and "heavens" are the same word.
APOSTROPHES = "'`´‘’ʻʼʹ′＇"
KATAKANA = "ァヶ"
# "Spy×Family"; what is left of marks for voice where there is nothing to say with it.
SAID: dict[str, str | None] = {
    **dict.fromkeys(APOSTROPHES), **dict.fromkeys("\u3099\u309a"), "&": " and ", **dict.fromkeys("×✕✖⨯", " x "),
}  # fmt: skip
# "The IdolM@ster" is looked for as "idolmaster".
AT_FOR_A = re.compile(r"(?<=[^\W\d_])@(?=[^\W\d_])")
# No marks to take off, yet written without them by whoever lacks the key.
PLAIN_LETTERS = {"ё": "е", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}

# A word of two alphabets has letters that only look right: "ОNA" with a Cyrillic О.
TWO_ALPHABETS = re.compile("[a-z][а-я]|[а-я][a-z]")
TO_CYRILLIC = str.maketrans("abcekmhoptxy", "авсекмнортху")
TO_LATIN = str.maketrans("авсекмнортху", "abcekmhoptxy")

# What else than letters without marks, spaces and punctuation makes a text slower to fold.
UNCOMMON = re.compile("[^\\x00-%(-_a-\\x7fА-Яа-яЁё«»“”„–—…\u00a0]")
COMMON_PUNCTUATION = re.compile("[^a-zа-я0-9 ]+")

# Code points that were met, so that hostile text does not fill memory.
MOST_KNOWN_SIGNS = 20_000


class Signs(dict[int, int | str | None]):
    """What becomes of each code point, for `str.translate`; found out when it is first met."""

    def __init__(self, find: Callable[[str], int | str | None]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, code: int) -> int | str | None:
        found = self._find(chr(code))
        if len(self) < MOST_KNOWN_SIGNS:
            self[code] = found
        return found


def _folded_sign(sign: str) -> int | str | None:
    """A letter without its marks, a digit as ASCII, nothing for what is not seen, a space for all else."""
    code, category = ord(sign), unicodedata.category(sign)
    if sign in SAID:
        return SAID[sign]
    # Accents and selectors of variants go; the vowels of Thai or Devanagari are part of the word.
    if category == "Cf" or (category[0] == "M" and _is_accent(sign)):
        return None
    if KATAKANA[0] <= sign <= KATAKANA[1] or sign in "ヽヾ":
        return code - 0x60
    if category == "Nd":
        return str(unicodedata.digit(sign))
    return _plain_letter(sign) if category[0] in "LNM" else " "


def _plain_letter(sign: str) -> str:
    if sign in PLAIN_LETTERS:
        return PLAIN_LETTERS[sign]
    apart = unicodedata.normalize("NFD", sign)
    # й is a letter of its own, not и with something on it.
    if len(apart) > 1 and sign != "й" and all(map(_is_accent, apart[1:])):
        return PLAIN_LETTERS.get(apart[0], apart[0])
    return sign


def _is_accent(sign: str) -> bool:
    return (
        "\u0300" <= sign <= "\u036f" or "\u0483" <= sign <= "\u0489" or "\u1ab0" <= sign <= "\u1aff"
        or "\u1dc0" <= sign <= "\u1dff" or "\u20d0" <= sign <= "\u20ff" or "\ufe00" <= sign <= "\ufe0f"
        or sign >= "\U000e0100"
    )  # fmt: skip


SIGNS = Signs(_folded_sign)


def fold(text: str) -> str:
    """The text without case, width, accents, punctuation and kinds of kana; its words joined by one space."""
    text = text[:LONGEST]
    if "@" in text:
        text = AT_FOR_A.sub("a", text)
    folded = fold_long(text)[:LONGEST_FOLDED]
    if not folded.isascii() and TWO_ALPHABETS.search(folded):
        return " ".join(map(_of_one_alphabet, folded.split()))
    return folded


def fold_long(text: str) -> str:
    """As `fold`, for a text of any length; what is common in Russian and English is quick."""
    if text.isascii():
        folded = text.lower().translate(SIGNS)
    elif is_common(text):
        folded = COMMON_PUNCTUATION.sub(" ", text.lower().replace("ё", "е"))
    else:
        folded = _in_slices(text).casefold().translate(SIGNS)
    return " ".join(folded.split())


def _in_slices(text: str) -> str:
    """In NFKC, slice by slice: sorting the accents of a pile takes the square of its height, and some signs stand for
    eighteen."""
    slices = range(0, len(text), LONGEST)
    return "".join(unicodedata.normalize("NFKC", text[start : start + LONGEST])[:LONGEST_FOLDED] for start in slices)


def is_common(text: str) -> bool:
    """Whether there are only the signs of Russian and English in it."""
    return text.isascii() or not UNCOMMON.search(text)


def _of_one_alphabet(word: str) -> str:
    """A word whose letters all belong to the alphabet most of them belong to, where they have a twin there."""
    if not TWO_ALPHABETS.search(word):
        return word
    latin = sum(sign.isascii() for sign in word)
    return word.translate(TO_LATIN) if 2 * latin >= len(word) else word.translate(TO_CYRILLIC)


def tokens(text: str) -> list[str]:
    """The words of a text in their order, season and part in one form; a run of han and kana is one word."""
    folded = fold(text)
    if not folded.isascii() and CJK_SIGN.search(folded):
        found = TOKEN.findall(without_cjk_seasons(folded))
    elif DIGIT.search(folded):
        found = TOKEN_WITHOUT_CJK.findall(folded)
    else:
        found = folded.split()
    return without_seasons(found[:MOST_WORDS])


def is_cjk(word: str) -> bool:
    """Whether it is of han and kana, which tokens never mix with anything else."""
    return word >= "\u2e80" and CJK_SIGN.match(word) is not None


def bigrams(run: str) -> list[str]:
    """Any two neighbours of a run of han and kana; one that is alone stays as it is."""
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]


def words_of(found: list[str]) -> list[str]:
    """Tokens as the index has them."""
    return [word for token in found for word in (bigrams(token) if is_cjk(token) else (token,))]


def words(text: str) -> list[str]:
    """The words that must be there for a text to be found, in their order: see `tokens` and `bigrams`."""
    return words_of(tokens(text))


def key(text: str) -> str:
    """What makes two titles the same: their words, joined by one space; runs of han and kana stay whole."""
    return " ".join(tokens(text))
