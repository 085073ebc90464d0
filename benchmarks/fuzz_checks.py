"""Makes mutated inputs, sends them the whole way in, and checks what must hold of each."""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzz_corpus import Corpus
from benchmarks.mutations import mutate_bytes, mutate_value, written
from core.capture.formats.detect import detect, format_named
from core.capture.formats.mapped import Mapped
from core.capture.formats.parts import Source
from core.capture.formats.sources import FileSource, open_sources
from core.capture.import_rows import ImportOptions, taken
from core.capture.importing import Importer
from core.capture.prepare import Preparer
from core.capture.record import Recorder
from core.categories import load_categories
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from storage.db import integrity_problems, open_store

ROWS: Final = 200
FILES: Final = 25
SECONDS: Final = 5.0
_FIELDS: Final = (
    "system", "history", "score", "confidence", "feedback_type", "verdict", "correction", "note", "latency_ms",
    "created_at", "group_key", "category", "model", "context",
)  # fmt: skip
_TOGETHER: Final = ("llamafactory", "chatgpt", "langfuse")


class TooLong(BaseException):
    """A row took longer than it may."""


@contextmanager
def limited() -> Iterator[None]:
    """Gives the body so many seconds of processor time; `again` starts them anew."""
    again()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def again() -> None:
    signal.setitimer(signal.ITIMER_PROF, SECONDS)


def stop(number: int, frame: object) -> None:
    raise TooLong(f"more than {SECONDS:g} s")


