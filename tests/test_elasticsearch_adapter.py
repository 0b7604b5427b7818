"""The adapter to Elasticsearch alone: when it gives up, when it tries again, and what it never tells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.adapters import elasticsearch
from server.adapters.elasticsearch import Elasticsearch
from server.errors import Unavailable
from tests.elastic_server import elastic_server
from tests.elastic_spec import FILE

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="no description of Elasticsearch beside the project")
ROOT = Path(__file__).resolve().parents[1]


async def refuse(elastic: Elasticsearch) -> Unavailable:
    with pytest.raises(Unavailable) as caught:
        await elastic.search("/x/_search", {}, {"size": 1})
    return caught.value


async def test_the_breaker_opens_after_three_failures_and_a_probe_closes_it() -> None:
    now = 0.0
    async with elastic_server() as server:
        server.indexes["x"] = None  # type: ignore[assignment]
        server.trouble = "500"
        elastic = Elasticsearch(server.url, lambda: now)
        for attempt in range(1, 4):
            await refuse(elastic)
            # At once again: set aside, nothing is sent.
            await refuse(elastic)
            assert len(server.requests) == attempt
            now += elasticsearch.REST
        assert elastic.breaker.open
        assert not elastic.usable
        await refuse(elastic)
        assert len(server.requests) == 3
        server.trouble, server.indexes = "", {}
        with pytest.raises(Unavailable):
            # There is no such index.
            await elastic.probe("/x/_search", {}, {"size": 1})
        assert elastic.breaker.open
        await elastic.ask("PUT", "/x", body={"mappings": {"dynamic": "strict", "properties": {}}})
        await elastic.probe("/x/_search", {}, {"size": 1})
        assert not elastic.breaker.open
        now += elasticsearch.REST
        assert (await elastic.search("/x/_search", {}, {"size": 1}))["hits"]["hits"] == []
        await elastic.close()


async def test_what_goes_wrong_never_tells_the_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    elastic = Elasticsearch("http://someone:hunter2@127.0.0.1:1")
    error = await refuse(elastic)
    assert "hunter2" not in repr(error) + str(error.__cause__)
    assert error.__cause__ is None
    assert "hunter2" not in caplog.text + repr([vars(record) for record in caplog.records])
    await elastic.close()


def test_without_the_setting_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, pathlib\n"
        "from server.app import Outside, build\n"
        "from server.settings import load\n"
        "build(load({'DATA_DIR': sys.argv[1], 'DATABASE_URL': 'postgresql://nobody@127.0.0.1:1/nothing'}),"
        " Outside('', None, lambda *_: None))\n"
        "print([name for name in sys.modules if 'elastic' in name or name == 'actors.search_indexer'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "/tmp"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
