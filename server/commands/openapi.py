"""`run.py openapi`: prints the OpenAPI document."""

from __future__ import annotations

import argparse
import sys

import orjson

from server import __version__
from server.openapi import document
from server.policies import limits
from server.routes import table
from server.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


async def run(settings: Settings, _: argparse.Namespace) -> int:
    """Writes the document as indented JSON to standard output."""
    made = document(table(), version=__version__, public_url=settings.public_url, limits=limits(settings))
    sys.stdout.write(orjson.dumps(made, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0
