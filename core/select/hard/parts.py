"""How hard a failure is, with the parts that make it so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSED: Final = 0.40
REPEATED: Final = 0.25
SAID: Final = 0.15
REQUEST: Final = 0.20


@dataclass(frozen=True, slots=True)
class HardParts:
    """Each 0-1, as is their weighted sum `value`.

    value = 0.40 × missed + 0.25 × repeated + 0.15 × said + 0.20 × request.
    missed = 1 − score / 100, of the newest re-test, else the lowest score by which it failed (unknown: 50);
    repeated = 1 − 2^(−failed re-tests); said = 1 when a person called the answer bad;
    request = the difficulty of what was asked, as a quantile among the failures of the category.
    """

    missed: float
    repeated: float
    said: float
    request: float

    @property
    def value(self) -> float:
        """Rounded, so that equal failures stay equal whatever the order of the additions: ties go by the lower id."""
        whole = MISSED * self.missed + REPEATED * self.repeated + SAID * self.said + REQUEST * self.request
        return round(whole, 6)
