"""Version 0 of a category: the untouched base model, exported and proved, which is always there to go back to."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import Config
from core.errors import ModelError, ProofError
from core.paths import Home
from core.release.export import Export, Note, Prompt, Watch, export_and_prove
from core.release.files import version_problem
from core.release.registry import Origin, base_of, register, staging, version_name
from storage import versions
from storage.db import Store
from storage.files import flush
from storage.rows import VersionRow

if TYPE_CHECKING:
    from core.backends.llamacpp import LlamaCppBackend
    from core.train.presets import BaseModel

_SAMPLE = 65_536


def base_version(
    store: Store,
    home: Home,
    category: str,
    base: BaseModel,
    config: Config,
    *,
    system_prompt: str,
    kinds: Sequence[str],
    prompts: Sequence[Prompt],
    backend: LlamaCppBackend,
    note: Note = lambda _: None,
    watch: Watch | None = None,
) -> VersionRow:
    """Version 0: the untouched base model, exported and proved once per base and category.

    Files that another category made of the same base are shared (hard links). One whose files are damaged is
    made anew. Raises ProofError when the export does not behave like the base, since nothing trained on it could.
    """
    known = base_of(store, category, base.name)
    marked = {"fingerprint": fingerprint(base.path)}
    if known is not None and known.settings.get("fingerprint") != marked["fingerprint"]:
        raise ModelError(
            f"{base.path} is not the model that {known.name} was made of, though it has the same name.",
            title="Two base models with one name",
            hint="Give the folder of the new base model another name.",
        )
    if known is not None and version_problem(home, known) is None and set(kinds) <= set(known.gguf):
        return known
    name = version_name(config.general.prefix, base.name, category, 0)
    with staging(home, base.name, category) as staged:
        export = _shared(store, home, base, kinds=kinds, staged=staged, name=name)
        if export is None:
            note(f"Exporting the untouched base model {base.name}, once.")
            wanted = list(dict.fromkeys([*kinds, *(known.gguf if known else ())]))
            export = export_and_prove(
                base.path, staged, name=name, kinds=wanted, prompts=prompts, backend=backend, note=note, watch=watch
            )
        if not export.proved:
            failed = ", ".join(str(check["name"]) for check in export.proof if not check["passed"])
            raise ProofError(
                f"The GGUF file of the base model {base.name} does not behave like the model itself ({failed}).",
                hint="This base model cannot be exported faithfully yet; choose another one.",
            )
        if known is not None:
            return _renew(store, home, known, staged, export)
        return register(
            store,
            home,
            config,
            Origin(category, base.name, system_prompt, settings=marked),
            staged=staged,
            export=export,
            number=0,
        )


def _shared(
    store: Store, home: Home, base: BaseModel, *, kinds: Sequence[str], staged: Path, name: str
) -> Export | None:
    """The files of another category's version 0 of the same base, linked or copied into the staging folder."""
    from core.release.quantize import GgufFile

    mark = fingerprint(base.path)
    for other in versions.list_versions(store):
        same = other.number == 0 and other.settings.get("fingerprint") == mark and set(kinds) <= set(other.gguf)
        if not same or version_problem(home, other) is not None:
            continue
        files: list[GgufFile] = []
        for kind in kinds:
            recorded, target = other.gguf[kind], staged / f"{name}.{kind}.gguf"
            source = home.resolve(str(recorded["path"]))
            try:
                os.link(source, target)
            except OSError:  # a file system without links
                shutil.copyfile(source, target)
            files.append(GgufFile(target, str(recorded["sha256"]), int(recorded["bytes"]), kind))
        return Export(tuple(files), tuple(check for check in other.proof if check.get("kind") in kinds))
    return None


def fingerprint(folder: Path) -> str:
    """Tells two base models apart without reading all of them: configuration, tokenizer, and of every weights file its
    name, size and 64 KiB each of beginning, middle and end."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja", "tokenizer_config.json"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for start in (0, size // 2, max(0, size - _SAMPLE)):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return f"b2:{digest.hexdigest()}"


def _renew(store: Store, home: Home, known: VersionRow, staged: Path, export: Export) -> VersionRow:
    """Puts new files in the place of damaged ones; the row keeps its id."""
    target = home.resolve(known.folder)
    gguf: dict[str, Mapping[str, Any]] = {}
    with store.transaction(durable=True):
        target.mkdir(parents=True, exist_ok=True)
        for file in export.files:
            place = target / file.path.name
            file.path.replace(place)
            gguf[file.kind] = {"path": home.relative(place), "sha256": file.sha256, "bytes": file.bytes}
        flush(target)
        versions.update(store, known.id, gguf=gguf, proof=export.proof, proved=export.proved)
    return versions.get(store, known.id)
