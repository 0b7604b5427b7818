"""Every error is a problem document (RFC 9457) that says what is wrong and nothing of what is inside."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from server.http.parse import LARGEST_BODY
from server.keys import DATABASE
from tests.conftest import Server
from tests.http_fixture import JSON, SHARED, check_problem, event, exchange, log_lines, problem, shared_site
from tests.running import Running

pytestmark = SHARED
SECRET = "select password from users"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site")) as started:
        yield started


@pytest.mark.parametrize(
    "path", ["/nope", "/api/v1/nope", "/api/v1/releases/999", "/api/v1/episodes/x", "/docs/nope.js"]
)
async def test_what_is_not_there_is_404(site: Running, path: str) -> None:
    async with site.client.get(path) as answer:
        document = await problem(answer, 404)
    assert document["code"] == "not_found"
    assert document["instance"] == path


async def test_a_method_that_is_not_taken_is_405_and_names_those_that_are(site: Running) -> None:
    async with site.client.delete("/api/v1/genres") as answer:
        await problem(answer, 405)
        assert answer.headers["Allow"] == "GET, HEAD"
    async with site.client.get("/api/v1/views") as answer:
        await problem(answer, 405)
        assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("body", [b"", b"{", b"nope", b'{"a":1}}', b'"\\ud800"', b"\xff\xfe", b'{"release_id":NaN}'])
async def test_a_body_that_is_not_json_is_400(site: Running, body: bytes) -> None:
    async with site.client.post("/api/v1/views", data=body, headers=JSON) as answer:
        document = await problem(answer, 400)
    assert document["code"] == "malformed_body"


async def test_an_announced_ten_megabytes_are_refused_before_they_are_sent(site: Running) -> None:
    head = (
        b"POST /api/v1/views HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n"
    )
    answer = await exchange(site.port, head, patience=2)
    assert check_problem(answer.status, answer.headers, answer.body)["code"] == "body_too_large"
    assert (answer.status, answer.headers["Connection"]) == (413, "close")


async def test_an_announced_ten_megabytes_to_nowhere_are_refused_too(site: Running) -> None:
    head = b"PUT /nope HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10485760\r\n\r\n"
    answer = await exchange(site.port, head, patience=2)
    assert answer.status == 413
    check_problem(413, answer.headers, answer.body)


async def test_ten_megabytes_in_chunks_are_refused_before_they_are_read_whole(site: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(b"POST /api/v1/views HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    sent = 0
    while sent < 10 * 2**20 and not reader._buffer:  # type: ignore[attr-defined]
        writer.write(chunk)
        sent += 65_536
        await asyncio.wait({asyncio.create_task(writer.drain())}, timeout=1)
        await asyncio.sleep(0.001)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert LARGEST_BODY <= sent < 10 * 2**20


async def test_a_body_of_exactly_one_mebibyte_is_read(site: Running) -> None:
    async with site.client.post("/api/v1/views", data=b"[" + b" " * (LARGEST_BODY - 2) + b"]", headers=JSON) as answer:
        assert answer.status == 202


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}, JSON | {"Content-Encoding": "gzip"}],
)
async def test_another_type_or_an_encoded_body_is_415(site: Running, headers: dict[str, str]) -> None:
    async with site.client.post("/api/v1/views", data=json.dumps(event()).encode(), headers=headers) as answer:
        assert (await problem(answer, 415))["code"] == "unsupported_media_type"


async def test_all_faults_of_a_body_are_named_with_pointers(site: Running) -> None:
    wrong = {"release_id": "x", "duration_seconds": -1, "completion_percentage": 101, "a/b~c": 1, "viewed_at": "soon"}
    async with site.client.post("/api/v1/views", json=wrong) as answer:
        document = await problem(answer, 422)
    pointers = {fault["pointer"] for fault in document["errors"]}
    assert pointers == {"/release_id", "/duration_seconds", "/completion_percentage", "/a~1b~0c", "/viewed_at"}
    assert all(fault["detail"] for fault in document["errors"])


async def test_all_faults_of_a_query_are_named(site: Running) -> None:
    async with site.client.get("/api/v1/releases?limit=0&page=x&sort=up&type=radio&year_from=1") as answer:
        document = await problem(answer, 422)
    pointers = {fault["pointer"].split("/")[1] for fault in document["errors"]}
    assert pointers == {"limit", "page", "sort", "type", "year_from"}


async def test_no_more_than_twenty_faults_are_named(site: Running) -> None:
    async with site.client.post("/api/v1/views", json=event(**{f"x{n}": 1 for n in range(100)})) as answer:
        document = await problem(answer, 422)
    assert len(document["errors"]) == 20


async def test_an_error_of_ours_shows_nothing_and_is_logged_with_its_traceback(
    site: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("sql.vocabularies.words", broken)
    with caplog.at_level(logging.ERROR, "yojohan.http"):
        async with site.client.get(
            "/api/v1/genres?limit=7&token=hidden", headers={"X-Request-ID": "look-for-me"}
        ) as answer:
            body = await answer.text()
            document = await problem(answer, 500)
    assert document["code"] == "internal_error"
    assert not any(word in body for word in ("select", "password", "RuntimeError", "Traceback", "words", "hidden"))
    (record,) = (r for r in caplog.records if r.name == "yojohan.http")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == SECRET
    assert record.__dict__["request_id"] == "look-for-me"
    assert "hidden" not in record.getMessage()
    assert log_lines(site)[-1]["status_code"] == 500


async def test_a_load_that_failed_is_tried_again_by_the_next_request(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("sql.vocabularies.words", broken)
        async with site.client.get("/api/v1/genres?limit=8") as answer:
            await problem(answer, 500)
    async with site.client.get("/api/v1/genres?limit=8") as answer:
        assert answer.status == 200


async def test_without_a_free_connection_it_is_503_with_retry_after(site: Running) -> None:
    database = site.app[DATABASE]
    async with AsyncExitStack() as held:
        for _ in range(database.size):
            await held.enter_async_context(database.connection())
        async with site.client.get("/api/v1/genres?limit=9") as answer:
            document = await problem(answer, 503)
    assert "asyncpg" not in json.dumps(document)


async def test_a_sane_request_id_is_echoed(site: Running) -> None:
    for sent in ("12345678", "a-b_c.D0" * 16, "6f1c1f0e-6d5f-4d39-9a54-8a5a1f0a2c11"):
        async with site.client.get("/live", headers={"X-Request-ID": sent}) as answer:
            assert answer.headers["X-Request-ID"] == sent


@pytest.mark.parametrize(
    "sent", ["short", "x" * 129, "with space", '"quoted-id"', "<script>alert</script>", "caf\u00e9-caf\u00e9", ""]
)
async def test_an_insane_request_id_is_replaced(site: Running, sent: str) -> None:
    request = f"GET /nope HTTP/1.1\r\nHost: x\r\nX-Request-ID: {sent}\r\n\r\n".encode()
    answer = await exchange(site.port, request)
    given = answer.headers["X-Request-ID"]
    assert given != sent
    assert len(given) == 32
    assert check_problem(404, answer.headers, answer.body)["request_id"] == given


async def test_instance_is_a_reference_without_the_query(site: Running) -> None:
    answer = await exchange(site.port, b"GET /no%0a%3Cb%3Epe?password=hunter2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert check_problem(404, answer.headers, answer.body)["instance"] == "/no%0a%3Cb%3Epe"
    assert b"hunter2" not in answer.body
