"""Imports files of feedback: streaming, a transaction for each batch, resumable, and every row accounted for.

A batch of rows, what was refused of it and how far the import came are kept in one transaction. After a kill the same
import goes on behind the last batch; after its end it may be done again, and finds everything known.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.capture.formats.detect import detect, format_named
from core.capture.formats.mapped import Mapped
from core.capture.formats.parts import Format, RowError, Source
from core.capture.formats.sources import FileSource, open_sources
from core.capture.import_rows import Counts, ImportOptions, Taken, add_preferences, taken
from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.keep import Recorded
from core.capture.record import Recorder
from core.capture.rejects import Rejects
from core.capture.workers import Batch, Prepared, Preparers, rare_collection, useful_processes
from core.errors import FinetuneError
from storage import imports
from storage.db import lean

BATCH: Final = 1_000
_BATCH_CHARS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. `rejects_file` is None when nothing was refused; `formats` maps each source to its format,
    `left_out` each one that is of no known format to the reason."""

    path: Path
    counts: Counts
    rejects_file: Path | None
    formats: Mapping[str, str]
    left_out: Mapping[str, str]
    seconds: float
    resumed: bool

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        counts = self.counts.to_mapping()
        del counts["rejects_bytes"]
        return {
            "file": str(self.path),
            **counts,
            "rejects_file": None if self.rejects_file is None else str(self.rejects_file),
            "formats": dict(self.formats),
            "left_out": dict(self.left_out),
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
        }


class Importer:
    """Imports into the store of a recorder, judging in `processes` children (None: as many as there are cores)."""

    def __init__(self, recorder: Recorder, *, processes: int | None = None) -> None:
        self._recorder = recorder
        self._store = recorder.store
        # A judge holds a model in memory; one of it is enough.
        alone = any(category.validator == "judge" for category in recorder.categories.values())
        self.share: float | None = None
        """How much of the source at hand has been read, 0-1, where that can be told."""
        self._processes = 0 if alone else useful_processes() if processes is None else processes

    def run(
        self, path: Path, options: ImportOptions, *, progress: Callable[[Counts, str], None] | None = None
    ) -> ImportReport:
        """Imports a file or a folder; `progress` gets the account so far and the name of the source at hand.

        Raises FinetuneError when the path cannot be read or nothing in it is of a known format; a row that cannot be
        taken never stops it.
        """
        started, now = time.monotonic(), time.time()
        plan = plan_import(path, options)
        files = _files(path)
        key = _key(path, files, options)
        begun = imports.begin(self._store, key=key, path=str(path), now=now)
        counts, position = Counts.from_mapping(begun.counts), dict(begun.position)
        resumed = counts.read > 0
        target = self._recorder.home.imports / f"{path.stem[:60]}-{key[:8]}.rejects.jsonl"
        recent: dict[str, int] = {}
        rows = _rows(plan, position, options)
        with (
            lean(self._store),
            rare_collection(),
            Rejects(target, counts.rejects_bytes) as rejects,
            Preparers(self._recorder.preparer, _written_at(files, now), self._processes) as pool,
        ):
            for batch, prepared in pool.map(_batches(rows)):
                with self._store.transaction():
                    self._keep(batch, prepared, now, recent, counts=counts, rejects=rejects)
                    for one in batch:
                        position[one.source] = position.get(one.source, 0) + 1
                    counts.rejects_bytes = rejects.flush()
                    imports.advance(self._store, begun.id, position=position, counts=counts.to_mapping())
                if progress is not None:
                    self.share = _share(plan, batch[-1].source)
                    progress(counts, batch[-1].source)
        imports.finish(self._store, begun.id, now=time.time())
        return ImportReport(
            path,
            counts,
            target if counts.rejects_bytes else None,
            {source.name: format.name for source, format in plan.chosen},
            plan.left_out,
            time.monotonic() - started,
            resumed,
        )

    def _keep(
        self,
        batch: Sequence[Taken],
        prepared: Prepared,
        now: float,
        recent: dict[str, int],
        *,
        counts: Counts,
        rejects: Rejects,
    ) -> None:
        judged = [one for row in prepared for one in row if isinstance(one, Judged)]
        recorded = iter(self._recorder.keep(judged, now, recent))
        for row, outcomes in zip(batch, prepared, strict=True):
            counts.read += 1
            if isinstance(row.lessons, RowError):
                counts.rejected += 1
                rejects.add(row, row.lessons.message)
                continue
            problems = list(row.lessons.problems)
            stored: dict[int, tuple[Incoming, Recorded]] = {}
            for index, outcome in enumerate(outcomes):
                if isinstance(outcome, Judged):
                    stored[index] = row.incoming[index], next(recorded)
                else:
                    problems.append(str(outcome))
            if not stored:
                counts.rejected += 1
                rejects.add(row, "; ".join(problems))
                continue
            added = add_preferences(self._store, row.lessons, stored, now=now, problems=problems)
            self._count([each for _, each in stored.values()], added, counts)
            for problem in problems:
                counts.parts += 1
                rejects.add(row, problem, part=True)

    def _count(self, recorded: Sequence[Recorded], preferences: int, counts: Counts) -> None:
        if preferences or any(not one.duplicate or one.changed for one in recorded):
            counts.accepted += 1
        else:
            counts.merged += 1
        counts.pairs += preferences + sum(one.paired for one in recorded)
        for one in recorded:
            counts.judged += one.changed and one.said
            counts.add_output(one)


