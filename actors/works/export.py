"""`export`: everything that is somebody's, as a zip to take away."""

from __future__ import annotations

from typing import Any, ClassVar

from actors.works.base import Progress, Work
from server.database import Database
from sql.exports import PARTS
from sql.operations import Operation


class Export(Work):
    """Writes the archive page by page."""

    kind: ClassVar[str] = "export"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, operation: Operation, progress: Progress) -> dict[str, Any]:
        """The archive, downloadable with the operation; its size in bytes."""
        from server.exports import archive  # noqa: PLC0415 - only where somebody exports

        assert operation.user_id is not None

        async def advance(done: int) -> None:
            await progress.advance(done, len(PARTS) + 1)

        size = await archive.write(self._database.connection, operation.user_id, progress.make(".zip"), advance)
        return {"bytes": size, "media_type": "application/zip"}
