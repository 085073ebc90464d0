"""Base models known by name, and how a name, folder or file becomes a model that can be trained."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from assets import ASSETS
from core.backends.by_name import OLLAMA, in_ollama
from core.config import close_names
from core.errors import ModelError
from core.train.base_model import check_model_folder, read_config
from core.train.gguf_base import MadeBase, gguf_base, known_base, made_of
from core.train.known_models import PRESETS, Preset, preset_of_ollama

if TYPE_CHECKING:
    from core.backends.ollama_store import OllamaModel
    from core.paths import Home

__all__ = [
    "PRESETS",
    "BaseModel",
    "Preset",
    "downloaded",
    "is_hub_id",
    "known_config",
    "resolve_base",
    "safe_name",
]

_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model folder that passed its check. `name` is safe in a file name: lower case, digits, `.`, `_` and `-`."""

    name: str
    title: str
    path: Path


def resolve_base(name_or_path: str, home: Home, *, make: bool = True, note: Note = lambda _: None) -> BaseModel:
    """The base model of a preset's name, a folder, a GGUF file, `ollama:NAME[:TAG]` or a Hugging Face id, checked.

    Only this machine is searched: the shipped `demo`, `models/base/<name>` in the home folder, the Hugging Face cache,
    and for a preset that is in none of them what Ollama holds (the title says so). A GGUF file is made a folder once,
    which takes minutes and is told to `note`; with `make` false that is refused instead.
    Raises ModelError with the next step when it is missing or broken.
    """
    wanted = name_or_path.strip()
    preset = PRESETS.get(wanted.lower())
    if preset is not None:
        base = _of_preset(preset, home, make, note)
    elif (held := in_ollama(wanted)) is not None:
        base = _of_ollama(held, home, make, note)
    elif wanted and (path := _existing(wanted)) is not None:
        base = _of_file(path, home, make, note) if _is_gguf(path) else _of_folder(path)
    elif wanted.lower().endswith(".gguf"):
        made = made_of(str(Path(wanted).expanduser().absolute()), home)
        if made is None:
            raise ModelError(f"There is no file {wanted}.", hint="Check the path, or choose the base model `demo`.")
        base = _of_folder(made.folder)
    elif is_hub_id(wanted):
        name = safe_name(wanted.partition("/")[2])
        base = BaseModel(name, wanted, _required(name, wanted, home))
    else:
        raise ModelError(
            f"{name_or_path!r} is neither a known base model nor a folder or GGUF file.",
            hint=close_names(wanted, dict(PRESETS)),
        )
    check_model_folder(base.path)
    return base


def known_config(name_or_path: str, home: Home) -> Mapping[str, Any] | None:
    """config.json of a base model that is not ready yet, from which its memory can be told: that of its preset, or of
    the GGUF file as it is. None where neither is known. Raises ModelError for a file that cannot be trained."""
    from core.release.from_gguf import describe

    wanted = name_or_path.strip()
    preset = PRESETS.get(wanted.lower())
    if preset is not None:
        return preset.config or None
    if wanted.lower().startswith(OLLAMA):
        found = _found(wanted[len(OLLAMA) :], home, make=True)
        return read_config(found.folder) if isinstance(found, MadeBase) else describe(found.gguf)
    path = _existing(wanted)
    return describe(path) if path is not None and _is_gguf(path) else None


