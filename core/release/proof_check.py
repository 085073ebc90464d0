"""One check of a proof, as it is shown and kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProofCheck:
    """One check. `figure` was measured, `bound` is what it is held against; `detail` says how, and what differed."""

    name: str
    passed: bool
    figure: float
    bound: float
    detail: str
