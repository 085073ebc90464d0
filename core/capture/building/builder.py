"""The dataset builder: a teacher model writes examples from the files of a folder, and only good ones are kept.

What came of a chunk is stored in one transaction with how far its file was read. A call that was broken off in any way,
a kill included, loses the chunk at hand; the next call goes on there. A file that was read is read again only after it
changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from core.capture.building.checks import Refusal, refusal, repeated
from core.capture.building.chunks import Chunk
from core.capture.building.files import Candidate, LeftOutError, files_of
from core.capture.building.plan import BuildOptions, Pending, pending, plan
from core.capture.building.prompts import Example
from core.capture.building.report import BuildReport
from core.capture.building.teacher import UNUSABLE, Teacher, UnusableError
from core.capture.incoming import Incoming
from core.capture.judged import Judged
from core.capture.record import Recorder
from core.categories import category
from core.errors import FinetuneError, ModelError
from core.select.lessons import Lesson, lessons_from
from core.validate.registry import validator_for
from storage import built_files, events

__all__ = ["SOURCE", "BuildOptions", "Builder"]

SOURCE: Final = "builder"
_GATE_BATCH: Final = 500
_HOPELESS: Final = 20

Progress = Callable[[BuildReport, str, int], None]
"""Gets the account so far, the file and lines at hand, and how many chunks this call will read in all."""


class Builder:
    """Builds examples into the store of a recorder."""

    def __init__(self, recorder: Recorder, options: BuildOptions) -> None:
        """Raises FinetuneError for options out of their range and a category that is unknown or cannot be validated."""
        options.check()
        self._recorder = recorder
        self._store = recorder.store
        self._options = options
        self._category = category(recorder.categories, options.category)
        self._in_vain: list[Pending] = []
        validator_for(self._category)  # a wrong option of it would else refuse one example after the other

    def run(self, folder: Path, teacher: Teacher | None, *, progress: Progress | None = None) -> BuildReport:
        """Reads up to `max_chunks` chunks of the files below `folder`; a dry run needs no teacher.

        Ctrl-C, a backend that is gone, a teacher of no use for 20 chunks in a row and a store that takes no more end
        it: the report says so in `ended` and `failure`, and what was made until then is kept. Raises FinetuneError when
        the folder cannot be listed.
        """
        started = time.monotonic()
        self._in_vain = []
        report = BuildReport(
            str(folder), self._category.name, teacher.name if teacher else "", dry_run=self._options.dry_run
        )
        made: list[int] = []
        found = list(files_of(folder))
        try:
            waiting = plan(self._store, self._options, found, report)
            if teacher is not None and not self._options.dry_run:
                self._build(waiting, teacher, report, made, progress)
            if report.chunks_left:
                report.ended = "limit reached"
        except KeyboardInterrupt:
            report.ended = "interrupted"
        except FinetuneError as error:
            report.ended, report.failure = "failed", error
        self._pass_gate(made, report)
        report.seconds = time.monotonic() - started
        return report

    def _build(
        self,
        waiting: Sequence[tuple[Candidate, int]],
        teacher: Teacher,
        report: BuildReport,
        made: list[int],
        progress: Progress | None,
    ) -> None:
        limit = self._options.max_chunks
        total = min(limit, report.chunks_left)
        recent: dict[str, int] = {}
        for found, planned in waiting:
            if report.chunks >= limit:
                return
            try:
                file = pending(self._store, self._category.name, found)
                if not file.left:
                    raise LeftOutError("too little text")
            except LeftOutError as error:  # it was another one when the folder was listed
                report.skip(found.name, str(error))
                report.files_left -= 1
                report.chunks_left -= planned
                continue
            report.chunks_left += file.left - planned
            before = report.chunks
            while file.left and report.chunks < limit:
                if progress is not None:
                    progress(report, f"{found.name}:{file.chunks[file.done].lines}", total)
                file, kept = self._read(file, teacher, report, recent)
                made += kept
                if report.chunks == before + 1:
                    report.files_left -= 1
                    report.files_read += 1
                    report.thin_chunks += file.thin if file.done == 1 else 0
            report.files_whole += not file.left

    def _read(
        self, file: Pending, teacher: Teacher, report: BuildReport, recent: dict[str, int]
    ) -> tuple[Pending, list[int]]:
        """The next chunk of a file: asked about, judged, and stored with how far the file is read.

        Returns the file as it stands then, and the events that are new.
        """
        chunk, now = file.chunks[file.done], time.time()
        good, refused = self._examples(file, chunk, teacher, now)
        kept: list[int] = []
        with self._store.transaction(durable=True):
            for example in good:
                if again := repeated(self._store, example, self._recorder.config.select.near_duplicate):
                    refused.append(again)
                else:
                    kept.append(self._recorder.keep([example], now, recent)[0].event_id)
            after = file.advanced(category=self._category.name, now=now, examples=len(kept), refused=len(refused))
            assert after.before is not None
            built_files.put(self._store, after.before)
        # Counted only now that it is stored.
        report.made += len(kept)
        report.chunks += 1
        report.chunks_left -= 1
        for each in refused:
            report.refuse(file.file.name, chunk.lines, each)
        self._give_up_in_time(after, refused)
        return after, kept

    def _give_up_in_time(self, file: Pending, refused: Sequence[Refusal]) -> None:
        """Raises ModelError after 20 chunks in a row that the teacher could do nothing with.

        Their files are left to a better one, unless an example was made from them before.
        """
        if not any(each.kind in UNUSABLE for each in refused):
            self._in_vain = []
            return
        self._in_vain.append(file)
        if len(self._in_vain) >= _HOPELESS:
            none = [str(each.file.path) for each in self._in_vain if each.before and not each.before.examples]
            built_files.forget(self._store, self._category.name, none)
            raise ModelError(
                f"The teacher could do nothing with {_HOPELESS} chunks in a row; the last time: {refused[-1].reason}.",
                title="This teacher is of no use here",
                hint="Choose a larger model that follows instructions, with a context of 4,096 tokens or more.",
            )

    def _examples(
        self, file: Pending, chunk: Chunk, teacher: Teacher, now: float
    ) -> tuple[list[Judged], list[Refusal]]:
        """The good examples of a chunk, and the reason against each of the others."""
        try:
            written = teacher.write(
                self._category,
                self._options.notes,
                file.file.name,
                chunk,
                wanted=self._options.per_chunk,
                publish=self._recorder.config.publish,
            )
        except UnusableError as error:
            return [], [Refusal(error.kind, str(error))]
        good: list[Judged] = []
        refused = [Refusal("malformed", fault) for fault in written.faults]
        if not written.examples and not refused:
            refused.append(Refusal("nothing found", "the teacher found nothing in it for this task"))
        for example in written.examples:
            judged = self._judged(example, file, chunk, teacher, now)
            if isinstance(judged, Refusal):
                refused.append(judged)
            elif why := refusal(judged, self._category):
                refused.append(why)
            else:
                good.append(judged)
        return good, refused

    def _judged(self, example: Example, file: Pending, chunk: Chunk, teacher: Teacher, now: float) -> Judged | Refusal:
        incoming = Incoming(
            prompt=example.prompt,
            response=example.response,
            category=self._category.name,
            model=teacher.name,
            context=chunk.text,
            source=SOURCE,
            metadata={"file": file.file.name, "lines": chunk.lines, "file_hash": file.whole},
        )
        try:
            return self._recorder.preparer.prepare(incoming, now)
        except FinetuneError as error:
            return Refusal("cannot be stored", error.message)

    def _pass_gate(self, made: Sequence[int], report: BuildReport) -> None:
        """Counts which of the new examples could teach at once, before any is kept for testing."""
        for start in range(0, len(made), _GATE_BATCH):
            rows = events.get_many(self._store, made[start : start + _GATE_BATCH])
            for row in rows:
                report.replaced.update(row.sanitized)
            constants = self._recorder.config.select
            for found in lessons_from(
                rows, self._category, now=time.time(), recent=len(made), common=(), constants=constants
            ):
                if isinstance(found, Lesson):
                    report.passing += 1
                else:
                    report.held_back[found.kind] += 1
