"""A reading of a query as tsqueries. They are written as text, every lexeme between quotes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from server.rules.search_text import is_cjk
from server.search.engine import Groups, Match
from sql.search import CONFIGS, Named

# The shortest beginning of a word that others are found by; one letter begins a tenth of all words.
SHORTEST_BEGINNING = 2
# Each of them costs as much as all whole words together.
MOST_BEGINNINGS = 3


def quoted(lexeme: str) -> str:
    """A lexeme as it stands in a tsquery."""
    doubled = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"


def whole(match: Match) -> str:
    """Whoever has one of the whole names."""
    return _any_name(match.whole)


def _any_name(lexemes: Sequence[str]) -> str:
    return " | ".join(map(quoted, lexemes))


def names(match: Match, *, begun: bool = False) -> str:
    """Whoever has all groups in its names, the last one maybe only `begun`, or one of the whole names."""
    last = len(match.groups) - 1
    groups = [_any_of(group, prefix=begun and place == last) for place, group in enumerate(match.groups) if group]
    return " | ".join(part for part in (_all_of(groups, fewer=match.fewer), whole(match)) if part)


def named(match: Match) -> Named:
    """What is looked for in names."""
    begun = names(match, begun=match.prefix != "never")
    plain = names(match) if match.prefix == "unless_whole" else begun
    return Named(whole(match), plain, begun, _any_name(match.beside))


def words(match: Match) -> str:
    """Whoever has all groups anywhere. Sounds stand in names alone, and so does the beginning of a word."""
    plain = tuple(tuple(word for word in group if not word.startswith("~")) for group in match.groups)
    if match.named or not all(plain):
        return ""
    return _all_of([_any_of(group) for group in plain], fewer=match.fewer)


def _any_of(group: Sequence[str], *, prefix: bool = False) -> str:
    begun = beginnings(group) if prefix else ()
    found = " | ".join(quoted(word) + (":*" if word in begun else "") for word in group)
    return f"({found})" if len(group) > 1 else found


def beginnings(group: Sequence[str]) -> list[str]:
    """Those that longer words may begin with: of a word, the likeliest of its other spellings and its sounds."""
    return [word for word in group[:MOST_BEGINNINGS] if may_begin(word)]


def may_begin(word: str) -> bool:
    """Whether longer words may be meant. Numbers are not typed halfway; pairs of signs are nothing to go on with."""
    if is_cjk(word):
        return len(word) == 1
    return len(word.removeprefix("~")) >= SHORTEST_BEGINNING and not word.isdigit()


def _all_of(groups: Sequence[str], *, fewer: bool) -> str:
    if not fewer or len(groups) < 2:
        return " & ".join(groups)
    return " | ".join(
        "(" + " & ".join(group for place, group in enumerate(groups) if place != left) + ")"
        for left in range(len(groups))
    )


def weighing(groups: Groups) -> list[str]:
    """Each word of the query, to be followed by a weight."""
    return [f"{quoted(group[0])}:" for group in groups if group and not group[0].startswith("~")]


@lru_cache(maxsize=1_024)
def configs(text: str) -> tuple[str, ...]:
    """The configurations whose stems a text can have, by its letters."""
    if any("а" <= sign <= "я" for sign in text):
        return CONFIGS["cyrillic"]
    return CONFIGS["latin"] if any("a" <= sign <= "z" for sign in text) else CONFIGS["other"]
