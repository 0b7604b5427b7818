"""Queries whose right answers are known, made of the names a catalogue really has: to measure how well it is found.

Four kinds: the name as it is (`exact`), with one typing error (`typo`), typed on the other keyboard layout (`layout`)
and written in another script (`transliterated`: romaji in Polivanov's system, as Russian fans write it and in kana;
Russian in Latin letters). No spelling is made by the functions it is to judge.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from server.rules.search_syllables import HEPBURN

Kind = Literal["exact", "typo", "layout", "transliterated"]
KINDS: tuple[Kind, ...] = ("exact", "typo", "layout", "transliterated")

ENGLISH_KEYS = "`qwertyuiop[]asdfghjkl;'zxcvbnm,./"
RUSSIAN_KEYS = "ёйцукенгшщзхъфывапролджэячсмитьбю."
LATIN_LETTERS, RUSSIAN_LETTERS = "abcdefghijklmnopqrstuvwxyz", "абвгдежзийклмнопрстуфхцчшщыьэюя"

# Of two kana for one syllable the commoner stands first.
HIRAGANA = {latin: kana for kana, latin in reversed(HEPBURN.items())}
_POLIVANOV = """
a а | i и | u у | e э | o о | ka ка | ki ки | ku ку | ke кэ | ko ко | ga га | gi ги | gu гу | ge гэ | go го |
sa са | shi си | su су | se сэ | so со | za дза | ji дзи | zu дзу | ze дзэ | zo дзо | ta та | chi ти | tsu цу |
te тэ | to то | da да | de дэ | do до | na на | ni ни | nu ну | ne нэ | no но | ha ха | hi хи | fu фу | he хэ |
ho хо | ba ба | bi би | bu бу | be бэ | bo бо | pa па | pi пи | pu пу | pe пэ | po по | ma ма | mi ми | mu му |
me мэ | mo мо | ya я | yu ю | yo ё | ra ра | ri ри | ru ру | re рэ | ro ро | wa ва | wi ви | we вэ | wo о | n н |
kya кя | kyu кю | kyo кё | gya гя | gyu гю | gyo гё | sha ся | shu сю | sho сё | ja дзя | ju дзю | jo дзё |
cha тя | chu тю | cho тё | nya ня | nyu ню | nyo нё | hya хя | hyu хю | hyo хё | bya бя | byu бю | byo бё |
pya пя | pyu пю | pyo пё | mya мя | myu мю | myo мё | rya ря | ryu рю | ryo рё | vu ву | va ва | vi ви | ve вэ |
vo во | fa фа | fi фи | fe фэ | fo фо | ti ти | di ди | tu ту | du ду | che тэ | she сэ | je дзэ | tsa ца |
tsi ци | tse цэ | tso цо | dyu дю | fyu фю | ye е | vyu вю
"""
POLIVANOV = dict(pair.split() for pair in _POLIVANOV.split("|"))

SYLLABLE = re.compile("|".join(sorted(HIRAGANA, key=len, reverse=True)))
# Read as numbers; nobody says them in kana.
ROMANS = frozenset(("ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"))
LATIN_WORD, RUSSIAN_WORD = re.compile("[a-z]+"), re.compile("[а-яё]+")
DOUBLED = re.compile(r"([kstpdbgjz])(?=\1)|t(?=ch)|c(?=ch)")
# What a consonant said twice is written as in Polivanov's system and by fans.
DOUBLES = {"k": "к", "s": "с", "t": "т", "p": "п", "d": "д", "b": "б", "g": "г", "j": "д", "z": "д", "c": "т"}

# How fans write where they do not write as Polivanov: by ear, from the English spelling.
BY_EAR = {
    "shi": "ши", "chi": "чи", "tsu": "цу", "ji": "джи", "ja": "джа", "ju": "джу", "jo": "джо", "sha": "ша", "shu": "шу",
    "sho": "шо", "cha": "ча", "chu": "чу", "cho": "чо", "za": "за", "zu": "зу", "ze": "зе", "zo": "зо", "wo": "во",
} | {f"{letter}e": f"{russian}е" for letter, russian in zip("kgstdnhbpmr", "кгстднхбпмр", strict=True)}  # fmt: skip

_COMMON = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "к": "k",
    "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "ч": "ch",
    "ш": "sh", "ъ": "", "ы": "y", "ь": "", "э": "e",
}  # fmt: skip
# Passports; addresses; how people write to each other.
LATIN_OF_RUSSIAN = tuple(
    str.maketrans(_COMMON | others)
    for others in (
        {"й": "i", "х": "kh", "ц": "ts", "щ": "shch", "ю": "iu", "я": "ia", "ъ": "ie"},
        {"й": "y", "х": "kh", "ц": "ts", "щ": "shch", "ю": "yu", "я": "ya"},
        {"й": "y", "х": "h", "ц": "c", "щ": "sch", "ю": "yu", "я": "ya", "ё": "yo"},
        {"й": "j", "х": "h", "ц": "c", "щ": "sch", "ю": "ju", "я": "ja", "ё": "jo"},
    )
)


@dataclass(frozen=True, slots=True)
class Named:
    """A release and all its names."""

    id: int
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Case:
    """A query and the releases that are right answers to it: all those with just the name it was made of."""

    kind: Kind
    query: str
    name: str
    right: frozenset[int]


def cases(catalogue: Iterable[Named], each: int, seed: int = 42) -> list[Case]:
    """So many cases of each kind, or fewer where there are not so many names to make them of; the same for a seed."""
    bearers: dict[str, set[int]] = defaultdict(set)
    for release in catalogue:
        for name in release.names:
            if name.strip():
                bearers[" ".join(name.lower().split())].add(release.id)
    names = sorted(bearers)
    made: list[Case] = []
    for kind in KINDS:
        rng = random.Random(f"{seed} {kind}")
        made += _of_kind(kind, rng.sample(names, len(names)), bearers, each, rng)
    return made


def _of_kind(
    kind: Kind, names: Sequence[str], bearers: dict[str, set[int]], each: int, rng: random.Random
) -> Iterator[Case]:
    count = 0
    for name in names:
        if count == each:
            return
        query = spelled(kind, name, rng)
        if query is not None:
            count += 1
            yield Case(kind, query, name, frozenset(bearers[name]))


def spelled(kind: Kind, name: str, rng: random.Random) -> str | None:
    """A lower-case name as this kind of query; None where it cannot be one."""
    match kind:
        case "exact":
            return name
        case "typo":
            return with_typo(name, rng)
        case "layout":
            return on_other_keys(name)
        case "transliterated":
            return in_other_script(name, rng)


def with_typo(name: str, rng: random.Random) -> str | None:
    """With one letter of a word of four or more left out, added, replaced, or swapped with the next one."""
    long = list(re.finditer(r"[a-zа-яё]{4,}", name))
    if not long:
        return None
    found = rng.choice(long)
    place = rng.randrange(found.start(), found.end() - 1)
    letters = LATIN_LETTERS if LATIN_WORD.fullmatch(found[0]) else RUSSIAN_LETTERS
    before, sign, after = name[:place], name[place], name[place + 1 :]
    match rng.randrange(4):
        case 0:
            return before + after
        case 1:
            return before + sign + rng.choice(letters) + after
        case 2:
            return before + rng.choice(letters.replace(sign, "")) + after
        case _:
            return before + after[0] + sign + after[1:]


def on_other_keys(name: str) -> str | None:
    """Typed with the other keyboard layout; for names of one of these alphabets, with four letters at least."""
    latin, russian = len("".join(LATIN_WORD.findall(name))), len("".join(RUSSIAN_WORD.findall(name)))
    if max(latin, russian) < 4 or (latin and russian) or not name.replace("ё", "е").isprintable():
        return None
    if latin:
        return name.translate(str.maketrans(ENGLISH_KEYS, RUSSIAN_KEYS)) if name.isascii() else None
    return name.translate(str.maketrans(RUSSIAN_KEYS, ENGLISH_KEYS))


def in_other_script(name: str, rng: random.Random) -> str | None:
    """Romaji in Russian letters or in kana, Russian in Latin letters; None for what is neither."""
    plain = re.sub("[^a-zа-яё0-9 ]+", " ", name.replace("'", ""))
    words = plain.split()
    if sum(map(len, words)) < 4:
        return None
    if not RUSSIAN_WORD.search(plain) and not name.isascii():
        return None
    if all(RUSSIAN_WORD.fullmatch(word) or word.isdigit() for word in words) and RUSSIAN_WORD.search(plain):
        return " ".join(words).translate(rng.choice(LATIN_OF_RUSSIAN)) if name.isprintable() else None
    if not name.isascii() or not all(map(is_romaji, words)) or all(map(str.isdigit, words)) or ROMANS & {*words}:
        return None
    return rng.choice((in_polivanov, in_polivanov, by_ear, by_ear, in_kana))(words)


def is_romaji(word: str) -> bool:
    """Whether a word falls into the syllables of Japanese without a rest."""
    return word.isdigit() or not SYLLABLE.sub("", DOUBLED.sub("", word))


def in_polivanov(words: Sequence[str]) -> str:
    """As a translator from Japanese writes: long vowels short, м before lips."""
    short = re.sub("ou|oo|uu", lambda found: found[0][0], " ".join(words))
    return re.sub("н(?=[бпм])", "м", _in_syllables(short, POLIVANOV, DOUBLES))


def by_ear(words: Sequence[str]) -> str:
    """As fans write, from the English letters, every one of them."""
    return _in_syllables(" ".join(words), POLIVANOV | BY_EAR, DOUBLES)


def in_kana(words: Sequence[str]) -> str:
    """As a keyboard for Japanese gives it, without spaces."""
    return _in_syllables("".join(words), HIRAGANA, dict.fromkeys(DOUBLES, "っ"))


def _in_syllables(text: str, syllables: dict[str, str], doubles: dict[str, str]) -> str:
    return SYLLABLE.sub(lambda found: syllables[found[0]], DOUBLED.sub(lambda found: doubles[found[0]], text))
