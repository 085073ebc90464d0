"""Feedback as many rows as asked, no two alike: what the capture benchmarks read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from assets.demo import corpus


def rows(count: int, category: str, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Rows as `finetune-tui record` takes them, about 600 characters each: a request for an ER diagram and an answer in
    some style, from the stream that the shipped model was trained on."""
    for number, (system, prompt, response) in enumerate(islice(corpus.examples(seed), count)):
        yield {
            "prompt": f"{prompt} Ticket {number}.",
            "response": response,
            "system": system,
            "category": category,
            "model": "demo",
            "created_at": 1_700_000_000.0 + number,
        }


def write(path: Path, count: int, category: str, seed: int = 0) -> int:
    """Writes JSONL; the size in bytes."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows(count, category, seed):
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size
