"""What usernames and e-mail addresses may be, and what makes two of them the same. Pure functions."""

from __future__ import annotations

import re
import unicodedata

SHORTEST_USERNAME, LONGEST_USERNAME = 3, 32
LONGEST_EMAIL, LONGEST_LOCAL_PART = 254, 64

# `\w` is the letters and digits of every script, and `_`.
USERNAME = re.compile(r"[^\W_][\w.\-]*")
# What is sane, not all that RFC 5322 allows: no quotes, no comments, no addresses instead of domains.
LOCAL_PART = re.compile(r"[^\s@\"(),:;<>\[\]\\\x00-\x20\x7f-\x9f]+")
LABEL = re.compile(r"[^\W_](?:[\w\-]*[^\W_])?")

# Names that could pass for the service itself, or for a word of its addresses.
RESERVED = frozenset(
    {
        "abuse", "admin", "administrator", "anonymous", "api", "auth", "bot", "contact", "deleted", "everyone", "guest",
        "help", "here", "hostmaster", "info", "login", "logout", "mail", "me", "mod", "moderator", "moderators",
        "nobody", "noreply", "no-reply", "null", "official", "operator", "owner", "postmaster", "profile", "register",
        "root", "security", "self", "settings", "staff", "superuser", "support", "sysadmin", "system", "team", "test",
        "undefined", "unknown", "user", "users", "webmaster", "yojohan",
    }
)  # fmt: skip


def clean_username(text: str) -> str:
    """The username as it is kept: compatibility forms (full width, ligatures) become plain letters."""
    return unicodedata.normalize("NFKC", text)


def username_key(text: str) -> str:
    """What makes two usernames the same: case and width do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def username_fault(text: str) -> str | None:
    """What is wrong with a username, or None."""
    name = clean_username(text)
    if not SHORTEST_USERNAME <= len(name) <= LONGEST_USERNAME:
        return f"A username has {SHORTEST_USERNAME} to {LONGEST_USERNAME} characters."
    if USERNAME.fullmatch(name) is None:
        return "A username is made of letters, digits, `_`, `.` and `-`, and begins with a letter or a digit."
    return "This username is reserved." if username_key(name) in RESERVED else None


def clean_email(text: str) -> str:
    """The address as it is kept and written to."""
    return unicodedata.normalize("NFKC", text.strip())


def email_key(text: str) -> str:
    """What makes two addresses the same: case does not count, though a mail server could mind it."""
    return clean_email(text).lower()


def email_fault(text: str) -> str | None:
    """What is wrong with an address, or None."""
    address = clean_email(text)
    local, at, domain = address.rpartition("@")
    labels = domain.split(".")
    sane = (
        at == "@"
        and len(address) <= LONGEST_EMAIL
        and len(local) <= LONGEST_LOCAL_PART
        and LOCAL_PART.fullmatch(local) is not None
        and not (local.startswith(".") or local.endswith(".") or ".." in local)
        and len(labels) >= 2
        and all(len(label) <= 63 and LABEL.fullmatch(label) for label in labels)
    )
    return None if sane else "This is not an e-mail address."


def is_email(text: str) -> bool:
    """Whether what somebody signs in with is an address; usernames have no `@`."""
    return "@" in clean_email(text)


def proposed_usernames(email: str, most: int = 50) -> list[str]:
    """Usernames for the owner of an address: what stands before the `@`, then the same with numbers."""
    wanted = re.sub(r"[^\w.\-]", "", clean_email(email).rpartition("@")[0]).lstrip("_.-")[: LONGEST_USERNAME - 4]
    base = wanted if len(wanted) >= SHORTEST_USERNAME else f"{wanted or 'admin'}-1".ljust(SHORTEST_USERNAME, "0")
    return [base, *(f"{base}-{number}" for number in range(2, most + 1))]
