"""The word rules of moderators, compiled and in memory, where everybody who writes something passes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from server.rules.words import Action, Rule, Words


class WordRules:
    """Holds the rules that are in force; an actor keeps them up to date."""

    def __init__(self) -> None:
        self._words = Words(())
        self.rules: frozenset[Rule] = frozenset()
        # One rule is tried after another: several at once would take all turns from everybody else.
        self.trial = asyncio.Lock()

    def hold(self, rules: Iterable[Rule], words: Words) -> None:
        """These are in force from now on, and this is what they are compiled to."""
        self.rules, self._words = frozenset(rules), words

    def verdict(self, text: str) -> Action | None:
        """What is to become of this text; the strictest of all rules it meets."""
        return self._words.verdict(text)
