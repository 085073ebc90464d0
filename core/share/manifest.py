"""What a bundle says of itself: the files in it with their hashes, the versions, the categories it was made with.

A bundle is a zip file: `manifest.json`, `events.jsonl`, `pairs.jsonl`, and `models/<n>/…` with the files of version n.
All that is read here was written by somebody else: every value is checked before anything is done with it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from core.errors import FinetuneError

BUNDLE_VERSION: Final = 1
MARK: Final = "finetune_tui_bundle"
MANIFEST: Final = "manifest.json"
EVENTS: Final = "events.jsonl"
PAIRS: Final = "pairs.jsonl"
IMPORTED_FROM: Final = "imported_from"
"""Among a version's metrics: the name that it had where it was trained."""

SUFFIXES: Final = frozenset({".gguf", ".safetensors", ".json", ".jinja", ".txt", ".model"})
"""What the files of a version may be; a pickle, which could run code, is never among them."""

_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_KIND: Final = re.compile(r"[A-Za-z0-9_]{1,20}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,299}")
_MARKED: Final = re.compile(r"[A-Za-z0-9:._-]{1,300}")
_LARGEST: Final = 1e15
_RESERVED: Final = frozenset({"base"})  # models/base holds downloaded base models
_DEEPEST: Final = 4
_MOST_NUMBER: Final = 1_000_000_000
_TEXT_CHARS: Final = 100_000


class Stored(NamedTuple):
    """A file of the bundle as it must be found."""

    sha256: str
    bytes: int


class Origin(NamedTuple):
    """By what a version is recognised in any store: its category, its base model and the content of its files."""

    category: str
    base_model: str
    content: str


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version that travels. `gguf` maps a quantisation name to its file, `files` every file of the version to the
    name that it has in the version's folder."""

    name: str
    category: str
    base_model: str
    number: int
    created_at: float
    system_prompt: str
    dataset_hash: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    proof: Sequence[Mapping[str, Any]]
    proved: bool
    parent: Origin | None
    gguf: Mapping[str, str]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manifest:
    """`categories` holds the definitions of the sender's own categories as TOML, `counts` how many rows travel."""

    categories: Mapping[str, str]
    counts: Mapping[str, int]
    versions: Sequence[VersionEntry]
    files: Mapping[str, Stored]

    def origin(self, entry: VersionEntry) -> Origin:
        """By what the version is recognised."""
        hashes = {kind: self.files[name].sha256 for kind, name in entry.gguf.items()}
        return Origin(entry.category, entry.base_model, content_of(hashes))


