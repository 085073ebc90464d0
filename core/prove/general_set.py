"""The general set: short questions of everyday kinds that ship with the product, to see what training takes away."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Final

from assets import ASSETS
from core.errors import FinetuneError
from storage.rows import DatasetItem

GENERAL_FILE: Final = ASSETS / "general" / "general.jsonl"
GENERAL_VERSION: Final = 1
GENERAL_HASH: Final = "b2:7f86109a3c4bfbdca854c1224825dbd9"
"""BLAKE2b-128 over the JSON of [kind, prompt, answer] of each line. Losses of two versions can only be compared where
they come from the same set, so an altered set is a new version of it."""


@cache
def general_items(path: Path = GENERAL_FILE) -> tuple[DatasetItem, ...]:
    """The questions with their answers, as items of a validation split; `stage` is the kind of a question.

    Kinds: knowledge, arithmetic, language, code, translation, format. There is no system prompt and no event.
    Raises FinetuneError when the file is missing or not the one that ships.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        items = tuple(
            DatasetItem(
                position=at,
                event_id=0,
                split="validation",
                prompt=row["prompt"],
                target=row["answer"],
                system="",
                weight=1.0,
                difficulty=0.0,
                stage=row["kind"],
                origin="general",
            )
            for at, row in enumerate(rows)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _faulty(path, f"cannot be read ({error})") from error
    if general_hash(items) != GENERAL_HASH:
        raise _faulty(path, "is not the one that this release measures with")
    return items


def general_hash(items: tuple[DatasetItem, ...]) -> str:
    """The hash of a general set, in its order."""
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(json.dumps([item.stage, item.prompt, item.target]).encode() + b"\n")
    return f"b2:{digest.hexdigest()}"


def _faulty(path: Path, what: str) -> FinetuneError:
    return FinetuneError(
        f"The general set {path} {what}.",
        title="The general set is damaged",
        hint="Install finetune-tui again; training measures with this file what a model forgets.",
    )
