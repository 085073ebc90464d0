"""One thing that was looked at, as `doctor` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem", "info"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `hint` is the next step where there is one.

    `fix` names what can mend it from the app: "ollama" (make it follow the store), "trials" (remove what they left),
    "file" (open config.toml), "run 7" or "version 3" (open it); empty where nothing can.
    """

    name: str
    state: State
    detail: str
    hint: str = ""
    fix: str = ""
