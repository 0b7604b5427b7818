"""The secret that signs tokens: SECRET_KEY, or one made at the first start and kept in DATA_DIR.

SECRET_KEY may hold several keys parted by commas. The first signs, all of them verify: to rotate, put the new one in
front, and drop the old one when its last token has expired (15 minutes).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from server.errors import SettingsError
from server.settings import Settings

FILE = "secret_key"


def secret_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys, the signing one first. SettingsError if the file cannot be read or made, or is open to others."""
    if settings.secret_key:
        return tuple(part.strip().encode() for part in settings.secret_key.split(",") if part.strip())
    return (_kept(settings.data_dir / FILE),)


def _kept(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path} can be read by others; make it mode 0600")
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}") from None
    if len(key) < 32:
        raise SettingsError(f"{path} is too short to be a key; remove it to get a new one (it ends every session)")
    return key


def _make(path: Path) -> None:
    if path.exists():
        return
    # Written beside and linked into place: a crash leaves no half a key, and of two processes one wins.
    fresh = path.with_name(f"{FILE}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
