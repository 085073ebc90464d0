"""Writes a bundle: feedback and versions of this store, for another one to take in."""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from core.categories import Category
from core.config import close_names
from core.errors import FinetuneError
from core.paths import Home
from core.release.files import file_hashes, file_problem, retired_problem
from core.share.definitions import definition
from core.share.manifest import (
    EVENTS,
    MANIFEST,
    PAIRS,
    SUFFIXES,
    Manifest,
    Origin,
    Stored,
    VersionEntry,
    content_of,
    is_figure,
    member,
    named,
    to_json,
)
from core.share.reviews import RECORD_KEYS
from core.validate.feedback import current_feedback_type
from storage import events, judgments, pairs, versions
from storage.db import Store
from storage.files import flush, partial_of
from storage.rows import EventFilter, EventRow, JudgmentRow, VersionRow

_TITLE: Final = "No bundle was written"
_BLOCK: Final = 1 << 20
EVENT_KEYS: Final = (*(key for key in RECORD_KEYS if key != "correction"), "source")
"""The arguments of `Recorder.record` that an event of a bundle carries beside its feedback type and judgments."""


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """What went into a bundle; `left_out` maps versions and files that could not go along to the reason."""

    path: Path
    events: int
    judgments: int
    pairs: int
    versions: tuple[str, ...]
    bytes: int
    left_out: Mapping[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"path": str(self.path), "versions": list(self.versions)}


