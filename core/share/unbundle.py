"""Takes in a bundle: checked whole first, then events with what was said of them, preferences, and versions.

Nothing is doubled: importing a bundle again, or one that holds what this store once gave away, adds nothing. Each step
is kept as it is done, so that an import that was broken off is completed by doing it again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from core.capture.formats.parts import Row, RowError
from core.capture.import_rows import Counts, Taken
from core.capture.importing import ImportReport
from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.keep import Recorded
from core.capture.record import Recorder
from core.capture.rejects import Rejects
from core.capture.workers import Prepared, Preparers, useful_processes
from core.errors import CategoryError
from core.share.archive import Archive, is_bundle
from core.share.manifest import PAIRS
from core.share.take_events import Sent, read_events, read_rows, say
from core.share.take_pairs import PairTaker
from core.share.take_versions import TakenVersion, VersionRefused, VersionTaker
from storage import pairs

__all__ = ["BundleReport", "import_bundle", "is_bundle", "look_into"]

Progress = Callable[[Counts, str], None]
_BATCH: Final = 500
_BATCH_CHARS: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class BundleReport(ImportReport):
    """What an import of a bundle did, in the figures of any import (rows are events), and what became of its versions.

    `left_out` maps each version that could not be taken to the reason, `definitions` each category that this store
    lacks to its definition by the sender, as TOML.
    """

    versions: tuple[TakenVersion, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        added = sum(each.added for each in self.versions)
        return {
            **ImportReport.to_mapping(self),
            "versions_added": added,
            "versions_merged": len(self.versions) - added,
            "versions": [asdict(each) for each in self.versions],
            "definitions": dict(self.definitions),
        }


def look_into(path: Path) -> dict[str, Any]:
    """What a bundle holds, without taking it in: counts, versions, own categories. Raises FinetuneError."""
    with Archive(path) as archive:
        manifest = archive.manifest
        return {
            "file": str(path),
            **manifest.counts,
            "versions": [entry.name for entry in manifest.versions],
            "categories": list(manifest.categories),
            "bytes": sum(stored.bytes for stored in manifest.files.values()),
        }


def import_bundle(
    recorder: Recorder,
    path: Path,
    *,
    keep_pii: bool = False,
    processes: int | None = None,
    progress: Progress | None = None,
) -> BundleReport:
    """Takes in a bundle; the events are judged in `processes` children (None: as many as there are cores).

    Raises FinetuneError, before anything is stored, for a bundle that is damaged, newer than this program or too large
    for the disk; an event, preference or version that cannot be taken never stops it.
    """
    with Archive(path) as archive:
        archive.check_room(recorder.home.root)
        return _Import(recorder, path, archive, keep_pii, progress or (lambda *_: None)).run(processes)


class _Import:
    """One bundle being taken in."""

    def __init__(self, recorder: Recorder, path: Path, archive: Archive, keep_pii: bool, progress: Progress) -> None:
        self._recorder = recorder
        self._path = path
        self._archive = archive
        self._keep_pii = keep_pii
        self._progress = progress
        self._counts = Counts()
        self._ids: dict[int, int] = {}
        self._missing: dict[str, str] = {}

    def run(self, processes: int | None) -> BundleReport:
        started, now = time.monotonic(), time.time()
        self._archive.verify(lambda name: self._progress(self._counts, f"checking {name}"))
        alone = any(category.validator == "judge" for category in self._recorder.categories.values())
        count = 0 if alone else useful_processes() if processes is None else processes
        key = hashlib.blake2b(str(self._path.absolute()).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
        target = self._recorder.home.imports / f"{self._path.stem[:60]}-{key}.rejects.jsonl"
        with Rejects(target, 0) as rejects:
            with Preparers(self._recorder.preparer, now, count) as pool:
                recent: dict[str, int] = {}
                for batch, prepared in pool.map(_batches(self._sent())):
                    with self._recorder.store.transaction(durable=True):
                        self._keep(batch, prepared, now, recent, rejects=rejects)
                    self._progress(self._counts, "events")
            self._take_pairs(rejects)
            refused = rejects.flush()
        taken, left_out = self._take_versions()
        return BundleReport(
            path=self._path,
            counts=self._counts,
            rejects_file=target if refused else None,
            formats={self._path.name: "bundle"},
            left_out=left_out,
            seconds=time.monotonic() - started,
            resumed=False,
            versions=tuple(taken),
            definitions=self._missing,
        )

    def _sent(self) -> Iterator[Sent]:
        return read_events(
            self._archive,
            self._path.name,
            keep_pii=self._keep_pii,
            max_chars=self._recorder.config.capture.max_chars,
        )

    def _keep(
        self, batch: Sequence[Sent], prepared: Prepared, now: float, recent: dict[str, int], *, rejects: Rejects
    ) -> None:
        judged = [one for row in prepared for one in row if isinstance(one, Judged)]
        recorded = iter(self._recorder.keep(judged, now, recent))
        for sent, outcomes in zip(batch, prepared, strict=True):
            self._counts.read += 1
            refused = sent.taken.lessons if isinstance(sent.taken.lessons, RowError) else outcomes[0]
            if not isinstance(refused, Judged):
                self._counts.rejected += 1
                rejects.add(sent.taken, refused.message)
                self._note_category(sent)
                continue
            self._said(sent, next(recorded), rejects)

    def _said(self, sent: Sent, stored: Recorded, rejects: Rejects) -> None:
        counts, problems = self._counts, list(sent.problems)
        self._ids[sent.id] = stored.event_id
        added = say(
            self._recorder.judging,
            stored.event_id,
            sent,
            new=not stored.duplicate,
            sanitised=self._recorder.config.capture.sanitize and not self._keep_pii,
            problems=problems,
        )
        if added or not stored.duplicate:
            counts.accepted += 1
        else:
            counts.merged += 1
        counts.judged += added
        counts.pairs += bool(added) and pairs.of_correction(self._recorder.store, stored.event_id)
        counts.add_output(stored)
        for problem in problems:
            counts.parts += 1
            rejects.add(sent.taken, problem, part=True)

    def _note_category(self, sent: Sent) -> None:
        """Keeps the sender's definition of a category that this store lacks."""
        for one in sent.taken.incoming:
            name = one.category
            if isinstance(name, str) and name not in self._recorder.categories:
                defined = self._archive.manifest.categories.get(name)
                if defined is not None:
                    self._missing[name] = defined

    def _take_pairs(self, rejects: Rejects) -> None:
        taker = PairTaker(self._recorder, self._ids, keep_pii=self._keep_pii)
        limit = self._recorder.config.capture.max_chars
        rows = read_rows(self._archive, PAIRS, limit)
        while batch := list(islice(rows, _BATCH)):
            with self._recorder.store.transaction(durable=True):
                for number, value in batch:
                    row = value if isinstance(value, Row) else Row(number, value)
                    try:
                        if row.error:
                            raise RowError(row.error)
                        self._counts.pairs += taker.take(row.value)
                    except (RowError, CategoryError) as error:
                        self._counts.parts += 1
                        taken = Taken(f"{self._path.name}/{PAIRS}", "bundle", row, RowError(error.message), ())
                        rejects.add(taken, error.message, part=True)
            self._progress(self._counts, "preferences")

    def _take_versions(self) -> tuple[list[TakenVersion], dict[str, str]]:
        taker = VersionTaker(self._recorder, self._archive, lambda name: self._progress(self._counts, name))
        taken: list[TakenVersion] = []
        left_out: dict[str, str] = {}
        for entry in self._archive.manifest.versions:
            try:
                taken.append(taker.take(entry))
            except VersionRefused as error:
                left_out[entry.name] = error.message
                if entry.category in self._archive.manifest.categories:
                    self._missing.setdefault(entry.category, self._archive.manifest.categories[entry.category])
        return taken, left_out


def _batches(rows: Iterator[Sent]) -> Iterator[tuple[list[Sent], list[list[Incoming]]]]:
    """Events in batches that are bounded in number and in characters."""
    batch: list[Sent] = []
    chars = 0
    for one in rows:
        batch.append(one)
        chars += sum(len(each.prompt) + len(each.response) for each in one.taken.incoming if _texts(each))
        if len(batch) >= _BATCH or chars >= _BATCH_CHARS:
            yield batch, [list(each.taken.incoming) for each in batch]
            batch, chars = [], 0
    if batch:
        yield batch, [list(each.taken.incoming) for each in batch]


def _texts(incoming: Incoming) -> bool:
    return isinstance(incoming.prompt, str) and isinstance(incoming.response, str)
