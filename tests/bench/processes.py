"""Starts and stops what a run needs: servers, bare handlers, and the commands that fill a database.

Every process is a context manager: it is asked to stop (SIGTERM) and waited for, also after Ctrl-C or a failure.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from server.postgres.cluster import Cluster
from tests.bench.measure import PeakRss

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
STOP_SECONDS = 45.0
POLL_SECONDS = 0.005
# A developer's own settings (DATABASE_URL, PORT, …) must not leak into a measured server.
KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "USER")


class BenchError(Exception):
    """The run cannot go on, or one scenario of it cannot; the text says why."""


@dataclass(frozen=True)
class Running:
    """A process that answers on `port`; `ready_seconds` passed between its spawn and its first good answer."""

    pid: int
    port: int
    ready_seconds: float
    log: Path


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: what a shell needs, and `extra`."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", **extra}


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    environment: Mapping[str, str],
    log: Path,
    ready: bytes,
    timeout: float = 120.0,
) -> Iterator[Running]:
    """Run `command` until the block ends; `ready` is `path` or `path status` and says which answer means ready.

    Raises BenchError with the end of the log when the process dies or stays silent for `timeout` seconds.
    """
    with log.open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(environment), cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_ready(process, port, ready, log, started + timeout)
        yield Running(process.pid, port, time.perf_counter() - started, log)
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, ready: bytes, log: Path, deadline: float) -> None:
    while not _answers(port, ready):
        if process.poll() is not None:
            raise BenchError(f"the process ended with {process.returncode} before it was ready:\n{tail(log)}")
        if time.perf_counter() > deadline:
            raise BenchError(f"not ready in time:\n{tail(log)}")
        time.sleep(POLL_SECONDS)


def _answers(port: int, ready: bytes) -> bool:
    # A raw socket, because an HTTP client would add its own milliseconds to a start that is being timed.
    path, _, status = ready.partition(b" ")
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            line = connection.recv(256)
    except OSError:
        return False
    return line.startswith(b"HTTP/1.1 " + status)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stop_left_postgres(data_dir: Path) -> None:
    """Stop the PostgreSQL of a data directory of ours whose server died without doing so itself."""
    pid = Cluster(data_dir).postmaster()
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        _wait_for_end(pid)


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file, or a note that it is empty."""
    text = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(text[-lines:]) or f"({log.name} is empty)"


def run_to_end(command: Sequence[str], environment: Mapping[str, str], log: Path, timeout: float) -> float:
    """Run a command to its end and return its peak RSS in MB; BenchError with the end of its output when it fails."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=dict(environment), cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )
    with PeakRss(process.pid) as watch:
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _stop(process)
    if code != 0:
        raise BenchError(f"{' '.join(command[1:])} failed ({code}):\n{tail(log)}")
    return watch.peak


def python(*arguments: str) -> list[str]:
    """Return the command line of this interpreter with `arguments`."""
    return [sys.executable, *arguments]
