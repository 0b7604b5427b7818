"""How long a server in a test waits before it turns somebody away.

A test says what becomes of a request, not how fast this machine is: nobody is refused because it halts for a second.
What the product does then is tested with a clock or a full gate of the test's own, and with the product's own numbers.
"""

from __future__ import annotations

import pytest

from server import database
from server.rules import load, pressure

SERVED = (load.BURST, load.STANDING, database.ACQUIRE_TIMEOUT, pressure.LAGS)


def be_patient() -> None:
    """Wait for a turn at the gate and for a connection much longer than a user would, and bear a late loop."""
    load.BURST, load.STANDING, database.ACQUIRE_TIMEOUT = 20.0, 15.0, 15.0
    pressure.LAGS = tuple((level, 100 * lag) for level, lag in pressure.LAGS)


def be_as_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as long as the product does, for one test."""
    burst, standing, acquire, lags = SERVED
    monkeypatch.setattr(load, "BURST", burst)
    monkeypatch.setattr(load, "STANDING", standing)
    monkeypatch.setattr(database, "ACQUIRE_TIMEOUT", acquire)
    monkeypatch.setattr(pressure, "LAGS", lags)
