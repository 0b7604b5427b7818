"""Sending a file from disk for its owner to keep, in parts if that is asked for (Range)."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from aiohttp import web


def attachment(path: Path, name: str) -> web.FileResponse:
    """The file under this name, which must need no quoting."""
    content_type, packed = mimetypes.guess_type(name)
    headers = {
        "Content-Type": "application/octet-stream" if packed or content_type is None else content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
    }
    return web.FileResponse(path, headers=headers)
