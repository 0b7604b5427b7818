"""The links that stop mails: whose, of which type, and a signature that only this server could have made.

They end with the key that signed them: who opens an old mail must still get rid of the next.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from server.rules.notifications import CHOICES, NUMBERS, bits

# Stands for every type.
ALL = 0
# What the signature is for: the same key signs other things.
PURPOSE = b"yojohan unsubscribe 1\n"
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """Who wants no more mails, and of which type (its number, or `ALL`)."""

    user_id: int
    number: int

    @property
    def bits(self) -> int:
        """The types as bits of the preferences."""
        return bits(CHOICES) if self.number == ALL else 1 << self.number

    @property
    def type(self) -> str | None:
        """The type's name; None if it is all of them."""
        return next((name for name, number in NUMBERS.items() if number == self.number), None)


class UnsubscribeTokens:
    """Signs with the first key, takes what any of them has signed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def make(self, user_id: int, number: int) -> str:
        """The token of a link."""
        said = f"{user_id}.{number}"
        return f"{said}.{_signature(self._keys[0], said)}"

    def read(self, token: str) -> Unsubscribing | None:
        """What the token says; None unless this server made it."""
        if len(token) > LONGEST or not token.isascii():
            return None
        said, _, signature = token.rpartition(".")
        # All keys, always: time tells nothing about which one was nearly right.
        matches = [hmac.compare_digest(_signature(key, said), signature) for key in self._keys]
        if not any(matches):
            return None
        user_id, _, number = said.partition(".")
        return Unsubscribing(int(user_id), int(number))


def _signature(key: bytes, said: str) -> str:
    digest = hmac.digest(key, PURPOSE + said.encode(), sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
