"""How titles and names are compared, sorted and cleaned. Pure functions; nothing here reads or writes anything."""

from __future__ import annotations

import html
import re
import unicodedata

# Longest key in characters: a compatibility form may be eighteen times its source, a B-tree entry ends at 2.7 kB.
KEY_MAX = 300

ARTICLE = re.compile(r"^(?:the|an|a) +(?=\S)")
SPACES = re.compile(r"\s+")
LINE_BREAK_TAG = re.compile(r"</?br\b[^<>]*>|</p\s*>", re.IGNORECASE)
# A tag begins with a letter right after the bracket, so "a < b" and "<3" stay text.
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
BLANK_AT_LINE_END = re.compile(r"[ \t\u00a0]+(?=\n|$)")
MANY_BLANK_LINES = re.compile(r"\n{3,}")


def name_key(name: str) -> str:
    """What makes two names the same: case, width and spacing do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return SPACES.sub(" ", folded).strip()[:KEY_MAX]


def sort_title(title: str) -> str:
    """The key a list by title is ordered by: no case, no punctuation, no leading English article."""
    key = name_key(title)
    if key.isascii() and key.replace(" ", "").isalnum():
        return ARTICLE.sub("", key)
    letters = "".join(sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " " for sign in key)
    plain = ARTICLE.sub("", SPACES.sub(" ", letters).strip())
    # A title of nothing but punctuation still needs a place.
    return plain or key


def normal_lines(text: str) -> str:
    """The same text in NFC with `\\n` as its only line break; nothing else is touched."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean_text(text: str) -> str:
    """Plain text: tags removed, entities read, control characters dropped, line breaks `\\n`, in NFC, trimmed."""
    text = normal_lines(text)
    text = TAG.sub("", LINE_BREAK_TAG.sub("\n", text))
    if "&" in text:
        # Twice: sources escape what was escaped already, and an escaped tag is a tag all the same.
        text = TAG.sub("", LINE_BREAK_TAG.sub("\n", html.unescape(html.unescape(text))))
    text = CONTROLS.sub("", normal_lines(text))
    return MANY_BLANK_LINES.sub("\n\n", BLANK_AT_LINE_END.sub("", text)).strip()


def clean_line(text: str) -> str:
    """`clean_text` on one line: every run of white space becomes one space."""
    return SPACES.sub(" ", clean_text(text)).strip()
