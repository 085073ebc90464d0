"""Which GGUF files a version has, where they lie, and whether they are still what was proved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import ExportError, FinetuneError
from core.paths import Home, sha256_of
from storage.rows import VersionRow

RETIRED_HINT = (
    "Its adapter is kept: `finetune-tui train CATEGORY --from NAME` goes on from it, or name another version."
)


def serving_kind(version: VersionRow) -> str:
    """The kind of file that serves: the smallest one, since that is what a quantised export was made for.

    Raises ExportError when the version has no file.
    """
    return _smallest(version, set(version.gguf))


def retired_problem(version: VersionRow) -> str:
    """Why a retired version has no files, in words."""
    return f"{version.name} cannot answer: its files were removed to save space"


def common_kind(a: VersionRow, b: VersionRow) -> str:
    """The kind in which both versions can be compared. Raises ExportError when they share none."""
    shared = set(a.gguf) & set(b.gguf)
    for version in (a, b):
        serving_kind(version)  # says which of them has no file at all
    if not shared:
        raise ExportError(
            f"{a.name} has {', '.join(sorted(a.gguf))}, {b.name} has {', '.join(sorted(b.gguf))}.",
            title="No common kind of file",
            hint="Train again with the same kinds of export.",
        )
    return _smallest(b, shared)


def _smallest(version: VersionRow, kinds: set[str]) -> str:
    if not kinds and version.retired_at is not None:
        raise ExportError(f"{retired_problem(version)}.", title="Files removed", hint=RETIRED_HINT)
    if not kinds:
        raise ExportError(
            f"{version.name} has no GGUF file.", title="Never exported", hint="Resume its run, or train again."
        )
    return min(kinds, key=lambda kind: (int(version.gguf[kind]["bytes"]), kind))


def file_hashes(home: Home, version: VersionRow) -> dict[str, str]:
    """SHA-256 of each of a version's files by kind; of a retired one as `version.json` beside them tells, else none."""
    try:
        files: Mapping[str, Any] = version.gguf
        if version.retired_at is not None and not files:
            files = json.loads((home.resolve(version.folder) / "version.json").read_text("utf-8"))["gguf"]
        return {kind: str(file["sha256"]) for kind, file in files.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # gone, or no longer what was written
        return {}


def gguf_path(home: Home, version: VersionRow, kind: str) -> Path:
    """Where a file of the version lies."""
    return home.resolve(str(version.gguf[kind]["path"]))


def file_problem(home: Home, version: VersionRow, kind: str, *, thorough: bool = True) -> str | None:
    """Why a file is not the one that was proved, in words; None when it is.

    Size alone without `thorough`, else SHA-256 too (about a second per gigabyte).
    """
    recorded = version.gguf[kind]
    try:
        path = gguf_path(home, version, kind)
        size = path.stat().st_size
        if size != int(recorded["bytes"]):
            return f"{path.name} has {size:,} bytes instead of {int(recorded['bytes']):,}"
        if thorough and sha256_of(path) != recorded["sha256"]:
            return f"{path.name} was altered: its SHA-256 is no longer the one that was proved"
    except FileNotFoundError:
        return f"{recorded['path']} is missing"
    except (OSError, FinetuneError) as error:
        return f"{recorded['path']} cannot be read ({error})"
    return None


def version_problem(home: Home, version: VersionRow, *, thorough: bool = True) -> str | None:
    """Why a version may not serve, in words; None when it may. The file that would serve is looked into."""
    if not version.gguf:
        return retired_problem(version) if version.retired_at is not None else f"{version.name} was never exported"
    if not version.proved:
        failed = [str(check["name"]) for check in version.proof if not check["passed"]]
        return (
            f"{version.name} did not pass its proof ({', '.join(failed)})"
            if failed
            else f"{version.name} is not proved"
        )
    serving = serving_kind(version)
    for kind in version.gguf:
        problem = file_problem(home, version, kind, thorough=thorough and kind == serving)
        if problem is not None:
            return problem
    return None
