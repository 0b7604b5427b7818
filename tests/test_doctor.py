"""`run.py doctor`: each check against the real thing, whole and broken."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from server.commands import doctor
from server.commands.doctor import Finding, WrongError
from server.database import connect
from server.settings import Settings, load
from tests.chaos.process import free_port, run
from tests.conftest import Server


def settings(tmp_path: Path, **given: str) -> Settings:
    return load({"DATA_DIR": str(tmp_path / "var"), **given})


async def examine(chosen: Settings) -> dict[str, Finding]:
    """All findings by name."""
    return {finding.name: finding async for finding in doctor.findings(chosen)}


async def one(check: Callable[[Settings], Awaitable[str]], chosen: Settings) -> Finding:
    return await doctor.guarded("it", lambda: check(chosen))


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server on a free port that treats each connection so."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes everything and never answers."""
    while await reader.read(1000):
        pass
    writer.close()


# The whole


async def test_a_sound_installation_passes_every_check(dsn: str, tmp_path: Path) -> None:
    found = await examine(settings(tmp_path, DATABASE_URL=dsn))
    assert list(found) == [
        "configuration", "database", "migrations", "extensions", "locale", "clock",
        "disk", "redis", "elasticsearch", "media", "memory",
    ]  # fmt: skip
    assert {name for name, finding in found.items() if finding.status == "skip"} == {"redis", "elasticsearch"}
    assert {finding.status for finding in found.values()} == {"ok", "skip"}, found
    assert "PostgreSQL 1" in found["database"].text
    assert "0 pending" in found["migrations"].text


def test_the_command_prints_a_line_a_check_and_ends_with_0_and_makes_nothing(tmp_path: Path) -> None:
    done = run(tmp_path / "var", "doctor")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 11
    assert all(line[:6] in ("ok    ", "FAIL  ", "skip  ") for line in lines)
    assert lines[1] == "skip  database: PostgreSQL 18 is at hand and will be set up at the first start"
    assert not (tmp_path / "var").exists()


def test_the_command_ends_with_1_where_something_fails_and_shows_no_password(tmp_path: Path) -> None:
    url = f"postgresql://somebody:hunter2@127.0.0.1:{free_port()}/somewhere"
    redis = f"redis://:hunter2@127.0.0.1:{free_port()}"
    done = run(tmp_path / "var", "doctor", DATABASE_URL=url, REDIS_URL=redis)
    assert done.returncode == 1
    assert "FAIL  database: the database cannot be reached: " in done.stdout
    assert "skip  clock: there is no database to ask\n" in done.stdout
    assert "FAIL  redis: " in done.stdout
    assert "ok    disk: " in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_embedded_database_is_started_examined_and_stopped(tmp_path: Path) -> None:
    assert run(tmp_path / "var", "migrate").returncode == 0
    done = run(tmp_path / "var", "doctor")
    assert done.returncode == 0, done.stdout
    assert "ok    database: PostgreSQL 18" in done.stdout
    assert "embedded" in done.stdout
    assert not (tmp_path / "var" / "postgres" / "postmaster.pid").exists()


async def test_no_check_takes_longer_than_three_seconds(tmp_path: Path) -> None:
    async with listening(silent) as port:
        chosen = settings(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}", ELASTICSEARCH_URL=f"http://127.0.0.1:{port}")
        started = perf_counter()
        outcomes = await asyncio.gather(one(doctor.check_redis, chosen), one(doctor.check_elasticsearch, chosen))
    assert perf_counter() - started < 4
    assert {finding.status for finding in outcomes} == {"FAIL"}
    assert outcomes[0].text == "no answer within 3 s"


# The database


async def test_pending_migrations_are_told_and_no_fault(server: Server) -> None:
    conn = await connect(server.dsn("postgres"))
    assert "0 applied" in await doctor.check_migrations(conn)
    assert "applied at the next start" in await doctor.check_migrations(conn)
    await conn.close()


async def test_a_newer_or_altered_schema_is_a_fault(conn: Any) -> None:
    await conn.execute("insert into schema_migrations values (9999, '9999_tomorrow.sql', 'x')")
    newer = await doctor.guarded("migrations", lambda: doctor.check_migrations(conn))
    assert (newer.status, "9999_tomorrow.sql" in newer.text) == ("FAIL", True)
    await conn.execute("delete from schema_migrations where version = 9999")
    await conn.execute("update schema_migrations set checksum = 'x' where version = 2")
    altered = await doctor.guarded("migrations", lambda: doctor.check_migrations(conn))
    assert (altered.status, "was changed after it was applied" in altered.text) == ("FAIL", True)


