"""Names for addresses: lower-case ASCII words joined by hyphens. Pure functions; uniqueness is the database's part."""

from __future__ import annotations

import re
import unicodedata

SLUG_MAX = 100

# Words that are, or may become, a path of their own beside `/releases/{slug}`.
RESERVED = frozenset(
    {
        "admin", "all", "api", "batch", "calendar", "create", "delete", "edit", "episodes", "export", "facets", "feed",
        "franchises", "genres", "import", "index", "latest", "me", "media", "new", "none", "null", "popular", "random",
        "recent", "recommendations", "related", "release", "releases", "schedule", "search", "similar", "stats",
        "suggestions", "tags", "top", "trending", "undefined", "upcoming", "update", "views",
    }
)  # fmt: skip

CYRILLIC = str.maketrans(
    {
        "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "y",
        "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f",
        "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e", "ю": "yu",
        "я": "ya", "і": "i", "ї": "yi", "є": "ye", "ґ": "g", "ў": "u",
    }
)  # fmt: skip

APOSTROPHES = re.compile(r"['’ʼ`´]")
NOT_SLUG = re.compile(r"[^a-z0-9]+")


def slugify(text: str) -> str:
    """The words of a text that ASCII can say, Cyrillic transliterated; empty where none are left."""
    text = APOSTROPHES.sub("", text.casefold())
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.translate(CYRILLIC)).casefold().translate(CYRILLIC)
        # The marks taken off by NFKD must not split a word in two.
        text = "".join(sign for sign in text if not unicodedata.combining(sign))
    return NOT_SLUG.sub("-", text).strip("-")[:SLUG_MAX].rstrip("-")


def safe_slug(slug: str, noun: str = "release") -> str:
    """The slug itself, or prefixed where it could be taken for an id or for a path of the API."""
    if not slug:
        return noun
    if slug.isdigit() or (slug in RESERVED and slug != noun):
        return f"{noun}-{slug}"[:SLUG_MAX]
    return slug


def slug_of(*texts: str, noun: str = "release") -> str:
    """The slug of the first text that has one; the noun where none has."""
    for text in texts:
        slug = slugify(text)
        if slug:
            return safe_slug(slug, noun)
    return noun
