"""How long to wait before the next try."""

from __future__ import annotations


def pause(attempts: int, chance: float, *, shortest: float = 1.0, longest: float = 600.0) -> float:
    """Seconds to wait after so many failed attempts: `chance` (0 to 1) of a span that doubles each time.

    The whole span is drawn from, so that what failed together does not come back together.
    """
    # Beyond that the span is at its longest anyway, and the power would leave what a float can hold.
    doublings = min(attempts - 1, 60)
    return min(longest, shortest * 2.0**doublings) * chance
