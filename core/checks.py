"""One thing that was looked at, as `doctor` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem", "info"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `hint` is the next step where there is one."""

    name: str
    state: State
    detail: str
    hint: str = ""
