"""Metrics: what there is, that Prometheus' own checker is content, and that no visitor can make series."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from server import metrics
from server.keys import METRICS
from server.metrics_histogram import Histogram
from tests.conftest import Server
from tests.http_fixture import ON_18, SHARED, event, shared_site
from tests.running import Running

ACTORS = {
    "comment_writer", "dispatcher", "edits", "gauges", "governor", "housekeeping", "invalidations", "neighbours",
    "operations", "presence", "publisher", "rate_limiter", "recommender", "revocations", "rollup", "rumours",
    "search_builder", "search_index", "search_misses", "stream_hub", "trending", "upkeep", "view_buffer",
    "webhook_sender", "word_keeper",
}  # fmt: skip
SAMPLE = re.compile(r"^(?P<name>[a-z_0-9]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
FAMILIES = (
    "yojohan_http_requests_total", "yojohan_http_request_duration_seconds_bucket", "yojohan_http_requests_in_flight",
    "yojohan_event_loop_lag_seconds", "yojohan_event_loop_lag_max_seconds", "yojohan_db_pool_connections",
    "yojohan_db_pool_wait_seconds_total", "yojohan_db_pool_acquired_total", "yojohan_db_query_duration_seconds_bucket",
    "yojohan_db_query_failures_total", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds",
    "python_gc_collections_total", "yojohan_actor_mailbox_depth", "yojohan_actor_mailbox_capacity",
    "yojohan_actor_mailbox_bytes", "yojohan_actor_messages_total", "yojohan_actor_handled_total",
    "yojohan_actor_waiting_seconds_total", "yojohan_actor_handling_seconds_total", "yojohan_actor_restarts_total",
    "yojohan_actor_refused_total", "yojohan_actor_seconds_since_tick", "yojohan_jobs_total", "yojohan_jobs_active",
    "yojohan_cache_lookups_total", "yojohan_cache_bytes", "yojohan_cache_entries", "yojohan_cache_evictions_total",
    "yojohan_cache_invalidations_total", "yojohan_views_events_total", "yojohan_views_committed_total",
    "yojohan_views_rolled_up_total", "yojohan_views_batch_size_bucket", "yojohan_views_flush_duration_seconds_bucket",
    "yojohan_views_batches_total", "yojohan_views_batch_retries_total", "yojohan_trending_passes_total",
    "yojohan_trending_pass_seconds", "yojohan_rate_limit_charges_total", "yojohan_rate_limit_keys",
    "yojohan_load_average", "yojohan_uptime_seconds",
)  # fmt: skip
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module, after some traffic."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        async with started.client.post("/api/v1/views", json=[event() for _ in range(20)]) as answer:
            assert answer.status == 202
        for path in ("/api/v1/genres", "/api/v1/genres", "/nope"):
            async with started.client.get(path) as answer:
                await answer.read()
        yield started


@pytest.fixture
def no_sharing_of_scrapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape is made anew."""
    monkeypatch.setattr(metrics, "SCRAPE_SHARED", -1.0)


async def scrape(site: Running) -> tuple[str, Samples]:
    """The text and its samples."""
    async with site.client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = await answer.text()
    samples: Samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            found = SAMPLE.match(line)
            assert found is not None, line
            key = (found["name"], frozenset(LABEL.findall(found["labels"] or "")))
            assert key not in samples
            samples[key] = float(found["value"])
    return text, samples


