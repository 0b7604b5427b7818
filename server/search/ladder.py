"""The ladder: a query in which nothing is found as it stands is read in other ways, until something is.

    as typed  ->  other keyboard layout  ->  by sound  ->  typing errors put right  ->  one word fewer

Corrections are made by names, to names: words of titles are what is misspelt.
Each step is one question to the database, and is taken only if those above it found nothing. What the filters of a
search leave has no say: a correction must not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from server.rules.search_document import SHORTEST_WORD, name_lexeme, sound_lexemes
from server.rules.search_layout import other_layouts
from server.rules.search_sounds import skeleton, skeletons, sound_keys
from server.rules.search_text import key as key_of
from server.rules.search_text import tokens
from server.rules.search_text import words as words_of
from server.rules.search_typos import ONE_FROM
from server.search.engine import Finder, Match, Outcome, Reading

# Words of a query; what is beyond says nothing more.
MOST_WORDS = 16
# Spellings that are tried for one word.
MOST_SPELLINGS = 8
# Of more words none is left out: each that may be missing makes the question as long again.
MOST_FEWER = 6
# Sounds of a word by which others are found.
SHORTEST_SOUND = 2


async def read(finder: Finder, text: str) -> Reading:
    """The first reading of the text by which something is found; `empty` if there is none."""
    key, words = key_of(text), tuple(words_of(text)[:MOST_WORDS])
    going_on = not text[-1:].isspace()
    plain = _plainly(key, words, going_on)
    if await finder.fits(plain):
        # Words of a synopsis may be a title as it sounds.
        by_name = await finder.fits(replace(plain, named=True))
        other = None if by_name else await _whole_by_sound(finder, text, words, going_on)
        return other or Reading(plain, "found", key, words)
    return (
        await _on_other_layout(finder, text, going_on)
        or await _by_sound(finder, text, words, going_on)
        or await _without_typos(finder, words, going_on)
        or Reading(plain, "empty", key, words)
    )


def whole_names(key: str, text: str) -> tuple[str, ...]:
    """Lexemes of whatever is named just so, or sounds just so."""
    return (name_lexeme(key), *_whole_sounds(text)) if key else ()


def _distinct(words: Sequence[str]) -> tuple[str, ...]:
    """Each word once, where it stands last: the last one may still be being typed."""
    return tuple(reversed(dict.fromkeys(reversed(words))))


def _plainly(key: str, words: Sequence[str], going_on: bool) -> Match:
    groups = tuple((word,) for word in _distinct(words))
    return Match(groups, (name_lexeme(key),), " ".join(words), going_on)


async def _on_other_layout(finder: Finder, text: str, going_on: bool) -> Reading | None:
    for other in other_layouts(text):
        key, words = key_of(other), tuple(words_of(other)[:MOST_WORDS])
        match = _plainly(key, words, going_on)
        # Most texts are gibberish on the other layout; what is left of that may stand in a synopsis, but is no name.
        if words and await finder.fits(replace(match, named=True)):
            return Reading(match, "layout", key, words, key)
    return None


def _whole_sounds(text: str) -> tuple[str, ...]:
    """Lexemes of names that sound just so, unless the name would be next to nothing."""
    heard = max(map(len, sound_keys(tokens(text))), default=0)
    return tuple(sound_lexemes(text)) if heard > SHORTEST_SOUND else ()


def _sounds_of(word: str) -> list[str]:
    """How it may sound; nothing where hardly anything is left of it to hear."""
    return [sound for sound in skeletons(word) if len(sound) >= SHORTEST_SOUND]


async def _whole_by_sound(finder: Finder, text: str, words: Sequence[str], going_on: bool) -> Reading | None:
    whole = _whole_sounds(text)
    if not whole or not await finder.fits(Match((), whole, named=True)):
        return None
    return await _by_sound(finder, text, words, going_on)


async def _by_sound(finder: Finder, text: str, words: Sequence[str], going_on: bool) -> Reading | None:
    sounds = {word: _sounds_of(word) for word in words}
    if not any(sounds.values()):
        return None
    groups = tuple((word, *(f"~{sound}" for sound in sounds[word])) for word in _distinct(words))
    match = Match(groups, _whole_sounds(text), prefix=going_on, named=True)
    if not await finder.fits(match):
        return None
    by_sound = await finder.sounding([sound for found in sounds.values() for sound in found])
    spellings = {word: [one for sound in found for one in by_sound.get(sound, ())] for word, found in sounds.items()}
    # The vocabulary has no words of one letter or two.
    names = await finder.names(match)
    short = {one for keys in names for key in keys for one in key.split() if len(one) < SHORTEST_WORD}
    for word in (word for word in words if not spellings[word]):
        spellings[word] = sorted(one for one in short if skeleton(one) in skeletons(word))
    return await _spelt(finder, match, "sounds", words, spellings)


async def _without_typos(finder: Finder, words: Sequence[str], going_on: bool) -> Reading | None:
    # In shorter words there are no errors to put right, only other letters.
    distinct = _distinct(words)
    long = [word for word in distinct if len(word) >= ONE_FROM]
    near, sounds = await finder.near(long), {word: _sounds_of(word) for word in long}
    heard = await finder.sounding([sound for word in long if word not in near for sound in sounds[word]])
    spellings: dict[str, tuple[str, ...]] = dict.fromkeys(words, ())
    for word in long:
        found = near.get(word) or [one for sound in sounds[word] for one in heard.get(sound, ())]
        spellings[word] = tuple(found[:MOST_SPELLINGS])
    loose = tuple(_loosely(word, spellings[word]) for word in distinct)
    unknown = [word for word in long if word not in spellings[word]]
    # What the vocabulary knows is taken at its word first.
    strict = tuple(
        (word,) if word in long and word not in unknown else group for word, group in zip(distinct, loose, strict=True)
    )
    for groups in dict.fromkeys((strict, loose) if unknown else (loose,)):
        if any(not spellings[word] and len(_loosely(word, ())) == 1 for word in unknown if word.isalpha()):
            # A word that is nothing at all will not be found in company either.
            break
        match = Match(groups, prefix=going_on, named=True)
        if await finder.fits(match):
            return await _spelt(finder, match, "typos", words, spellings)
    fewer = Match(loose, fewer=True, named=True)
    if 1 < len(distinct) <= MOST_FEWER and await finder.fits(fewer):
        return await _spelt(finder, fewer, "fewer", words, spellings)
    return None


def _loosely(word: str, spellings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((word, *spellings, *(f"~{sound}" for sound in _sounds_of(word)))))


async def _spelt(
    finder: Finder, match: Match, outcome: Outcome, words: Sequence[str], spellings: Mapping[str, Sequence[str]]
) -> Reading:
    """The reading with the words that were meant, as the best of the names that fit spells them."""
    distinct = _distinct(words)
    picked = dict(zip(distinct, best_spelling(distinct, spellings, await finder.names(match)), strict=True))
    # Only what stands in names that fit is told: the vocabulary knows words of drafts, too.
    kept = [pick or word for word in words if (pick := picked[word]) or outcome != "fewer"]
    means = {one: word for word in words for one in spellings.get(word, ())} | {word: word for word in words}
    corrected = key_of(" ".join(kept)) or None
    return Reading(match, outcome, " ".join(words), tuple(words), corrected, means)


def best_spelling(
    words: Sequence[str], spellings: Mapping[str, Sequence[str]], names: Iterable[Sequence[str]]
) -> list[str | None]:
    """For each word its spelling in the name that has most of them, and the likeliest; None: that one has none."""
    places: dict[str, list[tuple[int, int]]] = {}
    for number, word in enumerate(words):
        for place, one in enumerate(dict.fromkeys((word, *spellings.get(word, ())))):
            places.setdefault(one, []).append((number, place))
    best: dict[int, tuple[int, str]] = {}
    best_worth = (0, 0)
    for key in (key for keys in names for key in keys):
        picked: dict[int, tuple[int, str]] = {}
        for one in key.split():
            for number, place in places.get(one, ()):
                picked[number] = min((place, one), picked.get(number, (place, one)))
        worth = (len(picked), -sum(place for place, _ in picked.values()))
        if worth > best_worth:
            best, best_worth = picked, worth
    return [best[number][1] if number in best else None for number in range(len(words))]
