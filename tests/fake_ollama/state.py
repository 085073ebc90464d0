"""What a running fake knows beside its disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fake_ollama.answers import Answers
from fake_ollama.faults import Faults
from fake_ollama.store import ApiError, Disk, Model, named

MOST_REMEMBERED = 2_000


class State:
    """One server: its version, store, faults, loaded models, and the requests it got (newest last).

    in_flight: texts being sent. cancelled: texts whose client went away before their end.
    """

    def __init__(self, version: str, root: Path, answers: Answers, delay: float) -> None:
        self.version = version
        self.disk = Disk(root)
        self.answers = answers
        self.delay = delay
        self.faults = Faults()
        self.loaded: dict[str, Model] = {}
        self.requests: list[dict[str, Any]] = []
        self.in_flight = 0
        self.cancelled = 0
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
        number = (int(found[1]), int(found[2]), int(found[3])) if found else (99, 0, 0)
        self.number = (99, 0, 0) if number == (0, 0, 0) else number

    def since(self, *number: int) -> bool:
        """Whether this server is of that version or newer."""
        return self.number >= number

    @property
    def rewrites(self) -> bool:
        return self.since(0, 30, 0) and not self.since(0, 34, 1)

    def remember(self, request: dict[str, Any]) -> None:
        self.requests.append(request)
        del self.requests[:-MOST_REMEMBERED]

    def vanished(self, name: str) -> bool:
        """Whether a name is to be unknown this once."""
        faults = self.faults
        if faults.vanish and faults.vanish_times > 0 and named(faults.vanish).parts == named(name).parts:
            faults.vanish_times -= 1
            return True
        return False

    def model(self, text: Any, quote: str = "'") -> Model:
        """The model of a name; 400 for no name, 404 for an unknown one."""
        name = named(text)
        model = None if self.vanished(text) else self.disk.model(name)
        if model is None:
            raise ApiError(404, f"model {quote}{text}{quote} not found")
        return model