def value(samples: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return samples[name, frozenset(labels.items())]


@pytest.mark.usefixtures("no_sharing_of_scrapes")
class TestOnAServer:
    """What a server that has done something shows."""

    pytestmark = SHARED

    @pytest.mark.parametrize("family", FAMILIES)
    async def test_there_is_every_family(self, site: Running, family: str) -> None:
        _, samples = await scrape(site)
        assert any(name == family for name, _ in samples)

    @pytest.mark.external
    async def test_the_checker_of_prometheus_is_content(self, site: Running) -> None:
        program = shutil.which("promtool")
        if program is None:
            pytest.skip("promtool is not installed (apt-get install prometheus)")
        text, _ = await scrape(site)
        done = await asyncio.to_thread(
            subprocess.run, [program, "check", "metrics"], input=text, text=True, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, "")

    async def test_requests_are_counted_by_route_and_status(self, site: Running) -> None:
        _, before = await scrape(site)
        for _ in range(3):
            async with site.client.get("/api/v1/releases/3") as answer:
                assert answer.status == 200
        async with site.client.get("/api/v1/releases/x") as answer:
            assert answer.status == 404
        _, after = await scrape(site)
        route = {"route": "/api/v1/releases/{id}", "method": "GET"}
        assert value(after, "yojohan_http_requests_total", status="200", **route) == 3
        assert value(after, "yojohan_http_requests_total", status="404", **route) == 1
        assert value(after, "yojohan_http_request_duration_seconds_count", **route) == 4
        assert value(after, "yojohan_http_request_duration_seconds_bucket", le="+Inf", **route) == 4
        own = {"route": "/metrics", "method": "GET", "status": "200"}
        assert value(after, "yojohan_http_requests_total", **own) == 1 + before.get(
            ("yojohan_http_requests_total", frozenset(own.items())), 0
        )

    async def test_a_thousand_unknown_paths_add_no_series(self, site: Running) -> None:
        async with site.client.get("/nope") as answer:
            assert answer.status == 404
        _, before = await scrape(site)
        for n in range(1000):
            async with site.client.get(f"/nope/{n}?x={n}", headers={"X-Request-ID": f"request-{n}"}) as answer:
                assert answer.status == 404
        text, after = await scrape(site)
        # A first collection or a tick may come in between; names of paths may not.
        assert len(after) - len(before) <= 60
        assert "nope" not in text
        unmatched = {"route": "unmatched", "method": "*", "status": "404"}
        assert value(after, "yojohan_http_requests_total", **unmatched) >= 1000

    async def test_label_values_are_names_of_ours(self, site: Running) -> None:
        for target in ("/api/v1/releases/3", "/api/v1/releases/90", "/api/v1/genres?limit=7"):
            async with site.client.get(target) as answer:
                assert answer.status == 200
        _, samples = await scrape(site)
        assert len(samples) < 1500
        for name, labels in samples:
            for label, text in labels:
                sane = r"[a-zA-Z0-9_/{}.*+-]{1,60}" if label == "route" else r"[a-zA-Z0-9_.*+-]{1,60}"
                assert re.fullmatch(sane, text), (name, label, text)
        routes = {dict(labels)["route"] for name, labels in samples if name == "yojohan_http_requests_total"}
        assert "/api/v1/releases/{id}" in routes
        assert "/api/v1/releases/3" not in routes

    async def test_every_actor_shows_itself(self, site: Running) -> None:
        _, samples = await scrape(site)
        for family in (
            "yojohan_actor_mailbox_depth", "yojohan_actor_mailbox_capacity", "yojohan_actor_handled_total",
            "yojohan_actor_restarts_total", "yojohan_actor_waiting_seconds_total",
            "yojohan_actor_handling_seconds_total",
        ):  # fmt: skip
            shown = {dict(labels)["actor"] for name, labels in samples if name == family}
            # Each consumer of the outbox is one more.
            assert {actor for actor in shown if not actor.startswith("outbox_")} == ACTORS, family
        assert value(samples, "yojohan_actor_mailbox_capacity", actor="view_buffer") == 50_000

    async def test_views_are_counted_by_what_became_of_them(self, site: Running) -> None:
        _, before = await scrape(site)
        one = event(event_id="6f1c1f0e-6d5f-4d39-9a54-8a5a1f0a2c11")
        events = [one, one, event(), event(release_id=1)]
        async with site.client.post("/api/v1/views", json=events) as answer:
            body = await answer.json()
        assert (body["accepted"], body["duplicates"], len(body["rejected"])) == (2, 1, 1)
        _, after = await scrape(site)

        def grown(name: str, **labels: str) -> float:
            return value(after, name, **labels) - value(before, name, **labels)

        assert grown("yojohan_views_events_total", outcome="accepted") == 2
        assert grown("yojohan_views_events_total", outcome="duplicate") == 1
        assert grown("yojohan_views_events_total", outcome="rejected") == 1
        assert grown("yojohan_views_committed_total") == 2
        assert grown("yojohan_views_batch_size_count") == 1
        assert grown("yojohan_views_batch_size_sum") == 4
        assert grown("yojohan_views_flush_duration_seconds_count") == 1
        assert grown("yojohan_db_query_duration_seconds_count", query="commit_batch") == 1

    async def test_the_cache_and_the_pool_show_what_they_hold(self, site: Running) -> None:
        _, samples = await scrape(site)
        assert value(samples, "yojohan_cache_entries") >= 1
        assert value(samples, "yojohan_cache_bytes") > 1000
        assert value(samples, "yojohan_cache_lookups_total", outcome="hit") >= 1
        assert value(samples, "yojohan_db_pool_connections", state="limit") >= 2
        # Actors' own looks at the tables may fall into the moment of a scrape.
        async with asyncio.timeout(30):
            while value(samples, "yojohan_db_pool_connections", state="in_use") > 0:
                await asyncio.sleep(0.05)
                _, samples = await scrape(site)
        assert value(samples, "yojohan_http_requests_in_flight") == 1
        assert 20e6 < value(samples, "process_resident_memory_bytes") < 2e9


@ON_18
async def test_scrapes_within_a_second_share_their_text(server_running: Running) -> None:
    first = server_running.app[METRICS].exposition()
    assert server_running.app[METRICS].exposition() is first


def test_a_histogram_is_cumulative_and_ends_in_everything() -> None:
    observed = Histogram((1.0, 2.0))
    for seen in (0.5, 1.0, 1.5, 99.0):
        observed.observe(seen)
    assert observed.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert observed.sum == 102.0