class Fuzz:
    """One process's share: a generator of mutated inputs, the checks, and what they found."""

    def __init__(self, seed: str, folder: Path, every: int) -> None:
        self.draw = random.Random(seed)
        self.folder = folder
        self.every = every
        extra = folder / "extra"
        extra.mkdir(parents=True)
        self.corpus = Corpus(extra)
        self.home = Home(folder / "home")
        self.home.ensure()
        self.store = open_store(self.home.store)
        self.recorder = Recorder(self.store, self.home, Config(), load_categories(self.home))
        self.preparer = Preparer(Config().capture, self.recorder.categories, b"\x00" * 32)
        self.figures: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.faults: dict[str, tuple[int, str]] = {}
        self.batches = 0

    def options(self) -> ImportOptions:
        names = ("", *self.recorder.categories)
        return ImportOptions(category=self.draw.choice((*names, "erd", "erd")), model=self.draw.choice(("", "m")))

    def batch(self, most: int) -> int:
        """Makes and checks a batch of at most `most` inputs; how many it were."""
        self.batches += 1
        if self.batches % 4 == 0:
            for _ in range(min(FILES, most)):
                self.one_file()
            return min(FILES, most)
        return self.some_rows(min(ROWS, most))

    def some_rows(self, count: int) -> int:
        """Mutated rows between a sound first row and the file's others, in memory as JSON lines or as an array."""
        path, own, values = self.draw.choice(self.corpus.rows)
        sound = values[0]
        lines = [json.dumps(sound).encode()]
        by_bytes = self.draw.random() < 0.3
        for _ in range(count):
            value = self.draw.choice(values)
            if by_bytes:
                lines.append(mutate_bytes(self.draw, json.dumps(value).encode(), self.draw.choice(lines)))
            else:
                text = written(self.draw, mutate_value(self.draw, value, self.corpus.values))
                lines.append(text.encode("utf-8", "surrogatepass"))
        array = not by_bytes and self.draw.random() < 0.4
        data = b"[" + b",\n".join(lines) + b"]" if array else b"\n".join(lines)
        beside = partial(self.beside, path)
        source = FileSource(path.name, "json" if array else "jsonl", partial(_opened, data), beside)
        expected = len(lines) if array else sum(map(_is_line, data.split(b"\n")))
        self.check(source, expected=expected, own=own, data=data)
        if self.batches % self.every == 0:
            target = self.folder / f"rows{'.json' if array else '.jsonl'}"
            target.write_bytes(data)
            self.whole_import(target, expected=expected)
        self.figures["rows"] += count
        return count

    def beside(self, path: Path, name: str) -> Source | None:
        """The files next to a fixture, sometimes broken too."""
        place = path.with_name(name)
        if not place.is_file():
            return None
        data = place.read_bytes()
        if self.batches % 3 == 0:
            data = mutate_bytes(random.Random(self.batches), data, data)
        return FileSource(name, "json", partial(_opened, data), lambda _: None)

    def one_file(self) -> None:
        """One mutated file among copies of its neighbours, opened from the disk."""
        path = self.draw.choice(self.corpus.files)
        place = self.folder / "file"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for other in path.parent.iterdir() if path.parent.name in _TOGETHER else ():
            shutil.copy(other, place / other.name)
        data = mutate_bytes(self.draw, path.read_bytes(), self.draw.choice(self.corpus.files).read_bytes())
        target = place / path.name
        target.write_bytes(data)
        self.figures["files"] += 1
        try:
            with limited():
                sources = list(open_sources(self.draw.choice((target, place))))
        except FinetuneError:
            self.figures["files refused whole"] += 1
            return
        except (Exception, TooLong) as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.fault(error, data)
            return
        for source in sources:
            self.check(source, expected=None, own=None, data=data)
        if self.figures["files"] % self.every == 0:
            self.whole_import(target, expected=None)

    def check(self, source: Source, *, expected: int | None, own: str | None, data: bytes) -> None:
        """Reads a source as a look or an import would, and checks what must hold."""
        options = self.options()
        try:
            with limited():
                try:
                    form = detect(source).format
                except FinetuneError:
                    self.figures["sources of no known format"] += 1
                    if own is None:
                        return
                    form = format_named(own)
                if self.batches % 20 == 0:
                    form = self.mapped(source) or form
                self.formats[form.name] += 1
                again()
                numbers = [row.number for row in source.rows()]
                found = []
                again()
                for row, lessons in form.lessons(source):
                    found.append(row.number)
                    one = taken(source.name, form.name, row, lessons, options)
                    self.prepare(one.incoming)
                    again()
            assert found == numbers, f"{form.name}: rows {_difference(numbers, found)}"
            assert expected in (None, len(numbers)), f"{expected} rows were written, {len(numbers)} read"
            self.figures["rows read"] += len(numbers)
        except FinetuneError as error:
            if form.name == "llamafactory":  # its description may be broken too
                return
            self.fault(error, data)
        except (Exception, TooLong) as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.fault(error, data)

    def mapped(self, source: Source) -> Mapped | None:
        """The columns of the source's first row as fields of an event, at random."""
        first = next(source.rows(), None)
        if first is None or not isinstance(first.value, dict) or not first.value:
            return None
        columns = [str(key) for key in first.value]
        answer = ("chosen", "rejected") if self.draw.random() < 0.3 else ("response",)
        others = self.draw.sample(_FIELDS, self.draw.randrange(4))
        return Mapped({field: self.draw.choice(columns) for field in ("prompt", *answer, *others)})

    def prepare(self, incoming: Sequence[Any]) -> None:
        for each in incoming:
            self.figures["answers"] += 1
            try:
                self.preparer.prepare(each, 1.7e9)
            except FinetuneError:
                self.figures["answers refused"] += 1

    def whole_import(self, path: Path, *, expected: int | None) -> None:
        """An import into the store, twice."""
        data = path.read_bytes()
        options = self.options()
        try:
            with limited():
                signal.setitimer(signal.ITIMER_PROF, 20 * SECONDS)
                first = Importer(self.recorder, processes=0).run(path, options)
                second = Importer(self.recorder, processes=0).run(path, options)
            for report in (first, second):
                counts = report.counts
                assert counts.read == counts.accepted + counts.merged + counts.rejected, counts
                assert expected in (None, counts.read), f"{expected} rows were written, {counts.read} imported"
                lines = report.rejects_file.read_text().splitlines() if report.rejects_file else []
                refused = [one for one in map(json.loads, lines) if not one["part"]]
                assert len(refused) == counts.rejected, f"{len(refused)} lines for {counts.rejected} rejected"
                assert all(one["reason"] for one in refused), "a rejected row without a reason"
                assert len(lines) - len(refused) == counts.parts, "lines of parts"
            assert second.counts.accepted == 0, f"the second import: {second.counts}"
            assert second.counts.rejected == first.counts.rejected, "the second import rejected other rows"
            self.figures["imports"] += 1
            self.figures["rows imported"] += first.counts.read
        except FinetuneError:
            self.figures["imports refused whole"] += 1
        except (Exception, TooLong) as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.fault(error, data)
        finally:
            for left in self.home.imports.iterdir():
                left.unlink()

    def fault(self, error: BaseException, data: bytes) -> None:
        """Keeps the first input of each kind of fault."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/core/" in frame.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
        where = f"{type(error).__name__} {place} {str(error)[:60] if not frames else ''}"
        if where not in self.faults:
            kept = self.folder / f"fault{len(self.faults)}"
            kept.write_bytes(data)
            trace = "".join(traceback.format_exception(error)[-4:])
            self.faults[where] = 0, f"{kept}\n{trace[-1500:]}"
        number, told = self.faults[where]
        self.faults[where] = number + 1, told

    def end(self) -> list[str]:
        problems = integrity_problems(self.store)
        self.figures["events"] = int(self.store.value("SELECT count(*) FROM events"))
        self.store.close()
        return problems


def _opened(data: bytes) -> Any:
    return io.BytesIO(data)


def _is_line(line: bytes) -> bool:
    try:
        return bool(line.decode().strip())
    except UnicodeDecodeError:
        return True


def _difference(wanted: Sequence[int], found: Sequence[int]) -> str:
    return f"{len(found)} answered of {len(wanted)}: {sorted(set(wanted) ^ set(found))[:5]}"
