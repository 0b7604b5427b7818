"""What may be written down of a search that found nothing: words, and nothing that tells who somebody is."""

from __future__ import annotations

import re

from server.rules.search_text import fold

LONGEST = 100
# Addresses of mail and of pages.
ADDRESS = re.compile(r"[@＠]|[([{]\s*at\s*[)\]}]|://|\bwww\.|[\w-]\.[a-z]{2,}/", re.IGNORECASE)
# Five digits in a row, or seven with what stands between the digits of telephone numbers and cards.
NUMBER = re.compile(r"\d{5}|\d(?:[\s().+/-]*\d){6}")
FOLDED_NUMBER = re.compile(r"\d(?: ?\d){6}|\d{5}")


def to_write_down(query: str) -> str | None:
    """The query normalised; None where it may be personal, or where nothing is left of it."""
    said = query[: 4 * LONGEST]
    if ADDRESS.search(said) or NUMBER.search(said):
        return None
    # Folding makes one digit of its many kinds, and one space of whatever stands between two.
    folded = fold(said)
    return None if FOLDED_NUMBER.search(folded) else folded[:LONGEST].strip() or None
