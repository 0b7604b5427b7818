"""What the server and systemd tell each other, through real sockets and a real child process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.systemd import Notifier, listening_sockets, watchdog_interval

ROOT = Path(__file__).parent.parent


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A datagram socket that stands where systemd's would, its address in NOTIFY_SOCKET."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@yojohan-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0", 1) if request.param == "abstract" else address)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listening


def test_each_message_arrives_as_systemd_writes_it(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.extend_timeout(1.5)
    notifier.status("migrating\nREADY=1")
    notifier.ready()
    notifier.watchdog()
    notifier.stopping()
    received = [manager.recv(4096).decode() for _ in range(5)]
    notifier.close()
    # A line break in a status must not become a message of its own.
    assert received == [
        "EXTEND_TIMEOUT_USEC=1500000",
        "STATUS=migrating READY=1",
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1",
    ]


def test_children_do_not_learn_the_notify_socket(manager: socket.socket) -> None:
    notifier = Notifier()
    child = [sys.executable, "-c", "import os; print(os.environ.get('NOTIFY_SOCKET'))"]
    assert subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip() == "None"
    assert notifier.enabled


def test_without_systemd_nothing_is_sent_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    assert not notifier.enabled


def test_a_manager_that_went_away_and_came_back_hears_us_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notifier = Notifier()
    notifier.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(5)
        notifier.watchdog()
        assert manager.recv(100) == b"WATCHDOG=1"
    notifier.close()


def test_a_manager_that_does_not_read_never_stops_us(manager: socket.socket) -> None:
    notifier = Notifier()
    for _ in range(2000):
        notifier.watchdog()
    notifier.close()
    assert manager.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_at_a_third_of_its_limit_by_the_process_it_watches(
    environment: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert watchdog_interval() == seconds
    assert "WATCHDOG_USEC" not in os.environ


TAKE_OVER = """
import os
from server.systemd import listening_sockets
[taken] = listening_sockets()
assert not taken.getblocking() and not taken.get_inheritable() and taken.fileno() == 3
assert not any(name.startswith("LISTEN_") for name in os.environ) and listening_sockets() == []
taken.setblocking(True)
taken.accept()[0].sendall(b"hello")
"""


def test_a_socket_opened_by_systemd_is_served_by_the_process_it_is_meant_for() -> None:
    # The client waits in the queue before the service exists: that is what the socket unit is for.
    with (
        socket.create_server(("127.0.0.1", 0)) as opened,
        socket.create_connection(opened.getsockname(), timeout=20) as client,
    ):
        # The shell knows the number the interpreter will have; its standard input becomes descriptor 3.
        script = 'exec env LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x "$0" -c "$1" 3<&0'
        service = subprocess.Popen(["sh", "-c", script, sys.executable, TAKE_OVER], stdin=opened.fileno(), cwd=ROOT)
        assert client.recv(100) == b"hello"
        assert service.wait(20) == 0


def test_sockets_meant_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", "1")
    assert listening_sockets() == []
    assert "LISTEN_FDS" not in os.environ
