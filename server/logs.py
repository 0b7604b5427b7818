"""JSON logs, one line an event, written by a thread of their own in batches: the loop only formats and appends.

The request line is the hot one: it is formatted by hand into a list that the thread empties a few times a second. When
the sink is slower than the server, lines beyond the bound are dropped and counted rather than kept in memory.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp.http_exceptions import HttpProcessingError

FLUSH_EVERY = 0.1
MOST_WAITING = 50_000
ROTATE_AT = 50 * 2**20
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Sink:
    """Where lines go: standard output, or a file rotated at 50 MB (one predecessor is kept)."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = 1
        self._size = 0
        if path is not None:
            self._open(path)

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._descriptor).st_size

    def write(self, data: bytes) -> None:
        """Write all of it. A closed pipe ends the writing, never the server."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            return
        self._size += len(data)
        if self._path is not None and self._size >= ROTATE_AT:
            self._rotate(self._path)

    def _rotate(self, path: Path) -> None:
        full = self._descriptor
        try:
            path.replace(path.with_name(path.name + ".1"))
            self._open(path)
        except OSError:
            # The old file stays in use, and the next try comes after as much again.
            self._size = 0
        else:
            # Not before the new one is open: a number closed too early may by now be somebody's socket.
            os.close(full)


class LogWriter:
    """The thread and its list. `dropped` counts the lines there was no room for."""

    def __init__(self, sink: Sink) -> None:
        self.dropped = 0
        self.lines: deque[bytes] = deque()
        self._sink = sink
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Begin writing."""
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Take a line (with its newline). Safe from any thread: both ends of a deque are."""
        if len(self.lines) >= MOST_WAITING:
            self.dropped += 1
            return
        self.lines.append(line)

    def flush(self) -> None:
        """Write what waits, now."""
        with self._lock:
            waiting = [self.lines.popleft() for _ in range(len(self.lines))]
            if waiting:
                self._sink.write(b"".join(waiting))

    def close(self) -> None:
        """Write the rest and end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_EVERY):
            self.flush()


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(seconds % 1 * 1000):03d}Z"


def json_line(record: logging.LogRecord) -> bytes:
    """A record of the standard library as one JSON line."""
    members: dict[str, Any] = {
        "timestamp": timestamp(record.created),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    members |= {name: value for name, value in vars(record).items() if name not in STANDARD}
    if record.exc_info and record.exc_info[0] is not None:
        members["traceback"] = logging.Formatter().formatException(record.exc_info)
    try:
        return orjson.dumps(members, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # Half a surrogate pair, as file names and broken clients bring them.
        return json.dumps(members, default=str).encode() + b"\n"


def console_line(record: logging.LogRecord) -> bytes:
    """A record for a person at a terminal."""
    extra = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in STANDARD)
    text = f"{timestamp(record.created)[11:23]} {record.levelname:<8}{record.getMessage()} {extra}".rstrip()
    if record.exc_info and record.exc_info[0] is not None:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    return text.encode("utf-8", "replace") + b"\n"


def about_the_server(record: logging.LogRecord) -> bool:
    """A filter for aiohttp's own logger: nothing about what visitors send, and no address of theirs.

    For each malformed request it would write a traceback with the request line (query and all) and the full address.
    """
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        return False
    if record.msg == "Error handling request from %s":
        record.msg, record.args = "error outside of the application", ()
    return True


class WriterHandler(logging.Handler):
    """Hands the records of the standard library to the writer."""

    def __init__(self, writer: LogWriter, form: Callable[[logging.LogRecord], bytes]) -> None:
        super().__init__()
        self._writer = writer
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        """Format and append."""
        try:
            self._writer.add(self._form(record))
        except Exception:  # noqa: BLE001 - a log line that cannot be formatted must not harm what it tells about
            self.handleError(record)


def set_up(level: str, form: str, path: str) -> LogWriter:
    """Point all logging at a new writer. `form` is json, console, or "" (console on a terminal, else json)."""
    writer = LogWriter(Sink(Path(path) if path else None))
    chosen = form or ("console" if not path and sys.stdout.isatty() else "json")
    root = logging.getLogger()
    root.handlers[:] = [WriterHandler(writer, console_line if chosen == "console" else json_line)]
    root.setLevel(level)
    # Their information is our warning at most.
    for noisy in ("asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(about_the_server)
    writer.start()
    return writer


class RequestLog:
    """One line a request, formatted without the machinery of the standard library (it would cost a third of a hit).

    Whoever calls `line` looks at `enabled` first: gathering what goes into it costs something, too.
    """

    def __init__(self, writer: LogWriter, *, enabled: bool, console: bool) -> None:
        self._writer = writer
        self.enabled = enabled
        self._console = console
        self._second = 0
        self._prefix = ""

    @property
    def dropped(self) -> int:
        """Lines of any kind that were dropped because the sink was slower than the server."""
        return self._writer.dropped

    def line(
        self, request_id: str, user_id: int | None, method: str, path: str, route: str, status: int, seconds: float,
        size: int, cache: str, client: str | None,
    ) -> None:  # fmt: skip
        """Write it. `path` is without its query; `size` in bytes."""
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        stamp = f"{self._prefix}.{int(now % 1 * 1000):03d}Z"
        if self._console:
            # A path may hold line breaks and a terminal's control sequences.
            shown = path if path.isprintable() else path.encode("unicode_escape").decode()
            text = f"{stamp[11:23]} {method} {shown} {status} {seconds * 1000:.1f} ms {size} B {cache}\n"
            self._writer.add(text.encode("utf-8", "replace"))
            return
        members = {
            "timestamp": stamp,
            "level": "info" if status < 500 else "error",
            "message": "request",
            "request_id": request_id,
            "user_id": user_id,
            "method": method,
            "path": path,
            "route": route,
            "status_code": status,
            "duration_ms": round(seconds * 1000, 3),
            "bytes": size,
            "cache": cache,
            "client": client,
        }
        self._writer.add(orjson.dumps(members, option=orjson.OPT_APPEND_NEWLINE))
