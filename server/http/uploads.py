"""Uploads: a body, or the file of a form, that goes to the disk as it comes, never whole in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256
from typing import TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from server.errors import BodyTooLarge, MalformedBody, Unprocessable, UnsupportedMediaType
from server.files import Files
from server.http.gated import apart
from server.http.parse import RequestTimeout, paced

T = TypeVar("T")

LARGEST_UPLOAD = 20 * 2**20
# Written to the disk in portions of this size, each in a thread.
PORTION = 2**20
# Fields of a form before its file, and how large each may be.
MOST_FIELDS, LARGEST_FIELD = 8, 65_536
NO_FILE = "Send the file as the body, or as a file of a form."


async def keep_upload(request: web.Request, files: Files, suffix: str) -> tuple[str, bytes]:
    """Store the body; its name among the files and its SHA-256. BodyTooLarge, RequestTimeout, Unprocessable if empty.

    Whoever calls removes the file if nothing comes of it; what is forgotten is swept up by its age.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the file without Content-Encoding; a gzip file is fine as it is.")
    name = files.new_upload(suffix)
    digest, size = sha256(), 0
    try:
        async with apart(request, "bodies"), paced() as came:
            async for portion in _portions(request):
                size += len(portion)
                came(len(portion))
                if size > LARGEST_UPLOAD:
                    raise BodyTooLarge(f"At most {LARGEST_UPLOAD} bytes are taken here.")
                digest.update(portion)
                await asyncio.to_thread(files.append, name, portion)
        if not size:
            raise Unprocessable(NO_FILE)
        await asyncio.to_thread(files.settle, name)
    except TimeoutError:
        await asyncio.to_thread(files.remove, [name])
        raise RequestTimeout("Send the body faster.") from None
    except BaseException:
        # No await here: whoever is being cancelled must not wait.
        files.remove([name])
        raise
    return name, digest.digest()


async def _portions(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; of a form (multipart/form-data) its first file."""
    if request.content_type != "multipart/form-data":
        async for portion in request.content.iter_chunked(PORTION):
            yield portion
        return
    part = await _file_of(request)
    while portion := await _checked(part.read_chunk(PORTION)):
        yield portion


async def _file_of(request: web.Request) -> BodyPartReader:
    try:
        form = await request.multipart()
    except (ValueError, AssertionError):
        raise MalformedBody("The form says no boundary.") from None
    for _ in range(MOST_FIELDS):
        part = await _checked(form.next())
        if not isinstance(part, BodyPartReader):
            break
        if part.filename is not None:
            return part
        if len(await _checked(part.read_chunk(LARGEST_FIELD + 1))) > LARGEST_FIELD:
            break
    raise Unprocessable(NO_FILE)


async def _checked(step: Awaitable[T]) -> T:
    """What aiohttp makes of the next piece of a form; MalformedBody where it can make nothing of it."""
    try:
        return await step
    except (ValueError, RuntimeError, AssertionError, web.HTTPException, HttpProcessingError):
        raise MalformedBody("The form is broken.") from None
