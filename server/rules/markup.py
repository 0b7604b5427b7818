"""Text on its way into formats that do not take every letter, and the names that things have for the world outside."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# What XML 1.0 (and with it everything else that is sent out) has no way to say.
CONTROLS = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ufffe\\uffff]")


def clean(text: str) -> str:
    """The text without control characters, its line breaks in one form."""
    if text.isprintable():
        return text
    return CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str) -> str:
    """The text as one line."""
    return " ".join(clean(text).split())


def authority(public_url: str) -> str:
    """Who gives the names (RFC 4151 for tags): the host of PUBLIC_URL, which must not change for them to stay."""
    return urlsplit(public_url).hostname or "localhost"
