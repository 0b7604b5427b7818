"""The pages for people: served with care for caches and browsers, and whole in themselves."""

from __future__ import annotations

import asyncio
import gzip
import re
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from handlers import pages
from server.errors import NotFound
from tests.openapi_sample import sample

PATHS = ("/docs", "/console")
METRICS = """\
# TYPE yojohan_http_requests_total counter
yojohan_http_requests_total{route="/api/v1/say \\"hi\\"",method="GET",status="200"} 1234
yojohan_http_requests_in_flight 7
process_resident_memory_bytes 6.7108864e+07
yojohan_db_pool_connections{state="in_use"} 3
yojohan_db_pool_connections{state="idle"} 1
yojohan_views_events_total{outcome="duplicate"} 77
yojohan_actor_mailbox_depth{actor="view_buffer"} 200
yojohan_actor_mailbox_capacity{actor="view_buffer"} 256
"""
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--dump-dom",
    "--virtual-time-budget=8000",
]


def answering(make, value):
    async def handler(request: web.Request) -> web.Response:
        return make(value)

    return handler


def application() -> web.Application:
    """The pages, and small stand-ins for the addresses they read."""
    app = web.Application()
    app[pages.PAGES] = pages.load_pages()
    app.router.add_get("/docs", pages.docs)
    app.router.add_get("/console", pages.console)
    app.router.add_get("/docs/{name}", pages.page_file)
    app.router.add_get("/openapi.json", answering(web.json_response, sample()))
    app.router.add_get(
        "/health", answering(web.json_response, {"status": "healthy", "checks": {"disk": {"status": "ok"}}})
    )
    return app


@pytest.fixture
async def client():
    async with (
        TestServer(application()) as server,
        ClientSession(server.make_url("/"), auto_decompress=False) as session,
    ):
        yield session


async def browse(app: web.Application, path: str, profile: Path) -> tuple[str, str]:
    """What a browser makes of the page: its document after some seconds, and what its console said."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    async with TestServer(app) as server:
        address = str(server.make_url(path))
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, *FLAGS, f"--user-data-dir={profile}", address, stdout=PIPE, stderr=PIPE
        )
        try:
            made, said = await asyncio.wait_for(browser.communicate(), 60)
        except TimeoutError:
            browser.kill()
            raise
    return made.decode(), said.decode()


@pytest.mark.parametrize("path", [*PATHS, "/docs/docs.js", "/docs/page.css"])
async def test_a_page_brings_every_header_that_keeps_browsers_strict(client, path) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"].startswith("public, max-age=")


@pytest.mark.parametrize(
    ("path", "kind"), [("/docs", "text/html"), ("/docs/docs.js", "text/javascript"), ("/docs/docs.css", "text/css")]
)
async def test_a_file_has_its_content_type(client, path, kind) -> None:
    async with client.get(path) as answer:
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"


async def test_gzip_holds_the_same_bytes_under_another_tag(client) -> None:
    async with client.get("/docs", headers={"Accept-Encoding": "identity"}) as plain:
        body, tag = await plain.read(), plain.headers["ETag"]
        assert "Content-Encoding" not in plain.headers
    async with client.get("/docs", headers={"Accept-Encoding": "br, gzip;q=0.8"}) as small:
        assert small.headers["Content-Encoding"] == "gzip"
        assert small.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await small.read()) == body
        assert small.headers["ETag"] != tag


@pytest.mark.parametrize("refusing", ["gzip;q=0", "gzip; q=0.000", "br", ""])
async def test_gzip_is_not_sent_to_who_refuses_it(client, refusing) -> None:
    async with client.get("/docs", headers={"Accept-Encoding": refusing}) as answer:
        assert "Content-Encoding" not in answer.headers


async def test_a_browser_that_has_the_page_gets_304_without_a_body(client) -> None:
    async with client.get("/console") as first:
        tag = first.headers["ETag"]
    async with client.get("/console", headers={"If-None-Match": f'"old", {tag}'}) as second:
        assert second.status == 304
        assert second.headers["ETag"] == tag
        assert await second.read() == b""
    async with client.get("/console", headers={"If-None-Match": '"old"'}) as third:
        assert third.status == 200


def test_an_unknown_file_is_not_found_and_no_path_leads_out() -> None:
    loaded = pages.load_pages()
    for name in ("other.js", "../errors.py", "..", ""):
        with pytest.raises(NotFound):
            loaded.find(name, compressed=False)


def test_two_starts_give_the_same_tags() -> None:
    assert pages.load_pages() == pages.load_pages()


def test_every_file_a_page_names_is_there_and_comes_from_this_server() -> None:
    loaded = pages.load_pages().plain
    own = {"/docs", "/console", "/openapi.json", "/metrics", "/health"}
    for name, file in loaded.items():
        text = file.body.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        if name.endswith(".html"):
            named = set(re.findall(r'(?:src|href)="(/[^"]+)"', text)) - own
            assert {path.removeprefix("/docs/") for path in named} <= loaded.keys()
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert imported in loaded, f"{name} imports {imported}"


@pytest.mark.parametrize("name", ["docs.html", "console.html"])
def test_a_page_holds_no_inline_script_or_style(name) -> None:
    text = pages.load_pages().plain[name].body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


@pytest.mark.parametrize("name", ["docs.html", "console.html"])
def test_a_page_tells_its_language_and_names_every_control(name) -> None:
    text = pages.load_pages().plain[name].body.decode()
    assert '<html lang="en">' in text
    assert all("aria-label=" in tag for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", text))


@pytest.mark.external
async def test_a_browser_shows_every_endpoint_and_finds_nothing_against_the_policy(tmp_path) -> None:
    made, said = await browse(application(), "/docs#write_comment", tmp_path)
    assert 'id="list_releases"' in made
    assert re.search(r'<details[^>]*id="write_comment"[^>]*open', made)
    assert "needs a bearer token" in made.lower()
    assert "[object" not in made
    assert "Content Security Policy" not in said
    assert "Uncaught" not in said


@pytest.mark.external
async def test_a_browser_shows_the_figures_of_the_metrics(tmp_path) -> None:
    app = application()
    app.router.add_get("/metrics", answering(lambda text: web.Response(text=text), METRICS))
    made, said = await browse(app, "/console", tmp_path)
    for shown in ("healthy", '/api/v1/say "hi"', "1,234", "64<small>MiB", "1 idle", "77 in all", "200 / 256"):
        assert shown in made
    assert "Content Security Policy" not in said
    assert "Uncaught" not in said


@pytest.mark.external
async def test_the_console_says_why_figures_are_missing_when_metrics_are_refused(tmp_path) -> None:
    app = application()
    app.router.add_get("/metrics", answering(lambda status: web.Response(status=status), 403))
    made, _ = await browse(app, "/console", tmp_path)
    assert "METRICS_ALLOW" in made
    assert "healthy" in made
