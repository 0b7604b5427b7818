"""What an actor is: a class with a bounded mailbox, a task, and state that nobody else touches.

    ref.tell(message)                 never waits; MailboxFull at once if there is no room
    await ref.ask(message, timeout=)  always ends: the answer, the error, ActorStopped, or DeadlineExceeded

An error while a `tell` is handled crashes the actor and its supervisor starts a new one on the same mailbox; an error
while an `ask` is handled goes to the asker and the actor lives. `Actor` handles one message at a time, `BatchActor`
takes as many as wait. Messages are frozen dataclasses; `match` on them and end in `assert_never`.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, ClassVar, Generic, TypeVar

from server.errors import ActorStopped, DeadlineExceeded, MailboxFull

Message = TypeVar("Message")
Answer_co = TypeVar("Answer_co", covariant=True)


class Request(Generic[Answer_co]):
    """Base of messages that have an answer: `class Count(Request[int])` makes `await ref.ask(Count())` an int."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """What a periodic actor tells itself."""


class Envelope:
    """A message on its way: `weight` units and `size` bytes of the mailbox's room, `reply` if somebody waits."""

    __slots__ = ("arrived", "message", "reply", "size", "weight")

    def __init__(self, message: Any, reply: asyncio.Future[Any] | None, weight: int, size: int) -> None:
        self.message = message
        self.reply = reply
        self.weight = weight
        self.size = size
        self.arrived = perf_counter()

    @property
    def abandoned(self) -> bool:
        """Whether somebody asked and has since gone away (timeout, cancellation)."""
        return self.reply is not None and self.reply.done()

    def answer(self, value: Any) -> None:
        """Give the asker the answer, if there is one still waiting."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(value)

    def refuse(self, error: BaseException) -> None:
        """Give the asker the error, if there is one still waiting."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


@dataclass(slots=True)
class Stats:
    """What an actor shows of itself. Seconds are sums over `handled` messages."""

    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    handled: int = 0
    waiting_seconds: float = 0.0
    handling_seconds: float = 0.0
    restarts: int = 0
    refused: int = 0
    # Ticks put off under pressure, and whether the last one was.
    put_off: int = 0
    paused: bool = False
    last_tick: float = field(default_factory=perf_counter)


class Mailbox:
    """A queue with room for so many units and bytes. One reader; writers never wait."""

    def __init__(self, capacity: int, capacity_bytes: int) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.depth = 0
        self.bytes = 0
        self.closed = False
        self._queue: deque[Envelope] = deque()
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, envelope: Envelope) -> None:
        """Append. MailboxFull if there is no room, ActorStopped if it is closed."""
        if self.closed:
            raise ActorStopped("This part of the server is stopping.")
        # An empty mailbox takes one message of any weight, or that message could never be sent.
        if self._queue and (
            self.depth + envelope.weight > self.capacity or self.bytes + envelope.size > self.capacity_bytes
        ):
            raise MailboxFull("Too much is waiting already; try again soon.")
        self._queue.append(envelope)
        self.depth += envelope.weight
        self.bytes += envelope.size
        self.wake()

    def wake(self) -> None:
        """Let the reader look again."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def wait(self, weight: int, linger: float, interrupted: Callable[[], bool]) -> bool:
        """Wait until a message is here, then up to `linger` seconds after it came for `weight` units; False at the end.

        Returns early once `interrupted` says so; whoever makes it true calls `wake`.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self.closed:
                return bool(self._queue)
            if interrupted():
                return True
            remaining = None
            if self._queue:
                remaining = self._queue[0].arrived + linger - perf_counter()
                if self.depth >= weight or remaining <= 0:
                    return True
            self._wake = loop.create_future()
            timer = loop.call_later(remaining, self.wake) if remaining is not None else None
            try:
                await self._wake
            finally:
                self._wake = None
                if timer is not None:
                    timer.cancel()

    def take(self, weight: int) -> list[Envelope]:
        """Remove messages from the front: at least one, together at most `weight` units."""
        taken: list[Envelope] = []
        total = 0
        while self._queue and (not taken or total + self._queue[0].weight <= weight):
            envelope = self._queue.popleft()
            total += envelope.weight
            self.bytes -= envelope.size
            taken.append(envelope)
        self.depth -= total
        return taken

    def close(self) -> None:
        """Take no more; what is inside is still read."""
        self.closed = True
        self.wake()


class ActorRef(Generic[Message]):
    """The only thing others have of an actor."""

    __slots__ = ("_mailbox", "_stats", "name")

    def __init__(self, name: str, mailbox: Mailbox, stats: Stats) -> None:
        self.name = name
        self._mailbox = mailbox
        self._stats = stats

    def tell(self, message: Message, *, weight: int = 1, size: int = 0) -> None:
        """Leave a message. Never waits: MailboxFull at once, or ActorStopped."""
        self._put(Envelope(message, None, weight, size))

    async def ask(self, message: Request[Answer_co], *, timeout: float, weight: int = 1, size: int = 0) -> Answer_co:
        """Leave a message and wait for its answer. `timeout` in seconds; then DeadlineExceeded."""
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Answer_co] = loop.create_future()
        self._put(Envelope(message, reply, weight, size))
        timer = loop.call_later(timeout, self._expire, reply)
        try:
            return await reply
        finally:
            timer.cancel()

    def _put(self, envelope: Envelope) -> None:
        try:
            self._mailbox.put(envelope)
        except (MailboxFull, ActorStopped):
            self._stats.refused += 1
            raise

    def _expire(self, reply: asyncio.Future[Any]) -> None:
        if not reply.done():
            reply.set_exception(DeadlineExceeded(f"No answer from {self.name} in time.", retry_after=2))


class Actor(Generic[Message]):
    """Base of actors that handle one message after another. Override the hooks; keep state in `self`."""

    # Of a class, or of each actor where one class makes several.
    name: str
    capacity: ClassVar[int] = 1000
    capacity_bytes: ClassVar[int] = 8 * 2**20
    # Seconds between two ticks; None: the actor has no clock.
    interval: float | None = None
    # Seconds to the first tick, where that is not a whole interval.
    first_tick: float | None = None
    # Whether its ticks wait while the server is under pressure, for the supervisor's `PATIENCE` at most. Nothing that
    # was promised may depend on them. Messages are handled in any case.
    yields_to_pressure: ClassVar[bool] = False

    async def on_start(self) -> None:
        """Before the first message, and after each restart. An error here counts as a crash."""

    async def on_stop(self) -> None:
        """After the last message of an orderly stop."""

    async def on_tick(self) -> None:
        """Every `interval` seconds, between messages; a tick that is late is not made up for."""

    async def receive(self, message: Message) -> Any:
        """Handle one message; what it returns answers an `ask`."""
        # Not abstract: an actor that is only to tick is sent none.
        raise NotImplementedError


class BatchActor(Actor[Message]):
    """Base of actors that take what waits in one go: up to `batch` units, `linger` seconds after the first came."""

    batch: ClassVar[int] = 1000
    linger: ClassVar[float] = 0.0
    # Set by the supervisor while a batch is in hand.
    in_hand: Sequence[Envelope] = ()

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for the batch in hand."""
        return any(not envelope.abandoned for envelope in self.in_hand)

    async def receive_batch(self, messages: Sequence[Message]) -> Sequence[Any]:
        """Handle the messages together; one answer for each, in their order."""
        # Every actor of this kind has its own; there is nothing that would do for all.
        raise NotImplementedError
