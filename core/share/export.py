"""Writes a dataset for another tool: the file, and beside it what is in it and what was left out."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.categories import Category
from core.config import Config, close_names
from core.errors import FinetuneError
from core.paths import write_whole
from core.share.choose import Choice, Example, choose, outcome_of
from core.share.folders import FOLDERS
from core.share.formats import FORMATS, ExportFormat, Row
from core.share.writers import write_rows
from storage.db import Store
from storage.files import flush, partial_of

_TITLE = "Nothing was exported"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written. `path` is the file or the folder, `stats_file` what was counted, `left_out` maps reasons to
    numbers."""

    path: Path
    stats_file: Path
    format: str
    rows: int
    left_out: Mapping[str, int]
    stats: Mapping[str, Any]

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"path": str(self.path), "stats_file": str(self.stats_file)}


def export_format(name: str) -> ExportFormat:
    """The format of that name. Raises FinetuneError naming the closest ones."""
    found = FORMATS.get(name)
    if found is None:
        raise FinetuneError(f"There is no export format `{name[:60]}`.", hint=close_names(name[:60], dict(FORMATS)))
    return found


def export(
    store: Store,
    config: Config,
    categories: Mapping[str, Category],
    target: Path,
    *,
    format_name: str,
    choice: Choice,
    progress: Callable[[int], None] | None = None,
) -> ExportReport:
    """Writes what `choice` takes to `target`, whole or not at all; an older file there is replaced.

    A format of a folder (LLaMA-Factory, axolotl) makes `target` a folder with the data and the file that the tool reads
    first. Raises FinetuneError when nothing passes the filters or the place cannot be written.
    """
    chosen = export_format(format_name)
    for name in choice.categories:
        if name not in categories:
            raise FinetuneError(f"There is no category `{name[:60]}`.", hint=close_names(name[:60], dict(categories)))
    if choice.balanced and chosen.kind in ("lessons", "pairs"):
        raise FinetuneError(
            f"{chosen.title} holds good answers alone, so there is nothing to balance."
            if chosen.kind == "lessons"
            else f"{chosen.title} holds a good and a bad answer in each row already.",
            title=_TITLE,
            hint="Leave --balanced out, or export lone outcomes: --format trl-kto.",
        )
    in_folder = chosen.name in FOLDERS
    if target.is_dir() and not in_folder:
        raise FinetuneError(f"{target} is a folder.", title=_TITLE, hint="Give the name of a file.")
    if target.exists() and not target.is_dir() and in_folder:
        raise FinetuneError(f"{target} is a file.", title=_TITLE, hint=f"{chosen.name} writes a folder: name one.")
    left_out: Counter[str] = Counter()
    counted = _Counted()
    examples = choose(
        store,
        categories,
        choice,
        chosen.kind,
        held_out=config.select.held_out_percent,
        left_out=left_out,
        refusal=chosen.refusal,
    )
    rows = _rows(chosen, examples, counted, progress)
    data = target / FOLDERS[chosen.name].data if in_folder else target
    stats_file = (target / "stats.json") if in_folder else target.with_name(f"{target.name}.stats.json")
    try:
        data.parent.mkdir(parents=True, exist_ok=True)
        digest = _write_whole(data, chosen, rows, counted)
        stats = counted.figures(chosen, choice, digest, left_out)
        if in_folder:
            for name, text in FOLDERS[chosen.name].files(chosen.name).items():
                write_whole(target / name, text)
        write_whole(stats_file, json.dumps(stats, indent=2, ensure_ascii=False) + "\n")
    except FinetuneError:
        if in_folder:
            with suppress(OSError):  # only an empty folder goes
                target.rmdir()
        raise
    except OSError as error:
        raise FinetuneError(
            f"{error.filename or target} cannot be written: {error.strerror or error}.",
            title=_TITLE,
            hint="Choose a folder that exists, may be written and has room.",
        ) from error
    return ExportReport(target, stats_file, chosen.name, counted.rows, dict(left_out), stats)


class _Counted:
    """What goes into an export, counted as it passes."""

    def __init__(self) -> None:
        self.rows = 0
        self._chars = 0
        self._quality = 0.0
        self._events = 0
        self._by: dict[str, Counter[str]] = {"category": Counter(), "tier": Counter(), "outcome": Counter()}

    def add(self, one: Example) -> None:
        self.rows += 1
        self._chars += len(one.prompt) + len(one.target) + len(one.rejected)
        self._by["category"][one.category] += 1
        if one.event is not None:
            self._events += 1
            self._quality += one.event.quality
            self._by["tier"][one.event.tier] += 1
            told = {None: outcome_of(one.event), True: "positive", False: "negative"}
            self._by["outcome"][told[one.label]] += 1

    def figures(self, chosen: ExportFormat, choice: Choice, digest: str, left_out: Mapping[str, int]) -> dict[str, Any]:
        return {
            "format": chosen.name,
            "written_at": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
            "rows": self.rows,
            "characters": self._chars,
            "mean_quality": round(self._quality / self._events, 4) if self._events else None,
            **{f"by_{name}": dict(counts.most_common()) for name, counts in self._by.items() if counts},
            "left_out": {reason: number for reason, number in left_out.items() if number},
            "filters": asdict(choice),
            "sha256": digest,
        }


def _rows(
    chosen: ExportFormat,
    examples: Iterable[Example],
    counted: _Counted,
    progress: Callable[[int], None] | None,
) -> Iterator[Row]:
    for one in examples:
        counted.add(one)
        if progress is not None:
            progress(counted.rows)
        yield chosen.row(one)


def _write_whole(path: Path, chosen: ExportFormat, rows: Iterator[Row], counted: _Counted) -> str:
    """Writes the rows under a temporary name, then renames; the SHA-256 of the file. Raises when there are none."""
    partial = partial_of(path)
    try:
        digest = write_rows(partial, chosen, rows)
        if not counted.rows:
            raise FinetuneError(
                f"No event passes the filters for {chosen.title}.",
                title=_TITLE,
                hint="Loosen the filters, or label some outputs first: `finetune-tui stats` shows what is there.",
            )
        flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest
