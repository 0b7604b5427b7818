"""What a run measured against what it may be: one line a bound, and whether all are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bound:
    """A value that may be at most `limit`, or must be at least that."""

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False

    @property
    def kept(self) -> bool:
        """Whether it holds; what could not be measured (NaN) does not."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        text = f"  {self.what:<46}{self.value:>10.4g} {self.unit:<6}{sign} {self.limit:g}"
        return text if self.kept else f"{text}   MISSED"


@dataclass
class Findings:
    """What came of a run: bounds, numbers beside them, complaints."""

    name: str
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Every bound was kept, and there is something that was measured."""
        return bool(self.bounds) and all(bound.kept for bound in self.bounds) and not self.complaints

    def __str__(self) -> str:
        notes = [f"  {note}" for note in self.notes]
        return "\n".join([*map(str, self.bounds), *notes, *(f"  COMPLAINT {one}" for one in self.complaints)])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in order the one below which `share` of them lie; 0 of none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
