"""What a profile may say. Pure functions."""

from __future__ import annotations

import unicodedata
import zoneinfo
from functools import cache

from server.rules.titles import normal_lines


@cache
def time_zones() -> frozenset[str]:
    """The names of all time zones of IANA. The first call looks through files and takes some tens of milliseconds."""
    return frozenset(zoneinfo.available_timezones())


def clean_name(text: str) -> str:
    """A name as it is kept: composed, without white space around it."""
    return unicodedata.normalize("NFC", text).strip()


def clean_bio(text: str) -> str:
    """The lines somebody writes of themselves as they are kept."""
    return normal_lines(text).strip()
