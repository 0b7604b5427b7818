"""Who a viewer is without knowing who they are: a keyed hash of network and browser, with a key that lives a day."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

LONGEST_USER_AGENT = 512


@lru_cache(maxsize=8192)
def anonymous_viewer(salt: bytes, network: str, user_agent: str) -> int:
    """A number from 0 to 2^63 - 1 for the network prefix (/24, /48) and user agent, under the salt of the day.

    64 bits of BLAKE2b (RFC 7693) in keyed mode; the highest bit is cleared, negative numbers being signed-in users.
    The remembered pairs are of at most two salts and leave the memory as new ones come.
    """
    text = f"{network}\n{user_agent[:LONGEST_USER_AGENT]}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(text, digest_size=8, key=salt).digest()) >> 1


def signed_in_viewer(user_id: int) -> int:
    """The number of a signed-in user: their id, negative."""
    return -user_id