def write_bundle(
    store: Store,
    home: Home,
    categories: Mapping[str, Category],
    target: Path,
    *,
    chosen: Collection[str] = (),
    models: bool = True,
    progress: Callable[[str], None] | None = None,
) -> BundleSummary:
    """Writes the events, judgments, pairs and (with `models`) versions of the `chosen` categories, or of all.

    The file is there whole or not at all. Raises FinetuneError when there is nothing to write, or no place for it.
    """
    for name in chosen:
        if name not in categories:
            raise FinetuneError(f"There is no category `{name[:60]}`.", hint=close_names(name[:60], dict(categories)))
    if target.is_dir():
        raise FinetuneError(f"{target} is a folder.", title=_TITLE, hint="Give the name of a file, for example my.zip.")
    partial = partial_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("xb") as file:
            writer = _Writer(store, home, categories, file, progress or (lambda _: None))
            writer.write(tuple(dict.fromkeys(chosen)), models)
        flush(partial)
        size = partial.stat().st_size
        partial.replace(target)
        flush(target.parent)
    except OSError as error:
        raise FinetuneError(
            f"{error.filename or target} cannot be written: {error.strerror or error}.",
            title=_TITLE,
            hint="Choose a folder that exists, may be written and has room.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    counts = writer.counts
    names = tuple(entry.name for entry in writer.entries)
    return BundleSummary(
        target, counts["events"], counts["judgments"], counts["pairs"], names, size, dict(writer.left_out)
    )


class _Writer:
    """One bundle being written; files and counts are gathered on the way and end in the manifest."""

    def __init__(
        self, store: Store, home: Home, categories: Mapping[str, Category], file: Any, progress: Callable[[str], None]
    ) -> None:
        self._store = store
        self._home = home
        self._categories = categories
        self._file = file
        self._progress = progress
        self._files: dict[str, Stored] = {}
        self._used: set[str] = set()
        self.counts = {"events": 0, "judgments": 0, "pairs": 0}
        self.entries: list[VersionEntry] = []
        self.left_out: dict[str, str] = {}

    def write(self, chosen: Sequence[str], models: bool) -> None:
        with zipfile.ZipFile(self._file, "w") as archive:
            self._archive = archive
            self._add(EVENTS, self._event_lines(chosen))
            self._add(PAIRS, self._pair_lines(chosen))
            if models:
                for version in versions.list_versions(self._store):
                    if not chosen or version.category in chosen:
                        self._add_version(version)
            if not self.counts["events"] and not self.entries:
                raise FinetuneError(
                    "There is nothing to put into a bundle.",
                    title=_TITLE,
                    hint="Record or import some feedback first: `finetune-tui stats` shows what is there.",
                )
            own = {name: self._categories[name] for name in sorted(self._used) if name in self._categories}
            defined = {name: definition(each) for name, each in own.items() if each.preset == "own"}
            text = to_json(Manifest(defined, self.counts, self.entries, self._files))
            archive.writestr(_entry(MANIFEST, zipfile.ZIP_DEFLATED), text.encode())

    def _add(self, name: str, blocks: Iterable[bytes], packing: int = zipfile.ZIP_DEFLATED) -> None:
        digest, size = hashlib.sha256(), 0
        with self._archive.open(_entry(name, packing), "w", force_zip64=True) as stream:
            for block in blocks:
                digest.update(block)
                size += len(block)
                stream.write(block)
        self._files[name] = Stored(digest.hexdigest(), size)

    def _event_lines(self, chosen: Sequence[str]) -> Iterator[bytes]:
        for name in chosen or (None,):
            for event in events.iter_events(self._store, EventFilter(category=name)):
                said = in_force(judgments.history(self._store, event.id)) if event.verdict is not None else []
                self._used.add(event.category)
                self.counts["events"] += 1
                self.counts["judgments"] += len(said)
                if self.counts["events"] % 100 == 0:
                    self._progress(f"{self.counts['events']:,} outputs")
                yield _line(_event(event, said))

    def _pair_lines(self, chosen: Sequence[str]) -> Iterator[bytes]:
        for name in chosen or pairs.categories(self._store):
            for pair in pairs.list_pairs(self._store, name):
                if pair.source == "correction":  # follows from the judgment
                    continue
                self.counts["pairs"] += 1
                row = {key: getattr(pair, key) for key in ("created_at", "category", "margin", "source")}
                row |= {"chosen_event": pair.chosen_event, "rejected_event": pair.rejected_event}
                if pair.chosen_event is None or pair.rejected_event is None:
                    row |= {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
                yield _line(row)

    def _add_version(self, version: VersionRow) -> None:
        problem = self._problem(version)
        if problem is not None:
            self.left_out[version.name] = problem
            return
        self._progress(version.name)
        folder, place = self._home.resolve(version.folder), f"models/{len(self.entries)}"
        inside = {str(file["path"]).rpartition("/")[2]: kind for kind, file in version.gguf.items()}
        files: dict[str, str] = {}
        for name in (*inside, *self._beside(folder, version.name)):
            files[f"{place}/{name}"] = name
            packing = zipfile.ZIP_STORED if name.endswith((".gguf", ".safetensors")) else zipfile.ZIP_DEFLATED
            path = self._home.resolve(str(version.gguf[inside[name]]["path"])) if name in inside else folder / name
            self._add(f"{place}/{name}", _blocks(path), packing)
        self._used.add(version.category)
        self.entries.append(self._described(version, {kind: f"{place}/{name}" for name, kind in inside.items()}, files))

    def _problem(self, version: VersionRow) -> str | None:
        """Why a version cannot travel; None when it can."""
        try:
            for name in (version.name, version.category, version.base_model):
                named(name)
            for file in version.gguf.values():
                member(str(file["path"]).rpartition("/")[2])
        except ValueError as error:
            return str(error)
        problems = (file_problem(self._home, version, kind) for kind in version.gguf)
        if version.retired_at is not None and not version.gguf:
            return retired_problem(version)
        return next((each for each in problems if each), None) if version.gguf else f"{version.name} has no GGUF file"

    def _beside(self, folder: Path, version: str) -> Iterator[str]:
        """The names of the files that go along with the GGUF files: the Modelfile and the adapter."""
        if (folder / "Modelfile").is_file():
            yield "Modelfile"
        for path in sorted((folder / "adapter").rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            name = path.relative_to(folder).as_posix()
            try:
                member(name)
            except ValueError as error:
                self.left_out[f"{version}: {name}"] = str(error)
                continue
            if path.suffix.lower() in SUFFIXES:
                yield name
            else:
                self.left_out[f"{version}: {name}"] = "only weights, tokenizer and settings travel, never a pickle"

    def _described(self, version: VersionRow, gguf: Mapping[str, str], files: Mapping[str, str]) -> VersionEntry:
        told = self._told(version)
        parent = None if version.parent_id is None else versions.get(self._store, version.parent_id)
        return VersionEntry(
            name=version.name,
            category=version.category,
            base_model=version.base_model,
            number=version.number,
            created_at=version.created_at,
            system_prompt=str(told.get("system_prompt", "")),
            dataset_hash=str(told.get("dataset_hash", "")),
            settings=version.settings,
            metrics={key: each for key, each in version.metrics.items() if is_figure(key, each)},
            proof=version.proof,
            proved=version.proved,
            parent=None if parent is None else origin_of(self._home, parent),
            gguf=gguf,
            files=files,
        )

    def _told(self, version: VersionRow) -> Mapping[str, Any]:
        """What `version.json` beside the files tells; nothing when it is gone or no longer JSON."""
        try:
            told = json.loads((self._home.resolve(version.folder) / "version.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}


def origin_of(home: Home, version: VersionRow) -> Origin | None:
    """By what a version is recognised in another store, also after its files were removed; None without any file."""
    hashes = file_hashes(home, version)
    return Origin(version.category, version.base_model, content_of(hashes)) if hashes else None


def in_force(log: Sequence[JudgmentRow]) -> list[JudgmentRow]:
    """The judgments of an event's log that nobody took back, in the order of the log."""
    last = {row.target: row.kind for row in log if row.target is not None}
    return [row for row in log if row.target is None and row.kind != "move" and last.get(row.id) != "undo"]


def _event(event: EventRow, said: Sequence[JudgmentRow]) -> dict[str, Any]:
    row: dict[str, Any] = {"id": event.id}
    row |= {key: value for key in EVENT_KEYS if (value := getattr(event, key)) not in (None, "", {}, [])}
    if event.verdict in (None, "skip"):
        row["feedback_type"] = current_feedback_type(event)
    if said:
        row["judgments"] = [
            {"kind": one.kind, "at": one.created_at}
            | ({} if one.correction is None else {"correction": one.correction})
            | ({"note": one.note} if one.note else {})
            | ({} if one.seconds is None else {"seconds": one.seconds})
            for one in said
        ]
    return row


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _entry(name: str, packing: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, time.localtime()[:6])
    entry.compress_type = packing
    entry.external_attr = 0o600 << 16
    return entry