def content_of(gguf: Mapping[str, str]) -> str:
    """What tells two models apart: the SHA-256 over the kinds and SHA-256 of their GGUF files."""
    listed = "\n".join(f"{kind}:{digest}" for kind, digest in sorted(gguf.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def to_json(manifest: Manifest) -> str:
    """The text of `manifest.json`."""
    versions = [
        {name: getattr(entry, name) for name in VersionEntry.__slots__}
        | {"parent": None if entry.parent is None else entry.parent._asdict()}
        for entry in manifest.versions
    ]
    written = {
        MARK: BUNDLE_VERSION,
        "counts": dict(manifest.counts),
        "categories": dict(manifest.categories),
        "versions": versions,
        "files": {name: stored._asdict() for name, stored in manifest.files.items()},
    }
    return json.dumps(written, indent=1, ensure_ascii=False) + "\n"


def is_manifest(text: bytes) -> bool:
    """Whether this is the manifest of a bundle, of whatever version."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and MARK in found


def from_json(text: bytes) -> Manifest:
    """Raises FinetuneError for a manifest that is damaged, unsafe or of a newer program."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(f"its manifest is no JSON ({error})") from error
    if not isinstance(found, dict) or not isinstance(version := found.get(MARK), int) or isinstance(version, bool):
        raise damaged("its manifest is none of a bundle")
    if version > BUNDLE_VERSION:
        raise FinetuneError(
            f"The bundle was written by a newer finetune-tui (bundle version {version}; this one knows up to "
            f"{BUNDLE_VERSION}).",
            title="The bundle is newer than the program",
            hint="Update finetune-tui; nothing was imported.",
        )
    try:
        files = {member(name): _stored(each) for name, each in _mapping(found["files"]).items()}
        if not {EVENTS, PAIRS} <= files.keys():
            raise ValueError("its events or pairs are not listed")
        return Manifest(
            {_text(name): _text(each) for name, each in _mapping(found["categories"]).items()},
            {_text(name): _whole(each) for name, each in _mapping(found["counts"]).items()},
            [_version(each, files) for each in _list(found["versions"])],
            files,
        )
    except RecursionError as error:
        raise damaged("its manifest is nested too deeply") from error
    except (KeyError, ValueError) as error:
        missing = f"{error.args[0]!r} is missing in its manifest" if isinstance(error, KeyError) else str(error)
        raise damaged(missing) from error


def damaged(why: str) -> FinetuneError:
    """The error for a bundle that cannot be trusted as it is."""
    return FinetuneError(
        f"The bundle cannot be used: {why}.",
        title="The bundle is damaged",
        hint="Fetch it again, or ask for a new one; nothing was imported.",
    )


def member(name: Any) -> str:
    """A name in the bundle that cannot leave its folder on any system. Raises ValueError."""
    parts = name.split("/") if isinstance(name, str) else []
    plain = bool(parts) and len(parts) <= _DEEPEST and all(_PART.fullmatch(part) for part in parts)
    if not plain or any(part.endswith(".") for part in parts):
        raise ValueError(f"{str(name)[:80]!r} is no name of a file in a bundle")
    return str(name)


def _version(value: Any, files: Mapping[str, Stored]) -> VersionEntry:
    found = _mapping(value)
    own = {member(name): member(inside) for name, inside in _mapping(found["files"]).items()}
    gguf = {kind: _text(name) for kind, name in _mapping(found["gguf"]).items()}
    for name, inside in own.items():
        # Modelfile is the one name without a suffix.
        allowed = PurePosixPath(inside).suffix.lower() in SUFFIXES or inside == "Modelfile"
        if name not in files or not name.startswith("models/") or not allowed:
            raise ValueError(f"{name[:80]!r} is no file of a version")
    if len({inside.lower() for inside in own.values()}) < len(own):
        raise ValueError("two files of a version have one name")
    flat = all(_KIND.fullmatch(kind) and own.get(name, "/").endswith(".gguf") for kind, name in gguf.items())
    if not gguf or not flat or any("/" in own[name] for name in gguf.values()):
        raise ValueError("a version has no GGUF file")
    parent = found["parent"]
    created_at = _number(found["created_at"])
    if not 0.0 <= created_at <= 1e11:
        raise ValueError("a version has no time")
    return VersionEntry(
        name=named(found["name"]),
        category=named(found["category"]),
        base_model=named(found["base_model"]),
        number=_whole(found["number"]),
        created_at=created_at,
        system_prompt=_text(found["system_prompt"]),
        dataset_hash=_text(found["dataset_hash"]),
        settings=_small(_mapping(found["settings"])),
        metrics={key: each for key, each in _mapping(found["metrics"]).items() if is_figure(key, each)},
        proof=[_check(each) for each in _list(found["proof"])],
        proved=found["proved"] is True,
        parent=None if parent is None else Origin(*(_text(_mapping(parent)[key]) for key in Origin._fields)),
        gguf=gguf,
        files=own,
    )


def is_figure(key: Any, value: Any) -> bool:
    """Whether this is a figure of a version as it may travel: a number, an interval, or a mark by a known name."""
    if not isinstance(key, str) or not _NAME.fullmatch(key):
        return False
    if key in ("prompts", IMPORTED_FROM):
        return isinstance(value, str) and bool(_MARKED.fullmatch(value))
    if key.endswith("_interval"):
        return isinstance(value, list) and len(value) == 2 and all(_is_number(each) for each in value)
    return _is_number(value)


def _small(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(json.dumps(value)) > _TEXT_CHARS:
        raise ValueError("the settings of a version are too long")
    return value


def _check(value: Any) -> Mapping[str, Any]:
    found = _mapping(value)
    texts = {"name": _text(found["name"])} | {key: _text(found.get(key, "")) for key in ("kind", "detail")}
    figures = {key: _number(found.get(key, 0.0)) for key in ("figure", "bound")}
    return {**texts, **figures, "passed": found["passed"] is True}


def _stored(value: Any) -> Stored:
    found = _mapping(value)
    digest = _text(found["sha256"])
    if not _SHA256.fullmatch(digest):
        raise ValueError("a file has no SHA-256")
    size = found["bytes"]
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError("a file has no size")
    return Stored(digest, size)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("its manifest has a value where an object belongs")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("its manifest has a value where a list belongs")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_CHARS:
        raise ValueError("its manifest has a value where a text belongs")
    return value


def named(value: Any) -> str:
    """The name of a version, category or base model, which becomes part of a path. Raises ValueError."""
    if not _NAME.fullmatch(_text(value)) or value.endswith(".") or value in _RESERVED:
        raise ValueError(f"{value[:80]!r} is no name of a version, category or base model")
    return str(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_NUMBER:
        raise ValueError("its manifest has a value where a number belongs")
    return value


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -_LARGEST <= value <= _LARGEST


def _number(value: Any) -> float:
    if not _is_number(value):
        raise ValueError("its manifest has a value where a number belongs")
    return float(value)
