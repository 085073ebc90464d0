"""The account of a dataset builder's call: what was read, made and left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from core.capture.building.checks import Refusal
from core.errors import FinetuneError

_SHOWN_PER_KIND: Final = 5
_SHOWN_PER_REASON: Final = 20

Ended = Literal["all read", "limit reached", "interrupted", "failed"]


@dataclass(slots=True)
class BuildReport:
    """What a call did so far.

    files: files found, of which `files_read` were read at least in part (`files_whole` to their end) and `files_left`
    not yet begun; the others are skipped. A folder that is left out as a whole counts as one. skipped: how many by
    reason, with up to 20 names each in `skipped_files`. chunks: read in this call; `chunks_left` are for the next one,
    `thin_chunks` are parts of the files read that say too little to ask about. made, refused: examples; a chunk that
    gave no example counts as one refused. refusals: up to 5 of each kind. passing: how many of `made` the training gate
    lets pass at once, `held_back` the others by reason. replaced: what the sanitiser replaced, by kind. failure: what
    broke the call off.
    """

    folder: str
    category: str
    teacher: str
    dry_run: bool = False
    files: int = 0
    files_read: int = 0
    files_whole: int = 0
    files_left: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    skipped_files: dict[str, list[str]] = field(default_factory=dict)
    chunks: int = 0
    thin_chunks: int = 0
    chunks_left: int = 0
    made: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[Mapping[str, str]] = field(default_factory=list)
    passing: int = 0
    held_back: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    ended: Ended = "all read"
    failure: FinetuneError | None = None

    def skip(self, name: str, reason: str) -> None:
        """A file or folder was left out."""
        self.skipped[reason] += 1
        names = self.skipped_files.setdefault(reason, [])
        if len(names) < _SHOWN_PER_REASON:
            names.append(name)

    def refuse(self, file: str, lines: str, why: Refusal) -> None:
        """An example was not kept."""
        self.refused[why.kind] += 1
        if self.refused[why.kind] <= _SHOWN_PER_KIND:
            self.refusals.append({"file": file, "lines": lines, "kind": why.kind, "reason": why.reason})

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        error = self.failure
        return {
            "folder": self.folder,
            "category": self.category,
            "teacher": self.teacher,
            "dry_run": self.dry_run,
            "files": {
                "found": self.files,
                "read": self.files_read,
                "whole": self.files_whole,
                "left": self.files_left,
                "skipped": sum(self.skipped.values()),
            },
            "skipped": dict(self.skipped.most_common()),
            "skipped_files": self.skipped_files,
            "chunks": {"read": self.chunks, "thin": self.thin_chunks, "left": self.chunks_left},
            "examples": {"made": self.made, "refused": sum(self.refused.values()), "pass_the_gate": self.passing},
            "refused": dict(self.refused.most_common()),
            "refusals": self.refusals,
            "held_back": dict(self.held_back.most_common()),
            "replaced": dict(self.replaced.most_common()),
            "seconds": round(self.seconds, 3),
            "ended": self.ended,
            **({"error": {"title": error.title, "message": error.message, "hint": error.hint}} if error else {}),
        }
