"""Trained versions as folders and rows: `models/<base>/<category>/v<n>/`, written aside, proved, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import Any

from core.config import Config
from core.paths import Home, write_whole
from core.release.export import Export, modelfile
from storage import versions
from storage.db import Store
from storage.errors import NotFoundError
from storage.files import flush
from storage.rows import VersionRow

STAGING = ".staging-"
_LONGEST_ID = 18  # digits; SQLite counts a little further


@dataclass(frozen=True, slots=True)
class Origin:
    """What a version was made from; a base has neither run nor dataset nor parent."""

    category: str
    base: str
    system_prompt: str
    run_id: int | None = None
    parent_id: int | None = None
    dataset_id: int | None = None
    dataset_hash: str = ""
    settings: Mapping[str, Any] | None = None


def version_name(prefix: str, base: str, category: str, number: int) -> str:
    """`ft-demo-erd-v3`."""
    return f"{prefix}-{base}-{category}-v{number}"


def category_folder(home: Home, base: str, category: str) -> Path:
    """Where the versions of a category on a base model lie. Names cannot leave the home folder."""
    return home.resolve(f"models/{base}/{category}")


def code_version() -> str:
    """The version of this program."""
    try:
        return metadata.version("finetune-tui")
    except metadata.PackageNotFoundError:
        return "unknown"


@contextmanager
def staging(home: Home, base: str, category: str) -> Iterator[Path]:
    """A folder beside the versions that counts for nothing; what is still in it at the end is removed.

    Its name carries the process, so that a clean-up spares what is being written.
    """
    folder = category_folder(home, base, category) / f"{STAGING}{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def register(
    store: Store,
    home: Home,
    config: Config,
    origin: Origin,
    *,
    staged: Path,
    export: Export,
    number: int,
    now: float | None = None,
) -> VersionRow:
    """Makes version `number` of a staging folder: renames it to `v<number>` and adds its row, as one step.

    The rename happens inside the store's write transaction. A kill between the two leaves a folder without a row, which
    the next `register` of that number, or `reconcile`, removes. Raises ConflictError when the number is taken.
    """
    now = time.time() if now is None else now
    name = version_name(config.general.prefix, origin.base, origin.category, number)
    target = category_folder(home, origin.base, origin.category) / f"v{number}"
    gguf = {
        file.kind: {"path": home.relative(target / file.path.name), "sha256": file.sha256, "bytes": file.bytes}
        for file in export.files
    }
    smallest = min(export.files, key=lambda file: (file.bytes, file.kind))
    write_whole(staged / "Modelfile", modelfile(smallest.path.name, origin.system_prompt, config.publish))
    described = {
        "name": name,
        "number": number,
        "created_at": now,
        **asdict(origin),
        "code_version": code_version(),
        "gguf": gguf,
        "proof": list(export.proof),
        "proved": export.proved,
    }
    write_whole(staged / "version.json", json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    for path in staged.rglob("*"):
        flush(path)
    flush(staged)
    with store.transaction(durable=True):
        version_id = versions.add(
            store,
            created_at=now,
            name=name,
            category=origin.category,
            base_model=origin.base,
            number=number,
            run_id=origin.run_id,
            parent_id=origin.parent_id,
            dataset_id=origin.dataset_id,
            folder=home.relative(target),
            settings=origin.settings or {},
            code_version=code_version(),
        )
        versions.update(store, version_id, gguf=gguf, proof=export.proof, proved=export.proved)
        if target.exists():  # without a row, since this one could be added
            shutil.rmtree(target)
        staged.replace(target)
        flush(target.parent)
    return versions.get(store, version_id)


def base_of(store: Store, category: str, base: str) -> VersionRow | None:
    """Version 0 of a category on a base model, or None before it was made."""
    for version in versions.list_versions(store, category):
        if version.number == 0 and version.base_model == base:
            return version
    return None


def version_of_run(store: Store, category: str, run_id: int) -> VersionRow | None:
    """The version that a run has registered already, or None."""
    for version in versions.list_versions(store, category):
        if version.run_id == run_id:
            return version
    return None


def find(store: Store, name: str) -> VersionRow:
    """A version by its full name, or by its id in digits. Raises NotFoundError with the names that are close."""
    try:
        number = name.isascii() and name.isdigit() and len(name) <= _LONGEST_ID
        return versions.get(store, int(name)) if number else versions.by_name(store, name)
    except NotFoundError as error:
        near = get_close_matches(name, [version.name for version in versions.list_versions(store)], n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(near)}?" if near else error.hint
        raise NotFoundError(f"There is no version {name[:80]!r}.", hint=hint) from error
