"""Uploads: a body that goes to the disk as it comes, never whole in memory."""

from __future__ import annotations

import asyncio
from hashlib import sha256

from aiohttp import web

from server.errors import BodyTooLarge, Unprocessable, UnsupportedMediaType
from server.files import Files
from server.http.parse import BODY_PATIENCE, SLOWEST_BODY, RequestTimeout

LARGEST_UPLOAD = 20 * 2**20
# Written to the disk in portions of this size, each in a thread.
PORTION = 2**20


async def keep_upload(request: web.Request, files: Files, suffix: str) -> tuple[str, bytes]:
    """Store the body; its name among the files and its SHA-256. BodyTooLarge, RequestTimeout, Unprocessable if empty.

    Whoever calls removes the file if nothing comes of it; what is forgotten is swept up by its age.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the file without Content-Encoding; a gzip file is fine as it is.")
    patience = BODY_PATIENCE + (request.content_length or LARGEST_UPLOAD) / SLOWEST_BODY
    name = files.new_upload(suffix)
    digest, size = sha256(), 0
    try:
        async with asyncio.timeout(patience):
            async for portion in request.content.iter_chunked(PORTION):
                size += len(portion)
                if size > LARGEST_UPLOAD:
                    raise BodyTooLarge(f"At most {LARGEST_UPLOAD} bytes are taken here.")
                digest.update(portion)
                await asyncio.to_thread(files.append, name, portion)
        if not size:
            raise Unprocessable("Send the file as the body.")
        await asyncio.to_thread(files.settle, name)
    except TimeoutError:
        await asyncio.to_thread(files.remove, [name])
        raise RequestTimeout("Send the body faster.") from None
    except BaseException:
        # No await here: whoever is being cancelled must not wait.
        files.remove([name])
        raise
    return name, digest.digest()
