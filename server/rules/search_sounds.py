"""How words sound, roughly: one key for a title in Latin letters, in kana and in any Russian spelling of it.

`skeleton` is lossy on purpose: Hepburn, kunrei and Polivanov, what Russian fans write by ear ("шингеки", "джуджутсу"),
and Russian words typed in Latin letters all meet. It serves only when nothing was found as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from server.rules.search_english import english_spellings
from server.rules.search_syllables import HEPBURN

KANA = re.compile("[\u3041-\u3096\u309d\u309eー]+")
RUSSIAN = re.compile("[а-яёіїєґў]+")
SYLLABLE = re.compile("|".join(sorted(HEPBURN, key=len, reverse=True)))
DOUBLING = re.compile("っ+([bcdfghjkmnpqrstvwyz])")
UNSAID = str.maketrans("", "", "ーっゝゞ")

# y marks a soft consonant: ш is sy, and both сё (written се) and шо become se below.
CYRILLIC_SOUNDS = str.maketrans(
    {
        "а": "a", "б": "b", "в": "w", "г": "g", "д": "d", "е": "e", "ё": "yo", "ж": "zy", "з": "z", "и": "i", "й": "y",
        "к": "k", "л": "r", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
        "х": "h", "ц": "s", "ч": "ty", "ш": "sy", "щ": "sy", "ъ": "", "ы": "i", "ь": "", "э": "e", "ю": "yu", "я": "ya",
        "і": "i", "ї": "i", "є": "e", "ґ": "g", "ў": "u",
    }
)  # fmt: skip
# Said as щ; and sh may stand for either.
RUSSIAN_CLUSTERS = (("сч", "щ"), ("сх", "ш"))
# In this order. Doubles of these are put right at the end.
WITH_H = (
    ("shch", "sy"), ("sch", "sy"), ("skh", "sy"), ("tch", "ty"), ("cch", "ty"), ("dzh", "zy"), ("sh", "sy"),
    ("ch", "ty"), ("zh", "zy"), ("ph", "f"), ("kh", "h"), ("th", "t"), ("gh", "g"),
)  # fmt: skip
WITH_C = (("ck", "k"), ("ce", "se"), ("ci", "si"), ("cy", "sy"))
WITH_J = (("dj", "j"), *((f"j{vowel}", f"zy{vowel}") for vowel in "aeiouy"), ("j", "y"))
SINGLE = str.maketrans("clqv", "krkw")
# What Russians write in Latin letters after the look or the sound of their own: "konec", "moj", "xroniki".
SLAVIC = (("ch", "4"), ("c", "ts"), ("j", "y"), ("x", "kh"), ("4", "ch"))
LONG_VOWELS = tuple((vowel * 2, vowel) for vowel in "aeiouy")
# ё is written as е, so "yo" and "io" are, too; other glides are not heard; a long o or e is a short one.
SIMPLER = (
    ("ou", "o"), ("yi", "i"), ("iy", "y"), ("yo", "e"), ("io", "e"), ("ya", "a"), ("ia", "a"), ("yu", "u"),
    ("iu", "u"), ("ye", "e"), ("ie", "e"), ("ei", "e"), ("eu", "e"), ("tu", "su"), ("fu", "hu"), ("wo", "o"),
    ("mb", "nb"), ("mp", "np"), ("nm", "m"),
)  # fmt: skip
VOWEL_Y = re.compile("y(?![aeiou])")
SILENT_H = re.compile("h(?![aeiou])")
# A sound said twice is one.
SAID_TWICE = tuple((sound * 2, sound) for sound in "aeioubdfghkmnprstwz")
# "jjk", "hxh": letters, not sounds.
NO_VOWEL = re.compile("[bcdfghjklmnpqrstvwxzбвгджзйклмнпрстфхцчшщ]{2,}")
UNHEARD = str.maketrans("", "", "hw")


def heard(words: Iterable[str]) -> dict[str, str]:
    """The sounds of words in one alphabet; without those that are not of Latin or Russian letters or kana alone.

    Many at once: replacing in one long text costs hardly more than in one word.
    """
    latin, russian, kana = [], [], []
    for word in dict.fromkeys(words):
        if word.isascii():
            if word.isalpha():
                latin.append(word)
        elif RUSSIAN.fullmatch(word):
            russian.append(word)
        elif KANA.fullmatch(word):
            kana.append(word)
    found = dict(zip(latin, _latin_sounds(" ".join(latin)).split(" "), strict=True)) if latin else {}
    if russian:
        found |= zip(russian, _russian_sounds(" ".join(russian)).split(" "), strict=True)
    if kana:
        found |= zip(kana, _latin_sounds(romaji_of_kana(" ".join(kana))).split(" "), strict=True)
    return found


def reduced(sounds: Collection[str]) -> list[str]:
    """What different spellings of these have in common, each by itself."""
    if not sounds:
        return []
    text = _replaced(" ".join(sounds), LONG_VOWELS)
    if "y" in text:
        text = VOWEL_Y.sub("i", text)
    text = _replaced(text, SIMPLER)
    if "h" in text:
        text = SILENT_H.sub("", text)
    return _once(text).split(" ")


def _once(text: str) -> str:
    for double, sound in SAID_TWICE:
        while double in text:
            text = text.replace(double, sound)
    return text


def skeleton(word: str) -> str:
    """The key of a folded word by its sound; empty for what is not of Latin or Russian letters or kana alone."""
    sounds = heard((word,)).values()
    return next(iter(reduced(sounds)), "")


def skeletons(word: str) -> list[str]:
    """The keys a query is looked for by: Latin letters may be Japanese or English, or Russian; Russian ones English.
    What has no vowel is not a word to be heard."""
    if NO_VOWEL.fullmatch(word):
        return []
    readings = (word, _slavic(word), *english_spellings(word))
    sounds = heard(readings)
    return list(dict.fromkeys(filter(None, reduced([sounds[one] for one in readings if one in sounds]))))


def _slavic(word: str) -> str:
    return _replaced(word, SLAVIC) if word.isascii() else word


def whole_sounds(names: Iterable[Iterable[str]], said: Mapping[str, str]) -> list[str]:
    """How whole titles sound, run together: kana have no spaces, and は and を are said as わ and お.

    Of their tokens, and the sounds of these. Empty for a title that has other letters as well.
    """
    runs = []
    for name in names:
        sounds = [word if word.isdecimal() else said.get(word, "") for word in name]
        runs.append("".join(sounds) if all(sounds) else "")
    return _once(" ".join(reduced(runs)).translate(UNHEARD)).split(" ") if runs else []


def sound_keys(found: Sequence[str]) -> list[str]:
    """How a query sounds as a whole, of its tokens, in each of its readings: see `skeletons`."""
    readings = (found, list(map(_slavic, found)))
    return [key for key in dict.fromkeys(whole_sounds(readings, heard(chain(*readings)))) if key]


def _latin_sounds(word: str) -> str:
    if "h" in word:
        word = _replaced(word, WITH_H)
    if "c" in word:
        word = _replaced(word, WITH_C)
    if "j" in word:
        word = _replaced(word, WITH_J)
    return word.replace("ts", "s").replace("tz", "s").replace("dz", "z").replace("x", "ks").translate(SINGLE)


def _russian_sounds(word: str) -> str:
    return _replaced(word, RUSSIAN_CLUSTERS).translate(CYRILLIC_SOUNDS).replace("dz", "z").replace("ts", "s")


def _replaced(text: str, pairs: Iterable[tuple[str, str]]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def romaji_of_kana(text: str) -> str:
    """Hiragana (see `fold`) in Hepburn's letters, long vowels as the kana have them; what is not kana stays."""
    latin = SYLLABLE.sub(lambda match: HEPBURN[match[0]], text)
    return DOUBLING.sub(r"\1\1", latin).translate(UNSAID)
