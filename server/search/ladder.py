"""The ladder: a query in which nothing is found as it stands is read in other ways, until something is.

    as typed  ->  other keyboard layout  ->  by sound  ->  typing errors put right  ->  without "watch online"
    ->  one word fewer

Corrections are made by names, to names: words of titles are what is misspelt.
Each step asks the database once or twice, and is taken only if those above it found nothing. What the filters of a
search leave has no say: a correction must not depend on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from server.rules.search_document import SHORTEST_WORD, name_lexeme, sound_lexemes
from server.rules.search_layout import other_layouts
from server.rules.search_noise import without_noise
from server.rules.search_sounds import skeleton, skeletons, sound_keys
from server.rules.search_text import bigrams, is_cjk, tokens
from server.rules.search_text import key as key_of
from server.rules.search_text import words as words_of
from server.search.engine import Finder, Match, Outcome, Prefix, Reading

# Words of a query; what is beyond says nothing more.
MOST_WORDS = 16
# Spellings that are tried for one word.
MOST_SPELLINGS = 8
# Of more words none is left out: each that may be missing makes the question as long again.
MOST_FEWER = 6
# Sounds of a word by which others are found.
SHORTEST_SOUND = 2


@dataclass(frozen=True, slots=True)
class Typed:
    """A text as it is read. `words` are those of the index, `distinct` each of them once (see `_distinct`); `sounds` is
    how each may sound, nothing where hardly anything is left of it to hear."""

    text: str
    key: str
    words: tuple[str, ...]
    distinct: tuple[str, ...]
    sounds: Mapping[str, Sequence[str]]
    prefix: Prefix


async def read(finder: Finder, text: str) -> Reading:
    """The first reading of the text by which something is found; `empty` if there is none."""
    key, words = key_of(text), tuple(words_of(text)[:MOST_WORDS])
    prefix: Prefix = "never" if text[-1:].isspace() else "unless_whole"
    # "наруто" is the name of one release, and how another one's sounds.
    plain = replace(_plainly(key, words, prefix), beside=_whole_sounds(text))
    found = await finder.fits(plain)
    # Words of a synopsis may be a title as it sounds.
    if found and await finder.fits(replace(plain, named=True)):
        return Reading(plain, "found", key, words)
    sounds = {word: [one for one in skeletons(word) if len(one) >= SHORTEST_SOUND] for word in dict.fromkeys(words)}
    typed = Typed(text, key, words, _distinct(words), sounds, prefix)
    if found:
        return (
            await _named_as_it_sounds(finder, typed)
            or await _without_noise(finder, typed)
            or Reading(plain, "found", key, words)
        )
    return await _otherwise(finder, typed) or await _without_typos(finder, typed) or Reading(plain, "empty", key, words)


def whole_names(key: str, text: str) -> tuple[str, ...]:
    """Lexemes of whatever is named just so, or sounds just so."""
    return (name_lexeme(key), *_whole_sounds(text)) if key else ()


def _distinct(words: Sequence[str]) -> tuple[str, ...]:
    """Each word once, where it stands last: the last one may still be being typed."""
    return tuple(reversed(dict.fromkeys(reversed(words))))


def _plainly(key: str, words: Sequence[str], prefix: Prefix) -> Match:
    groups = tuple((word,) for word in _distinct(words))
    return Match(groups, (name_lexeme(key),), text=" ".join(words), prefix=prefix)


async def _otherwise(finder: Finder, typed: Typed) -> Reading | None:
    """On the other keyboard layout, or by sound."""
    readings: dict[Match, Reading | None] = {}
    for other in other_layouts(typed.text):
        key, words = key_of(other), tuple(words_of(other)[:MOST_WORDS])
        match = _plainly(key, words, typed.prefix)
        # Most texts are gibberish on the other layout; what is left of that may stand in a synopsis, but is no name.
        if words:
            readings[replace(match, named=True)] = Reading(match, "layout", key, words, key)
    by_sound = _by_sound(typed)
    found = await finder.first([*readings, *([by_sound] if by_sound is not None else [])])
    if found is None:
        return None
    return readings.get(found) or await _as_it_sounds(finder, typed, found)


def _whole_sounds(text: str) -> tuple[str, ...]:
    """Lexemes of names that sound just so, unless the name would be next to nothing."""
    sounds = sound_keys(tokens(text))
    return tuple(sound_lexemes(sounds)) if max(map(len, sounds), default=0) > SHORTEST_SOUND else ()


async def _named_as_it_sounds(finder: Finder, typed: Typed) -> Reading | None:
    """What stands in a synopsis alone may be a title as it sounds: some words of one, or a single word if it is all."""
    whole, match = _whole_sounds(typed.text), _by_sound(typed)
    if match is None:
        return None
    if len(typed.distinct) == 1 and not (whole and await finder.fits(Match((), whole, named=True))):
        return None
    found = await _as_it_sounds(finder, typed, match) if await finder.fits(match) else None
    # Without another spelling it was put together from several names of a release.
    return found if found is not None and found.corrected is not None else None


async def _without_noise(finder: Finder, typed: Typed) -> Reading | None:
    kept = without_noise(typed.words)
    found = await read(finder, " ".join(kept)) if kept else None
    if found is None or found.outcome in ("fewer", "empty"):
        return None
    return replace(found, outcome="fewer", corrected=found.corrected or found.key)


def _by_sound(typed: Typed) -> Match | None:
    if not any(typed.sounds.values()):
        return None
    groups = tuple((word, *(f"~{sound}" for sound in typed.sounds[word])) for word in typed.distinct)
    return Match(groups, _whole_sounds(typed.text), prefix=typed.prefix, named=True)


async def _as_it_sounds(finder: Finder, typed: Typed, match: Match) -> Reading:
    by_sound = await finder.sounding([sound for found in typed.sounds.values() for sound in found])
    spellings = {
        word: [one for sound in found for one in by_sound.get(sound, ())] for word, found in typed.sounds.items()
    }
    # The vocabulary has no words of one letter or two.
    names = await finder.names(match)
    short = {one for keys in names for key in keys for one in key.split() if len(one) < SHORTEST_WORD}
    for word in (word for word, found in spellings.items() if not found):
        spellings[word] = sorted(one for one in short if skeleton(one) in skeletons(word))
    return await _spelt(finder, match, "sounds", typed, spellings)


async def _without_typos(finder: Finder, typed: Typed) -> Reading | None:
    # In shorter words there are no errors to put right, only other letters; three may be what is left of four.
    long = [word for word in typed.distinct if len(word) >= SHORTEST_WORD]
    # Most have one error in one word.
    for thorough in (False, True):
        spellings = await _spellings(finder, typed, long, thorough=thorough)
        # What the vocabulary knows is taken at its word first.
        unknown = [word for word in long if word not in spellings[word]]
        # A word that is nothing at all will not be found in company either.
        lost = any(not spellings[word] and not typed.sounds[word] for word in unknown if word.isalpha())
        loose = {word: _loosely(typed, word, spellings[word]) for word in typed.distinct}
        strict = loose | {word: (word,) for word in long if word not in unknown}
        tried = ([strict] if unknown else []) + ([loose] if thorough else [])
        for groups in [] if lost else tried:
            match = Match(tuple(groups.values()), prefix=typed.prefix, named=True)
            if await finder.fits(match):
                return await _spelt(finder, match, "typos", typed, spellings)
    if (without := await _without_noise(finder, typed)) is not None:
        return without
    return await _with_fewer(finder, typed, loose, spellings)


async def _with_fewer(
    finder: Finder, typed: Typed, loose: Mapping[str, tuple[str, ...]], spellings: Mapping[str, Sequence[str]]
) -> Reading | None:
    if not 1 < len(typed.distinct) <= MOST_FEWER:
        return None
    # A number that is left alone says nothing.
    telling = [group for word, group in loose.items() if not word.isdecimal()]
    groups = tuple(loose.values()) if len(telling) > 1 else tuple(telling)
    match = Match(groups, fewer=True, named=True)
    return await _spelt(finder, match, "fewer", typed, spellings) if groups and await finder.fits(match) else None


async def _spellings(
    finder: Finder, typed: Typed, words: Sequence[str], *, thorough: bool
) -> dict[str, tuple[str, ...]]:
    """What each of these words may have been meant for: by its letters, or else by its sound. Others have none."""
    near = await finder.near(words, thorough=thorough)
    heard = await finder.sounding([sound for word in words if word not in near for sound in typed.sounds[word]])
    found: dict[str, tuple[str, ...]] = dict.fromkeys(typed.words, ())
    for word in words:
        spelt = near.get(word) or [one for sound in typed.sounds[word] for one in heard.get(sound, ())]
        found[word] = tuple(spelt[:MOST_SPELLINGS])
    return found


def _loosely(typed: Typed, word: str, spellings: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((word, *spellings, *(f"~{sound}" for sound in typed.sounds[word]))))


async def _spelt(
    finder: Finder, match: Match, outcome: Outcome, typed: Typed, spellings: Mapping[str, Sequence[str]]
) -> Reading:
    """The reading with the words that were meant, as the best of the names that fit spells them."""
    words, distinct = typed.words, typed.distinct
    picked = dict(zip(distinct, best_spelling(distinct, spellings, await finder.names(match)), strict=True))
    # Only what stands in names that fit is told: the vocabulary knows words of drafts, too.
    kept = []
    for token in tokens(typed.text)[:MOST_WORDS]:
        # Of han and kana nothing is put right, so they are shown as they were typed.
        whole = token if is_cjk(token) and any(map(picked.get, bigrams(token))) else None
        if (found := whole or picked.get(token)) or outcome != "fewer":
            kept.append(found or token)
    means = {one: word for word in words for one in spellings.get(word, ())} | {word: word for word in words}
    corrected = key_of(" ".join(kept))
    # What was searched by its sound may come out as it was typed.
    told = corrected if corrected != typed.key else None
    return Reading(match, outcome, " ".join(words), words, told or None, means)


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
