"""Finding any of many words in a text, in time that grows with the text alone (Aho and Corasick's machine).

A regular expression of five hundred alternatives would try them one by one at every letter, and a rule could be written
that takes it seconds.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from server.rules.holding import folded

Kind = Literal["word", "phrase"]
Action = Literal["hold", "refuse"]

# There are no more than so many.
MOST_RULES = 500
# A pattern as it is compared has so many characters.
SHORTEST, LONGEST = 2, 200
# What a new rule is tried on: so many of the newest comments, and so many of those it meets are shown.
TRIED, TRIED_SHOWN = 1000, 20

# Scripts that do not put spaces between words (Korean puts them, but joins its particles to them): Thai to Myanmar,
# Hangul, Khmer, kana, ideographs.
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3040, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)  # fmt: skip
# Code points have 21 bits: an edge is known by where it begins and by its sign, in one number.
SHIFT = 21


class Rule(NamedTuple):
    """A pattern as it is compared (`folded`), whole words or anywhere, and what follows where it is found."""

    pattern: str
    kind: Kind
    action: Action


def comparable(pattern: str) -> str | None:
    """A pattern as it is compared; None if then there is too little of it, or too much."""
    found = folded(pattern)
    return found if SHORTEST <= len(found) <= LONGEST else None


class Words:
    """Rules, ready to be looked for."""

    __slots__ = ("_edges", "_ends", "_fails", "_further", "_phrases")

    def __init__(self, rules: Iterable[Rule]) -> None:
        # Nodes are numbers, 0 is the beginning.
        self._edges: dict[int, int] = {}
        self._fails = [0]
        # What ends at a node; the next shorter node at which something ends; the strictest phrase of all of these.
        self._ends: dict[int, list[Rule]] = {}
        self._further: dict[int, int] = {}
        self._phrases: dict[int, Action | None] = {}
        children: dict[int, list[int]] = {}
        for rule in rules:
            node = 0
            for sign in map(ord, rule.pattern):
                edge = node << SHIFT | sign
                if edge not in self._edges:
                    self._edges[edge] = len(self._fails)
                    children.setdefault(node, []).append(edge)
                    self._fails.append(0)
                node = self._edges[edge]
            if node:
                self._ends.setdefault(node, []).append(rule)
        self._link(children)

    def _link(self, children: dict[int, list[int]]) -> None:
        """Where to go on from each node when the next sign does not fit: the longest end of it that is a beginning."""
        waiting = deque([0])
        while waiting:
            node = waiting.popleft()
            for edge in children.get(node, ()):
                child, sign = self._edges[edge], edge & (1 << SHIFT) - 1
                waiting.append(child)
                fail = self._fails[node]
                while (target := self._edges.get(fail << SHIFT | sign)) is None and fail:
                    fail = self._fails[fail]
                self._fails[child] = target or 0 if node else 0
                self._mark(child)

    def _mark(self, node: int) -> None:
        """Note what ends here, the nodes above and those it falls back to being done."""
        fail = self._fails[node]
        further = fail if fail in self._ends else self._further.get(fail, 0)
        if node not in self._ends and not further:
            return
        self._further[node] = further
        own = {rule.action for rule in self._ends.get(node, ()) if rule.kind == "phrase"} | {self._phrases.get(further)}
        self._phrases[node] = "refuse" if "refuse" in own else "hold" if "hold" in own else None

    def verdict(self, text: str) -> Action | None:
        """What is to become of this text, as it was written: the strictest of all rules that it meets."""
        if not self._edges:
            return None
        said = folded(text)
        edges, fails, phrases, node = self._edges, self._fails, self._phrases, 0
        verdict: Action | None = None
        inside: list[bool] = []
        for end, sign in enumerate(map(ord, said), 1):
            while (target := edges.get(node << SHIFT | sign)) is None and node:
                node = fails[node]
            node = target or 0
            if node not in phrases:
                continue
            inside = inside or [False, *map(_in_word, said), False]
            verdict = phrases[node] or verdict
            # Nothing is gained by another that holds.
            if verdict != "refuse" and not (inside[end] and inside[end + 1]):
                verdict = self._word(node, end, inside, verdict)
            if verdict == "refuse":
                break
        return verdict

    def _word(self, node: int, end: int, inside: list[bool], verdict: Action | None) -> Action | None:
        """The strictest of the verdict so far and of the whole words that end here."""
        while node:
            for pattern, kind, action in self._ends.get(node, ()):
                begin = end - len(pattern)
                if kind == "word" and action != verdict and not (inside[begin] and inside[begin + 1]):
                    if action == "refuse":
                        return action
                    verdict = action
            node = self._further[node]
        return verdict


def _in_word(sign: str) -> bool:
    """Whether this belongs to a word, and what stands beside it to the same one."""
    if sign.isascii():
        # Not `_`, which is a letter to programs alone: _word_ is the word. Digits are part of it.
        return sign.isalnum()
    if not (sign.isalnum() or unicodedata.category(sign)[0] == "M"):
        return False
    code = ord(sign)
    return not any(first <= code <= last for first, last in UNSPACED)
