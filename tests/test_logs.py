"""Logs: one line a request with exactly its fields, no query, no more of an address than allowed; sinks that break."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from server import logs
from server.http.client import prefix
from server.logs import LogWriter, RequestLog, Sink, WriterHandler, about_the_server, console_line, json_line
from tests.conftest import Server
from tests.http_fixture import SHARED, event, exchange, log_lines, shared_site
from tests.running import Running

FIELDS = {
    "timestamp", "level", "message", "request_id", "user_id", "method", "path", "route", "status_code", "duration_ms",
    "bytes", "cache", "client",
}  # fmt: skip


def served(*marks: pytest.MarkDecorator) -> Any:
    """Marks a test that needs the module's server."""

    def mark(test: Any) -> Any:
        for one in (*SHARED, *marks):
            test = one(test)
        return test

    return mark


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(server: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The server of this module."""
    async with shared_site(server, tmp_path_factory.mktemp("site"), LOG_CLIENT_ADDRESS="full") as started:
        yield started


async def lines_of(site: Running, method: str, path: str, **given: Any) -> list[dict[str, Any]]:
    """What one request writes."""
    before = len(site.log.lines)
    async with site.client.request(method, path, allow_redirects=False, **given) as answer:
        await answer.read()
    return log_lines(site)[before:]


@served()
async def test_each_request_is_one_line_with_exactly_its_fields(site: Running) -> None:
    headers = {"X-Request-ID": "request-one"}
    (line,) = await lines_of(site, "GET", "/api/v1/genres?limit=3", headers=headers)
    assert set(line) == FIELDS
    assert line["request_id"] == "request-one"
    assert (line["method"], line["path"], line["route"]) == ("GET", "/api/v1/genres", "/api/v1/genres")
    assert (line["status_code"], line["level"], line["cache"], line["user_id"]) == (200, "info", "miss", None)
    assert line["bytes"] > 100
    assert 0 < line["duration_ms"] < 10_000
    assert line["client"] == "127.0.0.1"
    assert line["timestamp"].endswith("Z")
    (again,) = await lines_of(site, "GET", "/api/v1/genres?limit=3")
    assert (set(again), again["cache"]) == (FIELDS, "hit")


@served(
    pytest.mark.parametrize(
        ("method", "path", "route", "status"),
        [
            ("GET", "/api/v1/releases/3", "/api/v1/releases/{id}", 200),
            ("GET", "/api/v1/releases/999", "/api/v1/releases/{id}", 404),
            ("HEAD", "/api/v1/genres/", "/api/v1/genres", 200),
            ("GET", "/wp-admin.php", "unmatched", 404),
            ("DELETE", "/api/v1/genres", "unmatched", 405),
            ("GET", "/health", "/health", 200),
        ],
    )
)
async def test_lines_name_the_route_and_never_an_unknown_path_as_one(
    site: Running, method: str, path: str, route: str, status: int
) -> None:
    (line,) = await lines_of(site, method, path)
    assert (line["method"], line["route"], line["status_code"]) == (method, route, status)
    assert set(line) == FIELDS


@served()
async def test_no_query_no_body_and_no_credentials_are_logged(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    words = {
        "Authorization": "Bearer hunter2",
        "Cookie": "hunter2",
        "User-Agent": "hunter2",
        "Referer": "http://hunter2/",
    }
    for path in ("/api/v1/genres", "/nope", "/api/v1/releases"):
        await lines_of(site, "GET", f"{path}?limit=hunter2&token=hunter2", headers=words)
    await lines_of(site, "POST", "/api/v1/views?key=hunter2", json=event(hunter2=1), headers=words)
    assert b"hunter2" not in b"".join(site.log.lines)
    assert "hunter2" not in caplog.text


@served()
async def test_a_long_path_is_cut(site: Running) -> None:
    (line,) = await lines_of(site, "GET", "/" + "x" * 5000)
    assert len(line["path"]) == 200


@served(
    pytest.mark.parametrize(
        ("detail", "seen"), [("full", "203.0.113.77"), ("prefix", "203.0.113.0/24"), ("none", None)]
    )
)
async def test_no_more_of_an_address_is_logged_than_allowed(
    server: Server, tmp_path: Path, detail: str, seen: str | None
) -> None:
    async with shared_site(server, tmp_path, LOG_CLIENT_ADDRESS=detail, TRUSTED_PROXIES="127.0.0.1") as site:
        (line,) = await lines_of(site, "GET", "/live", headers={"X-Forwarded-For": "203.0.113.77"})
        assert line["client"] == seen
        if detail != "full":
            assert "203.0.113.77" not in json.dumps(line)


@served()
async def test_what_malformed_requests_held_is_not_logged(site: Running, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("aiohttp.server")
    logger.addFilter(about_the_server)
    try:
        for sent in (b"GET /live?hunter2=\xff HTTP/1.1\r\n\r\n", b"hunter2\r\n\r\n"):
            assert (await exchange(site.port, sent)).status == 400
        try:
            raise RuntimeError("a fault of ours")
        except RuntimeError:
            logger.exception("Error handling request from %s", "203.0.113.77")
    finally:
        logger.removeFilter(about_the_server)
    assert "hunter2" not in caplog.text
    assert "203.0.113.77" not in caplog.text
    assert "a fault of ours" in caplog.text


def test_of_an_ipv6_address_the_prefix_is_48_bits_and_a_mapped_one_counts_as_ipv4() -> None:
    assert prefix("2001:db8:1:2:3::4") == "2001:db8:1::/48"
    assert prefix("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert prefix("fe80::1%eth0") == "fe80::/48"
    assert prefix("") == "unknown"


def console() -> tuple[LogWriter, RequestLog]:
    writer = LogWriter(Sink(Path(os.devnull)))
    return writer, RequestLog(writer, enabled=True, console=True)


def test_a_path_cannot_forge_a_line_or_command_a_terminal() -> None:
    writer, log = console()
    log.line("id", None, "GET", "/x\n00:00:00 GET /forged\x1b[2J\u202e", "unmatched", 404, 0.001, 0, "none", None)
    (line,) = writer.lines
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line
    assert b"/x\\n00:00" in line


def test_a_file_is_rotated_at_its_limit_and_one_predecessor_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROTATE_AT", 1000)
    path = tmp_path / "deep" / "server.log"
    sink = Sink(path)
    for n in range(100):
        sink.write(f"line {n:03d} {'x' * 90}\n".encode())
    assert sorted(p.name for p in path.parent.iterdir()) == ["server.log", "server.log.1"]
    assert path.stat().st_size < 1000
    kept = (path.parent / "server.log.1").read_text().splitlines() + path.read_text().splitlines()
    numbers = [int(line.split()[1]) for line in kept]
    # No line is lost on the way from one to the next.
    assert numbers == list(range(numbers[0], 100))
    assert path.stat().st_mode & 0o777 == 0o640 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_was_in_a_file_before_counts_towards_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATE_AT", 1000)
    path = tmp_path / "server.log"
    path.write_bytes(b"x" * 990 + b"\n")
    Sink(path).write(b"the last line\n")
    assert path.stat().st_size == 0
    assert (tmp_path / "server.log.1").read_bytes().endswith(b"the last line\n")


def test_a_rotation_that_fails_keeps_the_old_file_and_touches_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROTATE_AT", 100)
    path = tmp_path / "server.log"
    sink = Sink(path)
    # A directory of that name cannot be replaced by a file.
    (tmp_path / "server.log.1").mkdir()
    sink.write(b"x" * 150 + b"\n")
    other = os.open(tmp_path / "somebody-elses", os.O_WRONLY | os.O_CREAT)
    sink.write(b"after\n")
    os.close(other)
    assert (tmp_path / "somebody-elses").read_bytes() == b""
    assert path.read_bytes().endswith(b"after\n")


def test_a_full_disk_stops_nothing() -> None:
    writer = LogWriter(Sink(Path("/dev/full")))
    writer.start()
    for _ in range(1000):
        writer.add(b"line\n")
    writer.close()
    assert not writer.lines
    assert not writer._thread.is_alive()


def test_a_closed_pipe_stops_nothing() -> None:
    program = (
        "import time, logging; from server.logs import set_up; w = set_up('INFO', 'json', '')\n"
        "for n in range(50): logging.info('line'); time.sleep(0.01)\n"
        "w.close(); raise SystemExit(7)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert child.stdout is not None
    child.stdout.close()
    assert child.wait(20) == 7


def test_when_the_sink_is_slower_than_the_server_lines_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_WAITING", 10)
    writer = LogWriter(Sink(Path(os.devnull)))
    for _ in range(25):
        writer.add(b"line\n")
    assert (len(writer.lines), writer.dropped) == (10, 15)


def record(message: str, **extra: Any) -> logging.LogRecord:
    """A record of the standard library."""
    return logging.getLogger("yojohan.test").makeRecord(
        "yojohan.test", logging.ERROR, "file.py", 1, message, (), None, extra=extra
    )


def test_a_record_is_one_json_line_with_its_extras() -> None:
    line = json_line(record("two\nlines", request_id="r", odd=Path("/x")))
    assert line.count(b"\n") == 1
    members = json.loads(line)
    assert (members["message"], members["level"], members["request_id"]) == ("two\nlines", "error", "r")
    assert members["odd"] == "/x"


def test_an_exception_is_logged_with_its_traceback() -> None:
    writer = LogWriter(Sink(Path(os.devnull)))
    logger = logging.getLogger("yojohan.alone")
    logger.propagate = False
    for form in (json_line, console_line):
        logger.handlers[:] = [WriterHandler(writer, form)]
        try:
            raise ValueError("the reason")
        except ValueError:
            logger.exception("it failed")
    assert "ValueError: the reason" in json.loads(writer.lines[0])["traceback"]
    assert b"ValueError: the reason" in writer.lines[1]


def test_text_that_is_not_unicode_is_logged_all_the_same() -> None:
    members = json.loads(json_line(record("half \ud800 a pair", name_of="\udcff")))
    assert members["message"].startswith("half ")
    assert b"half " in console_line(record("half \ud800 a pair"))


async def test_the_loop_is_not_held_up_by_a_sink_that_hangs(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = LogWriter(Sink(pipe))
    writer.start()
    started = asyncio.get_running_loop().time()
    for _ in range(30):
        # More than a pipe holds: the thread blocks, the loop does not.
        writer.add(b"x" * 10_000)
        await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - started < 8
    os.close(reader)
    writer.close()