@dataclass(frozen=True, slots=True)
class Plan:
    """The sources of a path with the format of each, and those that were left out, with the reason."""

    chosen: tuple[tuple[Source, Format], ...]
    left_out: Mapping[str, str]


def plan_import(path: Path, options: ImportOptions) -> Plan:
    """What a path holds. Raises FinetuneError when nothing in it can be imported."""
    chosen: list[tuple[Source, Format]] = []
    refused: dict[str, FinetuneError] = {}
    for source in open_sources(path):
        try:
            chosen.append((source, _format_of(source, options)))
        except FinetuneError as error:
            refused[source.name] = error
    if chosen:
        return Plan(tuple(chosen), {name: error.message for name, error in refused.items()})
    if refused:
        raise next(iter(refused.values()))
    raise FinetuneError(
        f"{path} holds nothing that could be imported.",
        title="Nothing to import",
        hint="Give a JSON, JSONL, CSV, Parquet or SQLite file, a zip of them, or a folder that holds some.",
    )


def _share(plan: Plan, name: str) -> float | None:
    source = next(source for source, _ in plan.chosen if source.name == name)
    return source.share if isinstance(source, FileSource) else None


def _format_of(source: Source, options: ImportOptions) -> Format:
    if options.mapping:
        return Mapped(options.mapping)
    return detect(source).format if options.format is None else format_named(options.format)


def _rows(plan: Plan, position: Mapping[str, int], options: ImportOptions) -> Iterator[Taken]:
    for source, format in plan.chosen:
        for row, lessons in islice(format.lessons(source), position.get(source.name, 0), None):
            yield taken(source.name, format.name, row, lessons, options)


def _batches(rows: Iterator[Taken]) -> Iterator[tuple[list[Taken], Batch]]:
    """Rows in batches that are bounded in number and in characters."""
    batch: list[Taken] = []
    chars = 0
    for one in rows:
        batch.append(one)
        chars += sum(len(each.prompt) + len(each.response) for each in one.incoming if isinstance(each.response, str))
        if len(batch) >= BATCH or chars >= _BATCH_CHARS:
            yield batch, [each.incoming for each in batch]
            batch, chars = [], 0
    if batch:
        yield batch, [each.incoming for each in batch]


def _written_at(files: Sequence[Path], now: float) -> float:
    """The time of rows that tell none: when the newest file was written, so that reading it again says nothing new."""
    return max(0.0, min(now, max((each.stat().st_mtime for each in files), default=now)))


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _key(path: Path, files: Sequence[Path], options: ImportOptions) -> str:
    """The same for the same content at the same place, read in the same way."""
    seen = [(str(each.absolute()), each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    text = json.dumps([str(path.absolute()), seen, asdict(options)], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
