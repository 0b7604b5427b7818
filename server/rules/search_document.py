"""What of a release is searched, in the words of the index. See `Document` for the kinds of lexemes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

from server.rules.search_language import config_of
from server.rules.search_seasons import ROMANS
from server.rules.search_sounds import heard, reduced, whole_sounds
from server.rules.search_text import CJK, bigrams, fold_long, is_cjk, is_common, tokens, words, words_of

# Documents made by older rules are made anew. To be raised with every change of what `build` returns.
RULES = 2

MOST_KEYS = 40
MOST_LEXEMES = 400
MOST_TOPICS = 100
LONGEST_LEXEME = 200
LONGEST_SYNOPSIS = 10_000
# Words that typing errors are put right to.
SHORTEST_WORD, LONGEST_WORD = 3, 40
# About 1 MB: a catalogue has few genres and tags, and names them again and again.
KNOWN_TOPICS = 4_096

SOUND, NAME, SOUND_OF_NAME = "~", "=", "~="
CJK_RUN = re.compile(f"[{CJK}]+")


@dataclass(frozen=True, slots=True)
class Source:
    """What of a release is searched."""

    title: str
    titles: Mapping[str, str] = field(default_factory=dict)
    synonyms: Sequence[str] = ()
    genres: Sequence[str] = ()
    tags: Sequence[str] = ()
    franchise: str | None = None
    synopsis: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """The lexemes of a release.

    `names` (weight A): the words of all its names; `~` and how a word sounds; `=` and the hash of a whole name
    without its spaces; `~=` and the hash of how a whole name sounds. `topics` (B): genres, tags, franchise.
    `synopsis` (C) is folded text for `to_tsvector` with `synopsis_config`. `keys` are its names as compared;
    `vocabulary` are those words that typing errors are put right to.
    """

    names: list[str]
    topics: list[str]
    synopsis_config: str
    synopsis: str
    keys: list[str]
    vocabulary: set[str]


def build(source: Source) -> Document:
    """The document of a release; its title comes first, in case there is too much for one document."""
    names: dict[str, list[str]] = {}
    for name in dict.fromkeys((source.title, *source.titles.values(), *source.synonyms)):
        found = tokens(name)
        if found:
            names.setdefault(" ".join(found), found)
            if len(names) == MOST_KEYS:
                break
    topics = _topics((*source.genres, *source.tags, source.franchise or ""))
    synopsis = source.synopsis[:LONGEST_SYNOPSIS]
    return Document(
        names=_lexemes(names)[: MOST_LEXEMES - len(topics)],
        topics=topics,
        synopsis_config=config_of(synopsis),
        synopsis=_long_text(synopsis),
        keys=list(names),
        vocabulary=set(filter(_is_known_word, chain(*names.values()))),
    )


def _lexemes(names: Mapping[str, list[str]]) -> list[str]:
    """The lexemes of names, name by name, of their tokens by their keys."""
    said = heard(chain(*names.values()))
    sounds = {word: SOUND + sound for word, sound in zip(said, reduced(said.values()), strict=True) if sound}
    made: dict[str, None] = {}
    for (key, found), sound in zip(names.items(), whole_sounds(names.values(), said), strict=True):
        made[name_lexeme(key)] = None
        if sound:
            made[_hashed(SOUND_OF_NAME, sound)] = None
        made |= dict.fromkeys(found if key.isascii() or not CJK_RUN.search(key) else _words_of_name(found))
        if "v" in found:
            # In a query it may be a number (see `without_seasons`).
            made[ROMANS["v"]] = None
        made |= dict.fromkeys(sounds[word] for word in found if word in sounds)
    return [lexeme for lexeme in made if len(lexeme) <= LONGEST_LEXEME]


def _words_of_name(found: list[str]) -> list[str]:
    """The words of a name as the index has them, and those of its runs of han and kana joined: people leave out spaces.

    The last of a run stands by itself, too: then any one sign is the beginning of some word.
    """
    made = words_of(found)
    for run in CJK_RUN.findall("".join(found)):
        made += bigrams(run)
        made.append(run[-1])
    return made


def _topics(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(map(_words_of_topic, filter(None, names)))))[:MOST_TOPICS]


@lru_cache(maxsize=KNOWN_TOPICS)
def _words_of_topic(name: str) -> tuple[str, ...]:
    return tuple(word for word in words(name) if len(word) <= LONGEST_LEXEME)


def _long_text(text: str) -> str:
    """Folded; runs of han and kana as their bigrams, each of them once."""
    folded = fold_long(text)
    if is_common(text) or not CJK_RUN.search(folded):
        return folded
    apart = CJK_RUN.sub(lambda run: f" {' '.join(bigrams(run[0]))} ", folded)
    return " ".join(dict.fromkeys(apart.split()))


def _is_known_word(word: str) -> bool:
    return SHORTEST_WORD <= len(word) <= LONGEST_WORD and word.isalpha() and not is_cjk(word)


def name_lexeme(key: str) -> str:
    """What finds the releases with just this name, whether or not it is written with spaces."""
    return _hashed(NAME, key.replace(" ", ""))


def sound_lexemes(sounds: Iterable[str]) -> list[str]:
    """What finds the releases with a name of these sounds (`sound_keys`), whatever its script and spaces.

    Worth asking for beside the words: "томбо" stands in some synopsis, and is the title "Tonbo!" all the same.
    """
    return [_hashed(SOUND_OF_NAME, sound) for sound in sounds]


def _hashed(kind: str, text: str) -> str:
    return kind + blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