async def test_a_database_that_knows_ascii_only_is_a_fault(server: Server) -> None:
    admin = await asyncpg.connect(server.dsn("postgres"))
    await admin.execute(
        "create database ascii_only template template0 lc_ctype 'C' lc_collate 'C' locale_provider libc"
    )
    conn = await connect(server.dsn("ascii_only"))
    with pytest.raises(WrongError, match="knows ASCII only"):
        await doctor.check_locale(conn)
    await conn.execute("create extension pg_trgm")
    with pytest.raises(WrongError, match="knows ASCII only"):
        await doctor.check_locale(conn)
    await conn.close()
    await admin.execute("drop database ascii_only")
    await admin.close()


async def test_a_session_in_another_time_zone_is_a_fault(conn: Any) -> None:
    assert "UTC" in await doctor.check_clock(conn)
    await conn.execute("set timezone = 'Asia/Tokyo'")
    with pytest.raises(WrongError, match="Asia/Tokyo"):
        await doctor.check_clock(conn)


async def test_a_clock_that_is_off_is_a_fault(conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(datetime.now(tz).timestamp() - 7, UTC)

    monkeypatch.setattr(doctor, "datetime", Late)
    with pytest.raises(WrongError, match=r"the database's clock is [67]\.\d s ahead of ours"):
        await doctor.check_clock(conn)


# The world outside


async def test_a_disk_without_room_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await one(doctor.check_disk, settings(tmp_path))).status == "ok"
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 2**60)
    assert "bytes free" in (await one(doctor.check_disk, settings(tmp_path))).text
    assert (await one(doctor.check_disk, settings(tmp_path))).status == "FAIL"


@pytest.mark.external
async def test_redis_is_asked_with_its_password(tmp_path: Path) -> None:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    port = free_port()
    words = (
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--requirepass",
        "p@ss word",
        "--dir",
        str(tmp_path),
    )
    redis = await asyncio.create_subprocess_exec(program, *words, stdout=asyncio.subprocess.DEVNULL)
    try:
        right = settings(tmp_path, REDIS_URL=f"redis://:p%40ss%20word@127.0.0.1:{port}/0")
        for _ in range(50):
            if (found := await one(doctor.check_redis, right)).status == "ok":
                break
            await asyncio.sleep(0.1)
        assert (found.status, found.text) == ("ok", "answers PING, runs scripts")
        wrong = await one(doctor.check_redis, settings(tmp_path, REDIS_URL=f"redis://:other@127.0.0.1:{port}"))
        assert (wrong.status, "WRONGPASS" in wrong.text) == ("FAIL", True)
        without = await one(doctor.check_redis, settings(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}"))
        assert (without.status, "NOAUTH" in without.text) == ("FAIL", True)
    finally:
        redis.kill()
        await redis.wait()


async def test_elasticsearch_must_answer_as_itself(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        return web.json_response(
            {"version": {"number": "9.1.0"}} if kind == "true" else {}, status=500 if kind == "ill" else 200
        )

    app = web.Application()
    app.router.add_get("/{kind}/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    found = {
        kind: await one(doctor.check_elasticsearch, settings(tmp_path, ELASTICSEARCH_URL=f"{base}/{kind}"))
        for kind in ("true", "other", "ill")
    }
    await runner.cleanup()
    assert (found["true"].status, found["true"].text) == ("ok", "version 9.1.0")
    assert (found["other"].status, "not Elasticsearch" in found["other"].text) == ("FAIL", True)
    assert (found["ill"].status, "500" in found["ill"].text) == ("FAIL", True)


async def test_the_object_store_must_take_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(tmp_path, MEDIA_URL="s3://bucket/prefix")
    async with listening(silent) as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        assert (await one(doctor.check_media, chosen)).text == f"127.0.0.1:{port} takes connections"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert (await one(doctor.check_media, chosen)).status == "FAIL"


async def test_a_media_directory_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    assert (await one(doctor.check_media, settings(tmp_path))).status == "ok"
    # Not even root may write here.
    found = await one(doctor.check_media, load({"DATA_DIR": "/proc/1"}))
    assert (found.status, "is not writable" in found.text) == ("FAIL", True)


def test_the_limits_of_the_control_group_are_looked_up_from_ours_to_the_root() -> None:
    files = doctor._limit_files()
    assert files[-2] == Path("/sys/fs/cgroup/memory.max")
    assert files[-1].name == "memory.limit_in_bytes"
    assert len(files) == len(set(files))


def test_a_limit_is_read_as_bytes_and_no_limit_as_none(tmp_path: Path) -> None:
    for text, limit in (("536870912\n", 2**29), ("max\n", None), ("9223372036854771712\n", None)):
        (tmp_path / "memory.max").write_text(text, "ascii")
        assert doctor._limit(tmp_path / "memory.max") == limit
    assert doctor._limit(tmp_path / "absent") is None
