"""The memory this process may use, as Linux sees it: its control groups (versions 1 and 2), and the machine itself.

Everything is read below `root`, so that any tree can be put in its place. Whatever is missing, unreadable or odd reads
as "no limit": a server that cannot see its bounds still serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
# Version 1 says "none" with the largest multiple of a page, version 2 with a word. No machine has an exbibyte.
NO_LIMIT = 2**60
# A tree deeper than this is none.
DEEPEST = 64
# Of the cache of files that are read again and again so much counts as used: to read them anew each time is slow.
HOT_PERCENT = 10
ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Usage:
    """What may be used and what is, in bytes: the cache of files counts as far as it is not easily given back."""

    limit: int
    used: int

    @property
    def room(self) -> int:
        """What is left."""
        return self.limit - self.used


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy: which of its groups is at the mount point, and where that is."""

    version: int
    top: str
    point: Path


class Cgroup:
    """The groups this process is in, from its own upwards to the highest it can see; found once."""

    def __init__(self, root: Path = ROOT) -> None:
        self._version = 0
        self._groups: tuple[Path, ...] = ()
        mounts = _mounts(root)
        # Where both hierarchies are mounted, memory belongs to the one that has its files.
        for version, path in _memberships(root):
            mount = mounts.get(version)
            groups = () if mount is None else tuple(_upwards(mount, path))
            if any((group / _FILES[version][0]).exists() for group in groups):
                self._version, self._groups = version, groups
                return

    def limit(self) -> int | None:
        """The smallest limit of all groups; None: there is none."""
        return min((found for group in self._groups if (found := self._limit(group)) is not None), default=None)

    def working_set(self) -> int | None:
        """What this process's own group uses; None if that cannot be read."""
        return self._used(self._groups[0]) if self._groups else None

    def tightest(self) -> Usage | None:
        """Limit and use of the group with the least room; None: nothing is limited."""
        usages = []
        for group in self._groups:
            limit, used = self._limit(group), self._used(group)
            if limit is not None and used is not None:
                usages.append(Usage(limit, used))
        return min(usages, key=lambda usage: usage.room, default=None)

    def _limit(self, group: Path) -> int | None:
        if self._version == 1:
            # It knows the limits above, also those this process cannot see; and whether they hold at all.
            inherited = _bounded(_field(group / "memory.stat", "hierarchical_memory_limit"))
            own = _bounded(_number(group / "memory.limit_in_bytes"))
            return min((limit for limit in (inherited, own) if limit is not None), default=None)
        # Beyond `high` the kernel does not kill, it slows down until nothing moves: as good as a limit.
        limits = (_bounded(_number(group / "memory.max")), _bounded(_number(group / "memory.high")))
        return min((limit for limit in limits if limit is not None), default=None)

    def _used(self, group: Path) -> int | None:
        usage, idle, busy = _FILES[self._version]
        used = _number(group / usage)
        if used is None:
            return None
        stat = _fields(group / "memory.stat")
        # The kernel drops what is read often as well before it kills anybody; the hottest part would be missed.
        return max(0, used - stat.get(idle, 0) - stat.get(busy, 0) * (100 - HOT_PERCENT) // 100)


# By version: the file that says what is used, and the fields of `memory.stat` with the cache of files: what nobody
# needs at the moment, and what is read again and again. Shared memory is in neither.
_FILES = {
    1: ("memory.usage_in_bytes", "total_inactive_file", "total_active_file"),
    2: ("memory.current", "inactive_file", "active_file"),
}


def memory_limit(root: Path = ROOT) -> int | None:
    """How many bytes the control groups of this process leave it; None: as many as the machine has."""
    return Cgroup(root).limit()


def working_set(root: Path = ROOT) -> int | None:
    """What the control group of this process uses, its child processes included; None if nobody says."""
    return Cgroup(root).working_set()


def machine(root: Path = ROOT) -> Usage | None:
    """The memory of the machine; None if it does not say."""
    total = _field(root / "proc/meminfo", "MemTotal:")
    available = _field(root / "proc/meminfo", "MemAvailable:")
    if not total or available is None:
        return None
    return Usage(total * 1024, max(0, total - available) * 1024)


def bound(root: Path = ROOT) -> int | None:
    """How many bytes there are for this process: the groups' limit or the machine's memory; None if nothing says."""
    whole = machine(root)
    limits = [limit for limit in (memory_limit(root), whole and whole.limit) if limit]
    return min(limits, default=None)


def _mounts(root: Path) -> dict[int, _Mount]:
    """The memory hierarchies by version. Of several mounts of one, the first: the others show parts of it."""
    found: dict[int, _Mount] = {}
    for line in _lines(root / "proc/self/mountinfo"):
        # … root mount-point options [optional fields] - type source super-options
        before, dash, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if not dash or len(fields) < 6 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            version = 2
        elif kind[0] == "cgroup" and "memory" in kind[2].split(","):
            version = 1
        else:
            continue
        point = root / _plain(fields[4]).lstrip("/")
        found.setdefault(version, _Mount(version, _plain(fields[3]), point))
    return found


def _memberships(root: Path) -> Iterator[tuple[int, str]]:
    """(version, path of the group) of this process; version 1 first, since it has memory only where 2 has not."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and "memory" in controllers.split(","):
            found.append((1, path))
        elif colon and number == "0" and not controllers:
            found.append((2, path))
    yield from sorted(found)


def _upwards(mount: _Mount, path: str) -> Iterator[Path]:
    """The directories of a group and of those above it that can be seen."""
    parts = _below(mount.top, path)
    for length in range(min(len(parts), DEEPEST), -1, -1):
        group = mount.point.joinpath(*parts[:length])
        if group.is_dir():
            yield group


def _below(top: str, path: str) -> tuple[str, ...]:
    """The way from the mounted group down to this one. Of a group that cannot be seen from there: none.

    Inside a namespace paths begin at its root, and `/..` is what lies above it: then only the mount point is sure.
    """
    inner, outer = PurePosixPath(path), PurePosixPath(top)
    if ".." in inner.parts or ".." in outer.parts or not inner.is_relative_to(outer):
        return ()
    return inner.relative_to(outer).parts


def _plain(escaped: str) -> str:
    return ESCAPED.sub(lambda found: chr(int(found[1], 8)), escaped)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _field(path: Path, name: str) -> int | None:
    return _fields(path).get(name)


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file by their names; of one that stands there twice, the first."""
    found: dict[str, int] = {}
    for line in _lines(path):
        key, _, value = line.replace("\t", " ").partition(" ")
        number = value.split()
        if number and number[0].isascii() and number[0].isdigit():
            found.setdefault(key, int(number[0]))
    return found


def _bounded(number: int | None) -> int | None:
    return number if number is not None and 0 < number < NO_LIMIT else None
