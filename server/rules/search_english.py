"""Which English words may be meant by what a Russian wrote by ear: "хантер", "фейт зеро", "блэк лагун".

A Russian spelling follows the sound and an English one does not, so there are several words for each sound; which of
them exist the index knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, islice, product

# So many are tried for a word, those that change least first.
MOST = 24
SHORTEST, LONGEST = 3, 12
# Common words of titles that are not written as they are said.
IRREGULAR = {
    "абисс": "abyss", "батл": "battle", "блад": "blood", "бьюти": "beauty", "бэтл": "battle", "ван": "one",
    "ворлд": "world", "герл": "girl", "герлз": "girls", "герлс": "girls", "зе": "the", "зэ": "the", "икс": "x",
    "квин": "queen", "лав": "love", "литл": "little", "мэджик": "magic", "найт": "knight", "нью": "new", "оф": "of",
    "пис": "piece", "сайко": "psycho", "скул": "school", "ту": "to", "уан": "one", "уорлд": "world", "х": "x",
    "хевен": "heaven", "чейнсо": "chainsaw", "чейнсоу": "chainsaw", "э": "a", "эбисс": "abyss", "ю": "you",
}  # fmt: skip
# Sounds and their other spellings; "_" stands for an e that is not said, behind the next consonant.
SPELLINGS = {
    "ей": ("a_", "ay", "ea"), "эй": ("a_", "ay", "ea"), "ай": ("i_", "igh", "y"), "ау": ("ow", "ou"),
    "оу": ("o_", "ow", "o"), "дж": ("j", "g"), "ер": ("er", "ur", "ir"), "и": ("ea", "e"), "э": ("a", "ea"),
    "е": ("a", "ea"), "а": ("u", "o"), "у": ("oo", "ue"), "ю": ("ue", "oo"), "о": ("a", "o_"), "з": ("th",),
    "ж": ("g",),
    # Not "vo", of which hardly more than an o is heard: "вавэ" would be an OVA.
    "ва": ("vu",),
}  # fmt: skip
LETTERS = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "zh", "з": "z", "и": "i", "й": "y", "к": "k",
    "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "h",
    "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu", "я": "ya",
}  # fmt: skip
UNIT = re.compile("ва(?![йу])|[еэа]й|[ао]у|дж|[а-я]")
RUSSIAN = re.compile("[а-я]+")
SILENT = re.compile("_([bcdfghjklmnpqrstvwxyz]+)")
# Behind them a word may end with an e that is not said.
MAYBE_E = frozenset("бвгджзклмнпрст")


@lru_cache(maxsize=1_024)
def english_spellings(word: str) -> tuple[str, ...]:
    """How an English word may be spelt that sounds like this folded Russian one; none for what is not Russian."""
    if not RUSSIAN.fullmatch(word) or len(word) > LONGEST:
        return ()
    known = [IRREGULAR[word]] if word in IRREGULAR else []
    if len(word) < SHORTEST:
        return tuple(known)
    return tuple(dict.fromkeys((*known, *islice(_spellings(UNIT.findall(word)), MOST))))


def _spellings(units: list[str]) -> Iterator[str]:
    """With one sound spelt otherwise, then with two."""
    plain = ["".join(map(LETTERS.__getitem__, unit)) for unit in units]
    others = {place: SPELLINGS[unit] for place, unit in enumerate(units) if unit in SPELLINGS}
    if units[-1] == "с":
        others[len(units) - 1] = ("th", "se")
    elif units[-1] in MAYBE_E:
        others[len(units) - 1] = (*others.get(len(units) - 1, ()), plain[-1] + "e")
    for count in (1, 2):
        for places in combinations(others, count):
            for spelt in product(*map(others.__getitem__, places)):
                letters = list(plain)
                for place, one in zip(places, spelt, strict=True):
                    letters[place] = one
                yield SILENT.sub(r"\1e", "".join(letters)).replace("_", "")
