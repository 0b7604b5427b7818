"""Run the server's parts as the unit confines them: `python -m tests.sandbox DIRECTORY < NAMES_OF_SYSTEM_CALLS`.

systemd itself is not needed: the same kernel filters are installed here, by libseccomp and prctl. What cannot be had
without it, the mount namespace and the account, is not tried.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import socket
import sys
from pathlib import Path

import asyncpg
import uvloop
from aiohttp import ClientSession, web

from server.postgres.cluster import Cluster
from server.postgres.namespace import enter_user_namespace

ALLOW = 0x7FFF0000
NOT_PERMITTED = 0x00050000 | errno.EPERM
FAMILY_REFUSED = 0x00050000 | errno.EAFNOSUPPORT
EQUAL, MASKED_EQUAL = 4, 7
CLONE_NEWUSER = 0x10000000
PR_SET_NO_NEW_PRIVS = 38
SCHED_BATCH = 3
PROT_EXECUTE, PROT_WRITE_EXECUTE, SHM_EXECUTE = 4, 6, 0o100000
PROT_READ_WRITE_EXECUTE, MAP_PRIVATE_ANONYMOUS = 7, 0x22


class Comparison(ctypes.Structure):
    """libseccomp's scmp_arg_cmp: one condition on one argument of a system call."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Filter:
    """A seccomp filter: `default` for every system call without a rule."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action: int, name: str, *conditions: Comparison) -> None:
        """Do `action` for the system call `name` where all conditions hold."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        # Names of other architectures resolve to nothing, or to a number below zero.
        if number < 0:
            return
        array = (Comparison * len(conditions))(*conditions)
        done = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, ctypes.c_uint(len(conditions)), array
        )
        assert done == 0, (name, done)

    def load(self) -> None:
        """Put it in force for this process and its children, for ever."""
        assert self._library.seccomp_load(self._context) == 0


def confine(allowed: list[str]) -> None:
    """NoNewPrivileges, MemoryDenyWriteExecute, RestrictAddressFamilies, RestrictNamespaces and SystemCallFilter."""
    libc = ctypes.CDLL(None)
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    families = Filter(ALLOW)
    for family in range(socket.AF_UNSPEC, 64):
        if family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            families.rule(FAMILY_REFUSED, "socket", Comparison(0, EQUAL, family, 0))
    families.load()
    # The rules of systemd 252; the prctl that does the same is younger than Debian 12's kernel.
    memory = Filter(ALLOW)
    memory.rule(NOT_PERMITTED, "mmap", Comparison(2, MASKED_EQUAL, PROT_WRITE_EXECUTE, PROT_WRITE_EXECUTE))
    memory.rule(NOT_PERMITTED, "mprotect", Comparison(2, MASKED_EQUAL, PROT_EXECUTE, PROT_EXECUTE))
    memory.rule(NOT_PERMITTED, "pkey_mprotect", Comparison(2, MASKED_EQUAL, PROT_EXECUTE, PROT_EXECUTE))
    memory.rule(NOT_PERMITTED, "shmat", Comparison(2, MASKED_EQUAL, SHM_EXECUTE, SHM_EXECUTE))
    memory.load()
    calls = Filter(NOT_PERMITTED)
    for name in allowed:
        if name not in ("unshare", "setns"):
            calls.rule(ALLOW, name)
    calls.load()


async def use_postgresql(directory: Path) -> None:
    """From initdb to a clean stop, by way of the things that ask the kernel for something special."""
    cluster = Cluster(directory)
    assert await cluster.start()
    conn = await asyncpg.connect(cluster.dsn("postgres"))
    await conn.execute("create extension pg_trgm")
    await conn.execute("create table words (id bigint generated always as identity primary key, word text)")
    rows = [(f"слово {number}",) for number in range(20_000)]
    await conn.copy_records_to_table("words", records=rows, columns=["word"])
    await conn.execute("create index on words using gin (word gin_trgm_ops)")
    await conn.execute("checkpoint")
    await conn.execute("vacuum analyze words")
    assert await conn.fetchval("select count(*) from words where word ilike '%СЛОВО 199%'") == 111
    await conn.close()
    await cluster.stop()
    assert not cluster.running()


async def serve_one_request() -> None:
    """aiohttp on uvloop: a listening socket, a thread, a name looked up."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=await asyncio.to_thread(os.getcwd))

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0).start()
    async with ClientSession() as session, session.get(f"http://localhost:{runner.addresses[0][1]}/") as response:
        assert response.status == 200
    await runner.cleanup()


def refused() -> list[str]:
    """What the confinement refuses, tried: if it were not in force, the rest would prove nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    tried = {
        "unshare": libc.unshare(CLONE_NEWUSER) == -1,
        "sched_setscheduler": libc.sched_setscheduler(0, SCHED_BATCH, ctypes.byref(ctypes.c_int(0))) == -1,
        "chown": libc.chown(b"/tmp", -1, -1) == -1,
        "netlink socket": libc.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) == -1,
        "executable memory": libc.mmap(
            None, ctypes.c_size_t(4096), PROT_READ_WRITE_EXECUTE, MAP_PRIVATE_ANONYMOUS, -1, 0
        )
        == ctypes.c_void_p(-1).value,
    }
    return [name for name, was_refused in tried.items() if was_refused]


async def main(directory: Path) -> None:
    """Everything, then one line for the test."""
    await use_postgresql(directory)
    await serve_one_request()
    print("refused:", ", ".join(refused()))


if __name__ == "__main__":
    names = sys.stdin.read().split()
    if os.geteuid() == 0:
        # The unit's account is not root; nor may PostgreSQL find itself so, as no namespace can be made any more.
        enter_user_namespace()
    confine(names)
    uvloop.run(main(Path(sys.argv[1])))
