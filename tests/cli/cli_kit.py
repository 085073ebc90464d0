"""What the tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on standard output; anything else beside it is a fault."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """What an error says with --json."""
        said: dict[str, str] = self.json["error"]
        assert set(said) == {"title", "message", "hint"}
        return said


Run = Callable[..., Outcome]
