"""Searching: what may be asked, and what is answered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from server.schemas.answers import Id, Page
from server.schemas.catalogue import ReleaseStatus, ReleaseType, Season
from server.schemas.catalogue_answers import Poster, Release, SlugText
from server.schemas.queries import AGE_RATING, NEGATES, Limit, Names, PageNumber, ReleaseFilters, Year, one_of

LONGEST = 200
# What JSON can say and no text holds.
TEXT = r"^[^\x00\ud800-\udfff]*$(?!\n)"
SearchText = Annotated[
    str,
    Meta(
        max_length=LONGEST,
        pattern=TEXT,
        description="A title in any script or spelling, words of it, or words of a synopsis. Without one it browses.",
        examples=["хранители прилива"],
    ),
]
Facet = Literal["genres", "tags", "types", "statuses", "seasons", "age_ratings", "years", "ratings"]
Facets = Annotated[
    list[Facet], Meta(max_length=50, description="Which values to count.", examples=[["genres", "years"]])
]
SearchSort = Literal[
    "relevance", "updated", "-updated", "year", "-year", "rating", "-rating", "popularity", "-popularity",
    "title", "-title",
]  # fmt: skip
SortBy = Annotated[
    SearchSort,
    Meta(description="`relevance` (without a query: `-updated`), or plain ascending and `-` descending."),
]
RatingBound = Annotated[float, Meta(ge=0, le=10)]
Types = Annotated[
    list[Annotated[str, Meta(pattern=one_of(ReleaseType))]],
    Meta(max_length=50, description=f"Any of several. {NEGATES}"),
]
Statuses = Annotated[
    list[Annotated[str, Meta(pattern=one_of(ReleaseStatus))]],
    Meta(max_length=50, description=f"Any of several. {NEGATES}"),
]
Seasons = Annotated[
    list[Annotated[str, Meta(pattern=one_of(Season))]],
    Meta(max_length=50, description=f"Any of several. {NEGATES}"),
]
AgeRatings = Annotated[
    list[Annotated[str, Meta(pattern=AGE_RATING)]],
    Meta(max_length=50, description=f"Any of several; the plus may be left out. {NEGATES}"),
]
AllOf = Annotated[Names, Meta(description=f"Slugs, names or ids; all of them have to be there. {NEGATES}")]
AnyOf = Annotated[Names, Meta(description=f"Slugs, names or ids; any of several. {NEGATES}")]


class SearchFilters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which releases. Different filters all have to hold."""

    genres: AllOf = []
    tags: AllOf = []
    types: Types = []
    statuses: Statuses = []
    seasons: Seasons = []
    age_ratings: AgeRatings = []
    franchises: AnyOf = []
    year_from: Annotated[Year | None, Meta(description="Began in this year or later.")] = None
    year_to: Annotated[Year | None, Meta(description="Began in this year or earlier.")] = None
    rating_from: Annotated[RatingBound | None, Meta(description="Rated so or better, on average.")] = None
    rating_to: Annotated[RatingBound | None, Meta(description="Rated so or worse, on average.")] = None

    def __post_init__(self) -> None:
        """Gives every age rating its plus back."""
        force_setattr(self, "age_ratings", [f"{value.rstrip('+ ')}+" for value in self.age_ratings])


class SearchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search."""

    query: SearchText = ""
    filters: SearchFilters = SearchFilters()
    facets: Facets = []
    sort: SortBy = "relevance"
    limit: Limit = 20
    page: PageNumber = 1


class SearchQuery(ReleaseFilters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search. Filters go by the names of `GET /releases` and by those of `POST /search`."""

    q: SearchText = ""
    query: Annotated[SearchText, Meta(description="The same as `q`.")] = ""
    genres: AllOf = field(default_factory=list)
    tags: AllOf = field(default_factory=list)
    types: Types = field(default_factory=list)
    statuses: Statuses = field(default_factory=list)
    seasons: Seasons = field(default_factory=list)
    age_ratings: AgeRatings = field(default_factory=list)
    franchises: AnyOf = field(default_factory=list)
    rating_from: Annotated[RatingBound | None, Meta(description="Rated so or better, on average.")] = None
    rating_to: Annotated[RatingBound | None, Meta(description="Rated so or worse, on average.")] = None
    facets: Facets = field(default_factory=list)
    sort: SortBy = "relevance"
    limit: Limit = 20
    page: PageNumber = 1

    def body(self) -> SearchBody:
        """The same as a body of `POST /search`."""
        return SearchBody(
            query=self.q or self.query,
            filters=SearchFilters(
                genres=[*self.genre, *self.genres], tags=[*self.tag, *self.tags], types=[*self.type, *self.types],
                statuses=[*self.status, *self.statuses], seasons=[*self.season, *self.seasons],
                age_ratings=[*self.age_rating, *self.age_ratings], franchises=[*self.franchise, *self.franchises],
                year_from=self.year_from, year_to=self.year_to, rating_from=self.rating_from, rating_to=self.rating_to,
            ),
            facets=self.facets, sort=self.sort, limit=self.limit, page=self.page,
        )  # fmt: skip


class SuggestionsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is being typed."""

    q: Annotated[str, Meta(max_length=LONGEST, pattern=TEXT, description="The text so far.", examples=["keep"])] = ""
    limit: Annotated[int, Meta(ge=1, le=20, description="How many titles.")] = 8


class SearchHighlight(Struct, frozen=True, kw_only=True):
    """Where words of the query stand in a field of a release."""

    field: Annotated[str, Meta(description="`title`, `titles.LANGUAGE`, `synonyms` or `synopsis`.")]
    text: Annotated[str, Meta(description="The field, or a part of about 160 characters.")]
    ranges: Annotated[
        list[Annotated[list[int], Meta(min_length=2, max_length=2)]],
        Meta(description="First character and number of characters of each hit, by Unicode code points."),
    ]


class SearchResult(Release, frozen=True, kw_only=True):
    """A release that was found."""

    highlights: Annotated[list[SearchHighlight], Meta(max_length=4)]


class FacetCount(Struct, frozen=True, kw_only=True):
    """A value, and how many releases have it."""

    value: str | int
    count: Annotated[int, Meta(ge=1)]


class SearchPage(Page[SearchResult], frozen=True, kw_only=True):
    """One page of what was found."""

    corrected_query: Annotated[
        str | None,
        Meta(description="What was searched instead, where for the query as it was typed there is nothing; else null."),
    ]
    facets: Annotated[
        dict[str, list[FacetCount]],
        Meta(description="For each facet asked for its values, the commonest first; at most a hundred."),
    ]


class Suggestion(Struct, frozen=True, kw_only=True):
    """A title that may be meant."""

    id: Id
    slug: SlugText
    title: Annotated[str, Meta(description="The main title.")]
    matched: Annotated[str, Meta(description="The name that goes with what was typed.")]
    year: int | None
    type: ReleaseType
    poster: Poster | None


class SuggestionPage(Page[Suggestion], frozen=True, kw_only=True):
    """Titles that may be meant, the likeliest first."""


POSTED: dict[str, Any] = {
    "query": "keepers of the tide",
    "filters": {"genres": ["drama", "!horror"], "types": ["tv"], "year_from": 2020},
    "facets": ["genres", "years"],
    "sort": "relevance",
    "limit": 20,
    "page": 1,
}
EXAMPLES: dict[Any, Any] = {
    SuggestionPage: {
        "count": 1,
        "next": None,
        "previous": None,
        "results": [
            {
                "id": 42,
                "slug": "keepers-of-the-tide",
                "title": "Keepers of the Tide",
                "matched": "Keepers of the Tide",
                "year": 2026,
                "type": "tv",
                "poster": None,
            }
        ],
    }
}
HIGHLIGHTS = [{"field": "title", "text": "Keepers of the Tide", "ranges": [[0, 7], [15, 4]]}]
FACET_COUNTS = {"genres": [{"value": "Drama", "count": 1}], "years": [{"value": 2026, "count": 1}]}
