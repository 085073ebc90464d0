"""Which models can be tried in a category, and where each one's file is. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from core.backends.by_name import OLLAMA, in_ollama
from core.categories import Category
from core.config import Config
from core.errors import FinetuneError, ModelError
from core.paths import Home
from core.release.base_file import SHIPPED, base_file, base_here, is_made
from core.release.files import gguf_path, serving_kind, version_problem
from core.release.promote import serving
from storage import versions
from storage.db import Store, open_store
from storage.errors import NotFoundError
from storage.rows import VersionRow

Kind = Literal["version", "base", "ollama"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that can be asked. `name` is what is stored as the model of its answers; `note` says what it is.

    `problem` says why it cannot answer now, empty where it can.
    """

    name: str
    kind: Kind
    note: str
    problem: str = ""


def choices(store: Store, home: Home, config: Config, own: Category) -> list[Choice]:
    """The category's versions, what serves first and then the newest; then the untouched base and the shipped model."""
    rows = versions.list_versions(store, own.name)
    front = serving(store, config, own.name)
    order = sorted(rows, key=lambda row: (front is None or row.id != front.id, -row.id))
    listed = [_version(home, row, serves=front is not None and row.id == front.id) for row in order]
    bases = {row.base_model for row in rows if row.number == 0}
    for name in dict.fromkeys((own.base_model, SHIPPED)):
        if name not in bases and (base := base_here(name, home)) is not None:
            note = "the small model that is shipped" if name == SHIPPED else "the untouched base"
            made = is_made(base, home)
            listed.append(Choice(base.name, "base", note if made else f"{note}; made ready when first asked"))
    return listed


def ollama_choices() -> list[Choice]:
    """The models of an Ollama that answers; none where it does not. Asks the network of this machine."""
    from core.backends.ollama_api import OllamaApi

    try:
        with OllamaApi(timeout=3.0) as api:
            api.version()
            found = api.models()
    except FinetuneError:
        return []
    return [
        Choice(OLLAMA + model.name, "ollama", ", ".join(filter(None, (model.parameters, model.quantization))))
        for model in found
    ]


def first_choice(listed: Sequence[Choice]) -> str:
    """What is asked where nobody has chosen: what serves, else the newest version, else the base; empty without any."""
    return next((choice.name for choice in listed if not choice.problem), "")


def find(home: Home, name: str) -> str:
    """What a backend calls the model of that name: the path of its GGUF file, or `ollama:NAME`.

    The file of an untouched base model is made where there is none: seconds for the shipped one. Raises FinetuneError
    with the next step where the model cannot answer.
    """
    if in_ollama(name) is not None:
        return name
    with open_store(home.store) as store:
        try:
            row = versions.by_name(store, name)
        except NotFoundError:
            return str(base_file(name, home)[1])
    problem = version_problem(home, row, thorough=False)
    if problem is not None and not _only_unproved(home, row):
        raise ModelError(f"{problem}.", title="This version cannot answer", hint="Choose another model.")
    return str(gguf_path(home, row, serving_kind(row)))


def _version(home: Home, row: VersionRow, *, serves: bool) -> Choice:
    problem = version_problem(home, row, thorough=False) or ""
    score = row.metrics.get("mean_score")
    told = [
        "serves" if serves else "",
        "the untouched base" if row.number == 0 else "",
        f"score {score:.0f}" if isinstance(score, int | float) else "",
    ]
    if problem and _only_unproved(home, row):
        told, problem = [*told, "not proved"], ""
    return Choice(row.name, "version", ", ".join(filter(None, told)), problem)


def _only_unproved(home: Home, row: VersionRow) -> bool:
    """Whether its file is there and whole, so that it can be looked at though it may not serve."""
    return bool(row.gguf) and not row.proved and gguf_path(home, row, serving_kind(row)).is_file()
