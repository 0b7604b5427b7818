"""In which language a synopsis is written, as far as it matters for cutting endings off its words."""

from __future__ import annotations

import re

from server.rules.search_text import CJK_SIGN

# Configurations that every PostgreSQL has. `simple` cuts nothing off.
SIMPLE = "simple"
# So much of a text tells its language.
BEGINNING, FEW = 400, 120
CYRILLIC, LATIN = re.compile("[а-яёіїєґўђјљњћџ]+"), re.compile("[a-zà-ÿœ]+")
NOT_RUSSIAN = re.compile("[іїєґўђјљњћџ]")
# Words that are hardly a word of another of these languages.
COMMON = {
    "english": "the and of is his her with that to has are they from who by was when he she it for their this",
    "german": "der und ist das nicht ein eine mit von den dem auf sich des im zu wird als auch aus",
    "french": "le les et des est une dans qui que du pour il au sur avec sa ses elle mais ce",
    "spanish": "el los las y es una que en por con su del para se como pero más sus al un",
    "italian": "il gli che di è una per con della nel sono del si non dei lo alla più anche suo",
    "portuguese": "o os que e um uma em do da não para com se por dos mais ao na como seu",
}
LANGUAGES_OF: dict[str, tuple[str, ...]] = {}
for _language, _words in COMMON.items():
    for _word in _words.split():
        LANGUAGES_OF[_word] = (*LANGUAGES_OF.get(_word, ()), _language)


def config_of(text: str) -> str:
    """The text-search configuration for a text: by its script, then by a vote of its commonest words."""
    beginning = text[:BEGINNING].lower()
    if not beginning.isascii():
        first = beginning[:FEW]
        if len("".join(CYRILLIC.findall(first))) > len("".join(LATIN.findall(first))):
            return SIMPLE if NOT_RUSSIAN.search(first) else "russian"
        if CJK_SIGN.search(beginning):
            return SIMPLE
    votes = dict.fromkeys(COMMON, 0)
    for languages in filter(None, map(LANGUAGES_OF.get, LATIN.findall(beginning))):
        for language in languages:
            votes[language] += 1
    best = max(votes, key=lambda language: votes[language])
    return best if votes[best] else SIMPLE
