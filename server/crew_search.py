"""The crew of search. A part of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from actors.search_builder import SearchBuilder
from actors.search_index import SearchIndexKeeper
from actors.search_misses import SearchMisses
from actors.system import ActorSystem
from server import keys, memory, metrics_sources
from server.bodies.search import SEARCHES
from server.events import SearchBuilding, SearchInStep
from server.metrics_search import of_search
from server.search.engine import Engine
from server.search.index import SearchIndex
from server.search.misses import Misses
from server.search.postgresql import PostgresqlEngine
from server.search.searching import Search
from server.settings import Settings


def add_search(app: web.Application, settings: Settings, system: ActorSystem) -> None:
    """Who answers searches, who builds search documents, and who writes down what was searched in vain."""
    database = app[keys.DATABASE]
    building = SearchBuilding()
    app[keys.SEARCH_MISSES] = misses = Misses()
    system.add(partial(SearchBuilder, database, building, anew=settings.search_reindex_on_start))
    system.add(partial(SearchMisses, database, misses.take, misses.keep))
    index, in_step, cache = SearchIndex(), SearchInStep(), app[keys.CACHE]
    own = PostgresqlEngine(database, index)

    def moved() -> None:
        cache.drop((SEARCHES,))

    app[keys.SEARCH] = search = Search(own, index, misses, _preferred(app, settings, system, own, moved))
    system.add(partial(SearchIndexKeeper, database, index, moved, in_step, loaded=memory.give_back))
    app[keys.METRICS].add(of_search(search, misses, in_step))
    app[keys.METRICS].add(metrics_sources.of_search_building(building))


def _preferred(
    app: web.Application, settings: Settings, system: ActorSystem, own: PostgresqlEngine, moved: Callable[[], None]
) -> Engine | None:
    if settings.search_backend != "elasticsearch":
        return None
    # Here, so that a server without it never pays for it.
    from server.crew_elasticsearch import add_elasticsearch  # noqa: PLC0415

    return add_elasticsearch(app, settings, system, own, moved)
