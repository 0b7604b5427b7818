"""Files that come and go with operations: `exports` are made by them, `uploads` are brought to them.

Named relative to DATA_DIR, as the database keeps them. A name can lead nowhere else. All of this touches the disk: call
it in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from time import time
from uuid import UUID, uuid4

from server.errors import NotFound

FOLDERS = ("exports", "uploads")
NAME = re.compile(r"^(exports|uploads)/[A-Za-z0-9][A-Za-z0-9._-]{0,120}$(?!\n)")


class Files:
    """The two folders below `root`, readable by this account alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def prepare(self) -> None:
        """Make the folders."""
        for folder in FOLDERS:
            path = self._root / folder
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)

    def path(self, name: str) -> Path:
        """Where the file of this name is; NotFound if it is not a name of ours."""
        if NAME.match(name) is None:
            raise NotFound
        return self._root / name

    def existing(self, name: str) -> Path:
        """Where the file is; NotFound if there is no such file, or if it is a link or no plain file."""
        path = self.path(name)
        if path.is_symlink() or not path.is_file():
            raise NotFound("The file is gone.")
        return path

    def new_upload(self, suffix: str) -> str:
        """A name under which nothing has been stored yet."""
        return f"uploads/{uuid4().hex}{suffix}"

    def append(self, name: str, content: bytes) -> None:
        """Add to what was uploaded under this name so far."""
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)

    def settle(self, name: str) -> None:
        """Make sure that the file outlives a power cut."""
        with self.path(name).open("rb") as file:
            os.fsync(file.fileno())

    def remove(self, names: Iterable[str]) -> None:
        """Remove these; those that are gone already are no matter."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def remove_made(self, operation_id: UUID, attempts: int | None = None) -> None:
        """Remove what an attempt of an operation made, finished or not; of all its attempts without a number."""
        pattern = f"{operation_id}-*" if attempts is None else f"{operation_id}-{attempts}.*"
        for path in (self._root / "exports").glob(pattern):
            path.unlink(missing_ok=True)

    def older_than(self, seconds: float) -> list[str]:
        """The names of files last written so many seconds ago or earlier."""
        found = []
        for folder in FOLDERS:
            with os.scandir(self._root / folder) as entries:
                found += [f"{folder}/{entry.name}" for entry in entries if _age(entry) >= seconds]
        return [name for name in found if NAME.match(name)]


def made_name(operation_id: UUID, attempts: int, suffix: str) -> str:
    """The name for what an attempt makes: of its own, so that an attempt given up cannot spoil the next one's."""
    return f"exports/{operation_id}-{attempts}{suffix}"


def _age(entry: os.DirEntry[str]) -> float:
    try:
        return time() - entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0
