"""Run a program as a user that is not root, although we are: `python namespace.py PROGRAM ARGUMENT…`.

PostgreSQL refuses to run as root. Switching to another account would need that account to enter every directory
above the data and the binaries, so permissions outside DATA_DIR would have to be loosened. In a user namespace of
its own the process is root to the file system and uid 1000 to itself, and nothing needs loosening.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
INNER_ID = 1000


def enter_user_namespace(inner_id: int = INNER_ID) -> None:
    """Move this process into a new user namespace where our user and group are `inner_id`. OSError if forbidden."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot make a user namespace: {os.strerror(number)}")
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{inner_id} {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{inner_id} {group} 1", "ascii")


if __name__ == "__main__":
    enter_user_namespace()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the caller hands us an absolute path
