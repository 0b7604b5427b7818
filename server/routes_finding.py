"""The endpoints that find: search, and what is recommended. A part of the table in `server.routes`."""

from __future__ import annotations

from typing import Any

from handlers import recommendations, search, search_misses
from server import errors
from server.http.route import Route
from server.schemas.queries import PageQuery
from server.schemas.recommendation_examples import PERSONAL, SIMILAR
from server.schemas.recommendations import PersonalPage, SimilarPage
from server.schemas.search import POSTED, SearchBody, SearchPage, SearchQuery, SuggestionPage, SuggestionsQuery
from server.schemas.search_misses import SearchMissesQuery, SearchMissPage

API = "/api/v1"


def finding() -> tuple[Route, ...]:
    """Searching, and what is recommended."""
    corrected = "Where nothing goes with the text as it was typed, it is read on the other keyboard layout, by its sound, with typing errors put right, with a word fewer; `corrected_query` says what was searched instead."
    return (
        Route(method="GET", path=f"{API}/search", handler=search.search_releases, tag="Search", summary="Search the catalogue", description=f"{corrected} Filters go by the names of `GET /releases` and by those of the POST.", limits=("search",), query=SearchQuery, answer=SearchPage, cached=True, errors=(errors.Unavailable,)),
        Route(method="POST", path=f"{API}/search", handler=search.post_search, tag="Search", summary="Search the catalogue", description=corrected, scope="read", limits=("search",), body=SearchBody, body_example=POSTED, answer=SearchPage, errors=(errors.Unavailable,)),
        Route(method="GET", path=f"{API}/search/suggestions", handler=search.suggest_releases, tag="Search", summary="Titles for what is being typed", description="Names that begin so come first, then names with a word that begins so; the popular ones first. One or two letters are looked for among the most popular releases.", limits=("search",), query=SuggestionsQuery, answer=SuggestionPage, cached=True, errors=(errors.Unavailable,)),
        Route(method="GET", path=f"{API}/admin/search/misses", handler=search_misses.list_search_misses, tag="Administration", summary="What was searched in vain, the commonest first", description="Counted for ninety days, without who asked. What looks like an address or a telephone number is not kept.", access="admin", query=SearchMissesQuery, answer=SearchMissPage),
        *recommending(),
    )  # fmt: skip


def recommending() -> tuple[Route, ...]:
    """What is like another release, and what somebody may like."""
    mine: dict[str, Any] = {
        "tag": "Recommendations",
        "description": "By ratings, favourites, what was completed and is being watched; what I keep or ignore, and sequels of what I have not begun or have dropped are left out. Reasons are facts: `because_…` names what of mine speaks for it. Until I keep anything that says what I like, the answer is a `cold_start`.",
        "access": "user",
        "query": PageQuery,
        "answer": PersonalPage,
        "example": PERSONAL,
    }
    return (
        Route(method="GET", path=f"{API}/recommendations", handler=recommendations.list_recommendations, summary="What I may like", **mine),
        Route(method="GET", path=f"{API}/recommendations/personal", handler=recommendations.list_personal, summary="What I may like, as `/recommendations`", **mine),
        Route(method="GET", path=f"{API}/recommendations/similar/{{id}}", handler=recommendations.list_similar, tag="Recommendations", summary="What is like a release, by its id or slug", description="By genres, tags, franchise, and who finished or liked both. A franchise shows up once, as its first part; whoever signs in sees the first one they have not seen, and nothing that they are through with or ignore.", query=PageQuery, answer=SimilarPage, example=SIMILAR, cached=True, errors=(errors.NotFound,)),
    )  # fmt: skip
