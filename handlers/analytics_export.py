"""View counts as a whole, for whoever evaluates them elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from server.bodies import analytics_export as bodies
from server.http.parse import query
from server.http.portions import begun
from server.keys import DATABASE
from server.schemas.analytics_export import ExportQuery

CSV, NDJSON = "text/csv; charset=utf-8", "application/x-ndjson"


async def export_views(request: web.Request) -> web.StreamResponse:
    """GET /admin/analytics"""
    wanted = query(request, ExportQuery)
    as_csv = wanted.format == "csv" or (wanted.format is None and "text/csv" in request.headers.get("Accept", ""))
    portions = bodies.lines(request.app[DATABASE], wanted, datetime.now(UTC), as_csv=as_csv)
    headers = {
        "Content-Type": CSV if as_csv else NDJSON,
        "Content-Disposition": f'attachment; filename="yojohan-views.{"csv" if as_csv else "ndjson"}"',
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept, Accept-Encoding, Authorization",
    }
    return await begun(portions, headers)
