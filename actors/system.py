"""All actors of the process, in the order in which they may ask: each one only those above it.

Started in order, each waited for until it is ready; stopped in reverse, each drained within the grace time. That
order is what rules out a cycle of asks: an actor is only ever handed references made before it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from actors.base import Actor, ActorRef
from actors.jobs import Jobs
from actors.supervisor import RestartPolicy, Supervisor

log = logging.getLogger("yojohan.actors")

START_TIMEOUT = 15.0


class ActorSystem:
    """The list of actors. `on_fatal` is called with a name and an error when one cannot be kept alive.

    `pressed` says whether those who yield to pressure should do so now.
    """

    def __init__(
        self,
        on_fatal: Callable[[str, BaseException], None],
        policy: RestartPolicy | None = None,
        pressed: Callable[[], bool] = lambda: False,
    ) -> None:
        self.jobs = Jobs()
        self._pressed = pressed
        self._on_fatal = on_fatal
        self._policy = policy or RestartPolicy()
        self._supervisors: list[Supervisor] = []
        self._started: list[Supervisor] = []

    def __iter__(self) -> Iterator[Supervisor]:
        return iter(self._supervisors)

    def add(self, factory: Callable[[], Actor[Any]]) -> ActorRef[Any]:
        """Put an actor at the end of the list; its reference. The factory is called again after each crash."""
        supervisor = Supervisor(factory, self._policy, self._on_fatal, self._pressed)
        if any(other.name == supervisor.name for other in self._supervisors):
            raise ValueError(f"two actors are named {supervisor.name}")
        self._supervisors.append(supervisor)
        return supervisor.ref

    async def start(self) -> None:
        """Start all in order; if one does not start, stop those that did and raise."""
        await self.jobs.open()
        for supervisor in self._supervisors:
            self._started.append(supervisor)
            try:
                await supervisor.start(START_TIMEOUT)
            except BaseException:
                await self.stop(1.0)
                raise

    async def stop(self, grace: float) -> list[str]:
        """Stop all in reverse order within `grace` seconds together; the names of those that did not drain."""
        deadline = perf_counter() + grace
        undrained = [
            supervisor.name
            for supervisor in reversed(self._started)
            if not await supervisor.stop(max(0.05, deadline - perf_counter()))
        ]
        self._started.clear()
        await self.jobs.close(max(0.05, deadline - perf_counter()))
        if undrained:
            log.warning("actors did not drain in time", extra={"actors": undrained})
        return undrained
