"""Writing the archive: a zip on the disk, a page of rows at a time, so that memory does not grow with a library."""

from __future__ import annotations

import asyncio
import os
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import IO

from server.errors import NotFound
from server.exports import myanimelist
from sql import exports
from sql.exports import PARTS, Part
from sql.query import Connection

README = """\
What stands here is everything the server keeps about you.

account.json        who you are, your sessions and the names of your API tokens
favorites.json      and the other lists: one array of objects each, times in UTC
comments.json       and reviews.json: the deleted ones, too
moderation_decisions.json   what rules and moderators decided about them
myanimelist.xml     your list in the format of MyAnimeList; it holds what MyAnimeList knows, by its ids
"""

Connect = Callable[[], AbstractAsyncContextManager[Connection]]
Advance = Callable[[int], Awaitable[None]]


async def write(connect: Connect, user_id: int, path: Path, advance: Advance) -> int:
    """Write the archive of this account to `path`; its size in bytes. NotFound if the account is gone.

    `advance` hears how many of the archive's parts are done. Whatever fails leaves no file behind.
    """
    unfinished = path.with_suffix(".part")
    try:
        archive = await asyncio.to_thread(_open, unfinished)
        with archive:
            await _fill(connect, user_id, archive, advance)
        return await asyncio.to_thread(_finish, unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


async def _fill(connect: Connect, user_id: int, archive: zipfile.ZipFile, advance: Advance) -> None:
    async with connect() as conn:
        account = await exports.account(conn, user_id)
    if account is None:
        raise NotFound("The account is gone.")
    await asyncio.to_thread(archive.writestr, "README.txt", README)
    await asyncio.to_thread(archive.writestr, "account.json", account)
    for done, part in enumerate(PARTS, 1):
        with archive.open(f"{part}.json", "w") as file:
            await _write_part(connect, user_id, part, file)
        await advance(done)
    with archive.open("myanimelist.xml", "w") as file:
        await _write_list(connect, user_id, file)
    await advance(len(PARTS) + 1)


async def _write_part(connect: Connect, user_id: int, part: Part, file: IO[bytes]) -> None:
    after: int | None = 0
    between = "[\n"
    while after is not None:
        async with connect() as conn:
            lines, after = await exports.page(conn, user_id, part, after)
        if lines:
            # Compressing a page takes milliseconds that belong to others.
            await asyncio.to_thread(file.write, (between + ",\n".join(lines)).encode())
            between = ",\n"
    file.write(b"[]\n" if between == "[\n" else b"\n]\n")


async def _write_list(connect: Connect, user_id: int, file: IO[bytes]) -> None:
    file.write(myanimelist.HEAD.encode())
    after = 0
    while True:
        async with connect() as conn:
            rows = await exports.listed(conn, user_id, after)
        if not rows:
            break
        text = "".join(myanimelist.element(row) for row in rows if row.external_id is not None)
        await asyncio.to_thread(file.write, text.encode())
        after = rows[-1].release_id
    file.write(myanimelist.FOOT.encode())


def _open(path: Path) -> zipfile.ZipFile:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made before it is filled, so that it is never anybody else's to read.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)


def _finish(unfinished: Path, path: Path) -> int:
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.rename(path)
    return path.stat().st_size
