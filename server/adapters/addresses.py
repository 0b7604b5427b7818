"""Addresses that somebody else has chosen: which of them may be asked, so that nobody reaches what is inside."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence

from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str], Awaitable[Sequence[str]]]

LONGEST_URL = 2_000
LONGEST_NAME = 254
LOOK_UP_TIMEOUT = 5.0
# Where something listens that takes a line of HTTP for a command of its own, or that no web server stands on.
REFUSED_PORTS = frozenset(
    {
        0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 79, 88, 110, 111, 113, 119, 123, 135,
        137, 139, 143, 161, 179, 389, 427, 445, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563,
        587, 601, 636, 873, 993, 995, 1433, 1521, 1719, 1720, 1723, 2049, 2375, 2376, 2379, 2380, 3306, 3389, 3659,
        4045, 4190, 5060, 5061, 5432, 5984, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6697, 9042, 9200, 9300,
        10080, 11211, 27017,
    }
)  # fmt: skip
# Beyond what the library calls global: ranges that lead elsewhere than they seem to, or nowhere.
REFUSED_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7",
        "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# 127.1, 0x7f.1, 0177.0.0.1, 2130706433: spellings of an address that some resolvers take. Names end in a letter.
NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)\Z")
HOST = re.compile(r"[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?(?:\.[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*\.?\Z")


class Refused(Exception):
    """Nothing is sent to this address; the message says why"""


class Unresolved(Exception):
    """The name has no address, at the moment or at all"""


def is_public(address: Address) -> bool:
    """Whether it is a host of the open internet, also as what it carries inside (IPv4 in IPv6)."""
    if any(address.version == network.version and address in network for network in REFUSED_NETWORKS):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def parse(url: str) -> URL:
    """The address as it will be asked for. Refused if it is none that anything is sent to, whatever its host is."""
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("Is not an address.")
    try:
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
    except ValueError:
        raise Refused("Is not an address.") from None
    if parsed.scheme not in ("http", "https") or not host:
        raise Refused("Is not an address that begins with https://.")
    written = re.split("[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "@" in written or parsed.raw_user is not None or parsed.raw_password is not None:
        raise Refused("Must not hold a user name or a password.")
    if parsed.raw_fragment or port is None or port in REFUSED_PORTS:
        raise Refused("Holds a fragment." if parsed.raw_fragment else "Nothing is sent to this port.")
    last = host.rstrip(".").rpartition(".")[2]
    if literal(host) is None and (
        "[" in written or len(host) > LONGEST_NAME or NUMERIC.match(last) or not HOST.match(host)
    ):
        raise Refused("Holds no name of a host, nor an address in its usual spelling.")
    return parsed


def literal(host: str) -> Address | None:
    """The address that the host is, if it is no name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def look_up(host: str) -> Sequence[str]:
    """The addresses of a name, as the system's resolver knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Addresses:
    """Says which addresses may be reached: public ones, and those in `allowed`."""

    def __init__(self, allowed: Sequence[Network] = (), resolve: Resolve = look_up) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolve

    async def check(self, url: str) -> tuple[URL, list[Address]]:
        """The address as it will be asked for, and where it leads; Refused or Unresolved if nothing is sent there."""
        parsed = parse(url)
        assert parsed.raw_host is not None
        try:
            async with asyncio.timeout(LOOK_UP_TIMEOUT):
                found = await self.of(parsed.raw_host)
        except TimeoutError:
            raise Unresolved("Its name could not be resolved in time.") from None
        if parsed.scheme != "https" and not all(self.allows(address) for address in found):
            raise Refused("Has to begin with https://.")
        return parsed, found

    async def of(self, host: str) -> list[Address]:
        """The addresses of a host. Refused if any of them must not be reached, Unresolved if there are none."""
        own = literal(host)
        try:
            texts = [str(own)] if own is not None else await self._resolve(host)
            found = [ipaddress.ip_address(text) for text in texts]
        except (OSError, UnicodeError, ValueError):
            raise Unresolved("Its name cannot be resolved.") from None
        if not found:
            raise Unresolved("Its name cannot be resolved.")
        if not all(self.allows(address) or is_public(address) for address in found):
            raise Refused("Leads into a private network.")
        return found

    def allows(self, address: Address) -> bool:
        """Whether it lies in one of the networks that were allowed by name."""
        inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(one.version == (inner or address).version and (inner or address) in one for one in self._allowed)
