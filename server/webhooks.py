"""Webhooks as administrators meet them: addresses that may be told, secrets that are shown once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import orjson

from server.adapters.addresses import Addresses, Refused, Unresolved
from server.errors import Fault, Unprocessable
from server.rules import webhooks as rules

SALT_BYTES = 16


class Webhooks:
    """What the making of webhooks needs: the server's keys, the signing one first, and who knows good addresses."""

    def __init__(self, keys: Sequence[bytes], addresses: Addresses) -> None:
        self._keys = tuple(keys)
        self._addresses = addresses

    async def check(self, url: str) -> None:
        """Unprocessable unless something may be sent there. Looks the name up: call it outside of transactions.

        A name that leads nowhere yet may do so when something is sent; it is looked up again each time.
        """
        try:
            await self._addresses.check(url)
        except (Refused, Unresolved) as error:
            if isinstance(error, Unresolved) and url.lower().startswith("https://"):
                return
            raise Unprocessable("Some values do not fit.", faults=[Fault("/url", str(error))]) from None

    @staticmethod
    def salt() -> bytes:
        """Something new to derive a secret from."""
        return secrets.token_bytes(SALT_BYTES)

    def secret(self, salt: bytes) -> str:
        """The secret of this salt, as it is shown."""
        return rules.shown(rules.secret(self._keys[0], salt))

    @staticmethod
    def sealed(webhook: str, salt: bytes) -> dict[str, Any]:
        """A new webhook with its salt in the secret's place: so it may be kept for whoever asks again."""
        return {**orjson.loads(webhook), "secret": salt.hex()}

    def opened(self, sealed: bytes) -> bytes:
        """A sealed webhook with its secret."""
        webhook: dict[str, Any] = orjson.loads(sealed)
        return orjson.dumps(webhook | {"secret": self.secret(bytes.fromhex(webhook["secret"]))})
