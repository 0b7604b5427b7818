"""What systemd and a service tell each other: readiness, watchdog, and sockets that were opened for us.

The protocols are a datagram of `NAME=value` lines (sd_notify) and file descriptors from 3 on (sd_listen_fds). Each
reader here takes its variables out of the environment, so that PostgreSQL and other children do not answer for us.
Without systemd everything here does nothing.
"""

from __future__ import annotations

import logging
import os
import socket

FIRST_DESCRIPTOR = 3
MICROSECONDS = 1_000_000

log = logging.getLogger(__name__)


class Notifier:
    """Says to the service manager how we are. Never raises and never waits: a lost message is logged, no more."""

    def __init__(self) -> None:
        self._address = _abstract(os.environ.pop("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None

    @property
    def enabled(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self) -> None:
        """The service serves; what waits for it may start."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The service drains and will end by itself."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def extend_timeout(self, seconds: float) -> None:
        """Start or stop needs this long from now on. To be repeated while the work goes on."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * MICROSECONDS)}")

    def watchdog(self) -> None:
        """The service is alive. Due every `watchdog_interval()` seconds, or it is killed and started anew."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Give the descriptor back; later calls open a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            self._connected().send(message.encode())
        except OSError as error:
            # The manager may have been restarted: the next message finds its new socket.
            log.warning("cannot notify systemd: %s", error.strerror)
            self.close()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            # The loop must not stall on a manager that does not read.
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                opened.connect(self._address)
            except OSError:
                opened.close()
                raise
            self._socket = opened
        return self._socket


def watchdog_interval() -> float | None:
    """Seconds between two `Notifier.watchdog()` calls, a third of the limit: two may be late. None without one."""
    limit = _take_number("WATCHDOG_USEC")
    process = _take_number("WATCHDOG_PID")
    if not limit or process not in (None, os.getpid()):
        return None
    return limit / MICROSECONDS / 3


def listening_sockets() -> list[socket.socket]:
    """The sockets systemd opened for this process, non-blocking and closed on exec; empty if there are none.

    To be called once: it takes the descriptors over. OSError if a descriptor promised to us is not a socket.
    """
    process = _take_number("LISTEN_PID")
    count = _take_number("LISTEN_FDS") or 0
    os.environ.pop("LISTEN_FDNAMES", None)
    # A parent's variables that were handed down by mistake are not about our descriptors.
    if process != os.getpid():
        return []
    return [_adopt(number) for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count)]


def _adopt(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    adopted = socket.socket(fileno=descriptor)
    adopted.setblocking(False)
    return adopted


def _abstract(address: str) -> str:
    """The address as the kernel wants it: systemd writes '@' for the NUL of the abstract namespace."""
    return "\0" + address[1:] if address.startswith("@") else address


def _take_number(name: str) -> int | None:
    value = os.environ.pop(name, "")
    return int(value) if value.isascii() and value.isdigit() else None
