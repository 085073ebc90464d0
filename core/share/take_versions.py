"""The versions of a bundle on their way in: recognised by their content, written aside, then registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.capture.record import Recorder
from core.errors import FinetuneError
from core.release.export import Export
from core.release.quantize import GgufFile
from core.release.registry import Origin as Made
from core.release.registry import register, staging, version_name
from core.share.archive import Archive
from core.share.bundle import origin_of
from core.share.manifest import IMPORTED_FROM, Origin, VersionEntry
from storage import versions
from storage.files import flush
from storage.rows import VersionRow

_MAGIC: Final = b"GGUF"


@dataclass(frozen=True, slots=True)
class TakenVersion:
    """What became of one version: `name` in this store, `sent_as` in the sender's; `added` tells whether it is new."""

    name: str
    sent_as: str
    added: bool


class VersionRefused(FinetuneError):
    """A version that cannot be taken in; the message says why."""

    default_title = "A version was left out"


class VersionTaker:
    """Takes in versions, parents first."""

    def __init__(self, recorder: Recorder, archive: Archive, progress: Callable[[str], None]) -> None:
        self._recorder = recorder
        self._store = recorder.store
        self._home = recorder.home
        self._archive = archive
        self._progress = progress

    def take(self, entry: VersionEntry) -> TakenVersion:
        """Registers a version in one transaction, after its files stand whole beside the others; or finds it known.

        Raises VersionRefused when it cannot be taken, FinetuneError when the disk or the store refuses.
        """
        if entry.category not in self._recorder.categories:
            raise VersionRefused(f"There is no category `{entry.category[:60]}`.")
        origin = self._archive.manifest.origin(entry)
        known = self._known(origin)
        if known is None and entry.number == 0:
            known = self._same_base(entry)
        if known is not None:
            return TakenVersion(known.name, entry.name, False)
        self._progress(entry.name)
        try:
            with staging(self._home, entry.base_model, entry.category) as staged:
                self._unpack(entry, staged)
                return self._register(entry, origin, staged)
        except OSError as error:
            raise FinetuneError(
                f"{entry.name} cannot be written: {error.strerror or error}.",
                title="The import stopped",
                hint="Make room or permit writing there, then import the bundle again: what is in already is kept.",
            ) from error

    def _known(self, origin: Origin) -> VersionRow | None:
        for version in versions.list_versions(self._store, origin.category):
            if origin_of(self._home, version) == origin:
                return version
        return None

    def _same_base(self, entry: VersionEntry) -> VersionRow | None:
        """The untouched base that stands here already. Raises VersionRefused when it is another model."""
        for version in versions.list_versions(self._store, entry.category):
            if version.number == 0 and version.base_model == entry.base_model:
                if version.settings.get("fingerprint") != entry.settings.get("fingerprint"):
                    raise VersionRefused(f"The base model {entry.base_model} of this store is another one.")
                return version
        return None

    def _unpack(self, entry: VersionEntry, staged: Path) -> None:
        for name, inside in entry.files.items():
            target = staged / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            first = b""
            with target.open("xb") as file:
                for block in self._archive.blocks(name, self._archive.manifest.files[name]):
                    first = first or block[: len(_MAGIC)]
                    file.write(block)
            if target.suffix.lower() == ".gguf" and first != _MAGIC:
                raise VersionRefused(f"{name} is no GGUF file.")
            flush(target)

    def _register(self, entry: VersionEntry, origin: Origin, staged: Path) -> TakenVersion:
        with self._store.transaction(durable=True):
            if (known := self._known(origin)) is not None:  # another process was faster
                return TakenVersion(known.name, entry.name, False)
            number = self._number(entry)
            config = self._recorder.config
            name = version_name(config.general.prefix, entry.base_model, entry.category, number)
            export = Export(tuple(self._gguf(entry, staged, name)), tuple(entry.proof) if entry.proved else ())
            made = Made(
                category=entry.category,
                base=entry.base_model,
                system_prompt=entry.system_prompt,
                parent_id=self._parent(entry),
                dataset_hash=entry.dataset_hash,
                settings=entry.settings,
            )
            row = register(
                self._store, self._home, config, made, staged=staged, export=export, number=number, now=entry.created_at
            )
            metrics = {IMPORTED_FROM: entry.name, **entry.metrics}
            versions.update(self._store, row.id, metrics=metrics)
        return TakenVersion(name, entry.name, True)

    def _number(self, entry: VersionEntry) -> int:
        """The number that it had, or the next one where that is taken."""
        own = versions.list_versions(self._store, entry.category)
        if any((each.base_model, each.number) == (entry.base_model, entry.number) for each in own):
            return versions.next_number(self._store, entry.category, entry.base_model)
        return entry.number

    def _gguf(self, entry: VersionEntry, staged: Path, name: str) -> list[GgufFile]:
        found = []
        for kind, source in entry.gguf.items():
            stored = self._archive.manifest.files[source]
            path = staged / entry.files[source]
            found.append(GgufFile(path.replace(staged / f"{name}.{kind}.gguf"), stored.sha256, stored.bytes, kind))
        return found

    def _parent(self, entry: VersionEntry) -> int | None:
        known = None if entry.parent is None else self._known(entry.parent)
        return None if known is None else known.id
