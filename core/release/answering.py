"""Which model answers for a category when somebody wants an answer now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.backends.by_name import in_ollama
from core.categories import Category
from core.config import Config
from core.errors import FinetuneError
from core.paths import Home
from core.release.base_file import base_file
from core.release.files import gguf_path, serving_kind, version_problem
from core.release.promote import serving
from storage import versions
from storage.db import Store
from storage.rows import VersionRow


@dataclass(frozen=True, slots=True)
class Answering:
    """The model that answers: what is stored as the model of its answers, and what `core.backends.by_name` knows it
    by."""

    name: str
    model: str


def answering(store: Store, home: Home, config: Config, own: Category) -> Answering:
    """What serves a category, else its newest version, else its untouched base model, whose file may have to be made.

    Raises ModelError where there is no version and the base model is not on this machine.
    """
    version = _version(store, home, config, own.name)
    if version is not None:
        return Answering(version.name, str(model_file(home, version)))
    if in_ollama(own.base_model) is not None:
        return Answering(own.base_model, own.base_model)
    name, path = base_file(own.base_model or config.train.base_model, home)
    return Answering(name, str(path))


def newest_version(store: Store, home: Home, category_name: str) -> VersionRow:
    """The newest version whose files are there and proved, the base of the category where nothing was trained.

    Raises FinetuneError where there is none.
    """
    version = _newest(store, home, category_name)
    if version is None:
        raise FinetuneError(
            f"No version of {category_name} can answer yet.",
            title="Nobody to ask",
            hint=f"Train one first: finetune-tui train {category_name}",
        )
    return version


def model_file(home: Home, version: VersionRow) -> Path:
    """The file by which the embedded server knows a version."""
    return gguf_path(home, version, serving_kind(version))


def _version(store: Store, home: Home, config: Config, category_name: str) -> VersionRow | None:
    current = serving(store, config, category_name)
    if current is not None and version_problem(home, current, thorough=False) is None:
        return current
    return _newest(store, home, category_name)


def _newest(store: Store, home: Home, category_name: str) -> VersionRow | None:
    usable = (
        version
        for version in reversed(versions.list_versions(store, category_name))
        if version_problem(home, version, thorough=False) is None
    )
    return next(usable, None)
