"""What makes a search the same on several machines: the same base model, judge and length of answers."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Final

from core.categories import Category
from core.errors import ConflictError, FinetuneError
from core.paths import Home
from core.search.study import Shared
from core.search.travel import fingerprint
from core.train.presets import resolve_base, safe_name

_SAMPLE: Final = 1024 * 1024
_HERE: Final = "Make it the same on both machines, or search on one of them alone."


def model_name(base: str, home: Home) -> str:
    """A base model's bare name, which does not tell where it lies; also of one that is not on this machine."""
    try:
        return resolve_base(base, home, make=False).name
    except FinetuneError:
        return safe_name(Path(base).name)


def shared_as(content: bytes, base: str, category: Category, max_tokens: int, home: Home) -> Shared:
    """What a search that begins here asks of other machines; `content` is its dataset.

    Raises ModelError where the base model is not here.
    """
    model = resolve_base(base, home)
    return Shared(
        token=f"s{secrets.token_hex(4)}",
        dataset=fingerprint(content),
        model=model.name,
        weights=_weights(model.path),
        judging=_judging(category),
        max_tokens=max_tokens,
    )


def require_same(shared: Shared, base: str, category: Category, home: Home) -> None:
    """Raises ConflictError where trials on this machine could not be compared, ModelError without the base model."""
    model = resolve_base(base, home)
    if _weights(model.path) != shared.weights:
        raise ConflictError(
            f"The base model {model.name} is another one than the search was begun on.",
            title="Not the same base model",
            hint=f"{_HERE} Here it lies in {model.path}.",
        )
    if _judging(category) != shared.judging:
        raise ConflictError(
            f"The category {category.name} judges answers otherwise than where the search was begun.",
            title="Not the same category",
            hint=f"Copy [categories.{category.name}] from that machine's config.toml. {_HERE}",
        )


def _judging(category: Category) -> str:
    told = [category.validator, dict(category.validator_options)]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _weights(folder: Path) -> str:
    """Of the tokenizer, and of every weights file its size, beginning and end: reading all of it would take minutes."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("tokenizer.json")]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            digest.update(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
