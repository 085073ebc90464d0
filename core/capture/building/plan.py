"""What of a folder is still to be read, measured against what earlier calls have read of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from core.capture.building.chunks import Chunk, chunks_of, progress_hashes
from core.capture.building.files import Candidate, LeftOutError, Skipped, read_text
from core.capture.building.report import BuildReport
from core.errors import FinetuneError
from storage import built_files
from storage.built_files import BuiltFile
from storage.db import Store

MAX_CHUNKS: Final = 500
MAX_PER_CHUNK: Final = 10
_NOTES_CHARS: Final = 8_000


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to build. notes: the user's words on the examples wanted. max_chunks: chunks read in one call, at most 500.
    per_chunk: examples asked for from each, 1-10. again: files that were read already are read once more. dry_run:
    nothing is asked or stored, only counted."""

    category: str
    notes: str = ""
    max_chunks: int = MAX_CHUNKS
    per_chunk: int = 1
    again: bool = False
    dry_run: bool = False

    def check(self) -> None:
        """Raises FinetuneError for a value out of its range."""
        for name, value, most in (
            ("max_chunks", self.max_chunks, MAX_CHUNKS),
            ("per_chunk", self.per_chunk, MAX_PER_CHUNK),
        ):
            if isinstance(value, bool) or not 1 <= value <= most:
                raise FinetuneError(
                    f"{name} is {value}, not a whole number from 1 to {most}.",
                    title="Nothing was built",
                    hint="A larger folder takes several calls: each goes on where the last one ended.",
                )
        if len(self.notes) > _NOTES_CHARS:
            raise FinetuneError(
                f"The notes have {len(self.notes):,} characters; a teacher is given at most {_NOTES_CHARS:,}.",
                title="The notes are too long",
                hint="Keep what matters for every example; long documents belong in the folder.",
            )


@dataclass(frozen=True, slots=True)
class Pending:
    """A file of which the chunks from `done` on are still to be read.

    hashes: see `progress_hashes`. thin: parts that say too little to be among the chunks. before: the row of the
    reading that this one goes on with.
    """

    file: Candidate
    chunks: Sequence[Chunk]
    hashes: Sequence[str]
    done: int
    thin: int
    before: BuiltFile | None

    @property
    def left(self) -> int:
        """Chunks still to be read."""
        return len(self.chunks) - self.done

    @property
    def whole(self) -> str:
        """The hash of the whole file."""
        return self.hashes[-1]

    def advanced(self, *, category: str, now: float, examples: int, refused: int) -> Pending:
        """The file after one more chunk, from which that many examples were made and refused."""
        before = self.before
        row = BuiltFile(
            category=category,
            path=str(self.file.path),
            hash=self.hashes[self.done + 1],
            read_at=now,
            examples=examples + (before.examples if before else 0),
            refused=refused + (before.refused if before else 0),
        )
        return replace(self, done=self.done + 1, before=row)


def pending(store: Store, category: str, file: Candidate, *, afresh: bool = False) -> Pending:
    """What of a file is still to be read; `afresh` as if it never was. Raises LeftOutError when it is no text."""
    cut = chunks_of(file.name, read_text(file.path))
    chunks = [chunk for chunk in cut if not chunk.is_thin]
    hashes = progress_hashes(chunks)
    row = None if afresh else built_files.of_path(store, category, str(file.path))
    if row is None or row.hash not in hashes:
        return Pending(file, chunks, hashes, 0, len(cut) - len(chunks), None)
    return Pending(file, chunks, hashes, hashes.index(row.hash), len(cut) - len(chunks), row)


def plan(
    store: Store, options: BuildOptions, found: Sequence[Candidate | Skipped], report: BuildReport
) -> list[tuple[Candidate, int]]:
    """The files with chunks to be read, and how many; what is left out goes into the report."""
    report.files = len(found)
    if options.again and not options.dry_run:
        paths = [str(each.path) for each in found if isinstance(each, Candidate)]
        built_files.forget(store, options.category, paths)
    afresh = options.again and options.dry_run
    known = {} if afresh else built_files.paths_by_hash(store, options.category)
    waiting: list[tuple[Candidate, int]] = []
    for each in found:
        if isinstance(each, Skipped):
            report.skip(each.name, each.reason)
            continue
        try:
            file = pending(store, options.category, each, afresh=afresh)
        except LeftOutError as error:
            report.skip(each.name, str(error))
            continue
        if why := _read_already(file, known):
            report.skip(each.name, why)
            continue
        known.setdefault(file.whole, str(each.path))
        waiting.append((each, file.left))
        if options.dry_run and not file.done:
            report.thin_chunks += file.thin
    report.files_left = len(waiting)
    report.chunks_left = sum(left for _, left in waiting)
    return waiting


def _read_already(file: Pending, known: dict[str, str]) -> str | None:
    if not file.chunks:
        return "too little text"
    if not file.left:
        return "unchanged since it was read"
    own = str(file.file.path)
    return "a copy of a file that is read" if not file.done and known.get(file.whole, own) != own else None
