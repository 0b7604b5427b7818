"""The command line: `run.py COMMAND …`. A command is a module with `configure` and `run`, imported when asked for."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module
from pathlib import Path

from server.errors import ClusterError, MigrationError, SettingsError, YojohanError
from server.settings import load

# name: (module, what it does)
COMMANDS = {
    "serve": ("serve", "run the server in the foreground (the default)"),
    "migrate": ("migrate", "apply pending migrations"),
    "import": ("import_catalogue", "load a catalogue"),
    "import-list": ("import_list", "load people's lists"),
    "demo": ("demo", "generate a demo catalogue with a month of views"),
    "create-admin": ("create_admin", "create or promote an administrator (ADMIN_PASSWORD, or a prompt)"),
    "doctor": ("doctor", "check configuration, database, locale, disk and clock"),
    "repair": ("repair", "count everything anew and put right what differs"),
    "rebuild-search": ("rebuild_search", "build the search documents anew; the server may run"),
    "evaluate-recommendations": ("evaluate_recommendations", "hide ratings and see who finds them again: a table"),
    "recommend-worker": ("recommend_worker", "work out what is like what (the server starts it when needed)"),
    "openapi": ("openapi", "print the OpenAPI document"),
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit status. 2: wrong usage or settings."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else "serve"
    if name not in COMMANDS or arguments[:1] in (["-h"], ["--help"]):
        return _usage(None if arguments[:1] in (["-h"], ["--help"]) else name)
    command = import_module(f"server.commands.{COMMANDS[name][0]}")
    parser = argparse.ArgumentParser(prog=f"run.py {name}", description=COMMANDS[name][1])
    command.configure(parser)
    parsed = parser.parse_args(arguments[1:] if arguments[:1] == [name] else arguments)
    try:
        settings = load(os.environ, Path(".env"))
        return _run(command.run(settings, parsed))
    except SettingsError as error:
        print(f"The settings are wrong:\n{error}", file=sys.stderr)
        return 2
    except (ClusterError, MigrationError, YojohanError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output (`head`) has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _usage(wrong: str | None) -> int:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{text}" for name, (_, text) in COMMANDS.items()]
    text = "usage: python run.py [COMMAND] [ARGUMENT…]\n\n" + "\n".join(lines)
    if wrong is not None:
        print(f"run.py: no command is named {wrong}\n\n{text}", file=sys.stderr)
        return 2
    print(text)
    return 0


def _run(work: Coroutine[None, None, int]) -> int:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - faster where it is installed, not needed
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
