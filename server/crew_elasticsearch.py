"""The crew of Elasticsearch: imported only where SEARCH_BACKEND asks for it. A part of the composition root."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aiohttp import web

from actors.search_indexer import SearchIndexer
from actors.system import ActorSystem
from server import keys
from server.adapters.elasticsearch import Elasticsearch
from server.events import Indexing
from server.health import Check, Probe
from server.metrics_elasticsearch import of_elasticsearch
from server.search.elasticsearch import ElasticEngine
from server.search.postgresql import PostgresqlEngine
from server.settings import Settings


def add_elasticsearch(
    app: web.Application, settings: Settings, system: ActorSystem, own: PostgresqlEngine, moved: Callable[[], None]
) -> ElasticEngine:
    """The engine that is asked first, and who keeps it in step; `own` is the one that answers otherwise."""
    elastic, progress, database = Elasticsearch(settings.elasticsearch_url), Indexing(), app[keys.DATABASE]
    system.add(partial(SearchIndexer, database, elastic, progress, moved))
    app[keys.METRICS].add(of_elasticsearch(elastic, progress))
    app[keys.PROBES].append(_probe(elastic, progress))
    return ElasticEngine(elastic, progress, database, own.index, own.memory)


def _probe(elastic: Elasticsearch, progress: Indexing) -> Probe:
    async def elasticsearch_answers() -> Check:
        if not progress.filled:
            return Check("degraded", "its index is being filled; PostgreSQL answers")
        if elastic.breaker.failing:
            return Check("degraded", "it does not answer; PostgreSQL does")
        return Check("ok") if progress.ready else Check("degraded", "changes are missing in it; PostgreSQL answers")

    return Probe("elasticsearch", elasticsearch_answers)
