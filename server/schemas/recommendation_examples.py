"""Examples of what is recommended."""

from __future__ import annotations

from typing import Any

from server.schemas.examples import RELEASE

OTHER: dict[str, Any] = {"id": 7, "slug": "harbour-lights", "title": "Harbour Lights"}
SHARED: dict[str, Any] = {
    "code": "shares_genres",
    "text": "Shares the genre Drama.",
    "genres": [{"id": 3, "name": "Drama", "slug": "drama"}],
}
PERSONAL: dict[str, Any] = {
    "type": "personal",
    "count": 1,
    "next": None,
    "previous": None,
    "results": [
        {
            "release": RELEASE,
            "score": 0.8123,
            "reasons": [
                {
                    "code": "because_rated",
                    "text": "Because you rated “Harbour Lights” 9.",
                    "release": OTHER,
                    "rating": 9,
                },
                SHARED | {"text": "Shares the genre Drama with “Harbour Lights”.", "release": OTHER},
            ],
        }
    ],
}
AUDIENCE: dict[str, Any] = {
    "code": "same_audience",
    "text": "At least 40 people who finished or liked “Harbour Lights” finished or liked this one.",
    "users": 40,
}
SIMILAR: dict[str, Any] = PERSONAL | {
    "type": "similar",
    "results": [{"release": RELEASE, "score": 0.6021, "reasons": [SHARED, AUDIENCE]}],
}
