"""Typing errors: which words may have been meant, found by what is left when letters are left out.

Two words within an edit of each other have a form in common once a letter is deleted from each (Wolf Garbe's symmetric
delete, SymSpell); so a vocabulary keeps hashes of its words' deletion variants, and an index over these finds the
candidates. Only the beginning of a word takes part, which keeps a long word from having hundreds of them; what is found
is verified by its true distance.
"""

from __future__ import annotations

import zlib
from itertools import combinations

from server.rules.search_text import is_cjk

# Letters from the beginning that take part. It must exceed twice the edits, or half of all words would meet.
PREFIX = 7
ONE_FROM, TWO_FROM = 4, 8
# Hashes are kept as PostgreSQL's integer, which has a sign.
SIGN, WRAP = 1 << 31, 1 << 32


def allowed(word: str) -> int:
    """How many errors a word of this length may have, in characters; none in numbers and in han and kana."""
    if len(word) < ONE_FROM or not word.isalpha() or is_cjk(word):
        return 0
    return 1 if len(word) < TWO_FROM else 2


def within(typed: str, word: str) -> int:
    """How many errors may lie between what was typed and a word of the vocabulary: the longer of them decides.

    So a word of four letters is still found when one of them was left out.
    """
    return allowed(typed if len(typed) > len(word) else word)


def variants(word: str) -> set[int]:
    """What a vocabulary keeps of a word: hashes of its beginning, and of all that is left of that when as many letters
    go as the word may have errors."""
    return _hashes(word, allowed(word))


def suspected(typed: str) -> int:
    """How many errors may be in what was typed: one letter short, it may have the errors of the whole word."""
    return allowed(typed + typed[-1:])


def probes(typed: str, errors: int) -> set[int]:
    """What to look for among the variants to find the words that so many errors lead to.

    Three letters are what is left of four: of less than that nothing is kept.
    """
    return _hashes(typed, errors if len(typed) >= ONE_FROM else 0)


def _hashes(word: str, errors: int) -> set[int]:
    beginning = word[:PREFIX]
    found = {beginning}
    for gone in range(1, errors + 1):
        found.update(map("".join, combinations(beginning, len(beginning) - gone)))
    return {_signed(zlib.crc32(variant.encode("utf-8", "replace"))) for variant in found}


def _signed(hashed: int) -> int:
    return hashed - WRAP if hashed >= SIGN else hashed


def distance(a: str, b: str, most: int) -> int:
    """Letters added, left out, replaced or swapped with a neighbour (optimal string alignment); at most `most + 1`."""
    if a == b:
        return 0
    if abs(len(a) - len(b)) > most:
        return most + 1
    # What both begin and end with cannot make a difference.
    begin, shorter = 0, min(len(a), len(b))
    while begin < shorter and a[begin] == b[begin]:
        begin += 1
    end = 0
    while end < shorter - begin and a[-1 - end] == b[-1 - end]:
        end += 1
    return _aligned(a[begin : len(a) - end], b[begin : len(b) - end], most)


def _aligned(a: str, b: str, most: int) -> int:
    before: list[int] = []
    above = list(range(len(b) + 1))
    for row, sign in enumerate(a, 1):
        current = [row]
        for column, other in enumerate(b, 1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (sign != other))
            if row > 1 and column > 1 and sign == b[column - 2] and a[row - 2] == other:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        if min(current) > most and min(above) > most:
            return most + 1
        before, above = above, current
    return min(above[-1], most + 1)
