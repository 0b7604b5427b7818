"""What was meant by whoever typed with the other keyboard layout: ЙЦУКЕН for QWERTY and the other way round."""

from __future__ import annotations

import re

_QWERTY = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
_JCUKEN = "ёйцукенгшщзхъфывапролджэячсмитьбю"
# The same with shift: a capital letter of one is punctuation of the other.
_SHIFTED_QWERTY, _SHIFTED_JCUKEN = '~{}:"<>', "ЁХЪЖЭБЮ"
_CAPITALS = [(here.upper(), there.upper()) for here, there in zip(_QWERTY, _JCUKEN, strict=True) if here.isalpha()]
LETTERS = str.maketrans(dict([*zip(_QWERTY, _JCUKEN, strict=True), *_CAPITALS]))
TO_CYRILLIC = LETTERS | str.maketrans(_SHIFTED_QWERTY + "/?&^", _SHIFTED_JCUKEN + ".,?:")
TO_LATIN = {ord(there): chr(here) for here, there in LETTERS.items()} | str.maketrans(_SHIFTED_JCUKEN, _SHIFTED_QWERTY)
# No word ends with one capital letter.
SHIFTED_ENDING = re.compile(r"(?<![A-Z])[:\"?<>{}](?=\s|$)")
# A comma is the letter б of the Russian layout, and behind a word still a comma where only letters were mistaken.
ENDING = re.compile(r"(\S*)([,;])(?=\s|$)")
ENDINGS = {",": "б", ";": "ж"}
# Words that end so.
SO_ENDING = frozenset(
    "об чтоб клуб раб зуб дуб гроб хлеб столб штаб краб герб "  # noqa: SIM905
    "муж уж нож этаж экипаж паж морж сторож".split()
)
DOUBTFUL = re.compile(r"[,.;']+(?=\s|$)|(?<!\S)\[(?=[^\[\]\s]*\](?:\s|$))|(?<=\w)\](?=\s|$)")


def other_layout(text: str) -> str | None:
    """The likeliest of `other_layouts`."""
    found = other_layouts(text)
    return found[0] if found else None


def other_layouts(text: str) -> list[str]:
    """What the same keys may have been meant for, the likeliest first; none where there are no letters to change."""
    lowered = text.lower()
    cyrillic = sum("а" <= sign <= "я" or sign == "ё" for sign in lowered)
    latin = sum("a" <= sign <= "z" for sign in lowered)
    if cyrillic > latin:
        return [text.translate(TO_LATIN)]
    if not latin:
        return []
    text = SHIFTED_ENDING.sub(" ", text)
    readings = (ENDING.sub(_likely, text), text, DOUBTFUL.sub(" ", text))
    return list(dict.fromkeys(reading.translate(TO_CYRILLIC) for reading in readings))


def _likely(match: re.Match[str]) -> str:
    word, sign = match[1].lower().translate(TO_CYRILLIC), match[2]
    return match[0] if word + ENDINGS[sign] in SO_ENDING else f"{match[1]} "
