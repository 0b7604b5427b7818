"""Who looks after recommendations. A part of the composition root."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from aiohttp import web

from actors.neighbours import Command, NeighbourKeeper, command
from actors.system import ActorSystem
from server import keys
from server.events import Recommending
from server.metrics_recommendations import of_recommending
from server.rules import cache_tags
from server.settings import KNOWN, Settings
from sql.library_write import CHANGED

PROGRAM = Path(__file__).resolve().parents[1] / "run.py"


def worker(settings: Settings, dsn: str) -> Command:
    """How the worker is started: with our environment but for settings, of which it needs the database alone.

    It works in the data directory, where no `.env` says otherwise. Its lock lives as long as its session: past a
    pooler it takes the direct way.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.removesuffix("_FILE") not in KNOWN and name != "NOTIFY_SOCKET"
    }
    return command(settings.database_direct_url or dsn, str(PROGRAM), environment, str(settings.data_dir.resolve()))


def add_recommendations(app: web.Application, settings: Settings, dsn: str, system: ActorSystem) -> None:
    """The keeper of neighbours, whose worker talks to `dsn`; and what is forgotten when a library changes."""
    app[keys.RECOMMENDING] = progress = Recommending()
    pressure, talk = app[keys.PRESSURE], app[keys.TALK]
    how = worker(settings, dsn)
    system.add(partial(NeighbourKeeper, app[keys.DATABASE], progress, how, talk.changed, lambda: pressure.pauses))
    app[keys.METRICS].add(of_recommending(progress))
    _forget_on_change(app)


def _forget_on_change(app: web.Application) -> None:
    """What is recommended to somebody is made anew once they have changed what they keep: here at once, in other
    instances a moment later."""
    talk = app[keys.TALK]

    def heard() -> None:
        # In the task whose transaction has just been committed.
        if changed := CHANGED.get():
            CHANGED.set(frozenset())
            talk.changed({cache_tags.personal(user_id) for user_id in changed})

    app[keys.DATABASE].bell.listeners.append(heard)
