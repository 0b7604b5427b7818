"""Live streams (server-sent events): who is connected, how far each has been told, and the bytes on their way.

A connection costs no task that wakes and no queue of its own: the hub writes straight into its transport, whose buffer
is the queue, bounded here. Not safe for threads; everything happens on the loop.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson

from server.errors import Overloaded, TooManyRequests
from server.identity import Principal

MOST_PER_USER = 5
MOST = 1_000
# More of the past than this is fetched by the client itself.
MOST_REPLAYED = 200
# What may wait for a slow reader, in bytes, and how long nothing of it may move, in seconds.
MOST_WAITING = 128 * 1024
PATIENCE = 30.0
# How long a reader that was given up may take to read why.
LAST_WORDS = 10.0
HEARTBEAT = b": \n\n"


def event(name: str, value: Any, event_id: int | None = None) -> bytes:
    """One event. JSON has no line breaks of its own, so its data is one line."""
    place = f"id: {event_id}\n" if event_id is not None else ""
    return b"".join((f"{place}event: {name}\ndata: ".encode(), orjson.dumps(value), b"\n\n"))


def retry() -> bytes:
    """When to come back: spread out, so that a restart does not bring everybody in the same moment."""
    return b"retry: %d\n\n" % random.randint(1_000, 5_000)  # noqa: S311 - jitter


class Stream:
    """One connection. `after` is the last notification it has been told; None until the hub has looked once."""

    __slots__ = (
        "_chunked", "_flushed", "_moved", "_transport", "_written", "after", "behind", "ended", "held", "principal",
        "unread",
    )  # fmt: skip

    def __init__(self, principal: Principal, after: int | None) -> None:
        self.principal = principal
        self.after = after
        # The newest count it was sent, and whether it has been greeted at all.
        self.unread: int | None = None
        # Whether it is still being told of the past, and waits for room to go on with that.
        self.behind = self.held = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None
        self._chunked = False
        self._written = self._flushed = 0
        self._moved = monotonic()

    @property
    def user_id(self) -> int:
        """Whose it is."""
        return self.principal.user_id

    @property
    def open(self) -> bool:
        """Whether anybody can still be told anything here."""
        return not self.ended.done() and not (self._transport is not None and self._transport.is_closing())

    @property
    def ready(self) -> bool:
        """Whether it can be told something: its headers have gone, and it has not ended."""
        return self._transport is not None and self.open

    @property
    def full(self) -> bool:
        """Whether so much is on its way that more of the past had better wait."""
        return self._transport is not None and self._transport.get_write_buffer_size() > MOST_WAITING // 2

    def attach(self, transport: asyncio.WriteTransport, *, chunked: bool) -> None:
        """The way out, once the headers have gone."""
        self._transport = transport
        self._chunked = chunked

    def send(self, data: bytes) -> bool:
        """Send this, or give the reader up if too much waits for it already; whether it was sent."""
        transport = self._transport
        if transport is None:
            # Not under way yet: it is greeted with the state of things then.
            return True
        if not self.open:
            return False
        waiting = transport.get_write_buffer_size()
        now = monotonic()
        flushed = self._written - waiting
        if waiting == 0 or flushed > self._flushed:
            self._moved, self._flushed = now, flushed
        if waiting > MOST_WAITING or now - self._moved > PATIENCE:
            return False
        self._write(transport, data)
        return True

    def _write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        self._written += len(framed)
        transport.write(framed)

    def give_up(self) -> None:
        """The reader is too slow: leave word behind whatever still waits, and close, soon by force."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._write(transport, event("resync", {"reason": "too_slow"}))
            transport.close()
            asyncio.get_running_loop().call_later(LAST_WORDS, transport.abort)
        self.end()

    def end(self) -> None:
        """Nothing more is sent; the handler that waits here goes on."""
        if not self.ended.done():
            self.ended.set_result(None)


@dataclass(slots=True)
class StreamCounters:
    """What became of streams since the start."""

    sent: int = 0
    resyncs: int = 0
    dropped: int = 0
    refused: int = 0


class Streams:
    """All connections of this process. `wake` is called when the hub has somebody to look after."""

    def __init__(self) -> None:
        self.counters = StreamCounters()
        self.wake: Callable[[], None] = lambda: None
        self.stopping = False
        self._by_user: dict[int, list[Stream]] = {}
        self._count = 0
        # Users of whom something may have changed, and whether the hub has been told.
        self._stale: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Stream]:
        for streams in list(self._by_user.values()):
            yield from list(streams)

    def join(self, stream: Stream) -> None:
        """Take it in. TooManyRequests if its user has too many, Overloaded if there are too many altogether."""
        user_id = stream.user_id
        self._bury(self._by_user.get(user_id, ()))
        if len(self._by_user.get(user_id, ())) >= MOST_PER_USER:
            self.counters.refused += 1
            raise TooManyRequests(f"At most {MOST_PER_USER} streams at once; close one first.", retry_after=30)
        if self._count >= MOST:
            self._bury(self)
        if self._count >= MOST or self.stopping:
            self.counters.refused += 1
            raise Overloaded("Too many streams are open; ask for `/notifications` meanwhile.", retry_after=30)
        self._by_user.setdefault(user_id, []).append(stream)
        self._count += 1

    def leave(self, stream: Stream) -> None:
        """Let it go; may be repeated."""
        stream.end()
        streams = self._by_user.get(stream.user_id)
        if streams is None or stream not in streams:
            return
        streams.remove(stream)
        self._count -= 1
        if not streams:
            del self._by_user[stream.user_id]

    def ready(self, user_id: int) -> list[Stream]:
        """The user's streams that can be told something."""
        return [stream for stream in self._by_user.get(user_id, ()) if stream.ready]

    def heard(self, first: int, last: int) -> None:
        """Something changed for the users of these ids, both included."""
        self.look_after(user_id for user_id in self._by_user if first <= user_id <= last)

    def look_after(self, user_ids: Iterable[int]) -> None:
        """Have the hub look after these users, as far as they are connected."""
        asleep = not self._stale
        self._stale.update(user_ids)
        if asleep and self._stale:
            self.wake()

    def look_after_all(self) -> None:
        """As if something had changed for everybody."""
        self.look_after(self._by_user)

    def take(self) -> set[int]:
        """The users to look after; whoever changes from here on is for the next time."""
        taken, self._stale = self._stale, set()
        return {user_id for user_id in taken if user_id in self._by_user}

    def send(self, stream: Stream, data: bytes) -> None:
        """Send this to one reader; one that cannot keep up is dropped."""
        if not stream.send(data) and stream.open:
            self.counters.dropped += 1
            self.counters.resyncs += 1
            stream.give_up()
        if not stream.open:
            self.leave(stream)

    def beat(self) -> None:
        """A sign of life to everybody, which also finds those that have gone."""
        for stream in self:
            self.send(stream, HEARTBEAT)

    def stop(self) -> None:
        """The server stops: say when to come back, and end every stream."""
        self.stopping = True
        for stream in self:
            self.send(stream, retry())
            self.leave(stream)

    def _bury(self, streams: Iterable[Stream]) -> None:
        for stream in list(streams):
            if not stream.open:
                self.leave(stream)


def greeting(unread: int, after: int) -> bytes:
    """The first words: when to come back, behind which notification this stream begins, and how much is unread."""
    return retry() + event("unread", {"unread_count": unread}, after)


def told(document: Mapping[str, Any]) -> bytes:
    """A notification."""
    return event("notification", document, document["id"])
