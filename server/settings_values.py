"""How the text of a setting becomes a value. Each parser raises ValueError with a sentence an operator understands."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from email.utils import getaddresses
from pathlib import Path
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The rows of the cache policy table; CACHE_TTL_<POLICY> overrides the time to live of one.
CACHE_POLICIES = (
    "release", "releases", "latest", "episodes", "episode", "related", "vocabulary", "franchise", "schedule",
    "analytics_live", "analytics", "top", "trending", "feeds", "comments", "reviews", "similar", "personal",
    "search", "suggestions",
)  # fmt: skip
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class Secret(str):
    """Text that never shows itself: `repr` gives `***`. Compare it in constant time."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'" if self else "''"


def parse_text(text: str) -> str:
    """As it is."""
    return text


def parse_integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"{value} is not from {low} to {high}")
        return value

    return parse


def parse_boolean(text: str) -> bool:
    """1/0, true/false, yes/no, on/off."""
    lowered = text.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"{text!r} is neither 1 nor 0")


def parse_choice(*choices: str) -> Callable[[str], str]:
    """One of a few words, in any case."""

    def parse(text: str) -> str:
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"{text!r} is none of {', '.join(choice for choice in choices if choice)}")

    return parse


def parse_url(*schemes: str) -> Callable[[str], Secret]:
    """An address of one of these schemes; it may carry a password, so it is a Secret. A slash at the end is dropped."""

    def parse(text: str) -> Secret:
        # What is wrong is said without repeating the text: it may hold a password.
        if text and ("://" not in text or text.partition("://")[0].lower() not in schemes):
            raise ValueError(f"not an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        try:
            parts = urlsplit(text)
            # PostgreSQL takes several hosts, which is no URL any more.
            _ = parts.port if "," not in parts.netloc else None
        except ValueError:
            raise ValueError("host or port cannot be read; write / : @ [ ] # ? in a password as %2F %3A …") from None
        return Secret(text.rstrip("/"))

    return parse


def parse_secret(text: str) -> Secret:
    """As it is, hidden."""
    return Secret(text)


def parse_sender(text: str) -> str:
    """Whom mails come from: an address, perhaps with a name in front of it."""
    found = getaddresses([text])
    local, _, domain = found[0][1].rpartition("@") if len(found) == 1 else ("", "", "")
    if text and not (local and domain and local.isascii() and domain.isascii() and text.isprintable()):
        raise ValueError(f"{text!r} is not of the form no-reply@example.org or Name <no-reply@example.org>")
    return text


def parse_secrets(shortest: int) -> Callable[[str], Secret]:
    """Several secrets parted by commas, each of at least `shortest` characters, or none."""

    def parse(text: str) -> Secret:
        # The weakest of them would do to whoever guesses.
        if text and any(len(part.strip()) < shortest for part in text.split(",")):
            raise ValueError(f"shorter than {shortest} characters (each, where there are several parted by commas)")
        return Secret(text)

    return parse


def parse_directory(text: str) -> Path:
    """A directory we may make."""
    if not text:
        raise ValueError("must name a directory")
    return Path(text).expanduser()


def parse_quota(text: str) -> tuple[int, int]:
    """`10/hour` as (10, 3600): how many in how many seconds. 0 in front switches it off."""
    amount, slash, unit = text.partition("/")
    if not slash or not amount.strip().isdigit() or unit.strip().rstrip("s") not in SECONDS:
        raise ValueError(f"{text!r} is not of the form 10/hour (second, minute, hour, day)")
    return int(amount), SECONDS[unit.strip().rstrip("s")]


def parse_networks(text: str) -> tuple[Network, ...]:
    """Addresses or CIDRs, separated by commas."""
    networks = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            raise ValueError(f"{part!r} is not an address or network like 10.0.0.0/8") from None
    return tuple(networks)


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins like https://example.org, separated by commas; `*` alone is every origin."""
    origins = tuple(filter(None, (piece.strip().rstrip("/") for piece in text.split(","))))
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query):
            raise ValueError(f"{origin!r} is not an origin like https://example.org")
    return origins


def edit_distance(left: str, right: str, *, limit: int) -> int:
    """Levenshtein distance, or `limit + 1` where it is more than `limit`."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            current.append(min(previous[column] + 1, current[-1] + 1, previous[column - 1] + (a != b)))
        if min(current) > limit:
            return limit + 1
        previous = current
    return min(previous[-1], limit + 1)