def downloaded(name: str, hub_id: str, home: Home) -> Path | None:
    """The folder of a model of the hub on this machine: `models/base/<name>`, or its place in the cache; else None."""
    own = home.models / "base" / name
    if own.is_dir():
        return own
    # The layout of the cache is public: models--<owner>--<name>/refs/main names the folder in snapshots/.
    from huggingface_hub.constants import HF_HUB_CACHE

    cached = Path(HF_HUB_CACHE) / f"models--{hub_id.replace('/', '--')}"
    try:
        revision = (cached / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = cached / "snapshots" / revision
    return snapshot if re.fullmatch(r"[0-9a-f]{40}", revision) and snapshot.is_dir() else None


def is_hub_id(text: str) -> bool:
    """Whether a text has the form of an id of the Hugging Face hub, `OWNER/NAME`."""
    return _HUB_ID.fullmatch(text) is not None


def safe_name(text: str) -> str:
    """`text` as it may stand in a file name."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip(".-_") or "model"


def _of_preset(preset: Preset, home: Home, make: bool, note: Note) -> BaseModel:
    if not preset.hub_id:
        return BaseModel(preset.name, preset.title, ASSETS / "demo" / "model")
    folder = downloaded(preset.name, preset.hub_id, home)
    if folder is not None:
        return BaseModel(preset.name, preset.title, folder)
    if not preset.ollama:
        raise _missing(preset.name, preset.hub_id)
    try:
        found = _found(preset.ollama, home, make)
    except ModelError as error:
        missing = _missing(preset.name, preset.hub_id)
        hint = f"{missing.hint} Or let Ollama fetch its own: `ollama pull {preset.ollama}`."
        raise ModelError(f"{missing.message} {error.message}", hint=hint) from error
    note(f"{preset.title} is taken from what Ollama holds as {preset.ollama}.")
    base = _of_found(found, preset, home, note)
    return BaseModel(base.name, f"{preset.title} (Ollama's {preset.ollama})", base.path)


def _of_ollama(name: str, home: Home, make: bool, note: Note) -> BaseModel:
    return _of_found(_found(name, home, make), preset_of_ollama(name), home, note)


def _found(name: str, home: Home, make: bool) -> OllamaModel | MadeBase:
    """What Ollama holds under a name, or the folder once made of it: where Ollama is gone, or nothing may be made."""
    from core.backends.ollama_names import parse_name
    from core.backends.ollama_store import find

    made = made_of(OLLAMA + parse_name(name).short.lower(), home)
    if made is not None and not make:
        return made
    try:
        found = find(name)
    except ModelError:
        if made is None:
            raise
        return made
    if not make and known_base(found.gguf, home) is None:
        raise _not_made(f"{OLLAMA}{found.name}")
    return found


def _of_found(found: OllamaModel | MadeBase, preset: Preset | None, home: Home, note: Note) -> BaseModel:
    if isinstance(found, MadeBase):
        return BaseModel(found.folder.name, found.origin, found.folder)
    origin = OLLAMA + found.name.lower()
    template = preset.chat_template if preset is not None else ""
    folder = gguf_base(found.gguf, _name_of(found.name), home, note=note, chat_template=template or None, origin=origin)
    return BaseModel(folder.name, origin, folder)


def _of_file(path: Path, home: Home, make: bool, note: Note) -> BaseModel:
    if not make and known_base(path, home) is None:
        raise _not_made(str(path))
    folder = gguf_base(path, _name_of(path.stem), home, note=note)
    return BaseModel(folder.name, path.name, folder)


def _of_folder(path: Path) -> BaseModel:
    return BaseModel(safe_name(path.name), path.name, path)


def _name_of(file: str) -> str:
    """The folder's name says where its weights are from: they are as coarse as those in the file."""
    return f"{safe_name(file)}-gguf"


def _existing(name: str) -> Path | None:
    try:
        path = Path(name).expanduser()
        return path.resolve() if path.exists() else None
    except (OSError, RuntimeError):  # a name that is too long, or a home folder of nobody
        return None


def _is_gguf(path: Path) -> bool:
    """Whether a path is a GGUF file, by its name or (as Ollama's blobs, which have none) its first bytes."""
    try:
        if not path.is_file() or path.suffix.lower() == ".gguf":
            return path.is_file()
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def _required(name: str, hub_id: str, home: Home) -> Path:
    folder = downloaded(name, hub_id, home)
    if folder is None:
        raise _missing(name, hub_id)
    return folder


def _missing(name: str, hub_id: str) -> ModelError:
    wanted = name if name in PRESETS else hub_id
    return ModelError(
        f"The base model {hub_id} is not on this machine.",
        hint=f"Download it with `finetune-tui models --download {wanted}`, or choose the base model `demo`.",
    )


def _not_made(name: str) -> ModelError:
    return ModelError(
        f"{name} is on this machine, but was not taken apart for training yet.",
        title="Not made ready yet",
        hint=f"Start a run with it, or make it ready now: `finetune-tui models --download {name}`.",
    )
