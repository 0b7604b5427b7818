"""Who is asking: the client's address behind trusted proxies, and how much of it may be written down."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from aiohttp import web

from server.settings_values import Network

Detail = Literal["full", "prefix", "none"]


@lru_cache(maxsize=4096)
def prefix(address: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; an address inside IPv6 (::ffff:…) counts as IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    bits = 24 if parsed.version == 4 else 48
    return str(ipaddress.ip_network((parsed, bits), strict=False))


class ClientAddress:
    """Finds the address of a request. X-Forwarded-For counts only when the peer is a trusted proxy."""

    def __init__(self, trusted: Sequence[Network], detail: Detail) -> None:
        self._trusted = tuple(trusted)
        self._detail = detail
        self._is_trusted = lru_cache(maxsize=1024)(self._look_up)

    def of(self, request: web.BaseRequest) -> str:
        """The right-most address of the forwarding chain that is not one of our proxies; "" over a UNIX socket."""
        peer = request.remote or ""
        if not self._trusted or not self._is_trusted(peer):
            return peer
        chain = [part.strip() for header in request.headers.getall("X-Forwarded-For", ()) for part in header.split(",")]
        for address in reversed(chain[-20:]):
            if not _is_address(address):
                # Whatever stands left of nonsense was not written by our proxies.
                return peer
            peer = address
            if not self._is_trusted(address):
                break
        return peer

    def for_log(self, address: str) -> str | None:
        """What LOG_CLIENT_ADDRESS lets us write down."""
        if self._detail == "none":
            return None
        return address if self._detail == "full" else prefix(address)

    def _look_up(self, address: str) -> bool:
        return inside(address, self._trusted)


def inside(address: str, networks: Sequence[Network]) -> bool:
    """Whether the address lies in one of the networks. A UNIX socket's peer (no address) does not."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
